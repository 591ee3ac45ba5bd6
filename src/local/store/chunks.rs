//! Chunks: payload looked at in copies that fit the processor's nearest cache, where a second look costs little.

use super::super::memory::ReadMemory;

/// Bytes.
const LENGTH: usize = 4096;

/// Where the copies are made, one after the other.
pub(super) struct Chunks([u8; LENGTH]);

impl Chunks {
    pub(super) fn new() -> Self {
        Chunks([0; LENGTH])
    }

    /// Calls `look` with copies of the `length` bytes at `offset`, in their order.
    pub(super) fn each<M: ReadMemory>(&mut self, memory: &M, offset: u64, length: u64, mut look: impl FnMut(&[u8])) {
        for at in (0..length).step_by(LENGTH) {
            look(self.copy(memory, offset + at, length - at));
        }
    }

    /// A copy of the last of the `length` bytes at `offset`: of all, if they fit.
    pub(super) fn copy_end<M: ReadMemory>(&mut self, memory: &M, offset: u64, length: u64) -> &[u8] {
        let skipped = length.saturating_sub(LENGTH as u64);
        self.copy(memory, offset + skipped, length - skipped)
    }

    /// A copy of the first of the `length` bytes at `offset`: of all, if they fit.
    pub(super) fn copy<M: ReadMemory>(&mut self, memory: &M, offset: u64, length: u64) -> &[u8] {
        let copy = &mut self.0[..usize::try_from(length).unwrap_or(usize::MAX).min(LENGTH)];
        memory.read(offset, copy);
        copy
    }
}
