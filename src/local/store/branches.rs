//! The branches of trees as a change will have them: kept apart from the records that they are in, because a change
//! may touch many nodes of which nothing else matters.

use super::super::format;
use super::super::memory::ReadMemory;
use super::halves::{join, split};

/// Ways down from a node of a tree.
pub(super) const WAYS: usize = 4;

/// The units below a node, one for each way, or 0.
pub(super) type Below = [u32; WAYS];

/// The two words of a record that hold them, each for two ways.
const WORDS: [u64; 2] = [format::RECORD_BRANCH_0, format::RECORD_BRANCH_2];

/// What is below a node according to the words of its record.
pub(super) fn below(word: impl Fn(u64) -> u64) -> Below {
    let [[a, b], [c, d]] = WORDS.map(|offset| split(word(offset)));
    [a, b, c, d]
}

/// Branches that a change sets.
#[derive(Default)]
pub(super) struct Branches {
    /// The later of two for the same unit counts.
    changed: Vec<(u32, Below)>,
    /// How many of them were there before the walk in progress, and the traces of their units.
    before: usize,
    traces: u64,
}

/// What a unit leaves where it was met; another one may leave the same.
pub(super) fn trace(unit: u32) -> u64 {
    1 << (unit % 64)
}

impl Branches {
    pub(super) fn clear(&mut self) {
        self.changed.clear();
        (self.before, self.traces) = (0, 0);
    }

    /// A walk through a tree begins. It does not come back to what it has changed itself.
    pub(super) fn start_walk(&mut self) {
        self.traces = self.changed[self.before..].iter().fold(self.traces, |traces, (unit, _)| traces | trace(*unit));
        self.before = self.changed.len();
    }

    /// The branches of the node in `unit`, as they were when the walk in progress began.
    pub(super) fn get<M: ReadMemory>(&self, memory: &M, unit: u32) -> Below {
        let changed = self.find(unit).map(|at| self.changed[at].1);
        changed.unwrap_or_else(|| below(|word| memory.load(format::unit_offset(unit) + word)))
    }

    pub(super) fn set(&mut self, unit: u32, below: Below) {
        match self.find(unit) {
            Some(at) => self.changed[at].1 = below,
            None => self.changed.push((unit, below)),
        }
    }

    /// The node in `unit` is no more.
    pub(super) fn forget(&mut self, unit: u32) {
        if self.changed.is_empty() {
            return;
        }
        self.start_walk();
        if self.traces & trace(unit) != 0 {
            self.changed.retain(|changed| changed.0 != unit);
            self.before = self.changed.len();
        }
    }

    fn find(&self, unit: u32) -> Option<usize> {
        // Mostly it is not there.
        let may_be_there = self.traces & trace(unit) != 0;
        may_be_there.then(|| self.changed[..self.before].iter().rposition(|changed| changed.0 == unit)).flatten()
    }

    /// How many words hold them.
    pub(super) fn len(&self) -> usize {
        self.changed.len() * WORDS.len()
    }

    /// The words that hold them: offset, value.
    pub(super) fn words(&self) -> impl Iterator<Item = (u64, u64)> {
        self.changed.iter().flat_map(|&(unit, [a, b, c, d])| {
            let at = format::unit_offset(unit);
            [(at + WORDS[0], join([a, b])), (at + WORDS[1], join([c, d]))]
        })
    }
}

// The second and fourth branch are in the second halves of words that start with the first and third.
const _: () = assert!(WORDS[0].is_multiple_of(8) && format::RECORD_BRANCH_1 == WORDS[0] + 4);
const _: () = assert!(WORDS[1].is_multiple_of(8) && format::RECORD_BRANCH_3 == WORDS[1] + 4);

#[cfg(test)]
mod tests {
    use super::super::view::View;
    use super::*;
    use crate::local::memory::ReadMemory;

    /// Reads as zero everywhere.
    struct Nothing;

    impl ReadMemory for Nothing {
        fn length(&self) -> u64 {
            u64::MAX
        }
        fn load32(&self, _: u64) -> u32 {
            0
        }
        fn load(&self, _: u64) -> u64 {
            0
        }
        fn read(&self, _: u64, into: &mut [u8]) {
            into.fill(0);
        }
        fn append(&self, _: u64, length: u64, buffer: &mut Vec<u8>) {
            buffer.resize(buffer.len() + length as usize, 0);
        }
    }

    #[test]
    fn what_one_walk_sets_the_next_one_meets_and_the_segment_gets() {
        let mut branches = Branches::default();
        // The last two leave the same trace.
        for (unit, below) in [(66, [67, 0, 0, 0]), (67, [0, 0, 68, 0]), (131, [1, 2, 3, 4]), (67, [5, 6, 7, 8])] {
            branches.start_walk();
            branches.set(unit, below);
        }
        branches.start_walk();
        branches.forget(66);
        let view = View::new(&Nothing, branches.words());
        for (unit, below) in [(66, [0; WAYS]), (67, [5, 6, 7, 8]), (131, [1, 2, 3, 4])] {
            assert_eq!(branches.get(&Nothing, unit), below);
            let fields = (format::RECORD_BRANCH_0..=format::RECORD_BRANCH_3).step_by(4);
            let stored = fields.map(|field| view.load32(format::unit_offset(unit) + field));
            assert_eq!(stored.collect::<Vec<_>>(), below);
        }
        assert_eq!(branches.len(), 4);
    }
}
