//! Sleeping until a word of shared memory changes, and waking those who do.
//!
//! One of the rooms where `unsafe` is allowed: futex(2) and futex_waitv(2) have no wrapper in the
//! libraries we use. The futexes are shared ones: the sleepers are in different processes.
#![allow(unsafe_code)]

use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_yield};
use nix::unistd::Pid;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A word and the value it had when there was nothing to do.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    word: &'a AtomicU32,
    seen: u32,
}

impl<'a> Watch<'a> {
    /// To be made while the lock is held, with what the word reads then.
    pub(crate) fn new(word: &'a AtomicU32, seen: u32) -> Self {
        Watch { word, seen }
    }

    /// Whether the word has changed.
    pub fn is_over(&self) -> bool {
        self.word.load(Ordering::Acquire) != self.seen
    }
}

/// Whether this process may run on more than one processor.
static SEVERAL_PROCESSORS: LazyLock<bool> = LazyLock::new(|| {
    let allowed = sched_getaffinity(Pid::from_raw(0));
    allowed.is_ok_and(|set| (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu) == Ok(true)).nth(1).is_some())
});

/// Whether what this process wakes may run beside it, on another processor.
pub(crate) fn has_other_processors() -> bool {
    *SEVERAL_PROCESSORS
}

/// Whether a process that was last on that processor, if it is known, would run beside this one if it is woken. The
/// kernel may put the two on the same one for a second.
pub(crate) fn runs_beside(last: Option<u32>) -> bool {
    has_other_processors() && (last.is_none() || last != processor())
}

/// The number of the processor that this process is on at the moment, if that is to be known.
pub(crate) fn processor() -> Option<u32> {
    sched_getcpu().ok().and_then(|number| number.try_into().ok())
}

/// Tries something again and again for a moment, for at most `patience`, if there is another processor on which
/// somebody may be about to make it succeed. A try may cost others time, so the pauses between them grow.
pub(crate) fn spin_until<T>(patience: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    if !has_other_processors() {
        return None;
    }
    let (start, mut pause) = (Instant::now(), SHORTEST_PAUSE);
    while start.elapsed() < patience {
        for _ in 0..pause {
            std::hint::spin_loop();
        }
        if let Some(done) = attempt() {
            return Some(done);
        }
        pause = (pause * 2).min(SPINS_PER_LOOK);
    }
    None
}

/// Turns of a spin between the first two tries of something.
const SHORTEST_PAUSE: u32 = 8;
/// Turns of a spin between two looks at the clock.
const SPINS_PER_LOOK: u32 = 64;

/// How long it takes at most to be answered by a process that is awake on another processor.
const USUAL_ANSWER: Duration = Duration::from_micros(8);

/// Watches for a change without sleeping, for at most `patience`: the other process may answer sooner than a
/// sleeper can be woken. With one processor to run on it cannot, and this returns at once.
pub fn spin(watches: &[Watch<'_>], patience: Duration) -> bool {
    spin_while(patience, || !watches.iter().any(Watch::is_over))
}

/// The same until something is no longer so that costs no more than a look at a word. Returns whether it is.
pub(crate) fn spin_while(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    if !has_other_processors() {
        return false;
    }
    let (start, mut has_yielded) = (Instant::now(), false);
    loop {
        for _ in 0..SPINS_PER_LOOK {
            if !is_so() {
                return true;
            }
            std::hint::spin_loop();
        }
        let elapsed = start.elapsed();
        if elapsed >= patience {
            return false;
        }
        if elapsed >= USUAL_ANSWER && !has_yielded {
            // Whoever is to answer may be waiting for our processor.
            let _ = sched_yield();
            has_yielded = true;
        }
    }
}

/// Sleeps until one of the words changes or is woken, or `deadline` passes (`None`: for ever), or a
/// signal has been handled. The caller looks again in any case.
pub fn sleep(watches: &[Watch<'_>], deadline: Option<Instant>) {
    let timeout = deadline.map(absolute);
    match watches {
        [] => {}
        [only] => sleep_on_one(only, timeout.as_ref()),
        several => {
            if !sleep_on_several(several, timeout.as_ref()) {
                // Before Linux 5.16 there is no futex_waitv: sleep on the first, look often.
                let soon = Instant::now() + Duration::from_millis(20);
                let soon = absolute(deadline.map_or(soon, |deadline| deadline.min(soon)));
                sleep_on_one(&several[0], Some(&soon));
            }
        }
    }
}

/// Wakes up to `count` processes that sleep on `word`, and returns how many it was.
pub(crate) fn wake(word: &AtomicU32, count: u32) -> u32 {
    // SAFETY: FUTEX_WAKE does not access the word, it only uses its address, which is valid.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    u32::try_from(woken).unwrap_or(0)
}

/// `deadline` on the monotonic clock as futex calls want it. `Instant` is that clock, but does not
/// show its reading, so it is read once more.
fn absolute(deadline: Instant) -> libc::timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map_or(Duration::ZERO, |now| Duration::new(now.tv_sec() as u64, now.tv_nsec() as u32));
    let at = now + left;
    libc::timespec { tv_sec: at.as_secs() as libc::time_t, tv_nsec: at.subsec_nanos().into() }
}

fn sleep_on_one(watch: &Watch<'_>, timeout: Option<&libc::timespec>) {
    let timeout = timeout.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word and the time-out live for the whole call. Every outcome (woken, changed
    // before, timed out, interrupted) means the same to the caller: look again.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            watch.word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            watch.seen,
            timeout,
            std::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
}

/// `struct futex_waitv` of linux/futex.h.
#[repr(C)]
struct FutexWait {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// FUTEX2_SIZE_U32: the word has 32 bits; without FUTEX2_PRIVATE it is shared.
const FUTEX2_SIZE_U32: u32 = 2;
/// FUTEX_WAITV_MAX.
const MOST_WORDS: usize = 128;

/// Returns false where the kernel has no such call.
fn sleep_on_several(watches: &[Watch<'_>], timeout: Option<&libc::timespec>) -> bool {
    let waits: Vec<FutexWait> = watches
        .iter()
        .take(MOST_WORDS)
        .map(|watch| FutexWait {
            value: watch.seen.into(),
            address: watch.word.as_ptr() as u64,
            flags: FUTEX2_SIZE_U32,
            reserved: 0,
        })
        .collect();
    let timeout = timeout.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the array, the words it names and the time-out live for the whole call.
    let result =
        unsafe { libc::syscall(libc::SYS_futex_waitv, waits.as_ptr(), waits.len(), 0, timeout, libc::CLOCK_MONOTONIC) };
    result >= 0 || nix::errno::Errno::last() != nix::errno::Errno::ENOSYS
}
