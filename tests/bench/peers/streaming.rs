//! Programs in Python that stream messages: what they have in common, and what is each one's own after it.

use super::Sample;
use std::process::Command;

const COMMON: &str = include_str!("streaming.py");

/// Seconds that `program` says it took; `place` is what it streams through, and where.
pub(super) fn run(
    python: &str,
    program: &str,
    place: &str,
    sample: &Sample,
    producers: usize,
    consumers: usize,
) -> f64 {
    let numbers = [usize::from(sample.delimiter), sample.count, producers, consumers].map(|number| number.to_string());
    let mut command = Command::new(python);
    command.arg("-c").arg(format!("{COMMON}\n\n{program}")).arg(&sample.path).args(numbers).arg(place);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
