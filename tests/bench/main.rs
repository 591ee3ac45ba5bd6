//! Speed, as ratios to what a user would pick instead, measured in the same run: `cargo bench`, or for some of it
//! `cargo bench -- streams latency`.
//!
//! Everything that is needed is started here; what is not installed is skipped. `--save` keeps the table and the picture
//! in `tests/bench/results`; without it they are written into the target directory. `--quick` sees only that it works.

// A bench that fails to prepare is to fail loudly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contest;
mod echo;
mod growth;
mod latency;
mod limit;
mod listing;
mod machine;
mod one_shot;
mod peers;
mod picture;
mod readers;
mod report;
mod resident;
mod results;
mod server;
mod streams;
mod tools;
mod work;

use report::Report;
use std::path::Path;
use tools::Bench;

type Part = fn(&Bench, &mut Report);

/// In the order of the table.
const PARTS: [(&str, Part); 10] = [
    ("streams", streams::run),
    ("one-shot", one_shot::run),
    ("latency", latency::run),
    ("resident", resident::run),
    ("growth", growth::run),
    ("limit", limit::run),
    ("readers", readers::run),
    ("listing", listing::run),
    ("work", work::run),
    ("server", server::run),
];

fn main() {
    if let Some(how) = tools::told_to_answer() {
        return echo::answer(&how);
    }
    // Cargo says --bench when figures are wanted, and nothing when it only runs tests.
    let (options, only): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    let asked = |option: &str| options.iter().any(|word| word == option);
    for part in &only {
        assert!(PARTS.iter().any(|(name, _)| name == part), "there is no part '{part}'");
    }
    let quick = asked("--quick") || !asked("--bench");
    let bench = Bench::new(quick);
    let mut report = Report::new();
    for (name, run) in PARTS.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|part| part == name)) {
        report.start_part(name);
        run(&bench, &mut report);
    }
    report.conclude();
    let results = if asked("--save") {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/results")
    } else {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-results")
    };
    if !quick {
        let order: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
        results::save(&report, &order, &results);
        println!("Table and picture: {}", results.display());
    }
}
