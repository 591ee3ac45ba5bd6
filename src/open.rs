//! Opening, creating, removing and listing queues: the only place that names the backends.

use crate::address::Address;
use crate::error::{Error, Result};
use crate::lease::Source;
use crate::local::{self, LocalQueue};
use crate::name::QueueName;
use crate::nearest::nearest;
use crate::place::Place;
use crate::queue::{Deadline, Limits, Queue, Verification};
#[cfg(feature = "redis")]
use crate::redis;
use crate::remote::Remote;
#[cfg(not(feature = "redis"))]
use crate::without_redis as redis;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// Opens the queue at `address`.
///
/// # Errors
/// `NoSuchQueue`, and all that can be wrong with a file.
pub fn open(place: &Place, address: &Address) -> Result<Box<dyn Queue>> {
    open_until(place, address, None)
}

/// The same; if the queue is on a server that cannot be reached, that is tried again until then.
///
/// # Errors
/// Those of [`open`].
pub fn open_until(place: &Place, address: &Address, until: Option<Instant>) -> Result<Box<dyn Queue>> {
    reach(place, address, until).map_err(|error| with_what_was_meant(error, place))
}

/// Opens the queue at `address` to look at it: nothing that is done with it changes it, and to read it is enough. What would
/// change it has no lasting effect.
///
/// # Errors
/// Those of [`open`].
pub fn open_to_look(place: &Place, address: &Address) -> Result<Box<dyn Queue>> {
    let queue = match place.remote(address)? {
        // Looking there changes nothing either.
        Some(remote) => redis::open(place, address, &remote, None),
        None => LocalQueue::open_to_look(place, address).map(|queue| Box::new(queue) as Box<dyn Queue>),
    };
    queue.map_err(|error| with_what_was_meant(error, place))
}

fn reach(place: &Place, address: &Address, until: Option<Instant>) -> Result<Box<dyn Queue>> {
    match place.remote(address)? {
        Some(remote) => redis::open(place, address, &remote, until),
        None => Ok(Box::new(LocalQueue::open(place, address)?)),
    }
}

/// That there is no such queue, with the name of the one in `place` that comes nearest to it. Other errors stay as they
/// are.
fn with_what_was_meant(error: Error, place: &Place) -> Error {
    match error {
        Error::NoSuchQueue { name, .. } => {
            // That the names cannot be listed is not what failed.
            let names = list(place).unwrap_or_default();
            let meant = nearest(&name, names.iter().map(QueueName::as_str)).map(str::to_owned);
            Error::NoSuchQueue { name, meant }
        }
        other => other,
    }
}

/// Creates the queue at `address`, complete or not at all.
///
/// # Errors
/// `AlreadyExists`, and all that can prevent creating a file.
pub fn create(place: &Place, address: &Address, limits: &Limits) -> Result<Box<dyn Queue>> {
    match place.remote(address)? {
        Some(remote) => redis::create(place, address, &remote, limits),
        None => Ok(Box::new(LocalQueue::create(place, address, limits)?)),
    }
}

/// Opens the queue at `address`, creating it first if it is not there.
///
/// # Errors
/// Those of [`open`] and [`create`].
pub fn open_or_create(place: &Place, address: &Address, limits: &Limits) -> Result<Box<dyn Queue>> {
    open_or_create_until(place, address, limits, None)
}

/// The same; if the queue is to be on a server that cannot be reached, that is tried again until then.
///
/// # Errors
/// Those of [`open_or_create`].
pub fn open_or_create_until(
    place: &Place,
    address: &Address,
    limits: &Limits,
    until: Option<Instant>,
) -> Result<Box<dyn Queue>> {
    // Between the two looks another process may create or remove it; each turn is one such event.
    loop {
        match reach(place, address, until) {
            Err(Error::NoSuchQueue { .. }) => {}
            other => return other,
        }
        match create(place, address, limits) {
            Err(Error::AlreadyExists { .. }) => {}
            other => return other,
        }
    }
}

/// Waits until there is a queue at `address`. Returns false if the deadline passes before that.
///
/// # Errors
/// Those of [`open`] but for `NoSuchQueue`.
pub fn wait_until_it_exists(place: &Place, address: &Address, deadline: Deadline) -> Result<bool> {
    match place.remote(address)? {
        Some(remote) => redis::wait_until_it_exists(place, address, &remote, deadline),
        None => LocalQueue::wait_until_it_exists(place, address, deadline),
    }
}

/// Verifies the queue at `address`, in use or not: walks everything in it, and changes nothing.
///
/// # Errors
/// `NoSuchQueue`, `Unusable` if it is no queue at all, `LockTimeout`, and whatever prevents looking.
pub fn verify(place: &Place, address: &Address, deadline: Deadline) -> Result<Verification> {
    let verified = match place.remote(address)? {
        Some(remote) => redis::verify(place, address, &remote, deadline),
        None => LocalQueue::verify(place, address, deadline),
    };
    verified.map_err(|error| with_what_was_meant(error, place))
}

/// Whether a lease of a message ended by handing the message on; or, with `forget`, has its queue forget that. `None`: it
/// cannot be found out now.
pub fn was_handed_on(place: &Place, source: &Source, forget: bool) -> Option<bool> {
    match Remote::parse(OsStr::from_bytes(redis::url_of(source))) {
        Some(remote) => redis::was_handed_on(place, &remote.ok()?, source, forget),
        None => local::was_handed_on(source, forget),
    }
}

/// Removes the queue at `address` and everything in it; whoever waits on it is told.
///
/// # Errors
/// `NoSuchQueue`, `Unusable` if it is not a queue, and whatever prevents it.
pub fn remove(place: &Place, address: &Address) -> Result<()> {
    let removed = match place.remote(address)? {
        Some(remote) => redis::remove(place, address, &remote),
        None => LocalQueue::remove(place, address),
    };
    removed.map_err(|error| with_what_was_meant(error, place))
}

/// The names of the queues in `place`, sorted by their bytes.
///
/// # Errors
/// When its directory is not safe, or cannot be read.
pub fn list(place: &Place) -> Result<Vec<QueueName>> {
    match place.server()? {
        Some(server) => redis::list(&server, place.access()),
        None => local::list(place),
    }
}
