//! Removing messages that nobody has got.

use super::super::format;
use super::super::memory::Memory;
use super::frame::Record;
use super::payload::{is_as_put, length_of_first};
use super::transaction::Transaction;
use super::tree::Tree;
use super::{Fault, Result, Store, damaged};
use crate::lease::{LeaseId, Shelf};

impl<M: Memory> Store<M> {
    /// Removes all messages of a shelf, but for leased ones, which are somebody's. Returns how many.
    pub(crate) fn purge(&mut self, shelf: Shelf) -> Result<u64> {
        self.purge_while_there_is(|transaction| transaction.purge_one(shelf))
    }

    /// Removes runs of messages whose payload is not what was put, from the front up to the first that can be got.
    /// Returns how many messages.
    pub(crate) fn purge_damaged(&mut self) -> Result<u64> {
        self.purge_while_there_is(|transaction| transaction.purge_if_damaged())
    }

    fn purge_while_there_is(
        &mut self,
        mut purge_one: impl FnMut(&mut Transaction<'_, M>) -> Result<Option<u64>>,
    ) -> Result<u64> {
        let mut purged = 0;
        loop {
            let mut transaction = self.begin()?;
            let (mut some, mut is_last) = (0, false);
            while transaction.has_room() {
                match purge_one(&mut transaction)? {
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

    /// Removes the first ready frame if its payload is damaged.
    fn purge_if_damaged(&mut self) -> Result<Option<u64>> {
        let Some(first) = self.first_ready()? else { return Ok(None) };
        let record = *self.record("first ready", first.unit)?;
        if self.is_whole(first.unit, &record)? {
            return Ok(None);
        }
        self.remove_first_ready(first)?;
        self.forget(first.unit, format::READY).map(Some)
    }

    /// Whether a payload is what was put.
    ///
    /// # Errors
    /// When the units of the payload are not to be found: whose they are is not known then.
    fn is_whole(&self, unit: u32, record: &Record) -> Result<bool> {
        if !is_as_put(self.memory, unit, record)? {
            return Ok(false);
        }
        match length_of_first(self.memory, unit, record, record.count().into()) {
            Ok(length) => Ok(length == record.length()),
            Err(fault) if matches!(*fault, Fault::Damaged { field: "message count", .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Removes the frame in `unit`, which is nowhere now and was counted by `counter`. Returns its number of messages.
    fn forget(&mut self, unit: u32, counter: u64) -> Result<u64> {
        let record = self.record("first ready", unit)?;
        let (count, bytes) = (u64::from(record.count()), record.message_bytes());
        if bytes > self.get(format::MESSAGE_BYTES) {
            return damaged("payload bytes", format!("of unit {unit} are more than all messages have"));
        }
        self.subtract(format::MESSAGE_BYTES, bytes)?;
        self.subtract(counter, count)?;
        self.free_frame(unit)?;
        Ok(count)
    }
}
