//! Messages that are put here together with the end of one in another queue, and what becomes of them when whoever
//! prepared them has died.

use super::file::SegmentFile;
use super::store::{Prepare, Put};
use super::{LocalQueue, lock};
use crate::elsewhere;
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
        Ok(Source { uuid, lease, path: path.into_os_string().into_encoded_bytes() })
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
        let prepare = Prepare { source, owner, pid: self.pid };
        let (put, prepared) = self.store.prepare(run, &prepare, self.clock).map_err(|fault| self.fault(fault))?;
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
            if source.uuid == self.store.stamp().uuid {
                let publish = self.store.was_handed_on(source.lease).map_err(|fault| self.fault(fault))?;
                self.store.resolve(prepared, publish, false).map_err(|fault| self.fault(fault))?;
                self.store.forget_handed_on(source.lease).map_err(|fault| self.fault(fault))?;
                continue;
            }
            if !source.path.starts_with(b"/") {
                // It is not on this machine.
                let Some(publish) = elsewhere::was_handed_on(&source) else { return Ok(false) };
                self.store.resolve(prepared, publish, false).map_err(|fault| self.fault(fault))?;
                if !self.only_looks {
                    elsewhere::forget_handed_on(&source);
                }
                continue;
            }
            let Some(mut other) = OtherQueue::of(&source, self.only_looks) else { return Ok(false) };
            let publish = other.has_handed_on(&source)?;
            self.store.resolve(prepared, publish, false).map_err(|fault| self.fault(fault))?;
            other.forget(&source)?;
        }
        Ok(true)
    }
}

/// Whether a lease of a message in the segment that `source` names ended by handing the message on; or, with `forget`, has
/// the segment forget that. `None`: it cannot be found out now.
pub fn was_handed_on(source: &Source, forget: bool) -> Option<bool> {
    let mut queue = OtherQueue::of(source, !forget)?;
    if forget { queue.forget(source).ok().map(|()| true) } else { queue.has_handed_on(source).ok() }
}

/// The queue that a prepared message depends on, locked; or nothing, if it is gone.
struct OtherQueue(Option<LocalQueue>);

impl OtherQueue {
    /// `None`: it cannot be looked at now. Who only looks at one of the two must not change the other either.
    fn of(source: &Source, only_looks: bool) -> Option<Self> {
        let segment = SegmentFile::at(Path::new(OsStr::from_bytes(&source.path)));
        let file = if only_looks { segment.open_to_read() } else { segment.open() };
        let file = match file {
            Ok(file) => file,
            Err(Error::NoSuchQueue { .. }) => return Some(OtherQueue(None)),
            Err(_) => return None,
        };
        let name = printable(segment.path());
        let queue = if only_looks {
            LocalQueue::to_look_at(name, segment, file)
        } else {
            LocalQueue::named(name, segment, file)
        };
        let mut queue = queue.ok()?;
        if queue.store.stamp().uuid != source.uuid {
            return Some(OtherQueue(None));
        }
        // Somebody may hold that lock and wait for ours.
        if !lock::try_acquire(queue.store.memory().file()).ok()? {
            return None;
        }
        // The lock is dropped with the file.
        queue.catch_up().ok()?;
        Some(OtherQueue(Some(queue)))
    }

    /// Whether the message was handed on. Of a queue that is gone nobody can tell; the message is gone, too.
    fn has_handed_on(&mut self, source: &Source) -> Result<bool> {
        match &mut self.0 {
            Some(queue) => queue.store.was_handed_on(source.lease).map_err(|fault| queue.fault(fault)),
            None => Ok(true),
        }
    }

    fn forget(&mut self, source: &Source) -> Result<()> {
        match &mut self.0 {
            Some(queue) => queue.store.forget_handed_on(source.lease).map_err(|fault| queue.fault(fault)),
            None => Ok(()),
        }
    }
}
