//! Producers: those whose end is the end of a queue that closes itself.

use super::super::format::{self, PRODUCERS, state};
use super::super::memory::Memory;
use super::owners::Identity;
use super::sleepers::Wake;
use super::transaction::Transaction;
use super::{Result, Store};

impl<M: Memory> Store<M> {
    /// Notes that the process behind the entry `owner`, in use by it or free, produces. Returns false, and
    /// notes nothing, if the queue refuses puts.
    pub(crate) fn start_producing(&mut self, owner: u32, identity: &Identity, now: u64) -> Result<bool> {
        let mut transaction = self.begin()?;
        if transaction.get(format::STATE) & (state::CLOSED | state::REMOVED) != 0 {
            return Ok(false);
        }
        transaction.use_owner(owner, identity, now);
        let produces = format::owner_offset(owner) + format::OWNER_PRODUCES;
        if transaction.word(produces) == 0 {
            transaction.set_word(produces, 1);
            transaction.add(PRODUCERS, 1);
        }
        transaction.commit()?;
        Ok(true)
    }

    /// Notes that it produces no more, and clears its entry.
    pub(crate) fn stop_producing(&mut self, owner: u32) -> Result<()> {
        let auto_close = self.stamp.auto_close;
        let mut transaction = self.begin()?;
        transaction.stop_producing(owner, auto_close)?;
        transaction.clear_idle_owner(owner)?;
        transaction.commit()
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Notes that `owner` produces no more; if it was the last and the queue closes itself, closes it.
    pub(super) fn stop_producing(&mut self, owner: u32, auto_close: bool) -> Result<()> {
        let produces = format::owner_offset(owner) + format::OWNER_PRODUCES;
        if self.word(produces) == 0 {
            return Ok(());
        }
        self.set_word(produces, 0);
        self.subtract(PRODUCERS, 1)?;
        if auto_close && self.get(PRODUCERS) == 0 {
            self.set(format::STATE, self.get(format::STATE) | state::CLOSED);
            self.wake_data(Wake::All);
            self.wake_space();
        }
        Ok(())
    }
}
