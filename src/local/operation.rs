//! An operation: what is done to a queue while nobody else can touch it, and in which words it fails.

use super::lock_holders::{self, Locker};
use super::map::Map;
use super::memory::ReadMemory;
use super::store::{self, Fault, Store};
use super::{LocalQueue, file, format, lock, now};
use crate::error::{Error, Result, advice};
use crate::name::printable;
use crate::queue::Deadline;
use std::io;

/// How long a process that stays may go on without noticing that its queue's file was unlinked or truncated
/// by hand, in nanoseconds.
const LOOK_AT_FILE: u64 = 50_000_000;

/// Bytes of the redo log that an operation on one message needs.
const FEW_PAIRS: usize = 256;

impl LocalQueue {
    /// Does `operation` while nobody else can touch the segment.
    pub(super) fn locked<T>(
        &mut self,
        deadline: Deadline,
        operation: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.fetch_ahead();
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

    /// Has what nearly every operation reads and changes brought here from another processor while the kernel locks.
    fn fetch_ahead(&self) {
        let memory = self.store.memory();
        memory.fetch_ahead::<{ (format::SPACE_WAKE - format::COMMIT) as usize }>(format::COMMIT);
        memory.fetch_ahead::<{ format::CONTROL_BYTES_IN_USE }>(format::CONTROL);
        memory.fetch_ahead::<FEW_PAIRS>(format::LOG);
        if let Some(owner) = self.owner {
            memory.fetch_ahead::<{ format::OWNER_BYTES as usize }>(format::owner_offset(owner));
        }
    }

    #[cold]
    fn lock_timeout(&self) -> Error {
        let holder = Locker::of(self.store.memory().file());
        Error::LockTimeout { name: self.name.clone(), holder: lock_holders::describe(holder) }
    }

    /// Does something to a queue that is there.
    pub(super) fn steer(
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

    /// Brings the segment, and our view of it, to where an operation can start.
    pub(super) fn catch_up(&mut self) -> Result<()> {
        self.clock = now();
        // A clock that was set back wraps around here, and is looked at as well.
        if self.file_checked.is_none_or(|checked| self.clock.wrapping_sub(checked) > LOOK_AT_FILE) {
            self.look_at_file()?;
        }
        self.reach()?;
        self.store.recover().map_err(|fault| self.fault(fault))
    }

    /// Sees whether the file is still the queue's, and whole.
    #[cold]
    fn look_at_file(&mut self) -> Result<()> {
        let length = file::length_if_named(self.store.memory().file());
        let Some(length) = length.map_err(|error| Error::io(format!("look at queue '{}'", self.name), error))? else {
            return Err(Error::Removed { name: self.name.clone() });
        };
        // Whoever sleeps would not notice otherwise: it touches the first pages only.
        if length < self.store.memory().load(format::GROWN) {
            return Err(self.fault(truncated()));
        }
        self.file_checked = Some(self.clock);
        Ok(())
    }

    /// Makes all that the segment says it has accessible.
    #[inline(always)]
    pub(super) fn reach(&mut self) -> Result<()> {
        self.store.reach().map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.fault(truncated()),
            _ => Error::io(format!("map queue '{}'", self.name), error),
        })
    }

    #[cold]
    #[inline(never)]
    #[expect(clippy::boxed_local, reason = "as results have it")]
    pub(super) fn fault(&self, fault: Box<Fault>) -> Error {
        match *fault {
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
}

#[cold]
fn truncated() -> Box<Fault> {
    Fault::Damaged { field: "grown", problem: "is more than the file has: it has been truncated".into() }.into()
}
