//! The books: what producers meant to put and what came of it, and what consumers received.

use super::messages::{Key, Received, Rest};
use std::ops::Range;
use std::time::Instant;

/// What is known of the messages of one put after it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It returned, and said that the first so many are in the queue. The others are not.
    Put(u32),
    /// It did not return: all of them are in the queue, or none.
    AllOrNone,
    /// It did not return: some are in the queue, from the first on.
    Prefix,
}

/// One put process.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) queue: usize,
    pub(super) producer: usize,
    /// The numbers of what was meant to be put: arguments, or as much of a stream as was written to its input.
    pub(super) numbers: Range<u32>,
    pub(super) outcome: Outcome,
}

impl Put {
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        let Put { queue, producer, .. } = *self;
        self.numbers.clone().map(move |number| Key { queue, producer, number })
    }
}

/// One get process.
#[derive(Clone, Debug)]
pub(super) struct Get {
    /// What it was, for people.
    pub(super) command: String,
    pub(super) queues: Vec<usize>,
    pub(super) started: Instant,
    /// Just before it was killed, or after it had ended by itself.
    pub(super) ended: Instant,
    pub(super) killed: bool,
    /// What it wrote in full. If it was killed it may not have let go of the last of them: those of one take.
    pub(super) messages: Vec<Received>,
    /// What it wrote after that.
    pub(super) rest: Rest,
}

/// All that was written down.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) puts: Vec<Put>,
    pub(super) gets: Vec<Get>,
    /// Processes that ended in a way that nothing explains.
    pub(super) failures: Vec<String>,
}

impl Books {
    pub(super) fn add(&mut self, other: Books) {
        self.puts.extend(other.puts);
        self.gets.extend(other.gets);
        self.failures.extend(other.failures);
    }
}
