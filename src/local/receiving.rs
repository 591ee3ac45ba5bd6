//! Handing a message from a put to the consumer that it wakes, which need not lock the queue for it.

use super::memory::ReadMemory;
use super::store::Receiver;
use super::{LocalQueue, format, now};
use crate::error::Result;
use crate::message::Run;
use crate::queue::{Deadline, Otherwise, Taken, Want};
use crate::wait::{self, Watch};
use std::time::{Duration, Instant};

/// How long a consumer that was called waits for its message before it locks the queue itself, and how long whoever has
/// put it waits for the consumer to have it: about what others hold the lock for, and what waking a sleeper takes.
const PATIENCE: Duration = Duration::from_micros(20);

/// How long the receiver waits to be called before it sleeps: whoever has waited for the lock to put a message is about to.
const BEFORE_SLEEP: Duration = Duration::from_micros(2);

/// So many messages are put the ordinary way after a receiver did not come in time: where more processes run than there are
/// processors, one may even wait for ours.
const PUTS_AFTER_A_LATE_ONE: u32 = 32;

/// How long after its last message a consumer that is about to lock for the next is relied on, in nanoseconds.
const PATIENCE_WITH_LOCK: u64 = 50_000;

impl LocalQueue {
    /// Has what was delivered to us, or leases what there is, or notes how we wait for it.
    pub(super) fn take_or_receive(&mut self, want: Want, otherwise: Otherwise, deadline: Deadline) -> Result<Taken> {
        let takes_one_after_the_other = self.delivered.is_some() || self.receiver.is_some();
        let taken = match self.receiver {
            Some(receiver) => self.receive(receiver, want, otherwise, deadline)?,
            None if takes_one_after_the_other => {
                // Who puts while we try to lock need wake nobody.
                self.store.note_spinner(self.clock.saturating_add(PATIENCE_WITH_LOCK));
                self.locked(deadline, |queue| {
                    queue.store.forget_spinner();
                    queue.take_locked(want, otherwise)
                })?
            }
            None => self.locked(deadline, |queue| queue.take_locked(want, otherwise))?,
        };
        if taken == Taken::Messages && takes_one_after_the_other && self.store.has_many_waiters() {
            self.clock = now();
            self.store.note_taker(self.clock);
        }
        if let Some(receiver) = self.receiver {
            self.spin_while(receiver.asleep(), BEFORE_SLEEP);
        }
        Ok(taken)
    }

    // Apart from what is done for every message, as below.
    #[inline(never)]
    fn receive(&mut self, receiver: Receiver, want: Want, otherwise: Otherwise, deadline: Deadline) -> Result<Taken> {
        self.spin_while(receiver.called(), PATIENCE);
        // Our view may end before what has been put since.
        self.reach()?;
        let is_told = self.store.cease_to_receive(receiver);
        if is_told && self.has_received()? {
            return Ok(self.taken(want));
        }
        // Whoever has put it may have died before it could tell us.
        self.locked(deadline, |queue| {
            if queue.has_received()? { Ok(queue.taken(want)) } else { queue.take_locked(want, otherwise) }
        })
    }

    /// Whether a message was delivered to us; it is leased to us then.
    fn has_received(&mut self) -> Result<bool> {
        self.receiver = None;
        let Some(owner) = self.owner else { return Ok(false) };
        self.leases.clear();
        let lease = self.store.delivered_to(owner).map_err(|fault| self.fault(fault))?;
        self.leases.extend(lease);
        Ok(!self.leases.is_empty())
    }

    /// Becomes the receiver, if nobody else is.
    pub(super) fn become_receiver(&mut self) -> bool {
        self.receiver = self.owner.and_then(|owner| self.store.become_receiver(owner, wait::processor()));
        if let Some(receiver) = self.receiver {
            (self.watched, self.seen) = (format::RECEIVER, receiver.asleep());
        }
        self.receiver.is_some()
    }

    /// The receiver that was called before we locked, or one that has come since.
    pub(super) fn called_receiver(&mut self, before: Option<Receiver>) -> Option<Receiver> {
        if let Some(left) = self.puts_before_delivery.checked_sub(1) {
            self.puts_before_delivery = left;
            return None;
        }
        before.or_else(|| {
            // One that is woken later cannot come for it meanwhile.
            let calls = self.store.has_receiver()
                && self.store.memory().wakes_at_once()
                && wait::runs_beside(self.store.receiver_processor());
            if calls { self.store.call_receiver() } else { None }
        })
    }

    /// Puts a message into the hands of the receiver, who was called. If it does not come for it, others get it.
    #[inline(never)]
    pub(super) fn deliver(&mut self, run: &Run<'_>, receiver: Receiver) -> Result<bool> {
        let is_put = self.store.deliver(run, receiver, self.clock).map_err(|fault| self.fault(fault))?;
        if is_put {
            self.show_waiting(None);
            self.spin_while(receiver.delivered(), PATIENCE);
            if self.store.take_back(receiver).map_err(|fault| self.fault(fault))? {
                self.puts_before_delivery = PUTS_AFTER_A_LATE_ONE;
            }
        }
        Ok(is_put)
    }

    /// Whether this single message is likely to be taken by somebody who comes by himself.
    pub(super) fn awaits_taker(&self, run: &Run<'_>) -> bool {
        run.count() == 1 && self.store.expects_taker(self.clock) && wait::has_other_processors()
    }

    /// Wakes others if nobody has come for what was put last.
    pub(super) fn see_that_it_is_taken(&mut self) {
        if self.is_awaited {
            self.is_awaited = false;
            if !self.is_taken_soon() {
                // It is put. Where the lock is not to be had soon, a sleeper finds the message when it looks again.
                let _ = self.locked(Some(Instant::now()), |queue| {
                    queue.store.pass_on();
                    Ok(())
                });
            }
        }
    }

    /// Waits for a moment until nothing is ready, or somebody comes for it.
    fn is_taken_soon(&self) -> bool {
        wait::spin_while(PATIENCE, || {
            !self.store.has_spinner(self.clock) && self.store.memory().load(format::READY) > 0
        })
    }

    /// Waits for a moment for the word to read something else.
    fn spin_while(&self, reads: u32, patience: Duration) {
        let watch = self.store.memory().atomic32(format::RECEIVER).map(|word| Watch::new(word, reads));
        wait::spin(watch.as_slice(), patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::place::{Place, Surroundings};
    use crate::queue::{Limits, Queue};
    use std::ffi::OsStr;
    use std::thread;
    use tempfile::{TempDir, tempdir};

    const ONE: Want = Want { messages: 1, bytes: u64::MAX, singly: false };

    /// So many views of one queue.
    fn queue<const VIEWS: usize>() -> (TempDir, [LocalQueue; VIEWS]) {
        let directory = tempdir().unwrap();
        let place = Place::from(&Surroundings {
            ipcq_dir: Some(directory.path().into()),
            access: Default::default(),
            tmpdir: None,
            uid: nix::unistd::geteuid().as_raw(),
            shared_memory: "/missing".into(),
        });
        let address = Address::parse(OsStr::new("jobs")).unwrap();
        LocalQueue::create(&place, &address, &Limits::default()).unwrap();
        let views = std::array::from_fn(|_| LocalQueue::open(&place, &address).unwrap());
        (directory, views)
    }

    /// Lets `consumer` have a message, and wait for another one.
    fn become_receiver(producer: &mut LocalQueue, consumer: &mut LocalQueue) -> Receiver {
        assert_eq!(producer.put(&Run::whole(b"before"), false, None).unwrap(), 1);
        assert_eq!(take(consumer), Some((b"before".to_vec(), 1)));
        assert_eq!(take(consumer), None);
        consumer.receiver.unwrap()
    }

    /// A message, and how often it has been handed out; it is settled at the next take.
    fn take(consumer: &mut LocalQueue) -> Option<(Vec<u8>, u32)> {
        match consumer.take(ONE, Otherwise::Sleep, None).unwrap() {
            Taken::Messages => {
                let (mut body, attempt) = (Vec::new(), consumer.frames()[0].handed_out);
                consumer.read(0, &mut body).unwrap();
                consumer.settle_at_next_take(1, None).unwrap();
                Some((body, attempt))
            }
            Taken::Nothing | Taken::Drained => None,
        }
    }

    /// Puts a message into the receiver's hands as a process does that is killed right after that.
    fn deliver_and_die(producer: &mut LocalQueue, receiver: Receiver) {
        let is_put = producer.locked(None, |producer| {
            assert_eq!(producer.store.call_receiver(), Some(receiver));
            Ok(producer.store.deliver(&Run::whole(b"one"), receiver, producer.clock).unwrap())
        });
        assert!(is_put.unwrap());
    }

    #[test]
    fn the_receiver_has_its_message_while_the_queue_is_locked() {
        let (_directory, [mut producer, mut consumer]) = queue();
        let receiver = become_receiver(&mut producer, &mut consumer);
        deliver_and_die(&mut producer, receiver);
        let taken = producer.locked(None, |_| Ok(take(&mut consumer)));
        assert_eq!(taken.unwrap(), Some((b"one".to_vec(), 1)));
    }

    #[test]
    fn a_receiver_that_was_not_told_of_its_message_finds_it() {
        let (_directory, [mut producer, mut consumer]) = queue();
        let receiver = become_receiver(&mut producer, &mut consumer);
        deliver_and_die(&mut producer, receiver);
        assert!(producer.store.cease_to_receive(receiver));
        assert_eq!(take(&mut consumer), Some((b"one".to_vec(), 1)));
        assert_eq!(take(&mut consumer), None);
    }

    #[test]
    fn others_get_for_the_first_time_what_a_receiver_does_not_come_for() {
        let (_directory, [mut producer, mut consumer, mut other]) = queue();
        become_receiver(&mut producer, &mut consumer);
        // Not called before the lock is taken: nobody sleeps.
        let run = Run::whole(b"one");
        let put = producer.locked(None, |producer| producer.put_locked(&run, false, false, None));
        assert_eq!(put.unwrap(), Some(1));
        assert_eq!(take(&mut other), Some((b"one".to_vec(), 1)));
        assert_eq!(take(&mut consumer), None);
        assert_eq!(other.status(None).unwrap().returned, 0);
    }

    #[test]
    fn somebody_is_woken_for_a_message_that_nobody_comes_for() {
        let (_directory, [mut producer]) = queue();
        let counted = (0..9).map(|_| producer.store.register_data_waiter(None)).last().unwrap();
        producer.store.note_taker(now());
        assert_eq!(producer.put(&Run::whole(b"one"), false, None).unwrap(), 1);
        assert_ne!(producer.store.register_data_waiter(Some(counted)), counted);
    }

    #[test]
    fn a_consumer_that_tries_to_lock_for_its_next_message_is_seen_until_it_has() {
        let (_directory, [mut producer, mut consumer]) = queue();
        assert_eq!(producer.put(&Run::whole(b"one"), false, None).unwrap(), 1);
        assert_eq!(take(&mut consumer), Some((b"one".to_vec(), 1)));
        (0..9).for_each(|_| _ = producer.store.register_data_waiter(None));
        let spins_until = |producer: &LocalQueue| producer.store.memory().load(format::SPINS_UNTIL);
        assert_eq!(spins_until(&producer), 0);
        thread::scope(|scope| {
            let taken = producer.locked(None, |producer| {
                let taken = scope.spawn(|| take(&mut consumer));
                while spins_until(producer) == 0 {
                    thread::yield_now();
                }
                Ok(taken)
            });
            assert_eq!(taken.unwrap().join().unwrap(), None);
        });
        assert_eq!(spins_until(&producer), 0);
    }

    #[test]
    fn whoever_waits_for_the_answer_to_each_message_gets_every_one_once_and_in_order() {
        let (_there, [mut ask, mut asked]) = queue();
        let (_back, [mut answer, mut answered]) = queue();
        thread::scope(|scope| {
            let echo = scope.spawn(move || {
                for _ in 0..2_000 {
                    let (body, _) = wait_for_one(&mut asked);
                    answer.put(&Run::whole(&body), false, None).unwrap();
                }
            });
            for number in 0..2_000_u32 {
                ask.put(&Run::whole(&number.to_ne_bytes()), false, None).unwrap();
                assert_eq!(wait_for_one(&mut answered), (number.to_ne_bytes().to_vec(), 1));
            }
            echo.join().unwrap();
        });
    }

    /// Sleeps until there is a message.
    fn wait_for_one(consumer: &mut LocalQueue) -> (Vec<u8>, u32) {
        loop {
            if let Some(taken) = take(consumer) {
                return taken;
            }
            wait::sleep(consumer.watch().as_slice(), Some(Instant::now() + consumer.look_again()));
        }
    }
}
