//! Delivery: a message is put into the hands of the receiver, leased to it in the change that puts it, so that it has
//! the message without locking the queue.
//!
//! Whoever puts it waits for a moment, still holding the lock, until the receiver has it, and takes it back from one
//! that does not come: a process that was stopped on its way keeps nothing from the others. Killed before it does, it
//! leaves a message leased to a process that finds it when it locks the queue next, or gives it back when it dies.

use super::super::format::{self, RECEIVER, owner_offset};
use super::super::memory::Memory;
use super::destination::Destination;
use super::frame::State;
use super::list::each_in_list;
use super::put::Put;
use super::receiver::Receiver;
use super::sleepers::Wake;
use super::take::Lease;
use super::transaction::Transaction;
use super::{Result, Store};
use crate::message::Run;

impl<M: Memory> Store<M> {
    /// Puts `run`, a single message, into the hands of the receiver, who was called, if that is what would become of it
    /// anyway: nothing else is ready or about to be. `now` is in nanoseconds since the Unix epoch.
    #[inline(never)]
    pub(crate) fn deliver(&mut self, run: &Run<'_>, receiver: Receiver, now: u64) -> Result<bool> {
        let owner = receiver.owner().filter(|owner| self.owners_in_use().contains(*owner));
        let Some(owner) = owner else { return Ok(false) };
        let is_called = self.memory.load32(RECEIVER) == receiver.called();
        let is_next = self.memory.load(format::READY) == 0 && self.memory.load(format::STATE) == 0;
        let is_due = self.next_event().is_some_and(|time| time <= now);
        if !is_called || !is_next || is_due || run.count() != 1 {
            return Ok(false);
        }
        let is_put = self.put_to(Destination::Leased(owner), run, true, now)? == Put::Done(1);
        if is_put {
            // One that has ceased to wait meanwhile finds the message under the lock.
            self.memory.exchange32(RECEIVER, receiver.called(), receiver.delivered());
        }
        Ok(is_put)
    }

    /// Takes back what was delivered to a receiver, unless that has it, and wakes others for it. Says whether it did.
    #[inline(never)]
    pub(crate) fn take_back(&mut self, receiver: Receiver) -> Result<bool> {
        let Some(owner) = receiver.owner() else { return Ok(false) };
        if !self.memory.exchange32(RECEIVER, receiver.delivered(), receiver.gone()) {
            return Ok(false);
        }
        let Some(lease) = self.delivered_to(owner)? else { return Ok(false) };
        let mut transaction = self.begin()?;
        transaction.let_go(lease.unit)?;
        transaction.record("first lease", lease.unit)?.set_attempts(0);
        transaction.make_ready(lease.unit)?;
        transaction.wake_data(Wake::Messages(1));
        transaction.commit()?;
        Ok(true)
    }

    /// What was delivered to the process behind the entry `owner`, which held nothing before. Needs no lock when the
    /// receiver has been told of it.
    pub(crate) fn delivered_to(&self, owner: u32) -> Result<Option<Lease>> {
        let mut lease = None;
        each_in_list(&self.memory, self.memory.load(owner_offset(owner) + format::OWNER_LEASES), |unit, record| {
            if record.state() == Some(State::Leased) && !record.is_kept() && !record.is_prepared() {
                lease = Some(Lease { unit, record: *record });
            }
            Ok(lease.is_none())
        })?;
        Ok(lease)
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Leases the new frame in `unit`, which is nowhere, to `owner`.
    pub(super) fn lease_new(&mut self, unit: u32, owner: u32, now: u64) -> Result<()> {
        let count = u64::from(self.hand_out(unit, owner, now)?.count());
        self.add(format::LEASED, count);
        Ok(())
    }
}
