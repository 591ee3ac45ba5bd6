//! The branches of trees as a change will have them: kept apart from the records that they are in, because a change
//! may touch many nodes of which nothing else matters.

use super::super::format;
use super::super::memory::{Pair, ReadMemory};
use super::below::{Below, WORDS};

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

    /// Whether the node in `unit` may be one whose branches were changed before the walk in progress began. Mostly it is
    /// not.
    pub(super) fn may_have_changed(&self, unit: u32) -> bool {
        self.traces & trace(unit) != 0
    }

    /// The branches of the node in `unit`, as they were when the walk in progress began.
    pub(super) fn get<M: ReadMemory>(&self, memory: &M, unit: u32) -> Below {
        let changed = self.find(unit).map(|at| self.changed[at].1);
        changed.unwrap_or_else(|| Below(memory.load_each(format::unit_offset(unit), WORDS)))
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
        if self.may_have_changed(unit) {
            self.changed.retain(|changed| changed.0 != unit);
            self.before = self.changed.len();
        }
    }

    fn find(&self, unit: u32) -> Option<usize> {
        if self.may_have_changed(unit) { self.find_changed(unit) } else { None }
    }

    #[cold]
    #[inline(never)]
    fn find_changed(&self, unit: u32) -> Option<usize> {
        self.changed[..self.before].iter().rposition(|changed| changed.0 == unit)
    }

    /// How many words hold them.
    pub(super) fn len(&self) -> usize {
        self.changed.len() * WORDS.len()
    }

    /// The words that hold them.
    pub(super) fn words(&self) -> impl Iterator<Item = Pair> {
        self.changed.iter().flat_map(|&(unit, Below([first, second]))| {
            let at = format::unit_offset(unit);
            [[at + WORDS[0], first], [at + WORDS[1], second]]
        })
    }
}

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
        let below = |first| Below([first, first + 1]);
        // The last two leave the same trace.
        for (unit, first) in [(66, 1), (67, 3), (131, 5), (67, 7)] {
            branches.start_walk();
            branches.set(unit, below(first));
        }
        branches.start_walk();
        branches.forget(66);
        let view = View::new(&Nothing, branches.words());
        for (unit, expected) in [(66, Below::default()), (67, below(7)), (131, below(5))] {
            assert_eq!(branches.get(&Nothing, unit), expected);
            let fields = (format::RECORD_BRANCH_0..=format::RECORD_BRANCH_3).step_by(4);
            let stored = fields.map(|field| view.load32(format::unit_offset(unit) + field));
            assert_eq!(stored.collect::<Vec<_>>(), expected.units());
        }
        assert_eq!(branches.len(), 4);
    }
}
