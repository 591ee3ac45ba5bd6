//! Opening, creating, removing and listing queues: the only place that names the backends.

use crate::error::{Error, Result};
use crate::local::{self, LocalQueue};
use crate::name::{Address, QueueName};
use crate::nearest::nearest;
use crate::place::Place;
use crate::queue::{Deadline, Limits, Queue, Verification};

/// Opens the queue at `address`.
///
/// # Errors
/// `NoSuchQueue`, and all that can be wrong with a file.
pub fn open(place: &Place, address: &Address) -> Result<Box<dyn Queue>> {
    reach(place, address).map_err(|error| with_what_was_meant(error, place))
}

/// Opens the queue at `address` to look at it: nothing that is done with it changes it, and to read it is enough. What would
/// change it has no lasting effect.
///
/// # Errors
/// Those of [`open`].
pub fn open_to_look(place: &Place, address: &Address) -> Result<Box<dyn Queue>> {
    let queue = LocalQueue::open_to_look(place, address).map_err(|error| with_what_was_meant(error, place))?;
    Ok(Box::new(queue))
}

fn reach(place: &Place, address: &Address) -> Result<Box<dyn Queue>> {
    Ok(Box::new(LocalQueue::open(place, address)?))
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
    Ok(Box::new(LocalQueue::create(place, address, limits)?))
}

/// Opens the queue at `address`, creating it first if it is not there.
///
/// # Errors
/// Those of [`open`] and [`create`].
pub fn open_or_create(place: &Place, address: &Address, limits: &Limits) -> Result<Box<dyn Queue>> {
    // Between the two looks another process may create or remove it; each turn is one such event.
    loop {
        match reach(place, address) {
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
    LocalQueue::wait_until_it_exists(place, address, deadline)
}

/// Verifies the queue at `address`, in use or not: walks everything in it, and changes nothing.
///
/// # Errors
/// `NoSuchQueue`, `Unusable` if it is no queue at all, `LockTimeout`, and whatever prevents looking.
pub fn verify(place: &Place, address: &Address, deadline: Deadline) -> Result<Verification> {
    LocalQueue::verify(place, address, deadline).map_err(|error| with_what_was_meant(error, place))
}

/// Removes the queue at `address` and everything in it; whoever waits on it is told.
///
/// # Errors
/// `NoSuchQueue`, `Unusable` if it is not a queue, and whatever prevents it.
pub fn remove(place: &Place, address: &Address) -> Result<()> {
    LocalQueue::remove(place, address).map_err(|error| with_what_was_meant(error, place))
}

/// The names of the queues in `place`, sorted by their bytes.
///
/// # Errors
/// When its directory is not safe, or cannot be read.
pub fn list(place: &Place) -> Result<Vec<QueueName>> {
    local::list(place)
}
