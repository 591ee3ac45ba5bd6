//! Putting a run of messages, all of it or what there is room for until a deadline, and waiting for room.

use super::memory::ReadMemory;
use super::participants::WaitsFor;
use super::store::Receiver;
use super::{LocalQueue, format, store};
use crate::error::{Error, Result};
use crate::message::Run;
use crate::queue::{self, Deadline};
use crate::wait::{self, Watch};
use std::time::Instant;

/// Bytes of messages that a processor's cache holds besides everything else.
const CACHED_BACKLOG: u64 = 1 << 20;

impl LocalQueue {
    pub(super) fn put_run(&mut self, run: &Run<'_>, together: bool, deadline: Deadline) -> Result<u64> {
        let stamp = self.store.stamp();
        // Empty messages take no bytes: the capacity bounds their number.
        let most = stamp.max_items.min(stamp.capacity);
        let together = together && run.message_bytes() <= stamp.capacity && run.count() <= most;
        let mut left = *run;
        // To be woken takes longer than a put. A receiver that nothing is going to be delivered to is left for the put to
        // wake: one that was called before does not count as woken, and another one would be, in vain.
        let (mut receiver, mut beside) = (None, true);
        if self.puts_before_delivery == 0 {
            receiver = self.store.wake_ahead(|last| {
                beside = wait::runs_beside(last);
                beside
            });
        }
        while left.count() > 0 {
            let in_time = deadline.is_none_or(|deadline| deadline > Instant::now());
            if !beside {
                // Whoever is woken before we have unlocked takes our processor, and finds the queue locked. If we die before
                // we have woken it, it looks again by itself.
                self.store.memory_mut().put_off_wakes();
            }
            let put = self.locked(deadline, |queue| queue.put_locked(&left, together, in_time, receiver.take()));
            if !beside {
                self.store.memory_mut().wake_those_put_off();
            }
            let put = match put {
                // There was no room for all at first, and there is no more time now.
                Err(Error::LockTimeout { .. }) if left.count() < run.count() => break,
                put => put?,
            };
            match put {
                Some(count) => {
                    self.see_that_it_is_taken();
                    self.let_consumers_keep_up(run.bytes().len() as u64);
                    if count == left.count() {
                        return Ok(run.count());
                    }
                    left = left.after(&left.prefix(count, u64::MAX));
                }
                None if !in_time => break,
                None => {
                    let wake_up = Instant::now() + self.until_next_look();
                    let wake_up = deadline.map_or(wake_up, |deadline| deadline.min(wake_up));
                    let watch = self.watch_space();
                    wait::sleep(watch.as_slice(), Some(wake_up));
                }
            }
        }
        Ok(run.count() - left.count())
    }

    /// Puts what there is room for, or notes that we wait for room.
    pub(super) fn put_locked(
        &mut self,
        run: &Run<'_>,
        together: bool,
        wait: bool,
        receiver: Option<Receiver>,
    ) -> Result<Option<u64>> {
        if let Some(receiver) = self.called_receiver(receiver)
            && self.deliver(run, receiver)?
        {
            return Ok(Some(1));
        }
        let is_awaited = self.awaits_taker(run);
        let put = if is_awaited {
            self.store.put_awaited(run, self.clock)
        } else {
            self.store.put(run, together, self.clock)
        };
        let put = put.map_err(|fault| self.fault(fault))?;
        self.is_awaited = is_awaited && put == store::Put::Done(1);
        match put {
            store::Put::Done(count) => {
                self.show_waiting(None);
                Ok(Some(count))
            }
            store::Put::Closed => Err(Error::Closed { name: self.name.clone() }),
            store::Put::Removed => Err(Error::Removed { name: self.name.clone() }),
            store::Put::Full => {
                // A dead consumer's leases cannot make room, but whoever takes them next can.
                self.return_leases_of_the_dead()?;
                if wait {
                    self.note_that_we_wait_for_space();
                }
                Ok(None)
            }
        }
    }

    pub(super) fn note_that_we_wait_for_space(&mut self) {
        self.seen = self.store.register_space_waiter(self.counted_for_space);
        self.counted_for_space = Some(self.seen);
        self.show_waiting(Some(WaitsFor::Space));
    }

    /// Offers the processor to others if a stream, of which so many bytes were put, has got far ahead of them: on a
    /// single processor, what they take is then still in the cache.
    pub(super) fn let_consumers_keep_up(&self, put: u64) {
        if put >= queue::BULK && self.store.memory().load(format::MESSAGE_BYTES) > CACHED_BACKLOG {
            // It cannot fail.
            let _ = nix::sched::sched_yield();
        }
    }

    pub(super) fn watch_space(&self) -> Option<Watch<'_>> {
        self.store.memory().atomic32(format::SPACE_WAKE).map(|word| Watch::new(word, self.seen))
    }
}
