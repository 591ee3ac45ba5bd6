//! The locks on a segment's file, all dropped by the kernel when their holder dies: flock(2) around every operation,
//! a byte-range lock on its entry for each owner of leases, and one that shows who waits.

use super::format::{OWNER_BYTES, owner_offset};
use super::lock_holders::Locker;
use crate::wait;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sched::sched_yield;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

/// How long a command that is not to wait waits for the lock all the same: others hold it for
/// microseconds, but may lose the processor meanwhile.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);

/// How long those who only look try before they find out who has locked a queue: an operation takes less.
const A_MOMENT: Duration = Duration::from_micros(500);

/// How long others hold the lock for most of what they do.
const USUAL_HOLD: Duration = Duration::from_micros(3);

/// How long others hold the lock while they work; who holds it longer has lost the processor. Being put to sleep and
/// woken takes longer than most holds, and whoever unlocks has to do the waking.
const LONGEST_HOLD: Duration = Duration::from_micros(20);

/// Longest pause between two tries while waiting with a deadline.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// Locks `file` against all other processes. With a deadline, returns false if the lock was not to be had
/// by then, or within `LEAST_PATIENCE` if that is later.
///
/// # Errors
/// Those of flock(2).
#[inline]
pub(super) fn acquire(file: &File, deadline: Option<Instant>) -> io::Result<bool> {
    if try_acquire(file)? { Ok(true) } else { wait_for(file, deadline) }
}

/// Locks `file`, which somebody else has locked.
#[cold]
fn wait_for(file: &File, deadline: Option<Instant>) -> io::Result<bool> {
    let attempt = || match try_acquire(file) {
        Ok(false) => None,
        locked_or_failed => Some(locked_or_failed),
    };
    let tried_again = wait::spin_until(USUAL_HOLD, attempt).or_else(|| {
        // Whoever holds it may have woken us, and have lost its processor to us.
        let _ = sched_yield();
        wait::spin_until(LONGEST_HOLD, attempt)
    });
    if let Some(locked) = tried_again {
        return locked;
    }
    let Some(deadline) = deadline else {
        loop {
            match fs2::FileExt::lock_exclusive(file) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(|()| true),
            }
        }
    };
    try_until(file, deadline.max(Instant::now() + LEAST_PATIENCE))
}

/// Locks `file`; returns false if that did not succeed before `deadline`.
fn try_until(file: &File, deadline: Instant) -> io::Result<bool> {
    // flock(2) knows no time-out. Trying again needs no signal handler in a library, and only
    // happens while somebody else is in the middle of an operation.
    let mut pause = Duration::from_micros(20);
    loop {
        if try_acquire(file)? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The same for those who only look: they do not wait for a process that is stopped, nor for longer than until the
/// deadline but for a moment.
///
/// # Errors
/// Those of flock(2).
pub(super) fn acquire_to_look(file: &File, deadline: Option<Instant>) -> io::Result<bool> {
    let a_moment = Instant::now() + A_MOMENT;
    let deadline = deadline.map(|deadline| deadline.max(a_moment));
    Ok(try_until(file, a_moment)?
        || !Locker::of(file).is_some_and(|locker| locker.is_stopped)
            && match deadline {
                Some(deadline) => try_until(file, deadline)?,
                None => acquire(file, None)?,
            })
}

/// Locks `file` if nobody else has locked it.
///
/// # Errors
/// Those of flock(2).
pub(super) fn try_acquire(file: &File) -> io::Result<bool> {
    match fs2::FileExt::try_lock_exclusive(file) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        other => other.map(|()| true),
    }
}

/// Unlocks `file`. It cannot fail for a lock that is held.
pub(super) fn release(file: &File) {
    let _ = fs2::FileExt::unlock(file);
}

fn range(owner: u32, kind: libc::c_int) -> libc::flock {
    bytes(owner_offset(owner), OWNER_BYTES, kind)
}

fn bytes(start: u64, length: u64, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start as libc::off_t,
        l_len: length as libc::off_t,
        l_pid: 0,
    }
}

/// Tries to become the living owner behind the entry `owner`, for as long as `file` is open.
///
/// # Errors
/// Those of fcntl(2) with F_OFD_SETLK.
pub(super) fn claim_owner(file: &File, owner: u32) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&range(owner, libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Ceases to be that owner.
pub(super) fn disclaim_owner(file: &File, owner: u32) {
    // Unlocking cannot fail; at worst the entry stays ours until the file is closed.
    let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&range(owner, libc::F_UNLCK)));
}

/// Holds a lock on the four bytes at `place`, shared with all others who do, for people to see.
pub(super) fn show_waiting(file: &File, place: u64) {
    let _ = fcntl(file, FcntlArg::F_SETLK(&bytes(place, 4, libc::F_RDLCK)));
}

/// Ceases to hold it.
pub(super) fn hide_waiting(file: &File, place: u64) {
    let _ = fcntl(file, FcntlArg::F_SETLK(&bytes(place, 4, libc::F_UNLCK)));
}

/// Whether a living process is behind the entry `owner`.
///
/// # Errors
/// Those of fcntl(2) with F_OFD_GETLK.
pub(super) fn owner_lives(file: &File, owner: u32) -> io::Result<bool> {
    let mut range = range(owner, libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut range))?;
    Ok(range.l_type != libc::F_UNLCK as libc::c_short)
}
