//! Settling leases: what was delivered leaves the queue, the rest goes back to its old place.

use super::super::format::{self, state};
use super::super::memory::Memory;
use super::take::{Lease, measure};
use super::transaction::{Transaction, Wake};
use super::units;
use super::{Result, Store, damaged};

impl<M: Memory> Store<M> {
    /// Ends `leases` of `owner`, in the order in which they were taken: the first `delivered` messages
    /// are done with, the others are ready again. `last` says that the owner wants no more and
    /// its entry can be cleared. `now` is in nanoseconds since the Unix epoch.
    pub(crate) fn settle(&mut self, owner: u32, leases: &[Lease], delivered: u64, last: bool, now: u64) -> Result<()> {
        let mut left = delivered;
        for some in leases.chunks(self.frames_at_once()) {
            let mut transaction = self.begin()?;
            let mut returned = 0;
            // From the last to the first, so that each that goes back belongs at the front.
            let mut end: u64 = some.iter().map(|lease| u64::from(lease.record.count())).sum();
            let done = end.min(left);
            for lease in some.iter().rev() {
                let count = u64::from(lease.record.count());
                end -= count;
                let finished = done.saturating_sub(end).min(count);
                returned += transaction.settle_one(owner, lease, finished)?;
            }
            left -= done;
            transaction.add(format::TOTAL_GOT, done);
            if done > 0 {
                transaction.set(format::LAST_GOT, now);
                transaction.wake_space();
            }
            if last {
                transaction.clear_idle_owner(owner)?;
            }
            let drained =
                [format::READY, format::LEASED, format::DELAYED].iter().all(|count| transaction.get(*count) == 0);
            if drained && transaction.get(format::STATE) & state::CLOSED != 0 {
                // Those who wait for data have waited for this.
                transaction.wake_data(Wake::All);
            } else if returned > 0 {
                transaction.wake_data(Wake::Messages(returned));
            }
            transaction.commit()?;
        }
        Ok(())
    }

    /// Whether a drained queue would give storage back.
    pub(crate) fn has_grown_large(&self) -> bool {
        self.memory.load(format::GROWN) > units::KEPT_WHEN_DRAINED
    }

    /// Gives storage back to the system if the queue has drained after growing large.
    pub(crate) fn trim(&mut self) -> Result<()> {
        let mut transaction = self.begin()?;
        let Some((from, to)) = transaction.shrink_drained() else { return Ok(()) };
        transaction.commit()?;
        self.memory.release(from, to);
        Ok(())
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Ends one lease of which the first `finished` messages are done with. Returns how many went back.
    fn settle_one(&mut self, owner: u32, lease: &Lease, finished: u64) -> Result<u64> {
        let record = *self.record("first lease", lease.unit)?;
        if record.first_id() != lease.record.first_id() || record.count() != lease.record.count() {
            return damaged("first id", format!("of the leased unit {} has changed", lease.unit));
        }
        let count = u64::from(record.count());
        if finished == count {
            self.remove_lease(owner, lease.unit)?;
            self.free_frame(lease.unit, &record)?;
            self.subtract(format::LEASED, count)?;
            self.subtract(format::MESSAGE_BYTES, record.message_bytes())?;
            return Ok(0);
        }
        if finished > 0 {
            let (length, checksum) = measure(self.memory, lease.unit, &record, finished)?;
            self.advance(lease.unit, finished, length, checksum)?;
            self.subtract(format::LEASED, finished)?;
            self.subtract(format::MESSAGE_BYTES, length - finished)?;
        }
        self.return_lease(owner, lease.unit)
    }
}
