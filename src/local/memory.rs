//! The one narrow seam through which every load from a segment and every store into it goes.
//!
//! The operations ([`super::store`]) know nothing of files and mappings: they see a `Memory`. A
//! mapped file is one; a test's vector, which can record the stores and stop after any, is another.

use super::checksum;
use crate::delimiter::count_ends;
use std::io;

/// What a processor fetches or stores at once, in bytes.
pub(crate) const CACHE_LINE: u64 = 64;

/// Bytes of a segment that lie together: where they start, and how many they are.
pub(crate) type Piece = (u64, u64);

/// A word as the redo log has it: its offset, a multiple of 8, and its value.
pub(crate) type Pair = [u64; 2];

/// What was seen of a block of payload on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What the checksum of the payload is made of; see `checksum.rs`.
    pub(crate) hash: u32,
    /// How often the delimiter is in it, if there is one.
    pub(crate) ends: u64,
}

impl Seen {
    /// That of all of `block`.
    pub(super) fn of(block: &[u8], delimiter: Option<u8>) -> Self {
        Seen { hash: checksum::hash(block), ends: count_ends(block, delimiter) }
    }
}

/// The bytes of a segment as they can be looked at, shared with processes that may do anything to them at
/// any time.
///
/// Offsets are bytes from the start of the segment. An access outside it does nothing and reads as
/// zero: a hostile segment must not get a crash out of us, and whoever computed the offset names the
/// field that was wrong.
pub(crate) trait ReadMemory {
    /// Bytes that are accessible.
    fn length(&self) -> u64;
    /// The 32-bit word at `offset`, a multiple of 4.
    fn load32(&self, offset: u64) -> u32;
    /// The 64-bit word at `offset`, a multiple of 8.
    fn load(&self, offset: u64) -> u64;
    /// The 64-bit words at these distances, multiples of 8, from `start`, another one.
    fn load_each<const N: usize>(&self, start: u64, distances: [u64; N]) -> [u64; N] {
        distances.map(|distance| self.load(start + distance))
    }
    /// Copies bytes out of the segment.
    fn read(&self, offset: u64, into: &mut [u8]);
    /// Appends `length` bytes of the segment to `buffer`.
    fn append(&self, offset: u64, length: u64, buffer: &mut Vec<u8>);
    /// Appends a block of payload that lies in `pieces` to `buffer`, and says what was appended.
    fn append_block(&self, pieces: &[Piece], delimiter: Option<u8>, buffer: &mut Vec<u8>) -> Seen {
        if let Some(seen) = self.append_in_one_pass(pieces, delimiter, buffer) {
            return seen;
        }
        let start = buffer.len();
        pieces.iter().for_each(|&(offset, length)| self.append(offset, length, buffer));
        Seen::of(&buffer[start..], delimiter)
    }
    /// Does that in one pass, if it can.
    fn append_in_one_pass(&self, _: &[Piece], _: Option<u8>, _: &mut Vec<u8>) -> Option<Seen> {
        None
    }
}

/// The bytes of a segment as they can be changed.
pub(crate) trait Memory: ReadMemory {
    /// Stores the 32-bit word at `offset`, a multiple of 4, after everything stored before.
    fn store32(&mut self, offset: u64, value: u32);
    /// Stores the 64-bit word at `offset`, a multiple of 8, after everything stored before.
    fn store(&mut self, offset: u64, value: u64);
    /// Stores the 32-bit word at `offset`, a multiple of 4, in the same way, if it reads `from` at that instant; says
    /// whether it did.
    fn exchange32(&mut self, offset: u64, from: u32, to: u32) -> bool {
        let reads = self.load32(offset) == from;
        if reads {
            self.store32(offset, to);
        }
        reads
    }
    /// Copies pairs into the segment, from `offset`, a multiple of 8, on.
    fn write_pairs(&mut self, offset: u64, pairs: &[Pair]) {
        for (at, word) in (offset..).step_by(8).zip(pairs.as_flattened()) {
            self.store(at, *word);
        }
    }
    /// Stores words, one after the other.
    fn apply(&mut self, words: &[Pair]) {
        for &[offset, value] in words {
            self.store(offset, value);
        }
    }
    /// Copies bytes into the segment.
    fn write(&mut self, offset: u64, bytes: &[u8]);
    /// Copies a block of payload into `pieces` of the segment, which have its length, and says what it is like. Another
    /// processor is to read it next: it goes past the caches, if it can, and may be seen late; see
    /// [`Memory::order_blocks`].
    fn write_block(&mut self, pieces: &[Piece], delimiter: Option<u8>, block: &[u8]) -> Seen {
        if let Some(seen) = self.write_in_one_pass(pieces, delimiter, block) {
            return seen;
        }
        let mut left = block;
        for &(offset, length) in pieces {
            let (piece, rest) = left.split_at(length as usize);
            self.write(offset, piece);
            left = rest;
        }
        Seen::of(block, delimiter)
    }
    /// Does that in one pass, if it can.
    fn write_in_one_pass(&mut self, _: &[Piece], _: Option<u8>, _: &[u8]) -> Option<Seen> {
        None
    }
    /// Has the blocks written so far seen before whatever is stored later.
    fn order_blocks(&mut self) {}
    /// Wakes up to `count` processes that sleep on the 32-bit word at `offset`, and says how many it was.
    fn wake(&mut self, offset: u64, count: u32) -> u32;
    /// Forgets what was stored, if that was for us alone, and sees what others have stored meanwhile.
    fn look_anew(&mut self) {}
    /// Makes the bytes up to `end` accessible, or all there are: another process may have grown the
    /// segment. An error of the kind `UnexpectedEof` says that it is shorter.
    fn reach(&mut self, end: Option<u64>) -> io::Result<()>;
    /// Makes sure that the bytes `from..to` exist and can be stored to without a fault.
    fn grow(&mut self, from: u64, to: u64) -> io::Result<()>;
    /// Waits until everything stored so far is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Gives the storage behind `from..to` back to the system; the bytes read as zero afterwards.
    fn release(&mut self, from: u64, to: u64);
}
