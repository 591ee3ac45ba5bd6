//! What is below a node of a tree: a unit for each way down.

use super::super::format;
use super::halves::{join, split};

/// Ways down from a node of a tree.
pub(super) const WAYS: usize = 4;

/// The two words of a record that hold them, each for two ways.
pub(super) const WORDS: [u64; 2] = [format::RECORD_BRANCH_0, format::RECORD_BRANCH_2];

/// The units below a node, one for each way, or 0. As one number, which stays in registers on the way down: a processor
/// waits for what it has stored in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Below(u128);

impl Below {
    /// As a record has them in its [`WORDS`].
    #[inline]
    pub(super) fn from_words(words: [u64; 2]) -> Self {
        let [[a, b], [c, d]] = words.map(split);
        Below([d, c, b, a].into_iter().fold(0, |all, unit| all << u32::BITS | u128::from(unit)))
    }

    /// The same the other way round.
    #[inline]
    pub(super) fn words(self) -> [u64; 2] {
        let [a, b, c, d] = self.units();
        [join([a, b]), join([c, d])]
    }

    /// The units, by their ways.
    #[inline]
    pub(super) fn units(self) -> [u32; WAYS] {
        [0, 1, 2, 3].map(|way| self.at(way))
    }

    /// The unit that a way leads to.
    #[inline]
    pub(super) fn at(self, way: usize) -> u32 {
        (self.0 >> place(way)) as u32
    }

    /// What is below if that way leads to `unit`.
    #[inline]
    pub(super) fn with(self, way: usize, unit: u32) -> Self {
        Below(self.0 & !(u128::from(u32::MAX) << place(way)) | u128::from(unit) << place(way))
    }
}

/// Where in the number it is, in bits.
fn place(way: usize) -> u32 {
    u32::BITS * (way % WAYS) as u32
}

// The second and fourth branch are in the second halves of words that start with the first and third.
const _: () = assert!(WORDS[0].is_multiple_of(8) && format::RECORD_BRANCH_1 == WORDS[0] + 4);
const _: () = assert!(WORDS[1].is_multiple_of(8) && format::RECORD_BRANCH_3 == WORDS[1] + 4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_leads_to_its_half_of_a_word() {
        let words = [join([1, 2]), join([u32::MAX, 4])];
        let below = Below::from_words(words);
        assert_eq!((below.units(), below.words()), ([1, 2, u32::MAX, 4], words));
        for way in 0..WAYS {
            let mut units = below.units();
            units[way] = 77;
            let changed = below.with(way, 77);
            assert_eq!((changed.units(), changed.at(way)), (units, 77));
        }
    }
}
