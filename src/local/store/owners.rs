//! Who holds leases: the table of owners, and the list of leased frames of each.
//!
//! An entry is in use while its bit is set. The process behind it holds a lock on the entry's bytes
//! that the kernel drops when the process dies; asking for that lock is the caller's business, this
//! file only keeps the books.

use super::super::format::{self, OWNER_ENTRIES, OWNERS_HIGH, OWNERS_LOW};
use super::super::memory::Memory;
use super::frame::State;
use super::transaction::{Transaction, Wake};
use super::{Result, Store, damaged};

/// The owners in use, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnersInUse(u128);

impl OwnersInUse {
    /// Those whose bits are set in the two control words.
    pub(super) fn new(low: u64, high: u64) -> Self {
        OwnersInUse(u128::from(low) | u128::from(high) << 64)
    }

    /// Whether `owner` is one of them.
    pub(crate) fn contains(self, owner: u32) -> bool {
        self.0 & (1 << owner) != 0
    }

    /// Whether any entry is in use but that of `own`.
    pub(crate) fn others(self, own: Option<u32>) -> impl Iterator<Item = u32> {
        let others = self.0 & !own.map_or(0, |own| 1 << own);
        (0..OWNER_ENTRIES).filter(move |owner| others & (1 << owner) != 0)
    }

    /// Entries that are not in use.
    pub(crate) fn free(self) -> impl Iterator<Item = u32> {
        OwnersInUse(!self.0).others(None)
    }
}

impl<M: Memory> Store<M> {
    /// The owners in use.
    pub(crate) fn owners_in_use(&self) -> OwnersInUse {
        OwnersInUse::new(self.memory.load(OWNERS_LOW), self.memory.load(OWNERS_HIGH))
    }

    /// Gives back all that `owner` holds and clears its entry. Returns the number of messages that are ready again.
    pub(crate) fn return_all_of(&mut self, owner: u32) -> Result<u64> {
        let mut returned = 0;
        let frames_at_once = self.frames_at_once();
        loop {
            let mut transaction = self.begin()?;
            for _ in 0..frames_at_once {
                let unit = transaction.first_lease(owner)?;
                if unit == 0 {
                    transaction.clear_owner(owner);
                    transaction.wake_data(Wake::Messages(returned));
                    transaction.commit()?;
                    return Ok(returned);
                }
                returned += transaction.return_lease(owner, unit)?;
            }
            transaction.wake_data(Wake::Messages(returned));
            transaction.commit()?;
        }
    }

    /// Clears the entry of an owner that holds nothing.
    pub(crate) fn clear_owner(&mut self, owner: u32) -> Result<()> {
        let mut transaction = self.begin()?;
        if transaction.first_lease(owner)? == 0 {
            transaction.clear_owner(owner);
        }
        transaction.commit()
    }
}

impl<M: Memory> Transaction<'_, M> {
    fn first_lease(&self, owner: u32) -> Result<u32> {
        match self.word(format::owner_offset(owner) + format::OWNER_LEASES) {
            0 => Ok(0),
            unit => self.check_unit("first lease", u32::try_from(unit).unwrap_or(u32::MAX)),
        }
    }

    /// Marks the entry of `owner` as in use by the process `pid`, since `now`.
    pub(super) fn use_owner(&mut self, owner: u32, pid: u32, now: u64) {
        let (field, bit) = owner_bit(owner);
        if self.get(field) & bit == 0 {
            self.set(field, self.get(field) | bit);
            let entry = format::owner_offset(owner);
            self.set_word(entry + format::OWNER_LEASES, 0);
            self.set_word(entry + format::OWNER_PID, u64::from(pid));
            self.set_word(entry + format::OWNER_SINCE, now);
        }
    }

    fn clear_owner(&mut self, owner: u32) {
        let (field, bit) = owner_bit(owner);
        self.set(field, self.get(field) & !bit);
    }

    /// Clears the entry if nothing is leased to it any more.
    pub(super) fn clear_idle_owner(&mut self, owner: u32) -> Result<()> {
        if self.first_lease(owner)? == 0 {
            self.clear_owner(owner);
        }
        Ok(())
    }

    /// Makes the frame in `unit`, which is in no list, the first lease of `owner`.
    pub(super) fn add_lease(&mut self, owner: u32, unit: u32, now: u64) -> Result<()> {
        let next = self.first_lease(owner)?;
        let record = self.record("next frame", unit)?;
        record.set_state(State::Leased);
        record.set_owner(owner + 1);
        record.set_leased_at(now);
        record.set_attempts(record.attempts().saturating_add(1));
        record.set_previous(0);
        record.set_next(next);
        if next != 0 {
            self.record("first lease", next)?.set_previous(unit);
        }
        self.set_word(format::owner_offset(owner) + format::OWNER_LEASES, u64::from(unit));
        Ok(())
    }

    /// Takes the frame in `unit` off the list of `owner`, who must hold it.
    pub(super) fn remove_lease(&mut self, owner: u32, unit: u32) -> Result<()> {
        let record = *self.record("first lease", unit)?;
        if record.state() != Some(State::Leased) || record.owner() != owner + 1 {
            return damaged("lease owner", format!("of unit {unit} is not who took it"));
        }
        match record.previous() {
            0 => self.set_word(format::owner_offset(owner) + format::OWNER_LEASES, u64::from(record.next())),
            previous => self.record("previous frame", previous)?.set_next(record.next()),
        }
        if record.next() != 0 {
            self.record("next frame", record.next())?.set_previous(record.previous());
        }
        Ok(())
    }

    /// Makes a leased frame ready again in its old place. Returns its number of messages.
    pub(super) fn return_lease(&mut self, owner: u32, unit: u32) -> Result<u64> {
        self.remove_lease(owner, unit)?;
        let record = self.record("first lease", unit)?;
        record.set_state(State::Ready);
        record.set_owner(0);
        let count = u64::from(record.count());
        self.insert_ready(unit)?;
        self.subtract(format::LEASED, count)?;
        self.add(format::READY, count);
        self.add(format::TOTAL_RETURNED, count);
        Ok(count)
    }
}

fn owner_bit(owner: u32) -> (u64, u64) {
    if owner < 64 { (OWNERS_LOW, 1 << owner) } else { (OWNERS_HIGH, 1 << (owner - 64)) }
}
