//! Chunks: payload looked at in copies that fit the processor's nearest cache, where a second look costs little.

use super::super::format::{UNIT, UNITS_PER_GROUP};
use super::super::memory::ReadMemory;

/// Bytes: units that lie together are seldom more than those of a group, and are looked at in one.
const LENGTH: u64 = UNIT * UNITS_PER_GROUP as u64;

/// Where the copies are made, one after the other.
pub(super) struct Chunks(Vec<u8>);

impl Chunks {
    pub(super) fn new() -> Self {
        Chunks(Vec::new())
    }

    /// Calls `look` with copies of the `length` bytes at `offset`, in their order.
    pub(super) fn each<M: ReadMemory>(&mut self, memory: &M, offset: u64, length: u64, mut look: impl FnMut(&[u8])) {
        for at in (0..length).step_by(LENGTH as usize) {
            look(self.copy(memory, offset + at, length - at));
        }
    }

    /// A copy of the first of the `length` bytes at `offset`: of all, if they fit.
    pub(super) fn copy<M: ReadMemory>(&mut self, memory: &M, offset: u64, length: u64) -> &[u8] {
        let length = length.min(LENGTH);
        self.0.clear();
        memory.append(offset, length, &mut self.0);
        // Where there is nothing zeros are read.
        self.0.resize(length as usize, 0);
        &self.0
    }
}
