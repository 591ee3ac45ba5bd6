//! Sleepers: those who wait for messages, for room, or until all is finished with; who of them is woken, and who need
//! not be.
//!
//! Consumers that had a message a moment ago sleep apart from the others where there are many: they are woken first,
//! for what they need is still in a cache. And where one of them watches without sleeping, it comes by itself.
//! With few, all are woken: any of them may be killed on its way.

use super::super::format::{
    DATA_WAITERS, DATA_WAKE, FINISHED_WAITERS, FINISHED_WAKE, READY, RECENT_WAITERS, RECENT_WAKE, SPACE_WAITERS,
    SPACE_WAKE, SPINS_UNTIL, TAKEN_AT,
};
use super::super::memory::{Memory, ReadMemory};
use super::Store;
use super::receiver::{self, Receiver};

/// Up to this many sleepers are all woken; above, one for each message. A woken process can be
/// stopped or killed before it takes, so the more that are woken the better, but a thousand
/// would fight for one lock.
const WAKE_ALL: u32 = 8;

/// The longest time for which a process says that it watches without sleeping, in nanoseconds: a clock that is set back
/// must not make it look like hours.
const LONGEST_SPIN: u64 = 100_000;

/// How long ago a process has taken a message that is likely to be back for the next one, in nanoseconds at most.
const A_MOMENT_AGO: u64 = 100_000;

/// How many sleepers a change wakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wake {
    /// Nobody: what they wait for has not come.
    #[default]
    None,
    /// Enough for this many messages.
    Messages(u64),
    /// Everyone.
    All,
}

/// Whom a change wakes.
#[derive(Default)]
pub(super) struct Wakes {
    /// Those who wait for messages.
    pub(super) data: Wake,
    /// For room.
    pub(super) space: Wake,
    /// Until everything has been finished with.
    pub(super) finished: Wake,
}

/// Where some kind of sleepers sleeps: the futex and their count.
#[derive(Clone, Copy)]
struct Sleepers {
    futex: u64,
    waiters: u64,
}

const FOR_DATA: Sleepers = Sleepers { futex: DATA_WAKE, waiters: DATA_WAITERS };
const RECENT: Sleepers = Sleepers { futex: RECENT_WAKE, waiters: RECENT_WAITERS };
const FOR_SPACE: Sleepers = Sleepers { futex: SPACE_WAKE, waiters: SPACE_WAITERS };
const FOR_THE_END: Sleepers = Sleepers { futex: FINISHED_WAKE, waiters: FINISHED_WAITERS };

/// Who may still sleep: counts to be stored once the change is made. Had its process died before, those woken would
/// have gone back to sleep uncounted.
pub(super) struct StillAsleep([Option<u32>; 4]);

impl StillAsleep {
    pub(super) fn note<M: Memory>(self, memory: &mut M) {
        for (sleepers, count) in [RECENT, FOR_DATA, FOR_SPACE, FOR_THE_END].iter().zip(self.0) {
            if let Some(count) = count {
                memory.store32(sleepers.waiters, count);
            }
        }
    }
}

/// Wakes those whom a change concerns that is about to be made. `None`: nobody sleeps.
#[inline(always)]
pub(super) fn wake<M: Memory>(memory: &mut M, wakes: &Wakes) -> Option<StillAsleep> {
    if do_any_sleep(memory) {
        return Some(wake_some(memory, wakes));
    }
    if wakes.data != Wake::None {
        FOR_DATA.tell(memory);
    }
    None
}

/// Whether anybody may sleep. Mostly nobody does.
fn do_any_sleep<M: ReadMemory>(memory: &M) -> bool {
    let waiters = [FOR_DATA, RECENT, FOR_SPACE, FOR_THE_END].map(|sleepers| memory.load32(sleepers.waiters));
    waiters.into_iter().any(|waiters| waiters > 0) || receiver::is_there(memory)
}

/// Does that where somebody may sleep.
#[inline(never)]
fn wake_some<M: Memory>(memory: &mut M, wakes: &Wakes) -> StillAsleep {
    let [recent, for_data] = if wakes.data == Wake::None { [None, None] } else { wake_consumers(memory, wakes.data) };
    let mut wake = |sleepers: Sleepers, wake| {
        // Nobody watches their words without being counted, as those do who watch for data.
        let concerns_somebody = wake != Wake::None && memory.load32(sleepers.waiters) > 0;
        if concerns_somebody { sleepers.wake(memory, None).1 } else { None }
    };
    StillAsleep([recent, for_data, wake(FOR_SPACE, wakes.space), wake(FOR_THE_END, wakes.finished)])
}

fn wake_consumers<M: Memory>(memory: &mut M, wake: Wake) -> [Option<u32>; 2] {
    let most = if let Wake::Messages(messages) = wake
        && are_many(memory)
    {
        Some(messages)
    } else {
        None
    };
    let received = receiver::wake(memory);
    let most = most.map(|most| most.saturating_sub(received.into()));
    // Nobody watches their word without being counted.
    let recent = memory.load32(RECENT.waiters) > 0;
    let (woken, recent) = if recent { RECENT.wake(memory, most) } else { (0, None) };
    let (_, for_data) = FOR_DATA.wake(memory, most.map(|most| most - u64::from(woken)));
    [recent, for_data]
}

/// Whether not all consumers that sleep are woken for a message.
fn are_many<M: ReadMemory>(memory: &M) -> bool {
    memory.load32(DATA_WAITERS).saturating_add(memory.load32(RECENT_WAITERS)) > WAKE_ALL
}

impl Sleepers {
    /// Tells whoever has looked but does not sleep yet: it sees the word change and looks again.
    fn tell<M: Memory>(self, memory: &mut M) {
        memory.store32(self.futex, memory.load32(self.futex).wrapping_add(1));
    }

    /// Wakes so many, or all. Returns how many it was, and how many may still sleep if their count has changed.
    fn wake<M: Memory>(self, memory: &mut M, most: Option<u64>) -> (u32, Option<u32>) {
        self.tell(memory);
        let sleeping = memory.load32(self.waiters);
        let count = most.map_or(i32::MAX as u32, |most| u32::try_from(most).unwrap_or(u32::MAX).min(sleeping));
        if sleeping == 0 || count == 0 {
            return (0, None);
        }
        let woken = memory.wake(self.futex, count);
        // Fewer than were to be woken: nobody sleeps any more, and those counted had given up or died.
        let left = if woken < count { 0 } else { sleeping.saturating_sub(count) };
        (woken.min(count), Some(left))
    }

    /// Waiters are only ever counted too high: one that gives up or is killed stays counted until
    /// the next wake of all. A count that is too high costs a system call, one too low a lost wake-up.
    /// Whoever looks again while nobody has been woken is counted still: `counted` is what the futex read then.
    fn register<M: Memory>(self, memory: &mut M, counted: Option<u32>) -> u32 {
        let now = memory.load32(self.futex);
        if counted != Some(now) {
            let count = memory.load32(self.waiters);
            memory.store32(self.waiters, count.saturating_add(1));
        }
        now
    }
}

impl<M: Memory> Store<M> {
    /// Notes that the calling process is about to sleep until there is data, and says what the wake
    /// word reads now. `counted` is what it said when the process was noted before.
    pub(crate) fn register_data_waiter(&mut self, counted: Option<u32>) -> u32 {
        FOR_DATA.register(&mut self.memory, counted)
    }

    /// The same for a process that had a message a moment ago, where many wait: it sleeps on another word.
    pub(crate) fn register_recent_waiter(&mut self) -> u32 {
        RECENT.register(&mut self.memory, None)
    }

    /// The same for space.
    pub(crate) fn register_space_waiter(&mut self, counted: Option<u32>) -> u32 {
        FOR_SPACE.register(&mut self.memory, counted)
    }

    /// The same until everything has been finished with.
    pub(crate) fn register_finished_waiter(&mut self, counted: Option<u32>) -> u32 {
        FOR_THE_END.register(&mut self.memory, counted)
    }

    /// Whether so many consumers sleep that not all are woken for a message.
    pub(crate) fn has_many_waiters(&self) -> bool {
        are_many(&self.memory)
    }

    /// Notes that the calling process watches for data without sleeping, or tries to lock, until a time, in nanoseconds
    /// since the Unix epoch, and takes again then. Needs no lock.
    pub(crate) fn note_spinner(&mut self, until: u64) {
        // Else nobody asks.
        if self.has_many_waiters() {
            self.memory.store(SPINS_UNTIL, until);
        }
    }

    /// The calling process has locked, and is not to be relied on any longer.
    pub(crate) fn forget_spinner(&mut self) {
        if self.memory.load(SPINS_UNTIL) != 0 {
            self.memory.store(SPINS_UNTIL, 0);
        }
    }

    /// Whether a process does so that takes what has become ready. Needs no lock.
    pub(crate) fn has_spinner(&self, now: u64) -> bool {
        spins(&self.memory, now)
    }

    /// Notes that the calling process, which takes one message after the other, has taken one `now`, in nanoseconds since
    /// the Unix epoch. Where not many wait, nobody asks.
    pub(crate) fn note_taker(&mut self, now: u64) {
        self.memory.store(TAKEN_AT, now);
    }

    /// Whether a process that takes one message after the other is likely to be back sooner than one that sleeps could
    /// be woken: where many sleep.
    pub(crate) fn expects_taker(&self, now: u64) -> bool {
        let since = now.checked_sub(self.memory.load(TAKEN_AT));
        since.is_some_and(|since| since <= A_MOMENT_AGO) && self.has_many_waiters() && !self.has_receiver()
    }

    /// Wakes those whom the put that comes now will wake, so that they are on their way while it is made. No word tells
    /// them that there is something: whoever is here before that has happened goes back to sleep, and is woken by it.
    /// `beside` says whether one that was last on that processor, if it is known, can run beside this process: else it
    /// would only come in between. Returns the receiver if it was called.
    pub(crate) fn wake_ahead(&mut self, beside: impl FnOnce(Option<u32>) -> bool) -> Option<Receiver> {
        if self.has_receiver() {
            return if beside(self.receiver_processor()) { self.call_receiver() } else { None };
        }
        let sleeping = self.memory.load32(FOR_DATA.waiters);
        // Of many, who is woken depends on who has come by then. A put that waits for a disk takes longer than to be woken.
        let few = sleeping > 0 && !self.has_many_waiters() && self.memory.load32(RECENT.waiters) == 0;
        if few && !self.stamp.durable && beside(None) {
            self.memory.wake(FOR_DATA.futex, sleeping);
        }
        None
    }

    /// Passes on that messages are ready to somebody who wants them.
    pub(crate) fn pass_on(&mut self) {
        let ready = self.memory.load(READY);
        let wakes = Wakes { data: Wake::Messages(ready), ..Wakes::default() };
        if let Some(still_asleep) = wake(&mut self.memory, &wakes) {
            still_asleep.note(&mut self.memory);
        }
    }
}

/// Whether a process watches that takes one of the messages that become ready now; the next change must not rely on it.
/// If it dies first, a sleeper finds the message when it looks again, as one whose woken taker dies.
pub(super) fn is_watched<M: Memory>(memory: &mut M, now: u64) -> bool {
    let watched = spins(memory, now);
    if watched {
        memory.store(SPINS_UNTIL, 0);
    }
    watched
}

fn spins<M: ReadMemory>(memory: &M, now: u64) -> bool {
    memory.load(SPINS_UNTIL).checked_sub(now).is_some_and(|left| (1..=LONGEST_SPIN).contains(&left))
}
