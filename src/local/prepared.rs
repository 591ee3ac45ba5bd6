//! Messages that are put here together with the end of one in another queue, and what becomes of them when whoever
//! prepared them has died.

use super::file::SegmentFile;
use super::store::{Prepare, Put};
use super::{LocalQueue, lock, now};
use crate::error::{Error, Result};
use crate::lease::{LeaseId, Source};
use crate::message::Run;
use crate::name::printable;
use crate::queue::Deadline;
use crate::wait;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

impl LocalQueue {
    pub(super) fn source_of(&self, lease: LeaseId) -> Result<Source> {
        let path = std::path::absolute(self.segment.path());
        let path = path.map_err(|error| Error::io(format!("tell where queue '{}' is", self.name), error))?;
        if path.as_os_str().len() > Source::LONGEST_PATH {
            return Err(Error::Other(format!(
                "the path of queue '{}' is longer than {} bytes, too long to be noted in another queue: use a shorter one",
                printable(&path),
                Source::LONGEST_PATH
            )));
        }
        let uuid = self.store.stamp().uuid;
        Ok(Source { uuid, id: lease.message, path: path.into_os_string().into_encoded_bytes() })
    }

    pub(super) fn prepare_run(&mut self, run: &Run<'_>, source: &Source, deadline: Deadline) -> Result<Option<u64>> {
        loop {
            let in_time = deadline.is_none_or(|deadline| deadline > Instant::now());
            let put = self.locked(deadline, |queue| queue.prepare_locked(run, source, in_time));
            match put? {
                Some(id) => return Ok(Some(id)),
                None if !in_time => return Ok(None),
                None => {
                    let wake_up = Instant::now() + self.until_next_look();
                    let wake_up = deadline.map_or(wake_up, |deadline| deadline.min(wake_up));
                    wait::sleep(self.watch_space().as_slice(), Some(wake_up));
                }
            }
        }
    }

    fn prepare_locked(&mut self, run: &Run<'_>, source: &Source, wait: bool) -> Result<Option<u64>> {
        if self.store.has_prepared() {
            // One that died may have prepared something for the same message, which must not be seen any more
            // when that has been finished with by us.
            self.owners_checked = None;
        }
        self.return_leases_of_the_dead()?;
        let Some(owner) = self.claim_owner()? else {
            return Err(Error::Other(format!(
                "too many processes hold leases of queue '{}' or put into it: let one of them finish",
                self.name
            )));
        };
        let prepare = Prepare { source, owner, pid: std::process::id() };
        let (put, prepared) = self.store.prepare(run, &prepare, now()).map_err(|fault| self.fault(fault))?;
        match put {
            Put::Done(_) => self.show_waiting(None),
            Put::Closed => return Err(Error::Closed { name: self.name.clone() }),
            Put::Removed => return Err(Error::Removed { name: self.name.clone() }),
            Put::Full => {
                self.forget_entry();
                if wait {
                    self.note_that_we_wait_for_space();
                }
            }
        }
        self.prepared.extend(prepared);
        Ok(prepared.map(|prepared| prepared.first_id))
    }

    pub(super) fn resolve_prepared(&mut self, id: u64, publish: bool, deadline: Deadline) -> Result<()> {
        let Some(index) = self.prepared.iter().position(|prepared| prepared.first_id == id) else { return Ok(()) };
        let prepared = self.prepared.swap_remove(index);
        let last = self.prepared.is_empty();
        self.locked(deadline, |queue| {
            let resolved = queue.store.resolve(prepared, publish, last);
            if last {
                queue.forget_entry();
            }
            resolved.map_err(|fault| queue.fault(fault))
        })
    }

    /// Publishes or drops what an owner that has died had prepared. Returns false if that cannot be told now.
    pub(super) fn resolve_prepared_of(&mut self, owner: u32) -> Result<bool> {
        if !self.store.has_prepared() {
            return Ok(true);
        }
        for (prepared, source) in self.store.prepared_by(owner).map_err(|fault| self.fault(fault))? {
            let finished = match source.uuid == self.store.stamp().uuid {
                true => {
                    self.store.has_message(source.id).map(|is_there| !is_there).map_err(|fault| self.fault(fault))?
                }
                false => match is_finished(&source) {
                    Some(finished) => finished,
                    None => return Ok(false),
                },
            };
            self.store.resolve(prepared, finished, false).map_err(|fault| self.fault(fault))?;
        }
        Ok(true)
    }
}

/// Whether a message of another queue has been finished with. `None`: that cannot be told now.
fn is_finished(source: &Source) -> Option<bool> {
    let segment = SegmentFile::at(Path::new(OsStr::from_bytes(&source.path)));
    let file = match segment.open() {
        Ok(file) => file,
        // Its queue has been removed, and with it the message.
        Err(Error::NoSuchQueue { .. }) => return Some(true),
        Err(_) => return None,
    };
    let mut queue = LocalQueue::at(segment, file).ok()?;
    if queue.store.stamp().uuid != source.uuid {
        return Some(true);
    }
    // Somebody may hold that lock and wait for ours.
    if !lock::try_acquire(queue.store.memory().file()).ok()? {
        return None;
    }
    let is_there = queue.catch_up().ok().and_then(|()| queue.store.has_message(source.id).ok());
    lock::release(queue.store.memory().file());
    is_there.map(|is_there| !is_there)
}
