//! The one narrow seam through which every load from a segment and every store into it goes.
//!
//! The operations ([`super::store`]) know nothing of files and mappings: they see a `Memory`. A
//! mapped file is one; a test's vector, which can record the stores and stop after any, is another.

use crate::message::count_delimiters;
use std::io;

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
    /// Stores words one after the other, from `offset`, a multiple of 8, on.
    fn store_pairs(&mut self, offset: u64, pairs: &[(u64, u64)]) {
        for (at, &(first, second)) in (offset..).step_by(16).zip(pairs) {
            self.store(at, first);
            self.store(at + 8, second);
        }
    }
    /// Stores words, each a pair of its offset, a multiple of 8, and its value, one after the other.
    fn apply(&mut self, words: &[(u64, u64)]) {
        for &(offset, value) in words {
            self.store(offset, value);
        }
    }
    /// Copies bytes into the segment.
    fn write(&mut self, offset: u64, bytes: &[u8]);
    /// The same for many bytes that another processor is to read next: they go past the caches, if they can. To store to
    /// what that one has read before takes up to four times as long, as it has to give up each line of it. Returns how
    /// often `delimiter` is in them, which is found out on the way.
    fn write_past_caches(&mut self, offset: u64, bytes: &[u8], delimiter: u8) -> u64 {
        self.write(offset, bytes);
        count_delimiters(bytes, delimiter)
    }
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
