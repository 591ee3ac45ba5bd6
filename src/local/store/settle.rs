//! Settling leases: what was delivered leaves the queue, the rest goes back to its old place.

use super::super::format;
use super::super::memory::Memory;
use super::ending::After;
use super::payload::{checksum_of_rest, length_of_first};
use super::sleepers::Wake;
use super::take::Lease;
use super::transaction::Transaction;
use super::units;
use super::{Result, Store, damaged};

impl<M: Memory> Store<M> {
    /// Ends `leases` of `owner`, in the order in which they were taken: the first `delivered` messages
    /// are done with, the others are ready again. `last` says that the owner wants no more and
    /// its entry can be cleared. `now` is in nanoseconds since the Unix epoch.
    pub(crate) fn settle(&mut self, owner: u32, leases: &[Lease], delivered: u64, last: bool, now: u64) -> Result<()> {
        let mut left = delivered;
        for some in leases.chunks(self.frames_at_once()) {
            let count: u64 = some.iter().map(|lease| u64::from(lease.record.count())).sum();
            let done = count.min(left);
            left -= done;
            self.settle_some(owner, some, done, last, now)?;
        }
        Ok(())
    }

    fn settle_some(&mut self, owner: u32, leases: &[Lease], delivered: u64, last: bool, now: u64) -> Result<()> {
        let mut transaction = self.begin()?;
        // From the last to the first, so that each that goes back belongs at the front.
        let mut end: u64 = leases.iter().map(|lease| u64::from(lease.record.count())).sum();
        let (mut done, mut returned) = (0, 0);
        for lease in leases.iter().rev() {
            // What goes back may have to go into a tree.
            if end > delivered && !transaction.has_room() {
                transaction.settled(done, returned, now)?;
                transaction = self.begin()?;
                (done, returned) = (0, 0);
            }
            let count = u64::from(lease.record.count());
            end -= count;
            let finished = delivered.saturating_sub(end).min(count);
            returned += transaction.settle_one(owner, lease, finished, now)?;
            done += finished;
        }
        if last {
            transaction.clear_idle_owner(owner)?;
        }
        transaction.settled(done, returned, now)
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
    #[inline(always)]
    pub(super) fn settle_one(&mut self, owner: u32, lease: &Lease, finished: u64, now: u64) -> Result<u64> {
        let record = self.record("first lease", lease.unit)?;
        if record.first_id() != lease.record.first_id() || record.count() != lease.record.count() {
            return damaged("first id", format!("of the leased unit {} has changed", lease.unit));
        }
        if record.owner() != owner + 1 {
            return damaged("lease owner", format!("of unit {} is not who took it", lease.unit));
        }
        if finished == u64::from(record.count()) {
            self.finish(lease.unit)?;
            return Ok(0);
        }
        if finished > 0 {
            let record = *record;
            let length = length_of_first(self.memory, lease.unit, &record, finished)?;
            let rest = checksum_of_rest(self.memory, lease.unit, &record, length)?;
            self.advance(lease.unit, finished, length, rest)?;
            self.subtract(format::LEASED, finished)?;
            self.subtract(format::MESSAGE_BYTES, length - finished)?;
        }
        Ok(self.give_back(lease.unit, &After::holder_died(0, now))?.ready)
    }

    /// Counts what has been settled and makes the change.
    pub(super) fn settled(mut self, done: u64, returned: u64, now: u64) -> Result<()> {
        if done > 0 {
            self.count_got(done, now);
            self.wake_space();
        }
        if returned > 0 {
            self.wake_data(Wake::Messages(returned));
        }
        self.note_if_drained();
        self.commit()
    }
}
