//! Blocks: the pieces of a payload cut where the blocks end of which its checksum is made.

use super::super::checksum::Checksum;
use super::super::memory::{Piece, Seen};

/// A payload that goes by block for block, and what has been seen of it.
pub(super) struct Blocks {
    checksum: Checksum,
    ends: u64,
    /// Where the block starts whose end has not come yet, and how many of its bytes have not.
    started: Vec<Piece>,
    missing: u64,
}

impl Blocks {
    /// Those of a payload of `length` bytes.
    pub(super) fn of_length(length: u64) -> Self {
        let checksum = Checksum::of_length(length);
        Blocks { missing: checksum.next_block() as u64, checksum, ends: 0, started: Vec::new() }
    }

    /// The next piece of the payload. Calls `pass` with where each block lies that ends in it.
    #[inline]
    pub(super) fn add(&mut self, piece: Piece, mut pass: impl FnMut(&[Piece]) -> Seen) {
        let (mut offset, mut left) = piece;
        while left > 0 {
            let length = left.min(self.missing);
            let part = (offset, length);
            self.missing -= length;
            if self.missing > 0 {
                self.started.push(part);
            } else {
                let seen = if self.started.is_empty() {
                    pass(&[part])
                } else {
                    self.started.push(part);
                    pass(&self.started)
                };
                self.started.clear();
                self.checksum.add_hash(seen.hash);
                self.ends += seen.ends;
                self.missing = self.checksum.next_block() as u64;
            }
            (offset, left) = (offset + length, left - length);
        }
    }

    /// The checksum of the payload, and how often its delimiter is in it, when all pieces have come.
    pub(super) fn finish(self) -> (u32, u64) {
        (self.checksum.finish(), self.ends)
    }
}
