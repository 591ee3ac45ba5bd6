//! Python's `multiprocessing.Queue` and `SimpleQueue`.

use super::{Peer, Sample, streaming};
use crate::report::Report;
use crate::tools::{Bench, have};

pub(crate) const PROMISE: &str = "objects (here bytes) through a pipe under a lock; at most once, and a process that is \
     killed while it has the lock stops the others; the start of Python is not counted";

const PROGRAM: &str = include_str!("multiprocessing_queue.py");

struct Queue {
    kind: &'static str,
}

/// Unless it is not installed.
pub(crate) fn start(_: &Bench, report: &mut Report) -> Vec<Box<dyn Peer>> {
    if !have("python3", report) {
        return Vec::new();
    }
    ["Queue", "SimpleQueue"].map(|kind| Box::new(Queue { kind }) as Box<dyn Peer>).into()
}

impl Peer for Queue {
    fn name(&self) -> &'static str {
        match self.kind {
            "Queue" => "multiprocessing.Queue",
            _ => "multiprocessing.SimpleQueue",
        }
    }

    fn pace(&self) -> usize {
        100_000
    }

    fn stream(&mut self, sample: &Sample, producers: usize, consumers: usize) -> f64 {
        streaming::run("python3", PROGRAM, self.kind, sample, producers, consumers)
    }
}
