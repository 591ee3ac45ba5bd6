//! Checksums: XXH3 of each block of what is checked, added up so that the first bytes can be taken off again.
//!
//! Blocks are counted from the end: where the first messages of a run are taken out, all blocks but one stay as they
//! were, and what is left has its checksum without being looked at as a whole. XXH3, by Yann Collet
//! (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>), takes half the time of a CRC-32 by carry-less
//! multiplication.

use std::ops::Range;
use twox_hash::XxHash3_64;

/// Bytes of a block; the first of several may have fewer. It fits a processor's nearest cache, and a page.
pub(crate) const BLOCK: usize = 4096;

/// The checksum of all of `bytes`.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    bytes.rchunks(BLOCK).zip(0..).fold(0, |sum: u32, (block, place)| sum.wrapping_add(share(hash(block), place)))
}

/// The lower half of the XXH3 of a block.
pub(crate) fn hash(block: &[u8]) -> u32 {
    XxHash3_64::oneshot(block) as u32
}

/// What a block adds to the checksum if `place` blocks come after it: its hash, weighted so that it tells in which order
/// blocks are.
fn share(hash: u32, place: u64) -> u32 {
    hash.wrapping_mul((place as u32).wrapping_mul(2).wrapping_add(1))
}

/// The checksum of `length` bytes without the first `gone`, if that of all is `whole`. Calls `look` with what it has to
/// look at, which is little more than those twice: a range, and where to add the bytes in it.
///
/// # Errors
/// Those of `look`.
pub(crate) fn without_first<E>(
    whole: u32,
    length: u64,
    gone: u64,
    mut look: impl FnMut(Range<u64>, &mut Checksum) -> Result<(), E>,
) -> Result<u32, E> {
    let behind = length.saturating_sub(gone) / BLOCK as u64;
    // Where the block ends that loses its start.
    let end = length - behind * BLOCK as u64;
    let mut share = |from: u64| {
        let mut share = Checksum { behind, ..Checksum::of_length(end - from) };
        look(from..end, &mut share).map(|()| share.finish())
    };
    Ok(whole.wrapping_sub(share(0)?).wrapping_add(share(gone.min(end))?))
}

/// The checksum of bytes that come one piece after the other.
pub(crate) struct Checksum {
    /// Bytes that are not in the sum yet.
    left: u64,
    /// Whole blocks that come after those.
    behind: u64,
    sum: u32,
    /// The start of a block whose end has not come yet.
    started: Vec<u8>,
}

impl Checksum {
    /// That of `length` bytes.
    pub(crate) fn of_length(length: u64) -> Self {
        Checksum { left: length, behind: 0, sum: 0, started: Vec::new() }
    }

    /// The next bytes. What is more than was announced does not count.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if !self.started.is_empty() {
            let (end, rest) = bytes.split_at(bytes.len().min(self.next_block() - self.started.len()));
            self.started.extend_from_slice(end);
            bytes = rest;
            let block = std::mem::take(&mut self.started);
            if self.add_blocks(&block) == 0 {
                self.started = block;
                return;
            }
        }
        let added = self.add_blocks(bytes);
        if self.left > 0 {
            self.started.extend_from_slice(&bytes[added..]);
        }
    }

    /// The next block, of which this is the hash.
    pub(crate) fn add_hash(&mut self, hash: u32) {
        self.left -= self.next_block() as u64;
        self.sum = self.sum.wrapping_add(share(hash, self.behind + self.left / BLOCK as u64));
    }

    /// Adds the blocks that `bytes`, the next ones, have all of, and says how many bytes those are.
    fn add_blocks(&mut self, bytes: &[u8]) -> usize {
        let mut added = 0;
        while self.left > 0 && bytes.len() - added >= self.next_block() {
            let block = &bytes[added..added + self.next_block()];
            self.add_hash(hash(block));
            added += block.len();
        }
        added
    }

    /// How long the next block is, in bytes.
    pub(crate) fn next_block(&self) -> usize {
        (self.left.wrapping_sub(1) % BLOCK as u64) as usize + 1
    }

    /// The checksum, if all bytes have come.
    pub(crate) fn finish(self) -> u32 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that are nowhere the same.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length as u32).flat_map(|number| number.wrapping_mul(0x9E37_79B9).to_ne_bytes()).take(length).collect()
    }

    #[test]
    fn a_payload_of_one_block_has_the_checksum_that_other_programs_give_it() {
        // The lower halves of what `xxhsum -H3` prints.
        assert_eq!([&b"a"[..], b"hello", &bytes(BLOCK)].map(of), [0x1e96_4e1f, 0x5c62_dcfd, 0x76cd_ed81]);
        assert_eq!(of(b""), 0);
    }

    #[test]
    fn a_swap_of_two_blocks_is_another_payload() {
        let first = bytes(2 * BLOCK);
        let (start, end) = first.split_at(BLOCK);
        assert_ne!(of(&first), of(&[end, start].concat()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn however_it_comes_in_pieces_it_is_the_same(length in 0..5 * BLOCK, steps in prop::collection::vec(1..2 * BLOCK, 1..9)) {
            let bytes = bytes(length);
            let (mut sum, mut rest) = (Checksum::of_length(length as u64), &bytes[..]);
            for step in steps.iter().cycle() {
                let (piece, others) = rest.split_at(rest.len().min(*step));
                sum.add(piece);
                rest = others;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(sum.finish(), of(&bytes));
        }

        #[test]
        fn what_is_left_of_it_has_the_checksum_of_its_own(length in 0..5 * BLOCK, gone in 0..6 * BLOCK) {
            let bytes = bytes(length);
            let gone = gone.min(length);
            let rest = without_first(of(&bytes), length as u64, gone as u64, |range, sum| {
                sum.add(&bytes[range.start as usize..range.end as usize]);
                Ok::<_, ()>(())
            });
            prop_assert_eq!(rest, Ok(of(&bytes[gone..])));
        }
    }
}
