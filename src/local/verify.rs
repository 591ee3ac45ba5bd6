//! Verifying a queue: its file is opened for reading only, and locked while it is looked at.

use super::file::SegmentFile;
use super::map::Map;
use super::opening::stamp;
use super::{LocalQueue, lock, lock_holders, process, store};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::queue::{Deadline, Verification};
use std::fs::File;

impl LocalQueue {
    /// Verifies the queue at `address`, in use or not.
    ///
    /// # Errors
    /// See [`crate::open::verify`].
    pub fn verify(place: &Place, address: &Address, deadline: Deadline) -> Result<Verification> {
        let segment = SegmentFile::new(place, address);
        let file = segment.open_to_read()?;
        let failed = |error| Error::io(format!("lock queue '{address}'"), error);
        if !lock::acquire(&file, deadline).map_err(failed)? {
            let holder = lock_holders::describe(lock_holders::Locker::of(&file));
            return Err(Error::LockTimeout { name: address.to_string(), holder });
        }
        let verification = look(&segment, address, &file);
        lock::release(&file);
        verification
    }
}

fn look(segment: &SegmentFile, address: &Address, file: &File) -> Result<Verification> {
    let memory = Map::to_read(file).map_err(|error| Error::io(format!("map queue '{address}'"), error))?;
    let stamp = stamp(segment, &memory)?;
    let verdict = store::verify(&memory, &stamp, |_, _| {});
    let mut dead_owners = 0;
    for owner in verdict.owners.others(None) {
        let identity = store::identity(&memory, owner);
        let failed = |error| Error::io(format!("look for the owners of leases in '{address}'"), error);
        let lives = match identity.is_resident() {
            true => lock::owner_lives(file, owner).map_err(failed)?,
            false => process::lives(&identity),
        };
        dead_owners += u64::from(!lives);
    }
    Ok(Verification {
        path: segment.path().to_owned(),
        findings: verdict.findings,
        more_findings: verdict.more_findings,
        unfinished: verdict.unfinished,
        dead_owners,
        ready: verdict.ready,
        leased: verdict.leased,
        delayed: verdict.delayed,
        dead: verdict.dead,
        bytes: verdict.bytes,
        closed: verdict.closed,
    })
}
