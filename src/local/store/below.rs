//! What is below a node of a tree: a unit for each way down.

use super::super::format;
use super::halves::{half, split, with_half};
use std::hint::select_unpredictable;

/// Ways down from a node of a tree.
pub(super) const WAYS: usize = 4;

/// The two words of a record that hold them, each for two ways.
pub(super) const WORDS: [u64; 2] = [format::RECORD_BRANCH_0, format::RECORD_BRANCH_2];

/// The units below a node, one for each way, or 0. As the words that hold them, which stay in registers on the way down: a
/// processor waits for what it has stored in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Below(pub(super) [u64; 2]);

impl Below {
    /// The units, by their ways.
    #[inline]
    pub(super) fn units(self) -> [u32; WAYS] {
        let [[a, b], [c, d]] = self.0.map(split);
        [a, b, c, d]
    }

    /// The unit that a way leads to.
    #[inline]
    pub(super) fn at(self, way: usize) -> u32 {
        let [first, second] = self.0;
        half(select_unpredictable(way < 2, first, second), way % 2)
    }

    /// What is below if that way leads to `unit`.
    #[inline]
    pub(super) fn with(self, way: usize, unit: u32) -> Self {
        let [first, second] = self.0;
        let is_first = way < 2;
        let word = with_half(select_unpredictable(is_first, first, second), way % 2, unit);
        Below([select_unpredictable(is_first, word, first), select_unpredictable(is_first, second, word)])
    }
}

// The second and fourth branch are in the second halves of words that start with the first and third.
const _: () = assert!(WORDS[0].is_multiple_of(8) && format::RECORD_BRANCH_1 == WORDS[0] + 4);
const _: () = assert!(WORDS[1].is_multiple_of(8) && format::RECORD_BRANCH_3 == WORDS[1] + 4);

#[cfg(test)]
mod tests {
    use super::super::halves::join;
    use super::*;

    #[test]
    fn each_way_leads_to_its_half_of_a_word() {
        let below = Below([join([1, 2]), join([u32::MAX, 4])]);
        assert_eq!(below.units(), [1, 2, u32::MAX, 4]);
        for way in 0..WAYS {
            let mut units = below.units();
            units[way] = 77;
            let changed = below.with(way, 77);
            assert_eq!((changed.units(), changed.at(way)), (units, 77));
        }
    }
}
