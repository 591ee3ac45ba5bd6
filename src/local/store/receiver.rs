//! The receiver: a consumer into whose hands the next message is put, so that it need not lock the queue when it wakes.
//!
//! One that had a message a moment ago, and holds none, sleeps on a word of its own. Whoever puts a message calls it
//! before locking, and says in the word when the message is there (`delivery.rs`). Only who holds the lock makes
//! somebody the receiver or delivers; to call the receiver, or to cease to be it, takes no lock.

use super::super::format::{self, RECEIVER, RECEIVER_PROCESSOR, owner_offset};
use super::super::memory::{Memory, ReadMemory};
use super::Store;

/// The owner's entry, and 1; 0: nobody.
const OWNER: u32 = 0xff;
/// Somebody is about to put a message, and has woken the receiver.
const CALLED: u32 = 1 << 8;
/// The message is leased to it.
const DELIVERED: u32 = 1 << 9;
/// Counts receivers, so that none takes what was told to another for its own.
const NUMBER: u32 = 1 << 10;

/// A process that is the receiver, or was: what the word reads while it has not been called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receiver(u32);

impl Receiver {
    /// What the word reads while the receiver may sleep.
    pub(crate) fn asleep(self) -> u32 {
        self.0
    }

    /// What it reads when the receiver has been woken, until a message is there.
    pub(crate) fn called(self) -> u32 {
        self.0 | CALLED
    }

    /// What it reads from when a message is there until the receiver has it.
    pub(crate) fn delivered(self) -> u32 {
        self.0 | DELIVERED
    }

    pub(super) fn gone(self) -> u32 {
        self.0 & !OWNER
    }

    /// Its entry in the table of owners.
    pub(super) fn owner(self) -> Option<u32> {
        (self.0 & OWNER).checked_sub(1).filter(|owner| *owner < format::OWNER_ENTRIES)
    }

    /// Whose state the word shows.
    fn of(word: u32) -> Receiver {
        Receiver(word & !(CALLED | DELIVERED))
    }
}

impl<M: Memory> Store<M> {
    /// Makes the process behind the entry `owner` the receiver, which is about to sleep, on `processor` if that is known.
    /// `None` if there is one, or if the process holds something.
    pub(crate) fn become_receiver(&mut self, owner: u32, processor: Option<u32>) -> Option<Receiver> {
        let word = self.memory.load32(RECEIVER);
        // Who was delivered to and does not have it yet finds it under the lock.
        let is_free = word & OWNER == 0 || word & DELIVERED != 0;
        let holds_nothing =
            self.owners_in_use().contains(owner) && self.memory.load(owner_offset(owner) + format::OWNER_LEASES) == 0;
        if !is_free || !holds_nothing || self.stamp.durable {
            return None;
        }
        let receiver = Receiver((Receiver::of(word).gone().wrapping_add(NUMBER)) | (owner + 1));
        self.memory.store32(RECEIVER_PROCESSOR, processor.map_or(0, |number| number.wrapping_add(1)));
        self.memory.store32(RECEIVER, receiver.asleep());
        Some(receiver)
    }

    /// Whether there is a receiver.
    pub(crate) fn has_receiver(&self) -> bool {
        is_there(&self.memory)
    }

    /// The processor on which the receiver, if there is one, was about to sleep.
    pub(crate) fn receiver_processor(&self) -> Option<u32> {
        self.memory.load32(RECEIVER_PROCESSOR).checked_sub(1)
    }

    /// Calls the receiver, if there is one, for a message that is about to be put. Needs no lock.
    #[inline(never)]
    pub(crate) fn call_receiver(&mut self) -> Option<Receiver> {
        let word = self.memory.load32(RECEIVER);
        let receiver = Receiver::of(word);
        let is_called = word & OWNER != 0 && self.memory.exchange32(RECEIVER, receiver.asleep(), receiver.called());
        if is_called {
            // It may be about to sleep; then it notices.
            self.memory.wake(RECEIVER, 1);
        }
        is_called.then_some(receiver)
    }

    /// The receiver ceases to be it: returns whether a message was delivered to it. Needs no lock.
    pub(crate) fn cease_to_receive(&mut self, receiver: Receiver) -> bool {
        loop {
            let word = self.memory.load32(RECEIVER);
            if Receiver::of(word) != receiver {
                return false;
            }
            if self.memory.exchange32(RECEIVER, word, receiver.gone()) {
                return word & DELIVERED != 0;
            }
        }
    }
}

/// Whether there is a receiver.
pub(super) fn is_there<M: ReadMemory>(memory: &M) -> bool {
    memory.load32(RECEIVER) & OWNER != 0
}

/// The entry `owner` is somebody else's from now on.
pub(super) fn forget<M: Memory>(memory: &mut M, owner: u32) {
    let word = memory.load32(RECEIVER);
    if word & OWNER == owner + 1 {
        memory.store32(RECEIVER, Receiver::of(word).gone());
    }
}

/// Wakes the receiver for something else than a message that is put into its hands: it locks, and looks. Returns how
/// many were woken.
pub(super) fn wake<M: Memory>(memory: &mut M) -> u32 {
    let word = memory.load32(RECEIVER);
    if word & OWNER == 0 {
        return 0;
    }
    memory.store32(RECEIVER, Receiver::of(word).gone());
    // One that has been called is awake.
    if word & (CALLED | DELIVERED) == 0 { memory.wake(RECEIVER, 1).min(1) } else { 0 }
}
