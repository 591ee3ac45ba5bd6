//! A segment in a vector: it can run out of room, records every store and counts every access.

use super::Random;
use crate::local::format::{self, Stamp};
use crate::local::memory::{Memory, ReadMemory};
use crate::local::store::Store;
use std::cell::{Cell, RefCell};
use std::io;

/// What bytes beyond the first group read as until they are written: whatever a file held before
/// it was given back and grown again, so nothing may rely on zeros.
const STALE: u8 = 0xA5;

/// Bytes that a copy stores at once, as far as a death in the middle of it is concerned.
const COPY_STEP: usize = 32;

/// One step of what an operation did to the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Word32(u64, u32),
    Word(u64, u64),
    Bytes(u64, Vec<u8>),
    /// Of so many who sleep on the word at this offset.
    Wake(u64, u32),
    Sync,
    Grow(u64),
    Release(u64),
}

pub(super) struct TestMemory {
    pub(super) bytes: Vec<u8>,
    /// `grow` beyond this many bytes fails.
    pub(super) limit: u64,
    recording: Option<Vec<Change>>,
    /// Accesses left; an operation that needs more will never end.
    budget: Cell<u64>,
    /// Says which words read as something else, as if others stored to them; and one of how many does.
    liar: Option<(RefCell<Random>, u64)>,
}

impl TestMemory {
    /// The segment of an empty queue.
    pub(super) fn new(stamp: &Stamp) -> Self {
        let bytes = vec![0; format::GROUP as usize];
        let mut memory =
            TestMemory { bytes, limit: u64::MAX, recording: None, budget: Cell::new(u64::MAX), liar: None };
        Store::initialize(&mut memory, stamp);
        memory
    }

    /// The same bytes, not recorded.
    pub(super) fn copy(&self) -> Self {
        TestMemory { limit: self.limit, ..self.copy_into(Vec::new()) }
    }

    /// The same bytes, kept in `buffer`, with all the room there is to grow.
    pub(super) fn copy_into(&self, mut buffer: Vec<u8>) -> Self {
        buffer.clone_from(&self.bytes);
        TestMemory { bytes: buffer, limit: u64::MAX, recording: None, budget: Cell::new(u64::MAX), liar: None }
    }

    pub(super) fn record(&mut self) {
        self.recording = Some(Vec::new());
    }

    /// What has been done since [`TestMemory::record`].
    pub(super) fn recorded(&mut self) -> Vec<Change> {
        self.recording.take().unwrap()
    }

    /// Allows this many accesses from now on; the next one panics.
    pub(super) fn allow(&self, accesses: u64) {
        self.budget.set(accesses);
    }

    /// From now on one of `of` words reads as something else, which `random` chooses.
    pub(super) fn lie(&mut self, random: Random, of: u64) {
        self.liar = Some((RefCell::new(random), of));
    }

    /// What a word that is `value` reads as.
    fn perhaps_a_lie(&self, value: u64) -> u64 {
        let Some((random, of)) = &self.liar else { return value };
        let mut random = random.borrow_mut();
        if random.below(*of) > 0 {
            return value;
        }
        match random.below(5) {
            0 => random.next(),
            1 => random.below(200),
            2 => random.one_of(&[0, u64::MAX, u64::from(u32::MAX), format::LARGEST_SEGMENT, format::GROUP]),
            3 => value.wrapping_add(1),
            _ => value ^ (1 << random.below(64)),
        }
    }

    /// Does what was recorded.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Word32(offset, value) => self.put(*offset, &value.to_ne_bytes()),
            Change::Word(offset, value) => self.put(*offset, &value.to_ne_bytes()),
            Change::Bytes(offset, bytes) => self.put(*offset, bytes),
            Change::Wake(..) | Change::Sync => {}
            Change::Grow(to) => {
                let length = self.bytes.len().max(*to as usize);
                self.bytes.resize(length, STALE);
            }
            Change::Release(from) => self.bytes.truncate(*from as usize),
        }
    }

    fn note(&mut self, change: Change) {
        self.apply(&change);
        if let Some(recording) = &mut self.recording {
            recording.push(change);
        }
    }

    fn spend(&self) {
        let left = self.budget.get();
        assert!(left > 0, "the operation does not end");
        self.budget.set(left - 1);
    }

    fn slice(&self, offset: u64, length: u64) -> Option<&[u8]> {
        self.spend();
        self.bytes.get(usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(length)?).ok()?)
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let Some(end) = offset.checked_add(bytes.len() as u64) else { return };
        if end <= self.bytes.len() as u64 {
            self.bytes[offset as usize..end as usize].copy_from_slice(bytes);
        }
    }
}

impl ReadMemory for TestMemory {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn load32(&self, offset: u64) -> u32 {
        let word = if offset.is_multiple_of(4) { self.slice(offset, 4) } else { None };
        let value = word.map_or(0, |bytes| u32::from_ne_bytes(bytes.try_into().unwrap()));
        self.perhaps_a_lie(value.into()) as u32
    }

    fn load(&self, offset: u64) -> u64 {
        let word = if offset.is_multiple_of(8) { self.slice(offset, 8) } else { None };
        self.perhaps_a_lie(word.map_or(0, |bytes| u64::from_ne_bytes(bytes.try_into().unwrap())))
    }

    fn read(&self, offset: u64, into: &mut [u8]) {
        match self.slice(offset, into.len() as u64) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => into.fill(0),
        }
        let words = if self.liar.is_some() { into } else { &mut [] };
        for word in words.chunks_exact_mut(8) {
            let value = self.perhaps_a_lie(u64::from_ne_bytes((&*word).try_into().unwrap()));
            word.copy_from_slice(&value.to_ne_bytes());
        }
    }

    fn append(&self, offset: u64, length: u64, buffer: &mut Vec<u8>) {
        buffer.extend(self.slice(offset, length).unwrap_or_default());
    }
}

impl Memory for TestMemory {
    fn store32(&mut self, offset: u64, value: u32) {
        self.spend();
        if offset.is_multiple_of(4) {
            self.note(Change::Word32(offset, value));
        }
    }

    fn store(&mut self, offset: u64, value: u64) {
        self.spend();
        if offset.is_multiple_of(8) {
            self.note(Change::Word(offset, value));
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.spend();
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.bytes.len() as u64) {
            return;
        }
        if self.recording.is_none() {
            return self.put(offset, bytes);
        }
        for (step, piece) in bytes.chunks(COPY_STEP).enumerate() {
            self.note(Change::Bytes(offset + (step * COPY_STEP) as u64, piece.to_vec()));
        }
    }

    fn wake(&mut self, offset: u64, count: u32) -> u32 {
        self.note(Change::Wake(offset, count));
        count
    }

    fn reach(&mut self, end: Option<u64>) -> io::Result<()> {
        match end {
            Some(end) if end > self.bytes.len() as u64 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn grow(&mut self, from: u64, to: u64) -> io::Result<()> {
        assert!(from < to, "grows from {from} to {to}");
        if to > self.limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.note(Change::Grow(to));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.note(Change::Sync);
        Ok(())
    }

    fn release(&mut self, from: u64, _to: u64) {
        self.note(Change::Release(from));
    }
}
