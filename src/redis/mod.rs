//! Queues on a Redis or Valkey server: keys that scripts change, so that every operation happens on the server at once
//! and undisturbed.
//!
//! `RedisQueue` is glue: it calls a script for each operation, and sleeps on a word that changes when the server says
//! that something has happened. What a queue looks like there is told in `scripts/common.lua`.

mod fault;
mod kept;
mod link;
mod list;
mod listener;
mod peek;
mod prepared;
mod presence;
mod put;
mod reply;
mod resolve;
mod script;
mod status;
mod take;
mod verify;
mod waiting;

pub use list::list;
pub use prepared::{url_of, was_handed_on};
pub use verify::verify;
pub use waiting::wait_until_it_exists;

use crate::address::Address;
use crate::error::{Error, Result};
use crate::lease::{End, Ended, Holder, LeaseId, Peeked, Shelf, Source, Terms};
use crate::message::Run;
use crate::place::Place;
use crate::queue::{Condition, Deadline, Frame, Limits, Otherwise, Participants, Queue, Status, Taken, Want};
use crate::remote::Remote;
use crate::wait::Watch;
use link::{Call, Link};
use listener::{Channel, Listener};
use presence::Presence;
use reply::Reply;
use script::Script;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How long a sleeper sleeps at most: that the server was lost without a word is noticed then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for a server that has started and still reads its data.
const PATIENCE_TO_OPEN: Duration = Duration::from_secs(10);
/// How long the end of a client may take.
const PATIENCE_TO_LEAVE: Duration = Duration::from_secs(2);

/// A queue on a server.
struct RedisQueue {
    link: Link,
    remote: Remote,
    /// The name by which the user knows it.
    name: String,
    /// The key of the queue's figures; all its keys begin as this one does.
    key: String,
    /// Tells this queue from one that had its name before.
    uuid: String,
    capacity: u64,
    max_items: Option<u64>,
    max_attempts: u32,
    /// Microseconds.
    lease: u64,
    /// The queue closes itself when its last producer is gone.
    auto_close: bool,
    /// Who we are to the server.
    me: String,
    /// The number of our last change whose repetition has to be noticed.
    sequence: u64,
    /// The server remembers our last change.
    is_remembered: bool,
    /// The server knows us as one that holds messages, or produces.
    is_known: bool,
    /// We count as a producer.
    produces: bool,
    presence: Presence,
    frames: Vec<Frame>,
    payloads: Vec<Vec<u8>>,
    listener: Option<Listener>,
    /// What the listener's word read when we last found nothing.
    seen: u32,
    /// When there will be something to do, as far as is known.
    next_event: Option<Instant>,
}

/// Opens the queue `remote`, which the user knows as `address`. A server that cannot be reached is tried again until then.
///
/// # Errors
/// See [`crate::open::open_until`].
pub fn open(place: &Place, address: &Address, remote: &Remote, until: Option<Instant>) -> Result<Box<dyn Queue>> {
    Ok(Box::new(RedisQueue::open(place, address, remote, until)?))
}

/// Creates it.
///
/// # Errors
/// See [`crate::open::create`].
pub fn create(place: &Place, address: &Address, remote: &Remote, limits: &Limits) -> Result<Box<dyn Queue>> {
    Ok(Box::new(RedisQueue::create(place, address, remote, limits)?))
}

/// Removes it.
///
/// # Errors
/// See [`crate::open::remove`].
pub fn remove(place: &Place, address: &Address, remote: &Remote) -> Result<()> {
    RedisQueue::remove(place, address, remote)
}

impl RedisQueue {
    fn open(place: &Place, address: &Address, remote: &Remote, until: Option<Instant>) -> Result<Self> {
        let mut queue = RedisQueue::named(place, address, remote)?;
        // For ever would be too long: what is wrong may be the address.
        let deadline = until.or_else(|| Some(Instant::now() + PATIENCE_TO_OPEN));
        let call =
            Call { script: &script::OPEN, key: &queue.key, arguments: vec![b"", queue.me.as_bytes()], again: None };
        let mut reply = queue.link.call(&call, until.is_some(), deadline)?;
        if reply.word() == "gone" {
            return Err(Error::NoSuchQueue { name: queue.name.clone(), meant: None });
        }
        queue.expect(&reply, "open")?;
        queue.uuid = reply.text();
        queue.capacity = reply.number();
        queue.max_items = Some(reply.number()).filter(|items| *items > 0);
        queue.max_attempts = u32::try_from(reply.number()).unwrap_or(u32::MAX);
        queue.lease = reply.number();
        queue.auto_close = reply.flag();
        Ok(queue)
    }

    fn create(place: &Place, address: &Address, remote: &Remote, limits: &Limits) -> Result<Self> {
        let mut queue = RedisQueue::named(place, address, remote)?;
        if limits.durable {
            return Err(Error::Other(format!(
                "queue '{}' is on a server, which decides by 'appendfsync' whether a put survives a power failure: create it without --durable",
                queue.name
            )));
        }
        let uuid = format!("{:016x}{:016x}", random(), random());
        let lease = limits.lease.map_or(0, microseconds);
        let fields = [
            ("capacity", limits.capacity),
            ("max_items", limits.max_items.unwrap_or(0)),
            ("lease", lease),
            ("max_attempts", limits.max_attempts.unwrap_or(0).into()),
            ("auto_close", limits.auto_close.into()),
        ];
        let fields: Vec<String> =
            fields.into_iter().flat_map(|(field, value)| [field.to_owned(), value.to_string()]).collect();
        let arguments = [uuid.as_bytes(), queue.me.as_bytes()].into_iter().chain(fields.iter().map(String::as_bytes));
        let call = Call { script: &script::CREATE, key: &queue.key, arguments: arguments.collect(), again: None };
        let reply = queue.link.call(&call, false, Some(Instant::now() + PATIENCE_TO_OPEN))?;
        if reply.word() == "exists" {
            return Err(Error::AlreadyExists { name: queue.name.clone() });
        }
        queue.expect(&reply, "made")?;
        queue.uuid = uuid;
        queue.capacity = limits.capacity;
        queue.max_items = limits.max_items;
        queue.max_attempts = limits.max_attempts.unwrap_or(0);
        queue.lease = lease;
        queue.auto_close = limits.auto_close;
        Ok(queue)
    }

    fn remove(place: &Place, address: &Address, remote: &Remote) -> Result<()> {
        let mut queue = RedisQueue::named(place, address, remote)?;
        let call = Call {
            script: &script::REMOVE,
            key: &queue.key,
            arguments: vec![b"", queue.me.as_bytes(), b"0"],
            again: Some(2),
        };
        let reply = queue.link.call(&call, false, Some(Instant::now() + PATIENCE_TO_OPEN))?;
        match reply.word() {
            "gone" => Err(Error::NoSuchQueue { name: queue.name.clone(), meant: None }),
            "foreign" => {
                let reason = format!("the key '{}' is not of an ipcq queue, so it is left alone", queue.key);
                Err(Error::Unusable { path: remote.to_string(), reason })
            }
            _ => queue.expect(&reply, "removed"),
        }
    }

    fn named(place: &Place, address: &Address, remote: &Remote) -> Result<Self> {
        let presence = presence::time(place.access())?;
        let link = Link::new(&remote.server, place.access());
        let me = format!("{:016x}", random());
        let key = key_of(remote);
        Ok(RedisQueue {
            presence: Presence::new(&link, &key, &me, presence),
            link,
            remote: remote.clone(),
            name: address.to_string(),
            key,
            uuid: String::new(),
            capacity: 0,
            max_items: None,
            max_attempts: 0,
            lease: 0,
            auto_close: false,
            me,
            sequence: 0,
            is_remembered: false,
            is_known: false,
            produces: false,
            frames: Vec::new(),
            payloads: Vec::new(),
            listener: None,
            seen: 0,
            next_event: None,
        })
    }

    /// Calls a script with what all of them want to know first, and `arguments`.
    fn call(&mut self, script: &'static Script, arguments: &[&[u8]], deadline: Deadline) -> Result<Reply> {
        self.call_again(script, arguments, None, deadline)
    }

    /// The same for one that wants to know, by the argument at the index `again`, whether it may have been run before.
    fn call_again(
        &mut self,
        script: &'static Script,
        arguments: &[&[u8]],
        again: Option<usize>,
        deadline: Deadline,
    ) -> Result<Reply> {
        let ours = [self.uuid.as_bytes(), self.me.as_bytes()];
        let arguments = ours.into_iter().chain(arguments.iter().copied()).collect();
        let call = Call { script, key: &self.key, arguments, again: again.map(|index| index + ours.len()) };
        self.link.call(&call, true, deadline)
    }

    /// The number of a change that the server remembers until the next one, or until we leave.
    fn next_sequence(&mut self) -> String {
        self.sequence += 1;
        self.is_remembered = true;
        self.sequence.to_string()
    }

    /// That the answer is what it has to be, or the error that it is.
    fn expect(&self, reply: &Reply, word: &str) -> Result<()> {
        match reply.word() {
            found if found == word => Ok(()),
            "gone" => Err(Error::Removed { name: self.name.clone() }),
            "closed" => Err(Error::Closed { name: self.name.clone() }),
            "version" => {
                let reason = "it was made by another version of ipcq, whose layout of keys this one does not know; use that one, or remove it with its 'ipcq rm'";
                Err(Error::Unusable { path: self.remote.to_string(), reason: reason.into() })
            }
            "damaged" => Err(Error::Other(format!(
                "queue '{}' is damaged: some of its keys were removed or changed by others (see 'ipcq verify')",
                self.remote
            ))),
            other => Err(Error::Other(format!(
                "server {} gave the answer '{other}', which makes no sense",
                self.remote.server.shown()
            ))),
        }
    }

    /// Notes, from an answer that says it, when there will be something to do.
    fn note_next_event(&mut self, microseconds: i64) {
        let until = u64::try_from(microseconds).ok().map(Duration::from_micros);
        // A little later is early enough, and a little earlier in vain.
        self.next_event = until.map(|until| Instant::now() + until + Duration::from_millis(1));
    }

    /// How long a sleep may last at most.
    fn until_next_look(&self) -> Duration {
        let next = self.next_event.map_or(LOOK_AGAIN, |next| next.saturating_duration_since(Instant::now()));
        match &self.listener {
            Some(listener) if listener.hears() => next.min(LOOK_AGAIN),
            // Nobody tells us anything.
            _ => next.min(LOOK_AGAIN / 10),
        }
    }

    /// Listens on `channel`. Returns whether we did so already: if not, something may have happened before.
    fn listen(&mut self, channel: Channel, deadline: Deadline) -> bool {
        if self.listener.as_ref().is_some_and(|listener| listener.is_on(channel)) {
            return true;
        }
        let listener = self.listener.insert(Listener::start(&self.link, &self.key, &self.uuid, channel));
        listener.until_it_hears(deadline);
        false
    }
}

impl Drop for RedisQueue {
    /// What we hold goes back at once. If that cannot be said, it goes back when we have not been heard of for a while.
    fn drop(&mut self) {
        self.presence.end();
        if self.is_known {
            let _ = self.call(&script::LEAVE, &[], Some(Instant::now() + PATIENCE_TO_LEAVE));
        } else if self.is_remembered {
            let key = [&self.key[..self.key.len() - "meta".len()], "t:", &self.me].concat();
            let mut forget = redis::cmd("DEL");
            forget.arg(key);
            self.link.tell(&forget);
        }
    }
}

impl Queue for RedisQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn put(&mut self, run: &Run<'_>, together: bool, deadline: Deadline) -> Result<u64> {
        self.put_run(run, together, deadline)
    }

    fn take(&mut self, want: Want, otherwise: Otherwise, deadline: Deadline) -> Result<Taken> {
        self.take_messages(want, otherwise, deadline)
    }

    fn frames(&self) -> &[Frame] {
        &self.frames
    }

    fn read(&mut self, index: usize, buffer: &mut Vec<u8>) -> Result<()> {
        self.read_payload(index, buffer)
    }

    fn settle(&mut self, delivered: u64, stay: bool, deadline: Deadline) -> Result<()> {
        self.settle_leases(delivered, stay, deadline)
    }

    fn keep(&mut self, kept: u64, terms: Terms, stay: bool, deadline: Deadline) -> Result<()> {
        self.keep_leases(kept, terms, stay, deadline)
    }

    fn check_holder(&self, holder: Holder) -> Result<()> {
        match holder {
            Holder::Process(_) => Err(Error::Other(format!(
                "a process cannot own leases of queue '{}': it is on a server, where nobody sees who lives; use --lease without --owner",
                self.name
            ))),
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
        Some(self.max_attempts).filter(|most| *most > 0)
    }

    fn default_lease(&self) -> Option<Duration> {
        Some(self.lease).filter(|lease| *lease > 0).map(Duration::from_micros)
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
        self.forget_lease_handed_on(lease, deadline)
    }

    fn status_and_participants(&mut self, deadline: Deadline) -> Result<(Status, Participants)> {
        self.look(deadline)
    }

    fn wait(&mut self, condition: Condition, deadline: Deadline) -> Result<bool> {
        self.wait_until(condition, deadline)
    }

    fn pause(&mut self, puts: bool, gets: bool, deadline: Deadline) -> Result<()> {
        self.set_paused(puts, gets, b"1", deadline)
    }

    fn resume(&mut self, puts: bool, gets: bool, deadline: Deadline) -> Result<()> {
        self.set_paused(puts, gets, b"0", deadline)
    }

    fn purge(&mut self, shelf: Shelf, deadline: Deadline) -> Result<u64> {
        self.purge_shelf(shelf, deadline)
    }

    fn join(&mut self, deadline: Deadline, look: &mut dyn FnMut(&Status)) -> Result<bool> {
        self.wait_until_finished(deadline, look)
    }

    fn produce(&mut self, deadline: Deadline) -> Result<()> {
        if !self.auto_close || self.produces {
            return Ok(());
        }
        let (presence, known) = (self.presence.microseconds(), presence::what_is_known_of_us());
        let reply = self.call(&script::PRODUCE, &[presence.as_bytes(), known.as_bytes()], deadline)?;
        self.expect(&reply, "produces")?;
        self.produces = true;
        self.is_known = true;
        self.presence.show(true);
        Ok(())
    }

    fn watch(&self) -> Option<Watch<'_>> {
        self.listener.as_ref().map(|listener| listener.watch(self.seen))
    }

    fn look_again(&self) -> Duration {
        self.until_next_look()
    }

    fn close(&mut self, deadline: Deadline) -> Result<()> {
        self.steer(&[b"closed", b"1"], deadline)
    }

    fn status(&mut self, deadline: Deadline) -> Result<Status> {
        self.look(deadline).map(|(status, _)| status)
    }
}

impl RedisQueue {
    fn set_paused(&mut self, puts: bool, gets: bool, value: &[u8], deadline: Deadline) -> Result<()> {
        let flags: [(bool, &[u8]); 2] = [(puts, b"puts_paused"), (gets, b"gets_paused")];
        let flags: Vec<&[u8]> =
            flags.into_iter().filter(|(is_meant, _)| *is_meant).flat_map(|(_, flag)| [flag, value]).collect();
        self.steer(&flags, deadline)
    }

    fn steer(&mut self, flags: &[&[u8]], deadline: Deadline) -> Result<()> {
        let reply = self.call(&script::STEER, flags, deadline)?;
        self.expect(&reply, "steered")
    }
}

/// The key of a queue's figures. What is in braces keeps all its keys on one node of a cluster.
fn key_of(remote: &Remote) -> String {
    format!("{{ipcq:{}}}:meta", remote.name)
}

/// Microseconds, as the server counts them; of what is too long for any clock, the most it can count.
fn microseconds(time: Duration) -> u64 {
    // Sums with the time of now have to stay exact in the numbers that scripts have.
    const MOST: u64 = 4_000_000_000_000_000;
    u64::try_from(time.as_micros()).unwrap_or(MOST).min(MOST)
}

/// A number that nobody else has. Hashers are keyed with random numbers of the kernel's.
fn random() -> u64 {
    RandomState::new().hash_one(Instant::now())
}
