//! Who holds or shares a lock on a queue's file, going by what the kernel shows in /proc/locks (proc_locks(5)).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// What the kernel shows of its locks at one instant, if that much is asked for. What is longer it shows in pieces, between
/// which locks come and go, so that lines can be left out.
const ONE_PAGE: usize = 4096;
/// Longer than any line: a piece that lacks less than that may be followed by another.
const LONGEST_LINE: usize = 128;
/// How often we look then.
const LOOKS: usize = 8;

/// The lines of /proc/locks; where that is not mounted, none.
pub(super) fn all_locks() -> String {
    let mut all = String::new();
    for _ in 0..LOOKS {
        let locks = look();
        all.push_str(&locks);
        if locks.len() < ONE_PAGE - LONGEST_LINE {
            break;
        }
    }
    all
}

/// Reads them in pieces as large as can be: read_to_string begins with small ones, each of another instant.
fn look() -> String {
    let (mut locks, mut piece) = (Vec::new(), [0; ONE_PAGE]);
    if let Ok(mut file) = File::open("/proc/locks") {
        while let Ok(length @ 1..) = file.read(&mut piece) {
            locks.extend_from_slice(&piece[..length]);
        }
    }
    String::from_utf8_lossy(&locks).into_owned()
}

/// The process that keeps a queue locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Locker {
    pub(super) pid: u32,
    /// It does nothing until somebody lets it go on.
    pub(super) is_stopped: bool,
}

impl Locker {
    /// Who has locked `file`, if that can be told.
    pub(super) fn of(file: &File) -> Option<Locker> {
        let inode = file.metadata().ok()?.ino();
        let pid = lockers(&all_locks(), inode).next()?;
        Some(Locker { pid, is_stopped: is_stopped(pid) })
    }
}

/// Who keeps a queue locked, as the end of a sentence that says that it is.
pub(super) fn describe(locker: Option<Locker>) -> String {
    match locker {
        None => "another process, perhaps a stopped one".to_owned(),
        Some(Locker { pid, is_stopped: false }) => format!("process {pid}"),
        Some(Locker { pid, is_stopped: true }) => {
            format!("process {pid}, which is stopped ('kill -CONT {pid}' lets it go on)")
        }
    }
}

/// Whether a process is stopped, by a signal or by a debugger.
fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field, the name of the program, may hold anything but ends with the last parenthesis.
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with(['T', 't']))
}

/// The processes that hold the lock of the queue with this inode: `2: FLOCK  ADVISORY  WRITE 4711 00:1a:23 0 EOF`.
fn lockers(locks: &str, inode: u64) -> impl Iterator<Item = u32> {
    locks.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = fields[..] else { return None };
        is_inode(file, inode).then(|| pid.parse().ok())?
    })
}

/// The processes that share a lock on the byte at `place` of the file with this inode:
/// `1: POSIX  ADVISORY  READ 4711 00:1a:23 196 199`.
pub(super) fn sharers(locks: &str, inode: u64, place: u64) -> Vec<u32> {
    let pid = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "READ", pid, file, start, ..] = fields[..] else { return None };
        (is_inode(file, inode) && start.parse() == Ok(place)).then(|| pid.parse().ok())?
    };
    let pids: BTreeSet<u32> = locks.lines().filter_map(pid).collect();
    pids.into_iter().collect()
}

/// Whether a file, as in `00:1a:23`, has this inode.
fn is_inode(file: &str, inode: u64) -> bool {
    file.rsplit(':').next().and_then(|number| number.parse().ok()) == Some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "\
        1: POSIX  ADVISORY  READ 4711 00:1a:23 196 199\n\
        2: FLOCK  ADVISORY  WRITE 1 00:1a:23 0 EOF\n\
        2: -> FLOCK  ADVISORY  WRITE 2 00:1a:23 0 EOF\n\
        3: OFDLCK ADVISORY  WRITE -1 00:1a:23 8192 8255\n\
        4: POSIX  ADVISORY  READ 12 00:1a:23 196 199\n\
        4: -> POSIX  ADVISORY  READ 9 00:1a:23 196 199\n\
        5: POSIX  ADVISORY  READ 13 00:1a:24 196 199\n\
        6: POSIX  ADVISORY  READ 14 00:1a:23 260 263\n\
        garbage\n";

    #[test]
    fn only_those_who_wait_for_the_same_at_the_same_queue_are_listed() {
        assert_eq!(sharers(LOCKS, 23, 196), [12, 4711]);
        assert_eq!(sharers(LOCKS, 23, 260), [14]);
        assert!(sharers(LOCKS, 25, 196).is_empty());
    }

    #[test]
    fn who_has_locked_a_queue_is_found_and_who_waits_for_that_is_not() {
        assert_eq!(lockers(LOCKS, 23).collect::<Vec<_>>(), [1]);
        assert_eq!(lockers(LOCKS, 24).count(), 0);
    }

    #[test]
    fn a_process_that_is_not_there_is_not_stopped() {
        assert!(!is_stopped(std::process::id()) && !is_stopped(u32::MAX));
    }
}
