//! Who holds leases: the table of owners, and the list of leased frames of each.
//!
//! An entry is in use while its bit is set. The process behind it holds a lock on the entry's bytes
//! that the kernel drops when the process dies; asking for that lock is the caller's business, this
//! file only keeps the books.

use super::super::format::{self, OWNERS_HIGH, OWNERS_LOW};
use super::super::memory::{Memory, ReadMemory};
use super::bits::bits;
use super::ending::After;
use super::frame::State;
use super::list::each_in_list;
use super::receiver;
use super::sleepers::Wake;
use super::transaction::Transaction;
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
        let (low, high) = (others as u64, (others >> 64) as u64);
        bits(low).chain(bits(high).map(|owner| owner + 64)).map(|owner| owner as u32)
    }

    /// How many they are.
    pub(crate) fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Entries that are not in use.
    pub(crate) fn free(self) -> impl Iterator<Item = u32> {
        OwnersInUse(!self.0).others(None)
    }
}

/// Who is behind an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// When the process was started, in clock ticks since the machine was, if it takes no part itself: a script
    /// that holds leases across several calls. 0: the process holds a lock on the entry.
    pub(crate) started: u64,
    /// The PID namespace in which `pid` is its number; with `started`.
    pub(crate) namespace: u64,
    /// Which boot of the machine that was; with `started`.
    pub(crate) boot: u64,
}

impl Identity {
    /// A process that holds a lock on its entry.
    pub(crate) fn resident(pid: u32) -> Self {
        Identity { pid, started: 0, namespace: 0, boot: 0 }
    }

    /// Whether a lock on the entry tells that the process lives.
    pub(crate) fn is_resident(&self) -> bool {
        self.started == 0
    }
}

/// What an owner has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) pid: u32,
    /// Since when it has had what it has had longest, in nanoseconds since the Unix epoch.
    pub(crate) since: u64,
    pub(crate) produces: bool,
    pub(crate) messages: u64,
}

/// Who is behind the entry of `owner`.
pub(crate) fn identity<M: ReadMemory>(memory: &M, owner: u32) -> Identity {
    let entry = format::owner_offset(owner);
    Identity {
        pid: memory.load(entry + format::OWNER_PID) as u32,
        started: memory.load(entry + format::OWNER_STARTED),
        namespace: memory.load(entry + format::OWNER_NAMESPACE),
        boot: memory.load(entry + format::OWNER_BOOT),
    }
}

impl<M: Memory> Store<M> {
    /// The owners in use.
    pub(crate) fn owners_in_use(&self) -> OwnersInUse {
        OwnersInUse::new(self.memory.load(OWNERS_LOW), self.memory.load(OWNERS_HIGH))
    }

    /// What the owner has, for people to see.
    pub(crate) fn held_by(&mut self, owner: u32) -> Result<Held> {
        self.begin()?;
        let entry = format::owner_offset(owner);
        let mut held = Held {
            pid: self.memory.load(entry + format::OWNER_PID) as u32,
            since: u64::MAX,
            produces: self.memory.load(entry + format::OWNER_PRODUCES) != 0,
            messages: 0,
        };
        each_in_list(&self.memory, self.memory.load(entry + format::OWNER_LEASES), |_, record| {
            if !record.is_prepared() {
                held.messages += u64::from(record.count());
                held.since = held.since.min(record.leased_at());
            }
            Ok(true)
        })?;
        Ok(held)
    }

    /// Gives back all that `owner` holds and clears its entry: it has died. Returns the number of messages that are
    /// ready again. `now` is in nanoseconds since the Unix epoch.
    pub(crate) fn return_all_of(&mut self, owner: u32, now: u64) -> Result<u64> {
        let max_attempts = self.stamp.max_attempts;
        let auto_close = self.stamp.auto_close;
        let mut returned = 0;
        loop {
            let mut transaction = self.begin()?;
            let mut unit = transaction.first_lease(owner)?;
            while unit != 0 && transaction.has_room() {
                if transaction.record("first lease", unit)?.is_prepared() {
                    // Who knows better has resolved it before.
                    transaction.resolve(unit, false)?;
                } else {
                    let after = After::holder_died(max_attempts, now);
                    returned += transaction.give_back(unit, &after)?.ready;
                }
                unit = transaction.first_lease(owner)?;
            }
            if unit == 0 {
                transaction.free_loan(owner)?;
                transaction.stop_producing(owner, auto_close)?;
                transaction.clear_owner(owner);
            }
            transaction.note_if_drained();
            if returned > 0 {
                transaction.wake_data(Wake::Messages(returned));
            }
            transaction.commit()?;
            if unit == 0 {
                return Ok(returned);
            }
        }
    }

    /// Clears the entry of an owner that holds nothing.
    pub(crate) fn clear_owner(&mut self, owner: u32) -> Result<()> {
        let mut transaction = self.begin()?;
        transaction.clear_idle_owner(owner)?;
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

    /// Marks the entry of `owner` as in use by that process, since `now`.
    #[inline(always)]
    pub(super) fn use_owner(&mut self, owner: u32, identity: &Identity, now: u64) {
        let (field, bit) = owner_bit(owner);
        if self.get(field) & bit == 0 {
            self.set(field, self.get(field) | bit);
            let entry = format::owner_offset(owner);
            for (offset, value) in [
                (format::OWNER_LEASES, 0),
                (format::OWNER_PID, u64::from(identity.pid)),
                (format::OWNER_SINCE, now),
                (format::OWNER_PRODUCES, 0),
                (format::OWNER_STARTED, identity.started),
                (format::OWNER_NAMESPACE, identity.namespace),
                (format::OWNER_BOOT, identity.boot),
                (format::OWNER_LENT, 0),
            ] {
                self.set_word(entry + offset, value);
            }
        }
    }

    fn clear_owner(&mut self, owner: u32) {
        let (field, bit) = owner_bit(owner);
        self.set(field, self.get(field) & !bit);
        receiver::forget(self.memory, owner);
    }

    fn is_idle(&self, owner: u32) -> Result<bool> {
        let produces = self.word(format::owner_offset(owner) + format::OWNER_PRODUCES) != 0;
        Ok(self.first_lease(owner)? == 0 && !produces && self.loan_of(owner) == (0, 0))
    }

    /// Clears the entry if nothing is leased or lent to it any more.
    pub(super) fn clear_idle_owner(&mut self, owner: u32) -> Result<()> {
        if self.is_idle(owner)? {
            self.clear_owner(owner);
        }
        Ok(())
    }

    /// Makes the frame in `unit`, which is in no list, the first lease of `owner`.
    #[inline(always)]
    pub(super) fn add_lease(&mut self, owner: u32, unit: u32) -> Result<()> {
        let next = self.first_lease(owner)?;
        let record = self.record("next frame", unit)?;
        record.set_owner(owner + 1);
        record.set_previous(0);
        record.set_next(next);
        if next != 0 {
            self.record("first lease", next)?.set_previous(unit);
        }
        self.set_word(format::owner_offset(owner) + format::OWNER_LEASES, u64::from(unit));
        Ok(())
    }

    /// Takes the frame in `unit` off the list of `owner`, who must hold it.
    #[inline(always)]
    pub(super) fn remove_lease(&mut self, owner: u32, unit: u32) -> Result<()> {
        let record = self.record("first lease", unit)?;
        if record.state() != Some(State::Leased) || record.owner() != owner + 1 {
            return damaged("lease owner", format!("of unit {unit} is not who took it"));
        }
        let (previous, next) = (record.previous(), record.next());
        match previous {
            0 => self.set_word(format::owner_offset(owner) + format::OWNER_LEASES, u64::from(next)),
            _ => self.record("previous frame", previous)?.set_next(next),
        }
        if next != 0 {
            self.record("next frame", next)?.set_previous(previous);
        }
        self.record("first lease", unit)?.set_owner(0);
        Ok(())
    }
}

fn owner_bit(owner: u32) -> (u64, u64) {
    if owner < 64 { (OWNERS_LOW, 1 << owner) } else { (OWNERS_HIGH, 1 << (owner - 64)) }
}
