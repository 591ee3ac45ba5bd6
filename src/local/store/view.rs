//! A segment as it will be once a change that has not been applied is: looked at without storing anything.

use super::super::memory::{Pair, ReadMemory};
use std::collections::BTreeMap;

/// Bytes of a segment, with other values for some of its words.
pub(crate) struct View<'a, M> {
    memory: &'a M,
    /// The words that read differently: offset, a multiple of 8, and value.
    words: BTreeMap<u64, u64>,
}

impl<'a, M: ReadMemory> View<'a, M> {
    /// `memory` with `words`, of which a later one for the same offset counts.
    pub(crate) fn new(memory: &'a M, words: impl IntoIterator<Item = Pair>) -> Self {
        View { memory, words: words.into_iter().map(Pair::into).collect() }
    }
}

impl<M: ReadMemory> ReadMemory for View<'_, M> {
    fn length(&self) -> u64 {
        self.memory.length()
    }

    fn load32(&self, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        match self.words.contains_key(&(offset & !7)) {
            true => self.read(offset, &mut bytes),
            false => return self.memory.load32(offset),
        }
        u32::from_ne_bytes(bytes)
    }

    fn load(&self, offset: u64) -> u64 {
        self.words.get(&offset).copied().unwrap_or_else(|| self.memory.load(offset))
    }

    fn read(&self, offset: u64, into: &mut [u8]) {
        self.memory.read(offset, into);
        let end = offset.saturating_add(into.len() as u64);
        for (&at, value) in self.words.range(offset & !7..end) {
            for (byte, place) in value.to_ne_bytes().into_iter().zip(at..) {
                if (offset..end).contains(&place) {
                    into[(place - offset) as usize] = byte;
                }
            }
        }
    }

    fn append(&self, offset: u64, length: u64, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        self.memory.append(offset, length, buffer);
        self.read(offset, &mut buffer[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that nobody else has.
    struct Bytes(Vec<u8>);

    impl ReadMemory for Bytes {
        fn length(&self) -> u64 {
            self.0.len() as u64
        }

        fn load32(&self, offset: u64) -> u32 {
            u32::from_ne_bytes(self.0[offset as usize..][..4].try_into().unwrap())
        }

        fn load(&self, offset: u64) -> u64 {
            u64::from_ne_bytes(self.0[offset as usize..][..8].try_into().unwrap())
        }

        fn read(&self, offset: u64, into: &mut [u8]) {
            into.copy_from_slice(&self.0[offset as usize..][..into.len()]);
        }

        fn append(&self, offset: u64, length: u64, buffer: &mut Vec<u8>) {
            buffer.extend_from_slice(&self.0[offset as usize..][..length as usize]);
        }
    }

    #[test]
    fn every_access_sees_the_other_words() {
        let words = [[8, 1], [24, u64::from_ne_bytes(*b"abcdefgh")], [8, u64::from_ne_bytes(*b"ABCDEFGH")]];
        let mut changed = Bytes((0..64).collect());
        changed.0[8..16].copy_from_slice(b"ABCDEFGH");
        changed.0[24..32].copy_from_slice(b"abcdefgh");
        let memory = Bytes((0..64).collect());
        let view = View::new(&memory, words);
        for offset in 0..64 {
            for length in 0..=64 - offset {
                let (mut read, mut appended) = (vec![0; length as usize], b"kept".to_vec());
                view.read(offset, &mut read);
                view.append(offset, length, &mut appended);
                let expected = &changed.0[offset as usize..][..length as usize];
                assert_eq!((&read[..], &appended[4..]), (expected, expected));
            }
        }
        for offset in (0..64).step_by(4) {
            assert_eq!(view.load32(offset), changed.load32(offset));
        }
        for offset in (0..64).step_by(8) {
            assert_eq!(view.load(offset), changed.load(offset));
        }
    }
}
