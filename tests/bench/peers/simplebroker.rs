//! SimpleBroker from PyPI, installed into an environment of its own: queues in SQLite, through its API and its command.

use super::{Peer, Sample, streaming};
use crate::report::Report;
use crate::tools::{Bench, have};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const PROMISE: &str = "a queue in SQLite on a file in memory, a persistent connection, `write` for each \
     message and `read_many` for a thousand; what it calls exactly once: taken before it is handed out";

const PROGRAM: &str = include_str!("simplebroker.py");

/// Where it is, once it has been installed; what it needs is kept between runs.
fn installed(report: &mut Report) -> Option<PathBuf> {
    if !have("python3", report) {
        return None;
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simplebroker");
    let programs = environment.join("bin");
    let run = |program: &Path, words: &[&str]| {
        let mut command = Command::new(program);
        let status = command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if programs.join("broker").exists()
        || run("python3".as_ref(), &["-m", "venv", environment.to_str()?])
            && run(&programs.join("pip"), &["install", "--quiet", "--timeout", "10", "simplebroker"])
    {
        return Some(programs);
    }
    report.skip("SimpleBroker could not be installed with pip");
    None
}

/// Its command, unless it cannot be installed.
pub(crate) fn command(report: &mut Report) -> Option<PathBuf> {
    installed(report).map(|programs| programs.join("broker"))
}

struct SimpleBroker {
    python: PathBuf,
    database: String,
}

/// Unless it cannot be installed.
pub(crate) fn start(bench: &Bench, report: &mut Report) -> Option<Box<dyn Peer>> {
    let python = installed(report)?.join("python3");
    Some(Box::new(SimpleBroker { python, database: bench.text_path("stream.broker") }))
}

impl Peer for SimpleBroker {
    fn name(&self) -> &'static str {
        "SimpleBroker API, write, read_many 1000"
    }

    fn pace(&self) -> usize {
        3_000
    }

    fn longest(&self) -> usize {
        1 << 20
    }

    fn stream(&mut self, sample: &Sample, producers: usize, consumers: usize) -> f64 {
        streaming::run(self.python.to_str().unwrap(), PROGRAM, &self.database, sample, producers, consumers)
    }
}
