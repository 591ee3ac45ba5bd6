//! Who takes part in a queue: who waits for data or space, who holds messages, and who produces.
//!
//! A process that is about to sleep takes a lock of the old kind, fcntl(2) with F_SETLK, on the count of those who wait
//! for the same, shared with them. The lock prevents nothing; but the kernel drops it when the process dies, and shows
//! it with the number of the process in proc_locks(5).

use super::{LocalQueue, format, lock};
use crate::error::{Error, Result};
use crate::queue::{Deadline, Holding, Participants};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

/// What the kernel shows of its locks at one instant. What is longer it shows in pieces, between which locks come and go,
/// so that lines can be left out.
const ONE_PAGE: usize = 4096;
/// How often we look then.
const LOOKS: usize = 4;

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
            if let Some(now) = waits_for {
                lock::show_waiting(self.store.memory().file(), now.place());
            }
            self.shown_waiting = waits_for;
        }
    }

    pub(super) fn look_at_participants(&mut self, deadline: Deadline) -> Result<Participants> {
        let metadata = self.store.memory().file().metadata();
        let metadata = metadata.map_err(|error| Error::io(format!("look at queue '{}'", self.name), error))?;
        let locks = all_locks();
        let waiting = |waits_for: WaitsFor| waiters(&locks, metadata.ino(), waits_for.place());
        let mut participants = Participants {
            waiting_consumers: waiting(WaitsFor::Data),
            waiting_producers: waiting(WaitsFor::Space),
            waiting_joiners: waiting(WaitsFor::Finished),
            holders: Vec::new(),
            producers: Vec::new(),
        };
        self.locked(deadline, |queue| {
            for owner in queue.store.owners_in_use().others(None) {
                let lives = queue.lives(owner)?;
                let held = queue.store.held_by(owner).map_err(|fault| queue.fault(fault))?;
                let since = UNIX_EPOCH + Duration::from_nanos(held.since);
                if held.messages > 0 {
                    participants.holders.push(Holding { pid: held.pid, lives, messages: held.messages, since });
                }
                if held.produces && lives {
                    participants.producers.push(held.pid);
                }
            }
            Ok(())
        })?;
        Ok(participants)
    }
}

/// The lines of /proc/locks; where that is not mounted, none.
fn all_locks() -> String {
    let mut all = String::new();
    for _ in 0..LOOKS {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        all.push_str(&locks);
        if locks.len() < ONE_PAGE {
            break;
        }
    }
    all
}

/// The processes that hold a shared lock on the byte at `place` of the file with this inode, going by the lines of
/// /proc/locks: `1: POSIX  ADVISORY  READ 4711 00:1a:23 196 199`.
fn waiters(locks: &str, inode: u64, place: u64) -> Vec<u32> {
    let pid = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "READ", pid, file, start, ..] = fields[..] else { return None };
        let is_this_file = file.rsplit(':').next()?.parse() == Ok(inode);
        (is_this_file && start.parse() == Ok(place)).then(|| pid.parse().ok())?
    };
    let pids: BTreeSet<u32> = locks.lines().filter_map(pid).collect();
    pids.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_wait_for_the_same_at_the_same_queue_are_listed() {
        let locks = "\
            1: POSIX  ADVISORY  READ 4711 00:1a:23 196 199\n\
            2: FLOCK  ADVISORY  WRITE 1 00:1a:23 0 EOF\n\
            3: OFDLCK ADVISORY  WRITE -1 00:1a:23 8192 8255\n\
            4: POSIX  ADVISORY  READ 12 00:1a:23 196 199\n\
            4: -> POSIX  ADVISORY  READ 9 00:1a:23 196 199\n\
            5: POSIX  ADVISORY  READ 13 00:1a:24 196 199\n\
            6: POSIX  ADVISORY  READ 14 00:1a:23 260 263\n\
            garbage\n";
        assert_eq!(waiters(locks, 23, 196), [12, 4711]);
        assert_eq!(waiters(locks, 23, 260), [14]);
        assert!(waiters(locks, 25, 196).is_empty());
    }
}
