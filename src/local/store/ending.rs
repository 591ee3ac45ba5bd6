//! How a lease ends: the message leaves the queue, is ready again, waits, or is dead.

use super::super::format::{self, state};
use super::super::memory::Memory;
use super::dead::StoredReason;
use super::frame::State;
use super::sleepers::Wake;
use super::transaction::Transaction;
use super::tree::Tree;
use super::{Result, damaged};

/// What becomes of a message that was not finished with.
pub(super) struct After<'a> {
    /// The attempts it has; 0: any number. Only kept leases count as attempts that failed: a plain get whose reader
    /// goes away says nothing about the message.
    pub(super) max_attempts: u32,
    /// Not ready before that.
    pub(super) not_before: u64,
    /// Why, if it is dead then.
    pub(super) reason: StoredReason<'a>,
    /// Nanoseconds since the Unix epoch, as all times here.
    pub(super) now: u64,
}

impl After<'_> {
    /// What becomes of the messages of a holder that died.
    pub(super) fn holder_died(max_attempts: u32, now: u64) -> Self {
        After { max_attempts, not_before: 0, reason: StoredReason::HOLDER_DIED, now }
    }

    /// The same where a lease ran out.
    pub(super) fn expired(max_attempts: u32, now: u64) -> Self {
        After { max_attempts, not_before: 0, reason: StoredReason::EXPIRED, now }
    }
}

/// Messages by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) ready: u64,
    pub(crate) delayed: u64,
    pub(crate) dead: u64,
}

impl std::ops::AddAssign for Given {
    fn add_assign(&mut self, other: Given) {
        self.ready += other.ready;
        self.delayed += other.delayed;
        self.dead += other.dead;
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Takes the leased frame in `unit` from whoever has it. Returns whether the lease was a kept one.
    #[inline(always)]
    pub(super) fn let_go(&mut self, unit: u32) -> Result<bool> {
        let record = self.record("first lease", unit)?;
        if record.state() != Some(State::Leased) {
            return damaged("frame state", format!("of the leased unit {unit} is {}", record.state_number()));
        }
        let (owner, is_kept, count) = (record.owner(), record.is_kept(), u64::from(record.count()));
        if let Some(entry) = owner.checked_sub(1) {
            if entry >= format::OWNER_ENTRIES {
                return damaged("lease owner", format!("of unit {unit} is {owner}"));
            }
            self.remove_lease(entry, unit)?;
        }
        if is_kept {
            self.unkeep(unit)?;
        }
        self.subtract(format::LEASED, count)?;
        Ok(is_kept)
    }

    /// The leased messages in `unit` are done with.
    #[inline(always)]
    pub(super) fn finish(&mut self, unit: u32) -> Result<()> {
        self.let_go(unit)?;
        let bytes = self.record("first lease", unit)?.message_bytes();
        self.subtract(format::MESSAGE_BYTES, bytes)?;
        self.free_frame(unit)
    }

    /// The leased messages in `unit` are not done with.
    pub(super) fn give_back(&mut self, unit: u32, after: &After<'_>) -> Result<Given> {
        let was_kept = self.let_go(unit)?;
        let record = self.record("first lease", unit)?;
        let count = u64::from(record.count());
        if was_kept && after.max_attempts > 0 && record.attempts_that_count() >= after.max_attempts {
            self.bury(unit, &after.reason, after.now)?;
            return Ok(Given { dead: count, ..Given::default() });
        }
        self.add(format::TOTAL_RETURNED, count);
        if after.not_before > after.now {
            let record = self.record("first lease", unit)?;
            record.set_state(State::Delayed);
            record.set_due(after.not_before);
            self.tree_insert(Tree::Delayed, unit)?;
            self.add(format::DELAYED, count);
            return Ok(Given { delayed: count, ..Given::default() });
        }
        self.make_ready(unit)?;
        Ok(Given { ready: count, ..Given::default() })
    }

    /// Makes the frame in `unit`, which is nowhere now, ready in its old place.
    pub(super) fn make_ready(&mut self, unit: u32) -> Result<()> {
        let record = self.record("first ready", unit)?;
        record.set_state(State::Ready);
        let count = u64::from(record.count());
        self.insert_ready(unit)?;
        self.add(format::READY, count);
        Ok(())
    }

    /// Wakes those who wait for the end, if this is it: nothing is ready, leased or delayed.
    pub(super) fn note_if_drained(&mut self) {
        if [format::READY, format::LEASED, format::DELAYED].iter().all(|count| self.get(*count) == 0) {
            self.wake_finished();
            if self.get(format::STATE) & state::CLOSED != 0 {
                // Those who wait for data have waited for this.
                self.wake_data(Wake::All);
            }
        }
    }
}
