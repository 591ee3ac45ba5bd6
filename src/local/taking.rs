//! Taking messages and settling them, and what a process does that finds none.

use super::memory::ReadMemory;
use super::participants::WaitsFor;
use super::store::{self, Lease};
use super::{LOOK_AGAIN, LocalQueue, format};
use crate::error::{Error, Result};
use crate::message::Run;
use crate::queue::{Deadline, Frame, Otherwise, SPIN, Taken, Want};
use crate::reserve::reserve;
use std::time::Duration;

/// How long a process that has just had something waits before it does what costs it time: while messages come and go
/// quickly, it would do and undo that for each.
const A_MOMENT: Duration = Duration::from_millis(10);
/// So few entries in the table of owners are nobody else's need.
const FEW: u32 = 8;
/// How long a large queue stays empty before its storage is given back.
const IDLE_BEFORE_TRIM: Duration = Duration::from_millis(100);

/// How idle a process that takes is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Idle {
    /// The last take found something.
    Busy,
    /// The last take did not, and there has been none before.
    #[default]
    Briefly,
    /// Others see that it waits, and may have its entry in the table of owners.
    Waiting,
    /// The queue has given back storage that it does not need.
    ForLong,
}

impl LocalQueue {
    /// Leases what there is, or notes how we wait for it.
    pub(super) fn take_locked(&mut self, want: Want, otherwise: Otherwise) -> Result<Taken> {
        self.return_leases_of_the_dead()?;
        self.look_at_clock()?;
        let taken = if self.take_and_settle(want) { store::Taken::Leases } else { self.settle_and_take(want)? };
        match taken {
            store::Taken::Leases => return Ok(self.taken(want)),
            store::Taken::Removed => return Err(Error::Removed { name: self.name.clone() }),
            store::Taken::Nothing | store::Taken::Drained => {}
        }
        let drained = taken == store::Taken::Drained;
        if drained {
            // There is nothing more to hold.
            self.disclaim_owner()?;
        }
        (self.watched, self.seen) = (format::DATA_WAKE, self.store.memory().load32(format::DATA_WAKE));
        match otherwise {
            Otherwise::Leave => {}
            Otherwise::Spin => self.store.note_spinner(self.clock.saturating_add(SPIN.as_nanos() as u64)),
            Otherwise::Sleep => {
                self.become_more_idle(drained)?;
                if self.idle == Idle::Briefly && self.become_receiver() {
                    // It sleeps on a word of its own.
                } else if self.idle == Idle::Briefly && self.store.has_many_waiters() {
                    (self.watched, self.seen) = (format::RECENT_WAKE, self.store.register_recent_waiter());
                } else {
                    self.counted_for_data = Some(self.store.register_data_waiter(self.counted_for_data));
                }
            }
        }
        Ok(if drained { Taken::Drained } else { Taken::Nothing })
    }

    /// Shows what is leased to us now.
    #[inline(always)]
    pub(super) fn taken(&mut self, want: Want) -> Taken {
        self.idle = Idle::Busy;
        self.show_waiting(None);
        let mut wanted = want.messages;
        for lease in &self.leases {
            // On a full file system a lease may hold more than is wanted.
            let frame = frame(lease, wanted);
            wanted -= frame.count;
            self.frames.push(frame);
        }
        Taken::Messages
    }

    /// Takes, and settles what was delivered before, in one change; or does nothing, where that is not as simple as it
    /// mostly is.
    fn take_and_settle(&mut self, want: Want) -> bool {
        let (Some(delivered), Some(owner), &[before]) = (self.delivered, self.owner, &self.leases[..]) else {
            return false;
        };
        if delivered < u64::from(before.record.count()) || self.store.nothing_to_take().is_some() {
            return false;
        }
        self.leases.clear();
        let want = self.want(want, owner);
        if self.store.take_and_settle(&want, &before, &mut self.leases).is_err() {
            // One of them alone may be possible, on a full file system, or says what is wrong.
            self.leases.push(before);
            return false;
        }
        self.delivered = None;
        true
    }

    fn settle_and_take(&mut self, want: Want) -> Result<store::Taken> {
        if let Some(delivered) = self.delivered.take() {
            self.settle_locked(delivered, true)?;
        }
        self.leases.clear();
        if let Some(nothing) = self.store.nothing_to_take() {
            return Ok(nothing);
        }
        let Some(owner) = self.claim_owner()? else { return Ok(store::Taken::Nothing) };
        let want = self.want(want, owner);
        self.store.take(&want, &mut self.leases).map_err(|fault| self.fault(fault))
    }

    fn want(&self, want: Want, owner: u32) -> store::Want {
        let Want { messages, bytes, singly } = want;
        store::Want { messages, bytes, singly, owner, pid: self.pid, now: self.clock }
    }

    /// There was nothing once more; if `drained`, there never will be.
    fn become_more_idle(&mut self, drained: bool) -> Result<()> {
        self.idle = match self.idle {
            Idle::Busy if !drained => {
                if self.store.owners_in_use().count() > FEW {
                    self.disclaim_owner()?;
                }
                Idle::Briefly
            }
            Idle::Busy | Idle::Briefly => {
                self.disclaim_owner()?;
                self.show_waiting(Some(WaitsFor::Data));
                Idle::Waiting
            }
            // A queue that stays empty gives its storage back; one that is merely faster than its
            // producer does not, or the pages would come and go all the time.
            Idle::Waiting | Idle::ForLong => {
                self.store.trim().map_err(|fault| self.fault(fault))?;
                Idle::ForLong
            }
        };
        Ok(())
    }

    /// How long may pass until the next take, at most, if nothing wakes us before.
    pub(super) fn until_next_take(&self) -> Duration {
        let idle = match self.idle {
            Idle::Briefly => A_MOMENT,
            Idle::Waiting if self.store.has_grown_large() => IDLE_BEFORE_TRIM,
            Idle::Busy | Idle::Waiting | Idle::ForLong => LOOK_AGAIN,
        };
        idle.min(self.until_next_look())
    }

    /// Appends the payload of what was taken last, by its place.
    pub(super) fn read_frame(&mut self, index: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let (Some(lease), Some(frame)) = (self.leases.get(index), self.frames.get(index)) else { return Ok(()) };
        let start = buffer.len();
        reserve(buffer, lease.record.length())?;
        self.store.read(lease, buffer).map_err(|fault| self.fault(fault))?;
        if frame.count < u64::from(lease.record.count()) {
            let run = Run::stored(&buffer[start..], frame.framing, lease.record.count().into(), frame.json);
            let wanted = run.prefix(frame.count, u64::MAX).bytes().len();
            buffer.truncate(start + wanted);
        }
        Ok(())
    }

    /// Ends the leases: the first `delivered` messages are done with.
    pub(super) fn settle_leases(&mut self, delivered: u64, stay: bool, deadline: Deadline) -> Result<()> {
        self.frames.clear();
        self.delivered = None;
        if self.owner.is_none() {
            return Ok(());
        }
        let result = self.locked(deadline, |queue| queue.settle_locked(delivered, stay));
        self.leases.clear();
        if !stay {
            self.forget_entry();
        }
        result
    }

    fn settle_locked(&mut self, delivered: u64, stay: bool) -> Result<()> {
        let Some(owner) = self.owner else { return Ok(()) };
        let settled = self.store.settle(owner, &self.leases, delivered, !stay, self.clock);
        let settled = settled.and_then(|()| if stay { Ok(()) } else { self.store.trim() });
        settled.map_err(|fault| self.fault(fault))
    }
}

/// The first `wanted` messages of a lease, as others see them.
fn frame(lease: &Lease, wanted: u64) -> Frame {
    let record = &lease.record;
    Frame {
        first_id: record.first_id(),
        count: wanted.min(record.count().into()),
        attempt: record.attempts_that_count(),
        handed_out: record.attempts(),
        framing: record.framing(),
        json: record.json(),
    }
}
