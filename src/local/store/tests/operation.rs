//! What can be done to a store and its model: each operation with all that it needs to be the same again.

use super::Random;
use crate::lease::Shelf;
use crate::message::Framing;

use Operation::{
    ClearOwner, Close, Deliver, End, EndLoan, Extend, ForgetHandedOn, Full, Keep, Lend, Pause, Prepare, Produce, Purge,
    Put as PutRun, PutLent, Resolve, Resume, Retry, ReturnAll, Settle, StopProducing, Take, Trim, Wait,
};

/// Which of its leases an owner settles.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    All,
    OlderHalf,
    NewerHalf,
}

/// One operation, with all that it needs to be the same again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    /// Messages of `shortest` to `longest` bytes.
    Put {
        framing: Framing,
        count: u64,
        shortest: u64,
        longest: u64,
        together: bool,
    },
    Take {
        owner: u32,
        messages: u64,
        bytes: u64,
        singly: bool,
        /// Settles the oldest lease of the owner in the same change, if there is one and something to take.
        settling: bool,
    },
    /// Delivers `percent` of the messages; above 100, more than there are.
    Settle {
        owner: u32,
        part: Part,
        percent: u64,
        last: bool,
    },
    /// The owner has died.
    ReturnAll {
        owner: u32,
    },
    ClearOwner {
        owner: u32,
    },
    Close,
    Trim,
    /// The file system is full, or has room again.
    Full(bool),
    /// Keeps those leases of an owner that are of one message, for some nanoseconds.
    Keep {
        owner: u32,
        keeper: KeptBy,
        duration: u64,
    },
    /// Ends kept leases: every so-manieth of them.
    End {
        every: usize,
        how: How,
    },
    /// Lets every so-manieth of the kept leases run for some nanoseconds from now.
    Extend {
        every: usize,
        duration: u64,
    },
    /// Some nanoseconds pass.
    Wait(u64),
    /// Every so-manieth of the dead; 0: all, without naming them.
    Retry(usize),
    Purge(Shelf),
    Produce(u32),
    StopProducing(u32),
    /// Puts a message of so many bytes that is not to be seen yet.
    Prepare {
        owner: u32,
        length: u64,
    },
    /// Puts and gets wait, or go on.
    Pause(bool, bool),
    Resume(bool, bool),
    /// Forgets what was handed on.
    ForgetHandedOn,
    /// Publishes, or drops, what was prepared.
    Resolve(bool),
    /// Lends an owner space for so many bytes.
    Lend {
        owner: u32,
        bytes: u64,
    },
    /// Fills what was lent with lines of at most so many bytes, puts them, and lends for so many bytes again.
    PutLent {
        owner: u32,
        longest: u64,
        next: u64,
    },
    EndLoan(u32),
    /// Puts a message of `length` bytes into the hands of an owner that is the receiver, and takes it back unless it `comes`.
    Deliver {
        owner: u32,
        length: u64,
        comes: bool,
    },
}

/// In nanoseconds: leases that run for so long are in trees of their own.
pub(super) const MINUTE: u64 = 60_000_000_000;
pub(super) const HOUR: u64 = 60 * MINUTE;

/// Whose death ends a kept lease.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeptBy {
    Taker,
    Script,
    Nobody,
}

/// How kept leases are ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Done,
    /// Ready again after so many nanoseconds.
    Again(u64),
    /// Dead, with so many bytes of reason.
    Dead(usize),
    HandedOn,
}

/// The entry of a script that keeps leases.
pub(super) const SCRIPT: u32 = 100;

/// Owners on both sides of the boundary between the two words of bits.
pub(super) const OWNERS: [u32; 4] = [0, 5, 63, 64];

impl Operation {
    pub(super) fn lines(count: u64, longest: u64) -> Self {
        PutRun { framing: Framing::Newline, count, shortest: longest / 2, longest, together: false }
    }

    pub(super) fn whole(length: u64) -> Self {
        PutRun { framing: Framing::Whole, count: 1, shortest: length, longest: length, together: false }
    }

    pub(super) fn take(owner: u32, messages: u64) -> Self {
        Take { owner, messages, bytes: u64::MAX, singly: false, settling: false }
    }

    pub(super) fn take_singly(owner: u32, messages: u64) -> Self {
        Take { owner, messages, bytes: u64::MAX, singly: true, settling: false }
    }

    pub(super) fn take_settling(owner: u32, messages: u64) -> Self {
        Take { owner, messages, bytes: u64::MAX, singly: false, settling: true }
    }

    pub(super) fn settle(owner: u32, percent: u64) -> Self {
        Settle { owner, part: Part::All, percent, last: true }
    }

    /// The owner remains in the table.
    pub(super) fn settle_and_stay(owner: u32) -> Self {
        Settle { owner, part: Part::All, percent: 100, last: false }
    }

    pub(super) fn random(random: &mut Random) -> Self {
        let owner = random.one_of(&OWNERS);
        match random.below(100) {
            0..5 => {
                let longest = random.one_of(&[0, 9, 300]);
                let bytes = random.one_of(&[1, 256, 700, 5_000, 20_000]);
                random.one_of(&[
                    Lend { owner, bytes },
                    PutLent { owner, longest, next: bytes },
                    PutLent { owner, longest, next: bytes },
                    EndLoan(owner),
                ])
            }
            5..9 => Deliver { owner, length: random.one_of(&[0, 5, 300, 2000]), comes: random.below(3) > 0 },
            9..40 => {
                let framing = random.one_of(&[Framing::Whole, Framing::Newline, Framing::Nul]);
                let count = if framing == Framing::Whole { 1 } else { random.one_of(&[0, 1, 2, 4, 9, 30, 150]) };
                // With its delimiter a message of 63 or 255 bytes ends with a unit.
                let (shortest, longest) =
                    random.one_of(&[(0, 0), (0, 4), (0, 60), (63, 63), (127, 129), (0, 400), (255, 255)]);
                let (shortest, longest) = if count < 5 { (shortest, longest * 20) } else { (shortest, longest) };
                PutRun { framing, count, shortest, longest, together: random.below(3) == 0 }
            }
            40..65 => {
                let messages = random.one_of(&[1, 1, 2, 3, 8, 40, u64::MAX]);
                let bytes = random.one_of(&[1, 200, 3000, u64::MAX, u64::MAX]);
                Take { owner, messages, bytes, singly: random.below(2) == 0, settling: random.below(3) == 0 }
            }
            65..72 => {
                let keeper = random.one_of(&[KeptBy::Taker, KeptBy::Script, KeptBy::Nobody]);
                Keep { owner, keeper, duration: random.one_of(&[0, 5, 1000, MINUTE, HOUR, u64::MAX]) }
            }
            72..77 => {
                let (delay, length) = (random.below(20), random.one_of(&[0, 1, 8, 255, 256, 300]));
                let how = [
                    How::Done,
                    How::Done,
                    How::Again(0),
                    How::Again(delay),
                    How::Dead(0),
                    How::Dead(length),
                    How::HandedOn,
                ];
                let how = random.one_of(&how);
                End { every: random.one_of(&[1, 2, 3, 10]), how }
            }
            77..78 => {
                Extend { every: random.one_of(&[1, 3]), duration: random.one_of(&[1, 30, 4000, 5 * HOUR, 99 * HOUR]) }
            }
            78..80 => Wait(random.one_of(&[1, 10, 10, 2000])),
            80..81 => Retry(random.one_of(&[0, 1, 3])),
            81..82 => Purge(random.one_of(&[Shelf::Ready, Shelf::Delayed, Shelf::Dead, Shelf::Dead, Shelf::Leased])),
            82..83 => random.one_of(&[Produce(owner), StopProducing(owner)]),
            83..84 => Prepare { owner, length: random.one_of(&[0, 5, 300, 2000]) },
            84..85 => Resolve(random.below(2) == 0),
            85..86 if random.below(2) == 0 => ForgetHandedOn,
            85..86 if random.below(3) == 0 => Pause(random.below(2) == 0, random.below(2) == 0),
            85..87 => Resume(true, random.below(2) == 0),
            87..90 => {
                let part = random.one_of(&[Part::All, Part::All, Part::OlderHalf, Part::NewerHalf]);
                let percent = random.one_of(&[0, 10, 50, 90, 100, 100, 100, 200]);
                Settle { owner, part, percent, last: random.below(2) == 0 }
            }
            90..93 => ReturnAll { owner },
            93..94 => ClearOwner { owner },
            94..97 => Trim,
            97..99 => Full(random.below(2) == 0),
            _ if random.below(6) == 0 => Close,
            _ => Trim,
        }
    }
}
