//! The list of ready frames, in the order of their ids: put at the end, taken from the front, and a
//! frame that comes back goes to its old place.

use super::super::format::{READY_FIRST, READY_LAST};
use super::super::memory::Memory;
use super::transaction::Transaction;
use super::{Result, damaged};

impl<M: Memory> Transaction<'_, M> {
    /// Puts the frame in `unit`, newer than all that are ready, at the end.
    pub(super) fn append_ready(&mut self, unit: u32) -> Result<()> {
        let last = self.get_unit(READY_LAST)?;
        self.insert_ready_after(last, unit)
    }

    /// Puts the frame in `unit` where its id belongs. What comes back is usually older than all that
    /// is ready, so the search starts at the front.
    pub(super) fn insert_ready(&mut self, unit: u32) -> Result<()> {
        let id = self.record("first ready", unit)?.first_id();
        let (mut after, mut before) = (0, self.get_unit(READY_FIRST)?);
        let mut last_id = 0;
        while before != 0 {
            let record = *self.record("next frame", before)?;
            if record.first_id() > id {
                break;
            }
            if record.first_id() < last_id {
                return damaged("next frame", "goes back in the order");
            }
            // Only passed by: nothing of it changes.
            last_id = record.first_id() + 1;
            if after != 0 && after != unit {
                self.drop_untouched(after);
            }
            (after, before) = (before, record.next());
        }
        self.insert_ready_after(after, unit)
    }

    fn insert_ready_after(&mut self, after: u32, unit: u32) -> Result<()> {
        let next = match after {
            0 => self.get_unit(READY_FIRST)?,
            _ => self.record("last ready", after)?.next(),
        };
        let record = self.record("next frame", unit)?;
        record.set_previous(after);
        record.set_next(next);
        match after {
            0 => self.set(READY_FIRST, u64::from(unit)),
            _ => self.record("last ready", after)?.set_next(unit),
        }
        match next {
            0 => self.set(READY_LAST, u64::from(unit)),
            _ => self.record("next frame", next)?.set_previous(unit),
        }
        Ok(())
    }

    /// Takes the first frame off the list.
    pub(super) fn remove_first_ready(&mut self, unit: u32) -> Result<()> {
        let next = self.record("first ready", unit)?.next();
        if next == unit {
            return damaged("next frame", format!("of unit {unit} is itself"));
        }
        self.set(READY_FIRST, u64::from(next));
        match next {
            0 => self.set(READY_LAST, 0),
            _ => self.record("next frame", next)?.set_previous(0),
        }
        Ok(())
    }
}
