//! Leases that outlive the call that took them, and what else is done to messages by their ids.

use super::store::{self, Keeper, NEVER, Verdict};
use super::{LocalQueue, now, process};
use crate::error::{Error, Result};
use crate::lease::{End, Ended, Holder, LeaseId, Peeked, Shelf, Terms};
use crate::queue::Deadline;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl LocalQueue {
    pub(super) fn keep_leases(&mut self, kept: u64, terms: Terms, stay: bool, deadline: Deadline) -> Result<()> {
        let (leases, Some(owner)) = (std::mem::take(&mut self.leases), self.owner) else { return Ok(()) };
        self.frames.clear();
        let holder = match terms.holder {
            Holder::Process(pid) => Some(process::identity_of(pid)),
            _ => None,
        }
        .transpose();
        let (kept, others) = leases.split_at(leases.len().min(kept as usize));
        self.locked(deadline, |queue| {
            let keeper = match (terms.holder, &holder) {
                (Holder::This, _) => Ok(Keeper::Taker),
                (_, Ok(Some(identity))) => queue.entry_of(identity).map(|entry| Keeper::Other(entry, *identity)),
                (_, Ok(None)) => Ok(Keeper::Nobody),
                (_, Err(_)) => Ok(Keeper::Taker),
            };
            // What cannot be kept goes back.
            let (kept, others) = if holder.is_ok() && keeper.is_ok() { (kept, others) } else { (&[][..], &leases[..]) };
            let returned = queue.store.settle(owner, others, 0, kept.is_empty() && !stay, queue.clock);
            let done = returned.and_then(|()| match keeper {
                Ok(keeper) if !kept.is_empty() => {
                    queue.store.keep(owner, kept, nanoseconds(terms.until), keeper, !stay, queue.clock)
                }
                _ => Ok(()),
            });
            queue.forget_entry();
            done.map_err(|fault| queue.fault(fault))?;
            keeper.map(drop)
        })?;
        holder.map(drop)
    }

    pub(super) fn end_leases(&mut self, leases: &[LeaseId], end: &End, deadline: Deadline) -> Result<Ended> {
        let of_queue = self.store.stamp().max_attempts;
        let verdict = match end {
            End::Done => Verdict::Done,
            End::Again { delay, max_attempts, reason } => Verdict::Again {
                not_before: if delay.is_zero() { 0 } else { later(*delay) },
                max_attempts: max_attempts.unwrap_or(of_queue),
                reason,
            },
            End::Dead(reason) => Verdict::Dead { reason },
            End::HandedOn => Verdict::HandedOn,
        };
        self.locked(deadline, |queue| {
            queue.look_at_clock()?;
            let ended = queue.store.end(leases, verdict, queue.clock).map_err(|fault| queue.fault(fault))?;
            queue.store.trim().map_err(|fault| queue.fault(fault))?;
            ended.map_err(|id| Error::NotLeased { id, name: queue.name.clone() })
        })
    }

    pub(super) fn extend_leases(&mut self, leases: &[LeaseId], by: Duration, deadline: Deadline) -> Result<()> {
        self.locked(deadline, |queue| {
            queue.look_at_clock()?;
            let extended = queue.store.extend(leases, later(by), queue.clock).map_err(|fault| queue.fault(fault))?;
            extended.map_err(|id| Error::NotLeased { id, name: queue.name.clone() })
        })
    }

    pub(super) fn peek_at(&mut self, shelf: Shelf, most: usize, deadline: Deadline) -> Result<Vec<Peeked>> {
        let shown = self.locked(deadline, |queue| {
            queue.bring_back()?;
            queue.store.peek(shelf, most).map_err(|fault| queue.fault(fault))
        })?;
        Ok(shown.into_iter().map(|shown| peeked(shelf, shown)).collect())
    }

    pub(super) fn retry_dead(&mut self, ids: Option<&[u64]>, deadline: Deadline) -> Result<u64> {
        self.locked(deadline, |queue| {
            queue.bring_back()?;
            let retried = queue.store.retry(ids).map_err(|fault| queue.fault(fault))?;
            retried.map_err(|id| Error::NotDead { id, name: queue.name.clone() })
        })
    }

    pub(super) fn hand_on_dead_message(&mut self, dead: LeaseId, deadline: Deadline) -> Result<()> {
        self.locked(deadline, |queue| match queue.store.hand_on_dead(dead).map_err(|fault| queue.fault(fault))? {
            true => Ok(()),
            false => Err(Error::NotDead { id: dead.message, name: queue.name.clone() }),
        })
    }

    pub(super) fn purge_shelf(&mut self, shelf: Shelf, deadline: Deadline) -> Result<u64> {
        self.locked(deadline, |queue| {
            queue.bring_back()?;
            let purged = queue.store.purge(shelf).map_err(|fault| queue.fault(fault))?;
            queue.store.trim().map_err(|fault| queue.fault(fault))?;
            Ok(purged)
        })
    }

    pub(super) fn purge_what_is_damaged(&mut self, deadline: Deadline) -> Result<u64> {
        self.locked(deadline, |queue| {
            queue.bring_back()?;
            queue.store.purge_damaged().map_err(|fault| queue.fault(fault))
        })
    }

    /// Puts every message where it belongs by now: what is dead or due is not always known before somebody looks.
    pub(super) fn bring_back(&mut self) -> Result<()> {
        self.return_leases_of_the_dead()?;
        self.look_at_clock()
    }
}

fn peeked(shelf: Shelf, shown: store::Shown) -> Peeked {
    let record = &shown.record;
    let at = match shelf {
        Shelf::Ready => None,
        Shelf::Leased => Some(record.due()).filter(|until| record.is_kept() && *until != NEVER),
        Shelf::Delayed | Shelf::Dead => Some(record.due()),
    };
    Peeked {
        id: shown.id,
        attempts: record.attempts_that_count(),
        handed_out: record.attempts(),
        framing: record.framing(),
        json: record.json(),
        at: at.map(|nanoseconds| UNIX_EPOCH + Duration::from_nanos(nanoseconds)),
        holder: shown.holder,
        reason: shown.reason,
        body: shown.body,
    }
}

/// A time that is some time away, in nanoseconds since the Unix epoch.
fn later(by: Duration) -> u64 {
    now().saturating_add(u64::try_from(by.as_nanos()).unwrap_or(NEVER)).min(NEVER - 1)
}

fn nanoseconds(until: Option<SystemTime>) -> u64 {
    let Some(until) = until else { return NEVER };
    let since = until.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(NEVER).min(NEVER - 1)
}
