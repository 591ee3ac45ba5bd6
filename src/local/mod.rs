//! Queues on this machine: a segment, the lock on it, and sleeping on its words.
//!
//! `LocalQueue` is glue: it locks, lets `store` do the operation, unlocks, and sleeps. What
//! a segment looks like is in `format`, what can be done to it in `store`, both pure.

mod appearing;
mod bulk;
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
mod owner;
mod participants;
mod prepared;
mod process;
mod producer;
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

use crate::error::{Error, Result, advice};
use crate::lease::{End, Ended, Holder, LeaseId, Peeked, Shelf, Source, Terms};
use crate::message::Run;
use crate::name::{Address, printable};
use crate::place::Place;
use crate::queue::{
    self, Condition, Deadline, Frame, Input, Limits, Otherwise, Participants, Queue, Status, Taken, Want,
};
use crate::wait::{self, Watch};
use file::SegmentFile;
use format::Stamp;
use lock_holders::Locker;
use map::Map;
use memory::{Memory, ReadMemory};
use participants::WaitsFor;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{Fault, Lease, Prepared, Store};
use taking::Idle;

/// How long a sleeper sleeps at most. Not everything wakes it: who was woken for a message, or took it,
/// may have been killed since, and a file can be unlinked by hand.
const LOOK_AGAIN: Duration = Duration::from_nanos(store::LOOK_AGAIN);
/// How long a process that stays may go on without noticing that its queue's file was unlinked or truncated
/// by hand, in nanoseconds.
const LOOK_AT_FILE: u64 = 50_000_000;

/// How long a queue that is dropped waits for the lock to settle what was delivered.
const PATIENCE_TO_SETTLE: Duration = Duration::from_secs(10);

/// Bytes of messages that a processor's cache holds besides everything else.
const CACHED_BACKLOG: u64 = 1 << 20;

/// A queue in a segment file.
pub struct LocalQueue {
    segment: SegmentFile,
    name: String,
    store: Store<Map>,
    /// Our entry in the table of owners, while its lock is ours.
    owner: Option<u32>,
    leases: Vec<Lease>,
    frames: Vec<Frame>,
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
    /// What others can see that we wait for.
    shown_waiting: Option<WaitsFor>,
    /// What we have prepared and not resolved.
    prepared: Vec<Prepared>,
    /// We only look: nothing that we do reaches the file.
    only_looks: bool,
}

impl LocalQueue {
    /// Opens the queue at `address`.
    ///
    /// # Errors
    /// See [`crate::open::open`].
    pub fn open(place: &Place, address: &Address) -> Result<Self> {
        let segment = SegmentFile::new(place, address);
        let file = segment.open()?;
        Self::on(segment, address, file)
    }

    /// Opens the queue at `address` to look at it. What a command has to do before it can use a queue, such as finishing
    /// what a killed process has begun, is done to a copy: neither the file changes nor is anybody woken.
    ///
    /// # Errors
    /// See [`crate::open::open_to_look`].
    pub fn open_to_look(place: &Place, address: &Address) -> Result<Self> {
        let segment = SegmentFile::new(place, address);
        let file = segment.open_to_read()?;
        Self::to_look_at(address.to_string(), segment, file)
    }

    fn to_look_at(name: String, segment: SegmentFile, file: File) -> Result<Self> {
        let map = Map::private(file).map_err(|error| Error::io(format!("map queue '{name}'"), error))?;
        let mut queue = Self::with_map(name, segment, map)?;
        queue.only_looks = true;
        Ok(queue)
    }

    /// Creates the queue at `address`.
    ///
    /// # Errors
    /// See [`crate::open::create`].
    pub fn create(place: &Place, address: &Address, limits: &Limits) -> Result<Self> {
        let segment = SegmentFile::new(place, address);
        let stamp = Stamp {
            capacity: limits.capacity,
            max_items: limits.max_items.unwrap_or(format::NO_LIMIT),
            created: now(),
            uuid: uuid(),
            durable: limits.durable,
            auto_close: limits.auto_close,
            lease: limits.lease.map_or(0, |lease| u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX)),
            max_attempts: limits.max_attempts.unwrap_or(0),
        };
        let file = segment.create(limits.mode, limits.durable, |file| {
            file.set_len(format::GROUP)?;
            let mut memory = Map::new(file.try_clone()?)?;
            memory.grow(0, format::GROUP)?;
            Store::initialize(&mut memory, &stamp);
            Ok(())
        })?;
        Self::on(segment, address, file)
    }

    /// Removes the queue at `address`, even one that is damaged or of another version.
    ///
    /// # Errors
    /// See [`crate::open::remove`].
    pub fn remove(place: &Place, address: &Address) -> Result<()> {
        let segment = SegmentFile::new(place, address);
        let file = segment.open()?;
        let mut magic = [0; format::MAGIC.len()];
        if file.read_exact_at(&mut magic, 0).is_err() || magic != format::MAGIC {
            let reason = "it is not an ipcq segment, so it is left alone".into();
            return Err(Error::Unusable { path: printable(segment.path()), reason });
        }
        // Unlinked first: were we killed between the two, sleepers would find the file gone when
        // they look again, while a marked file that is still there would serve nobody.
        segment.unlink()?;
        if let Ok(mut queue) = Self::on(segment, address, file) {
            queue.file_checked = Some(now());
            // The queue is gone in any case; those who cannot be told will notice.
            let _ = queue
                .locked(Some(Instant::now()), |queue| queue.store.mark_removed().map_err(|fault| queue.fault(fault)));
        }
        Ok(())
    }

    fn on(segment: SegmentFile, address: &Address, file: File) -> Result<Self> {
        Self::named(address.to_string(), segment, file)
    }

    fn named(name: String, segment: SegmentFile, file: File) -> Result<Self> {
        let map = Map::new(file).map_err(|error| Error::io(format!("map queue '{name}'"), error))?;
        Self::with_map(name, segment, map)
    }

    fn with_map(name: String, segment: SegmentFile, map: Map) -> Result<Self> {
        let stamp = stamp(&segment, &map)?;
        Ok(LocalQueue {
            name,
            segment,
            store: Store::new(map, stamp),
            owner: None,
            leases: Vec::new(),
            frames: Vec::new(),
            delivered: None,
            owners_checked: None,
            watched: format::DATA_WAKE,
            seen: 0,
            counted_for_data: None,
            counted_for_space: None,
            pid: std::process::id(),
            clock: 0,
            file_checked: None,
            idle: Idle::default(),
            produces: false,
            shown_waiting: None,
            prepared: Vec::new(),
            only_looks: false,
        })
    }

    /// Does `operation` while nobody else can touch the segment.
    fn locked<T>(&mut self, deadline: Deadline, operation: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let file = self.store.memory().file();
        let acquired =
            if self.only_looks { lock::acquire_to_look(file, deadline) } else { lock::acquire(file, deadline) };
        if !acquired.map_err(|error| Error::io(format!("lock queue '{}'", self.name), error))? {
            return Err(self.lock_timeout());
        }
        if self.only_looks {
            // What was found before is forgotten with what was done about it.
            self.owners_checked = None;
        }
        let result = self.catch_up().and_then(|()| operation(self));
        lock::release(self.store.memory().file());
        result
    }

    fn lock_timeout(&self) -> Error {
        let holder = Locker::of(self.store.memory().file());
        Error::LockTimeout { name: self.name.clone(), holder: lock_holders::describe(holder) }
    }

    /// Brings the segment, and our view of it, to where an operation can start.
    fn catch_up(&mut self) -> Result<()> {
        let truncated =
            || Fault::Damaged { field: "grown", problem: "is more than the file has: it has been truncated".into() };
        self.clock = now();
        // A clock that was set back wraps around here, and is looked at as well.
        if self.file_checked.is_none_or(|checked| self.clock.wrapping_sub(checked) > LOOK_AT_FILE) {
            let length = file::length_if_named(self.store.memory().file());
            let Some(length) = length.map_err(|error| Error::io(format!("look at queue '{}'", self.name), error))?
            else {
                return Err(Error::Removed { name: self.name.clone() });
            };
            // Whoever sleeps would not notice otherwise: it touches the first pages only.
            if length < self.store.memory().load(format::GROWN) {
                return Err(self.fault(truncated()));
            }
            self.file_checked = Some(self.clock);
        }
        if let Err(error) = self.store.reach() {
            return Err(match error.kind() {
                io::ErrorKind::UnexpectedEof => self.fault(truncated()),
                _ => Error::io(format!("map queue '{}'", self.name), error),
            });
        }
        self.store.recover().map_err(|fault| self.fault(fault))
    }

    fn fault(&self, fault: Fault) -> Error {
        match fault {
            Fault::Damaged { field, problem } => {
                Error::Damaged { path: printable(self.segment.path()), field, problem }
            }
            Fault::Disk(error) => Error::Other(format!(
                "cannot write a change of queue '{}' to its disk: {error}; the change was not made",
                self.name
            )),
            Fault::Memory(bytes) => Error::Other(format!(
                "there is no memory for {bytes} bytes of messages of queue '{}': raise the limit on memory (see 'ulimit -v')",
                self.name
            )),
            Fault::Storage(error) => {
                let advice = match advice(&error) {
                    "" => "; free space on its file system, or use another directory",
                    limit => limit,
                };
                Error::Other(format!("cannot make queue '{}' larger: {error}{advice}", self.name))
            }
        }
    }

    /// Puts what there is room for, or notes that we wait for room.
    fn put_locked(&mut self, run: &Run<'_>, together: bool, wait: bool) -> Result<Option<u64>> {
        let put = self.store.put(run, together, self.clock).map_err(|fault| self.fault(fault))?;
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

    fn note_that_we_wait_for_space(&mut self) {
        self.seen = self.store.register_space_waiter(self.counted_for_space);
        self.counted_for_space = Some(self.seen);
        self.show_waiting(Some(WaitsFor::Space));
    }

    /// Offers the processor to others if a stream, of which so many bytes were put, has got far ahead of them: on a
    /// single processor, what they take is then still in the cache.
    fn let_consumers_keep_up(&self, put: u64) {
        if put >= queue::BULK && self.store.memory().load(format::MESSAGE_BYTES) > CACHED_BACKLOG {
            // It cannot fail.
            let _ = nix::sched::sched_yield();
        }
    }

    fn watch_space(&self) -> Option<Watch<'_>> {
        self.store.memory().atomic32(format::SPACE_WAKE).map(|word| Watch::new(word, self.seen))
    }
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
        let stamp = *self.store.stamp();
        // Empty messages take no bytes: the capacity bounds their number.
        let most = stamp.max_items.min(stamp.capacity);
        let together = together && run.message_bytes() <= stamp.capacity && run.count() <= most;
        let mut left = *run;
        while left.count() > 0 {
            let in_time = deadline.is_none_or(|deadline| deadline > Instant::now());
            let put = match self.locked(deadline, |queue| queue.put_locked(&left, together, in_time)) {
                // There was no room for all at first, and there is no more time now.
                Err(Error::LockTimeout { .. }) if left.count() < run.count() => break,
                put => put?,
            };
            match put {
                Some(count) => {
                    left = left.after(&left.prefix(count, u64::MAX));
                    self.let_consumers_keep_up(run.bytes().len() as u64);
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

    fn takes_bulk(&self) -> bool {
        self.lends_space()
    }

    fn put_from(&mut self, input: Input<'_>, rest: &mut Vec<u8>) -> Result<u64> {
        self.put_in_bulk(input, rest)
    }

    fn take(&mut self, want: Want, otherwise: Otherwise, deadline: Deadline) -> Result<Taken> {
        self.frames.clear();
        self.locked(deadline, |queue| queue.take_locked(want, otherwise))
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
        self.locked(deadline, |queue| {
            queue.bring_back()?;
            queue.status_now()
        })
    }
}

impl LocalQueue {
    /// Does something to a queue that is there.
    fn steer(
        &mut self,
        deadline: Deadline,
        operation: impl FnOnce(&mut Store<Map>) -> store::Result<()>,
    ) -> Result<()> {
        self.locked(deadline, |queue| {
            if queue.counts()?.removed {
                return Err(Error::Removed { name: queue.name.clone() });
            }
            operation(&mut queue.store).map_err(|fault| queue.fault(fault))
        })
    }

    fn status_now(&mut self) -> Result<Status> {
        let counts = self.counts()?;
        let stamp = self.store.stamp();
        Ok(Status {
            path: self.segment.path().to_owned(),
            ready: counts.ready,
            leased: counts.leased,
            delayed: counts.delayed,
            dead: counts.dead,
            bytes: counts.bytes,
            capacity: stamp.capacity,
            max_items: Some(stamp.max_items).filter(|items| *items != format::NO_LIMIT),
            durable: stamp.durable,
            closed: counts.closed,
            puts_paused: counts.puts_paused,
            gets_paused: counts.gets_paused,
            put: counts.put,
            got: counts.got,
            returned: counts.returned,
            expired: counts.expired,
            died: counts.died,
            purged: counts.purged,
            put_rate: counts.put_rate,
            got_rate: counts.got_rate,
            oldest: counts.oldest.map(|put_at| UNIX_EPOCH + Duration::from_nanos(put_at)),
            high_water: counts.high_water,
            created: UNIX_EPOCH + Duration::from_nanos(stamp.created),
            producers: counts.producers,
        })
    }

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

    fn counts(&mut self) -> Result<store::Counts> {
        self.store.counts(self.clock).map_err(|fault| self.fault(fault))
    }
}

/// The stamp of the segment in `memory`.
fn stamp(segment: &SegmentFile, memory: &impl ReadMemory) -> Result<Stamp> {
    let length = memory.length();
    let unusable = |reason: String| Error::Unusable { path: printable(segment.path()), reason };
    let mut stamp = [0; format::STAMP_BYTES];
    if length < stamp.len() as u64 {
        return Err(unusable("it is too short to be an ipcq segment".into()));
    }
    memory.read(0, &mut stamp);
    let stamp = Stamp::decode(&stamp).map_err(unusable)?;
    if length < format::GROUP {
        return Err(unusable(format!("it has {length} bytes: it has been truncated")));
    }
    Ok(stamp)
}

/// Nanoseconds since the Unix epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Sixteen bytes that no other queue has. Hashers are keyed with random numbers of the kernel's, which
/// std does not give away otherwise; unlike /proc, they are there in every chroot.
fn uuid() -> [u8; 16] {
    let random = || RandomState::new().hash_one(now()).to_ne_bytes();
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&random());
    uuid[8..].copy_from_slice(&random());
    uuid
}
