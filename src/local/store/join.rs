//! Whether what was put so far has been finished with.

use super::super::format;
use super::super::memory::Memory;
use super::list::each_in_list;
use super::tree::{Tree, each_in_order};
use super::{Result, Store};

impl<M: Memory> Store<M> {
    /// The id of the next message that is put.
    pub(crate) fn next_id(&self) -> u64 {
        self.memory.load(format::NEXT_ID)
    }

    /// Whether every message with an id before `mark` has left the queue or is dead.
    pub(crate) fn is_finished_before(&mut self, mark: u64) -> Result<bool> {
        let transaction = self.begin()?;
        if [format::READY, format::LEASED, format::DELAYED].iter().all(|count| transaction.get(*count) == 0) {
            return Ok(true);
        }
        let memory = &self.memory;
        let mut finished = true;
        // Of a list of ready frames, the first is the oldest.
        each_in_list(memory, memory.load(format::READY_FIRST), |_, record| {
            finished = record.first_id() >= mark;
            Ok(false)
        })?;
        for tree in [Tree::Returned, Tree::Delayed].into_iter().chain(Tree::KEPT) {
            each_in_order(memory, [tree], |_, record| {
                finished = finished && record.first_id() >= mark;
                Ok(finished)
            })?;
        }
        for owner in self.owners_in_use().others(None) {
            let first = memory.load(format::owner_offset(owner) + format::OWNER_LEASES);
            each_in_list(memory, first, |_, record| {
                finished = finished && record.first_id() >= mark;
                Ok(finished)
            })?;
        }
        Ok(finished)
    }
}
