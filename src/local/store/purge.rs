//! Removing messages that nobody has got.

use super::super::format;
use super::super::memory::Memory;
use super::transaction::Transaction;
use super::tree::Tree;
use super::{Result, Store, damaged};
use crate::lease::{LeaseId, Shelf};

impl<M: Memory> Store<M> {
    /// Removes all messages of a shelf, but for leased ones, which are somebody's. Returns how many.
    pub(crate) fn purge(&mut self, shelf: Shelf) -> Result<u64> {
        let mut purged = 0;
        loop {
            let mut transaction = self.begin()?;
            let (mut some, mut is_last) = (0, false);
            while transaction.has_room() {
                match transaction.purge_one(shelf)? {
                    Some(count) => some += count,
                    None => {
                        is_last = true;
                        break;
                    }
                }
            }
            transaction.add(format::TOTAL_PURGED, some);
            if some > 0 {
                transaction.wake_space();
            }
            transaction.note_if_drained();
            transaction.commit()?;
            purged += some;
            if is_last {
                return Ok(purged);
            }
        }
    }
}

impl<M: Memory> Store<M> {
    /// Removes a dead message that has been handed out so often, and notes that it was handed on. Returns whether it
    /// was one.
    pub(crate) fn hand_on_dead(&mut self, lease: LeaseId) -> Result<bool> {
        let mut transaction = self.begin()?;
        let Some(unit) = transaction.tree_find(Tree::Dead, lease.message)? else { return Ok(false) };
        if transaction.record("dead root", unit)?.attempts() != lease.attempt {
            return Ok(false);
        }
        transaction.unbury(unit)?;
        transaction.leave_handed_on(unit)?;
        transaction.add(format::TOTAL_PURGED, 1);
        transaction.wake_space();
        transaction.commit()?;
        Ok(true)
    }
}

impl<M: Memory> Transaction<'_, M> {
    fn purge_one(&mut self, shelf: Shelf) -> Result<Option<u64>> {
        let (unit, counter) = match shelf {
            Shelf::Leased => return Ok(None),
            Shelf::Ready => {
                let Some(first) = self.first_ready()? else { return Ok(None) };
                self.remove_first_ready(first)?;
                (first.unit, format::READY)
            }
            Shelf::Delayed => (self.tree_first(Tree::Delayed)?, format::DELAYED),
            Shelf::Dead => (self.tree_first(Tree::Dead)?, format::DEAD),
        };
        if unit == 0 {
            return Ok(None);
        }
        match shelf {
            Shelf::Delayed => self.tree_remove(Tree::Delayed, unit)?,
            Shelf::Dead => self.tree_remove(Tree::Dead, unit)?,
            _ => {}
        }
        self.forget(unit, counter).map(Some)
    }

    /// Removes the frame in `unit`, which is nowhere now and was counted by `counter`. Returns its number of messages.
    fn forget(&mut self, unit: u32, counter: u64) -> Result<u64> {
        let record = *self.record("first ready", unit)?;
        let count = u64::from(record.count());
        if record.message_bytes() > self.get(format::MESSAGE_BYTES) {
            return damaged("payload bytes", format!("of unit {unit} are more than all messages have"));
        }
        self.subtract(format::MESSAGE_BYTES, record.message_bytes())?;
        self.subtract(counter, count)?;
        self.free_frame(unit, &record)?;
        Ok(count)
    }
}
