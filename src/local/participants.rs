//! Who takes part in a queue: who waits for data or space, who holds messages, and who produces.
//!
//! A process that is about to sleep takes a lock of the old kind, fcntl(2) with F_SETLK, on the count of those who wait
//! for the same, shared with them. The lock prevents nothing; but the kernel drops it when the process dies, and shows
//! it with the number of the process in proc_locks(5).

use super::lock_holders::{all_locks, sharers};
use super::memory::ReadMemory;
use super::{LocalQueue, format, lock};
use crate::error::{Error, Result};
use crate::queue::{Deadline, Holding, Participants, Status};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

/// How many are shown of those who wait for the same: whoever locks anything of the file passes all these locks.
const MOST_SHOWN: u32 = 64;

/// What a process waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    Data,
    Space,
    Finished,
}

impl WaitsFor {
    /// Where those are counted who do.
    fn place(self) -> u64 {
        match self {
            WaitsFor::Data => format::DATA_WAITERS,
            WaitsFor::Space => format::SPACE_WAITERS,
            WaitsFor::Finished => format::FINISHED_WAITERS,
        }
    }
}

impl LocalQueue {
    /// Shows others that we wait, or, with `None`, that we do not any more.
    pub(super) fn show_waiting(&mut self, waits_for: Option<WaitsFor>) {
        if self.shown_waiting != waits_for {
            // It is for people to see; nothing depends on it.
            if let Some(before) = self.shown_waiting {
                lock::hide_waiting(self.store.memory().file(), before.place());
            }
            let shown = waits_for.filter(|now| self.store.memory().load32(now.place()) <= MOST_SHOWN);
            if let Some(now) = shown {
                lock::show_waiting(self.store.memory().file(), now.place());
            }
            self.shown_waiting = shown;
        }
    }

    /// The figures and who takes part, at one instant.
    pub(super) fn look_at_all(&mut self, deadline: Deadline) -> Result<(Status, Participants)> {
        let (status, mut participants, may_wait) = self.locked(deadline, |queue| {
            queue.bring_back()?;
            Ok((queue.status_now()?, queue.behind_entries()?, queue.somebody_may_wait()))
        })?;
        if may_wait {
            let metadata = self.store.memory().file().metadata();
            let metadata = metadata.map_err(|error| Error::io(format!("look at queue '{}'", self.name), error))?;
            let locks = all_locks();
            let waiting = |waits_for: WaitsFor| sharers(&locks, metadata.ino(), waits_for.place());
            participants.waiting_consumers = waiting(WaitsFor::Data);
            participants.waiting_producers = waiting(WaitsFor::Space);
            participants.waiting_joiners = waiting(WaitsFor::Finished);
        }
        Ok((status, participants))
    }

    /// Whether anybody can be found among those who wait: they are never counted too low.
    fn somebody_may_wait(&self) -> bool {
        [WaitsFor::Data, WaitsFor::Space, WaitsFor::Finished]
            .iter()
            .any(|waits_for| self.store.memory().load32(waits_for.place()) > 0)
    }

    /// The processes in the table of owners.
    fn behind_entries(&mut self) -> Result<Participants> {
        let mut participants = Participants::default();
        for owner in self.store.owners_in_use().others(None) {
            let lives = self.lives(owner)?;
            let held = self.store.held_by(owner).map_err(|fault| self.fault(fault))?;
            let since = UNIX_EPOCH + Duration::from_nanos(held.since);
            if held.messages > 0 {
                participants.holders.push(Holding { pid: held.pid, lives, messages: held.messages, since });
            }
            if held.produces && lives {
                participants.producers.push(held.pid);
            }
        }
        Ok(participants)
    }
}
