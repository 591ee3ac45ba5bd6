//! What is ready, in the order of the ids: a list, put at the end and taken from the front, and a tree for what
//! comes back and belongs behind the front of the list.
//!
//! What comes back was once the first of all, so it is usually older than all that is in the list and goes to its
//! front. Only where several came back in another order does it go into the tree.

use super::super::format::{READY_FIRST, READY_LAST};
use super::super::memory::Memory;
use super::transaction::Transaction;
use super::tree::Tree;
use super::{Result, damaged};

/// The oldest frame that is ready.
#[derive(Clone, Copy)]
pub(super) struct First {
    pub(super) unit: u32,
    id: u64,
    is_in_tree: bool,
}

impl<M: Memory> Transaction<'_, M> {
    /// The oldest frame that is ready.
    #[inline(always)]
    pub(super) fn first_ready(&mut self) -> Result<Option<First>> {
        let returned = self.tree_first(Tree::Returned)?;
        let listed = self.get_unit(READY_FIRST)?;
        let of_tree = match returned {
            0 => None,
            unit => Some(First { unit, id: self.record("returned root", unit)?.first_id(), is_in_tree: true }),
        };
        let of_list = match listed {
            0 => None,
            unit => Some(First { unit, id: self.record("first ready", unit)?.first_id(), is_in_tree: false }),
        };
        Ok(match (of_tree, of_list) {
            (Some(tree), Some(list)) if list.id < tree.id => Some(list),
            (Some(tree), _) => Some(tree),
            (None, list) => list,
        })
    }

    /// Takes the oldest frame off where it is.
    #[inline(always)]
    pub(super) fn remove_first_ready(&mut self, first: First) -> Result<()> {
        if first.is_in_tree {
            self.tree_remove(Tree::Returned, first.unit)
        } else {
            self.remove_first_listed(first.unit)
        }
    }

    /// Calls `change`, which takes messages off the front of the oldest frame, and sees to it that the frame
    /// is where it belongs afterwards.
    pub(super) fn change_first_ready<T>(
        &mut self,
        first: First,
        change: impl FnOnce(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if !first.is_in_tree {
            return change(self);
        }
        // Its key is the id of its first message.
        self.tree_remove(Tree::Returned, first.unit)?;
        let changed = change(self)?;
        self.tree_insert(Tree::Returned, first.unit)?;
        Ok(changed)
    }

    /// Puts the frame in `unit`, newer than all that are ready, at the end.
    #[inline(always)]
    pub(super) fn append_ready(&mut self, unit: u32) -> Result<()> {
        let last = self.get_unit(READY_LAST)?;
        let record = self.record("next frame", unit)?;
        record.set_previous(last);
        record.set_next(0);
        match last {
            0 => self.set(READY_FIRST, u64::from(unit)),
            _ => self.record("last ready", last)?.set_next(unit),
        }
        self.set(READY_LAST, u64::from(unit));
        Ok(())
    }

    /// Puts the frame in `unit` where its id belongs.
    pub(super) fn insert_ready(&mut self, unit: u32) -> Result<()> {
        let first = self.get_unit(READY_FIRST)?;
        if first == 0 {
            return self.append_ready(unit);
        }
        let id = self.record("next frame", unit)?.first_id();
        if self.record("first ready", first)?.first_id() < id {
            return self.tree_insert(Tree::Returned, unit);
        }
        let record = self.record("next frame", unit)?;
        record.set_previous(0);
        record.set_next(first);
        self.record("first ready", first)?.set_previous(unit);
        self.set(READY_FIRST, u64::from(unit));
        Ok(())
    }

    #[inline(always)]
    fn remove_first_listed(&mut self, unit: u32) -> Result<()> {
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
