//! Messages that are put here together with the end of one in another queue, and what becomes of them when whoever
//! prepared them has died.

use super::reply::Reply;
use super::{RedisQueue, script};
use crate::address::Address;
use crate::elsewhere;
use crate::error::{Error, Result};
use crate::lease::{LeaseId, Source};
use crate::place::Place;
use crate::queue::Deadline;
use crate::remote::Remote;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

/// How long to wait for an answer about another queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// What separates, in a source, the URL of its queue from who was to hand the message on. No URL of a queue has it.
const BY: u8 = b'#';

impl RedisQueue {
    pub(super) fn source_of(&self, lease: LeaseId) -> Result<Source> {
        // A dead message keeps its lease's number, so that several may have tried to hand it on by the same.
        let path = format!("{}{}{}", self.remote.shown(), char::from(BY), self.me);
        if path.len() > Source::LONGEST_PATH {
            return Err(Error::Other(format!(
                "the URL of queue '{}' is longer than {} bytes, too long to be noted in another queue: use a shorter one",
                self.name,
                Source::LONGEST_PATH
            )));
        }
        Ok(Source { uuid: self.identity(), lease, path: path.into_bytes() })
    }

    /// What tells this queue from all others.
    fn identity(&self) -> [u8; 16] {
        u128::from_str_radix(&self.uuid, 16).unwrap_or_default().to_be_bytes()
    }

    pub(super) fn resolve_prepared(&mut self, id: u64, publish: bool, deadline: Deadline) -> Result<()> {
        let (id, publish): (_, &[u8]) = (id.to_string(), if publish { b"1" } else { b"0" });
        let reply = self.call(&script::RESOLVE, &[id.as_bytes(), publish], deadline)?;
        self.expect(&reply, "resolved")
    }

    pub(super) fn forget_lease_handed_on(&mut self, lease: LeaseId, deadline: Deadline) -> Result<()> {
        let me = self.me.clone();
        self.ask_handed_on(lease, &me, true, deadline).map(drop)
    }

    /// Whether that lease of a message ended by a client's handing the message on; with `forget`, forgets that it did.
    fn ask_handed_on(&mut self, lease: LeaseId, by: &str, forget: bool, deadline: Deadline) -> Result<bool> {
        let lease = format!("{}.{}", lease.message, lease.attempt);
        let forget_it: &[u8] = if forget { b"1" } else { b"0" };
        let mut reply = self.call(&script::HANDED, &[lease.as_bytes(), forget_it, by.as_bytes()], deadline)?;
        if reply.word() == "forgotten" {
            return Ok(true);
        }
        self.expect(&reply, "handed")?;
        Ok(reply.flag())
    }

    /// Publishes or drops what those who have died had prepared, which an answer has listed: ids and sources in turn.
    pub(super) fn decide(&mut self, mut undecided: Reply) -> Result<()> {
        while !undecided.is_over() {
            let (id, noted) = (undecided.number(), undecided.bytes());
            let Some(source) = decode(&noted) else { continue };
            let deadline = Some(Instant::now() + PATIENCE);
            if source.uuid == self.identity() {
                let by = handed_on_by(&source);
                let publish = self.ask_handed_on(source.lease, by, false, deadline)?;
                self.resolve_prepared(id, publish, deadline)?;
                self.ask_handed_on(source.lease, by, true, deadline)?;
            } else if let Some(publish) = elsewhere::was_handed_on(&source) {
                self.resolve_prepared(id, publish, deadline)?;
                elsewhere::forget_handed_on(&source);
            }
        }
        Ok(())
    }
}

/// The URL of the queue that a source on a server names.
pub fn url_of(source: &Source) -> &[u8] {
    let end = memchr::memchr(BY, &source.path).unwrap_or(source.path.len());
    &source.path[..end]
}

/// Who was to hand its message on.
fn handed_on_by(source: &Source) -> &str {
    let by = source.path.get(url_of(source).len() + 1..).unwrap_or_default();
    std::str::from_utf8(by).unwrap_or_default()
}

/// What is noted of a source: where its path is of any meaning, and the source.
pub(super) fn encode(source: &Source) -> Vec<u8> {
    let host = if source.path.starts_with(b"/") { this_host() } else { Vec::new() };
    [&host, &b"\0"[..], &source.encode()].concat()
}

/// What [`encode`] has made. `None`: it means nothing here.
fn decode(noted: &[u8]) -> Option<Source> {
    let end = memchr::memchr(0, noted)?;
    let (host, source) = (&noted[..end], &noted[end + 1..]);
    if host.is_empty() || host == this_host() { Source::decode(source) } else { None }
}

fn this_host() -> Vec<u8> {
    nix::unistd::gethostname().map(OsString::into_vec).unwrap_or_default()
}

/// Whether a lease of a message in the queue `remote` ended by handing the message on; or, with `forget`, has the queue
/// forget that. `None`: it cannot be found out now.
pub fn was_handed_on(place: &Place, remote: &Remote, source: &Source, forget: bool) -> Option<bool> {
    let mut queue = match RedisQueue::open(place, &Address::Remote(remote.clone()), remote, None) {
        Ok(queue) => queue,
        // Nobody can tell any more; the message is gone, too.
        Err(Error::NoSuchQueue { .. }) => return Some(true),
        Err(_) => return None,
    };
    if queue.identity() != source.uuid {
        return Some(true);
    }
    queue.ask_handed_on(source.lease, handed_on_by(source), forget, Some(Instant::now() + PATIENCE)).ok()
}
