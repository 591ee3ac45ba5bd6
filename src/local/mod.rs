//! Queues on this machine: a segment, the lock on it, and sleeping on its words.
//!
//! `LocalQueue` is glue: it locks, lets `store` do the operation, unlocks, and sleeps. What
//! a segment looks like is in `format`, what can be done to it in `store`, both pure.

mod appearing;
mod bulk;
mod checksum;
mod directory;
mod file;
mod file_system;
mod format;
mod join;
mod kept;
mod list;
mod lock;
mod lock_holders;
mod map;
mod memory;
#[cfg(target_arch = "x86_64")]
mod one_pass;
mod opening;
mod operation;
mod owner;
mod participants;
mod prepared;
mod process;
mod producer;
mod putting;
mod receiving;
mod status;
mod store;
mod taking;
mod verify;
mod waiting;

pub use format::{
    CONTROL_FIELDS, Field, HOT_FIELDS, LARGEST_CAPACITY, LOG_FIELDS, OWNER_FIELDS, RECORD_FIELDS, REDO_LOGS,
    STAMP_FIELDS,
};

pub use list::list;
pub use prepared::was_handed_on;

use crate::error::Result;
use crate::lease::{End, Ended, Holder, LeaseId, Peeked, Shelf, Source, Terms};
use crate::message::Run;
use crate::queue::{Condition, Deadline, Frame, Input, Otherwise, Participants, Queue, Status, Taken, Want};
use crate::wait::Watch;
use file::SegmentFile;
use map::Map;
use nix::time::{ClockId, clock_gettime};
use participants::WaitsFor;
use std::time::{Duration, Instant};
use store::{Lease, Prepared, Receiver, Store};
use taking::Idle;

/// How long a sleeper sleeps at most. Not everything wakes it: who was woken for a message, or took it,
/// may have been killed since, and a file can be unlinked by hand.
const LOOK_AGAIN: Duration = Duration::from_nanos(store::LOOK_AGAIN);
/// How long a queue that is dropped waits for the lock to settle what was delivered.
const PATIENCE_TO_SETTLE: Duration = Duration::from_secs(10);

/// A queue in a segment file.
pub struct LocalQueue {
    segment: SegmentFile,
    name: String,
    store: Store<Map>,
    /// Our entry in the table of owners, while its lock is ours.
    owner: Option<u32>,
    leases: Vec<Lease>,
    frames: Vec<Frame>,
    /// Input on its way into the segment.
    intake: Vec<u8>,
    /// The next take ends the leases first: so many of their messages were delivered.
    delivered: Option<u64>,
    /// When dead owners were last looked for.
    owners_checked: Option<Instant>,
    /// Where the word is that tells when to take again, after a take that found nothing.
    watched: u64,
    /// What it read then, or the wake word of space.
    seen: u32,
    /// What the wake words read when we were counted among those who wait for data, and for space.
    counted_for_data: Option<u32>,
    counted_for_space: Option<u32>,
    /// This process.
    pid: u32,
    /// What the clock read when the queue was locked last, in nanoseconds since the Unix epoch.
    clock: u64,
    /// What it read when the file was last seen to have a name and to be as long as it should be.
    file_checked: Option<u64>,
    /// What the last take came to.
    idle: Idle,
    /// We count as a producer.
    produces: bool,
    /// We are, or were, the receiver.
    receiver: Option<Receiver>,
    /// So many messages are put before the next is put into the hands of a receiver.
    puts_before_delivery: u32,
    /// What was put last is taken by somebody who is likely to come; or it is not, and others have to be woken.
    is_awaited: bool,
    /// What others can see that we wait for.
    shown_waiting: Option<WaitsFor>,
    /// What we have prepared and not resolved.
    prepared: Vec<Prepared>,
    /// We only look: nothing that we do reaches the file.
    only_looks: bool,
}

impl Drop for LocalQueue {
    fn drop(&mut self) {
        if let Some(delivered) = self.delivered {
            // There was no next take. What cannot be settled now is delivered again.
            let _ = self.settle(delivered, false, Some(Instant::now() + PATIENCE_TO_SETTLE));
        }
        self.cease_to_produce();
    }
}

impl Queue for LocalQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn capacity(&self) -> u64 {
        self.store.stamp().capacity
    }

    fn put(&mut self, run: &Run<'_>, together: bool, deadline: Deadline) -> Result<u64> {
        self.put_run(run, together, deadline)
    }

    fn takes_bulk(&self) -> bool {
        self.lends_space()
    }

    fn put_from(&mut self, input: Input<'_>, rest: &mut Vec<u8>) -> Result<u64> {
        self.put_in_bulk(input, rest)
    }

    fn take(&mut self, want: Want, otherwise: Otherwise, deadline: Deadline) -> Result<Taken> {
        self.frames.clear();
        self.take_or_receive(want, otherwise, deadline)
    }

    fn frames(&self) -> &[Frame] {
        &self.frames
    }

    fn read(&mut self, index: usize, buffer: &mut Vec<u8>) -> Result<()> {
        self.read_frame(index, buffer)
    }

    fn settle(&mut self, delivered: u64, stay: bool, deadline: Deadline) -> Result<()> {
        self.settle_leases(delivered, stay, deadline)
    }

    fn settle_at_next_take(&mut self, delivered: u64, _: Deadline) -> Result<()> {
        self.frames.clear();
        self.delivered = Some(delivered);
        Ok(())
    }

    fn keep(&mut self, kept: u64, terms: Terms, stay: bool, deadline: Deadline) -> Result<()> {
        self.keep_leases(kept, terms, stay, deadline)
    }

    fn check_holder(&self, holder: Holder) -> Result<()> {
        match holder {
            Holder::Process(pid) => process::identity_of(pid).map(drop),
            Holder::This | Holder::Nobody => Ok(()),
        }
    }

    fn end(&mut self, leases: &[LeaseId], end: &End, deadline: Deadline) -> Result<Ended> {
        self.end_leases(leases, end, deadline)
    }

    fn source(&self, lease: LeaseId) -> Result<Source> {
        self.source_of(lease)
    }

    fn prepare(&mut self, run: &Run<'_>, source: &Source, deadline: Deadline) -> Result<Option<u64>> {
        self.prepare_run(run, source, deadline)
    }

    fn resolve(&mut self, prepared: u64, publish: bool, deadline: Deadline) -> Result<()> {
        self.resolve_prepared(prepared, publish, deadline)
    }

    fn extend(&mut self, leases: &[LeaseId], by: Duration, deadline: Deadline) -> Result<()> {
        self.extend_leases(leases, by, deadline)
    }

    fn max_attempts(&self) -> Option<u32> {
        Some(self.store.stamp().max_attempts).filter(|most| *most > 0)
    }

    fn default_lease(&self) -> Option<Duration> {
        Some(self.store.stamp().lease).filter(|lease| *lease > 0).map(Duration::from_nanos)
    }

    fn peek(&mut self, shelf: Shelf, most: usize, deadline: Deadline) -> Result<Vec<Peeked>> {
        self.peek_at(shelf, most, deadline)
    }

    fn retry(&mut self, ids: Option<&[u64]>, deadline: Deadline) -> Result<u64> {
        self.retry_dead(ids, deadline)
    }

    fn hand_on_dead(&mut self, dead: LeaseId, deadline: Deadline) -> Result<()> {
        self.hand_on_dead_message(dead, deadline)
    }

    fn forget_handed_on(&mut self, lease: LeaseId, deadline: Deadline) -> Result<()> {
        self.locked(deadline, |queue| queue.store.forget_handed_on(lease).map_err(|fault| queue.fault(fault)))
    }

    fn status_and_participants(&mut self, deadline: Deadline) -> Result<(Status, Participants)> {
        self.look_at_all(deadline)
    }

    fn wait(&mut self, condition: Condition, deadline: Deadline) -> Result<bool> {
        self.wait_until(condition, deadline)
    }

    fn pause(&mut self, puts: bool, gets: bool, deadline: Deadline) -> Result<()> {
        self.steer(deadline, |store| store.pause(puts, gets))
    }

    fn resume(&mut self, puts: bool, gets: bool, deadline: Deadline) -> Result<()> {
        self.steer(deadline, |store| store.resume(puts, gets))
    }

    fn purge(&mut self, shelf: Shelf, deadline: Deadline) -> Result<u64> {
        self.purge_shelf(shelf, deadline)
    }

    fn purge_damaged(&mut self, deadline: Deadline) -> Result<u64> {
        self.purge_what_is_damaged(deadline)
    }

    fn join(&mut self, deadline: Deadline, look: &mut dyn FnMut(&Status)) -> Result<bool> {
        self.wait_until_finished(deadline, look)
    }

    fn produce(&mut self, deadline: Deadline) -> Result<()> {
        self.become_producer(deadline)
    }

    fn watch(&self) -> Option<Watch<'_>> {
        self.store.memory().atomic32(self.watched).map(|word| Watch::new(word, self.seen))
    }

    fn look_again(&self) -> Duration {
        self.until_next_take()
    }

    fn close(&mut self, deadline: Deadline) -> Result<()> {
        self.steer(deadline, Store::close)
    }

    fn status(&mut self, deadline: Deadline) -> Result<Status> {
        self.look_at_figures(deadline)
    }
}

impl LocalQueue {
    /// How long a sleep may last at most.
    fn until_next_look(&self) -> Duration {
        let until_look = self.until_next_look_for_the_dead().unwrap_or(LOOK_AGAIN);
        until_look.min(self.until_next_event())
    }

    /// Does what is due by now.
    fn look_at_clock(&mut self) -> Result<()> {
        self.store.look_at_clock(self.clock).map_err(|fault| self.fault(fault))
    }

    /// How long it is until a lease runs out, or a delayed message becomes ready.
    fn until_next_event(&self) -> Duration {
        let next = self.store.next_event().unwrap_or(u64::MAX);
        // A little later is early enough, and a little earlier in vain.
        Duration::from_nanos(next.saturating_sub(now())).saturating_add(Duration::from_micros(50))
    }
}

/// Nanoseconds since the Unix epoch.
fn now() -> u64 {
    // Not by way of a `Duration`: every operation looks.
    let Ok(now) = clock_gettime(ClockId::CLOCK_REALTIME) else { return 0 };
    let [seconds, nanoseconds] = [now.tv_sec(), now.tv_nsec()].map(|part| u64::try_from(part).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
