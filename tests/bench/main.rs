//! Speed, as ratios to what a user would pick instead, measured in the same run: `cargo bench`, or for some of it
//! `cargo bench -- streams latency`.
//!
//! Everything that is needed is started here; what is not installed is skipped. Table and picture are written into the
//! target directory, unless they are to be kept.

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

use clap::Parser;
use clap::builder::PossibleValuesParser;
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

/// Compare the speed of ipcq with what a user would pick instead
#[derive(Parser)]
#[command(bin_name = "cargo bench --")]
struct Options {
    /// Only these parts of the table
    #[arg(value_name = "PART", value_parser = PossibleValuesParser::new(PARTS.map(|(name, _)| name)))]
    parts: Vec<String>,
    /// Keep the table and the picture in tests/bench/results
    #[arg(long)]
    save: bool,
    /// See only that everything works
    #[arg(long)]
    quick: bool,
    /// Cargo says this when figures are wanted, and nothing when it only runs tests
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn includes(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

fn main() {
    if let Some(how) = tools::told_to_answer() {
        return echo::answer(&how);
    }
    let options = Options::parse();
    let quick = options.quick || !options.bench;
    let bench = Bench::new(quick);
    let mut report = Report::new();
    for (name, run) in PARTS.iter().filter(|(name, _)| options.includes(name)) {
        report.start_part(name);
        run(&bench, &mut report);
    }
    report.conclude();
    let results = if options.save {
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
