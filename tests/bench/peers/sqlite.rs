//! SQLite in WAL mode as a queue, through Python's module, whose loops over rows are in C.

use super::{Peer, Sample, streaming};
use crate::report::Report;
use crate::tools::{Bench, have};

pub(crate) const PROMISE: &str = "a table in WAL mode on a file in memory, synchronous off, a thousand messages in a \
     transaction; what was committed survives a killed process, what was taken by one is gone (at most once)";

const PROGRAM: &str = include_str!("sqlite.py");

struct Sqlite {
    database: String,
}

/// Unless it is not installed.
pub(crate) fn start(bench: &Bench, report: &mut Report) -> Option<Box<dyn Peer>> {
    have("python3", report).then(|| Box::new(Sqlite { database: bench.text_path("stream.sqlite") }) as Box<dyn Peer>)
}

impl Peer for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite, WAL, 1000 a transaction"
    }

    fn pace(&self) -> usize {
        200_000
    }

    fn stream(&mut self, sample: &Sample, producers: usize, consumers: usize) -> f64 {
        streaming::run("python3", PROGRAM, &self.database, sample, producers, consumers)
    }
}
