//! What can be done to a segment: the operations, pure.
//!
//! A `Store` sees bytes through [`Memory`] and knows no file, clock or process: the time and the
//! owner are parameters, and the caller holds the lock. Every operation is one or more transactions
//! (`transaction.rs`), and after any prefix of its stores the segment is as before it or as after it.
//!
//! The steps that every put and get takes are inlined, whatever the compiler thinks of it, and what goes wrong is `cold`:
//! as calls they took a tenth more instructions, in code that lay too far apart for the instruction cache.

mod below;
mod bits;
mod blocks;
mod branches;
mod chunks;
mod dead;
mod delivery;
mod destination;
mod ending;
mod frame;
mod halves;
mod join;
mod kept;
mod list;
mod loan;
mod log;
mod owners;
mod payload;
mod peek;
mod pieces;
mod prepared;
mod producers;
mod purge;
mod put;
mod rates;
mod ready;
mod receiver;
mod settle;
mod sleepers;
mod span;
mod status;
mod take;
mod transaction;
mod tree;
mod units;
mod verify;
mod view;

#[cfg(test)]
mod tests;

use super::format::{self, Stamp};
use super::memory::Memory;
use std::io;
use transaction::Transaction;

pub(crate) use destination::Prepare;
pub(crate) use kept::{Keeper, LOOK_AGAIN, NEVER, Verdict};
pub(crate) use loan::{Filled, Loan};
pub(crate) use owners::{Identity, identity};
pub(crate) use peek::Shown;
pub(crate) use prepared::Prepared;
pub(crate) use put::Put;
pub(crate) use receiver::Receiver;
pub(crate) use status::Counts;
pub(crate) use take::{Lease, Taken, Want};
pub(crate) use verify::verify;

/// Why an operation was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A field holds what it never may; nothing was changed.
    Damaged {
        /// The field's name, as in ipcq-segment(5).
        field: &'static str,
        /// What it says, as the end of a sentence that begins with the name.
        problem: String,
    },
    /// The file system gave no room to grow, and nothing in the queue can make room.
    Storage(io::Error),
    /// A durable change could not be written to the disk, and was not made.
    Disk(io::Error),
    /// There is no memory for a payload of that many bytes.
    Memory(u64),
}

/// The result of an operation on a segment. What went wrong is apart from it: mostly nothing does, and what an operation
/// comes to is then handed on in registers.
pub(crate) type Result<T> = std::result::Result<T, Box<Fault>>;

/// That `field` says `problem`.
#[cold]
#[inline(never)]
fn damaged<T>(field: &'static str, problem: impl Into<String>) -> Result<T> {
    Err(Fault::Damaged { field, problem: problem.into() }.into())
}

/// Units that puts leave free, so that a get can take one message out of a run, or note its
/// owner, on a file system that is full.
const RESERVED_UNITS: u64 = 32;

/// Frames that one transaction takes or finishes; keeps it within the redo log.
pub(crate) const FRAMES_AT_ONCE: usize = 32;
/// The same where the log is that of a durable segment.
pub(crate) const DURABLE_FRAMES_AT_ONCE: usize = 20;

/// A segment and the operations on it. The caller holds the lock around each call.
pub(crate) struct Store<M> {
    memory: M,
    stamp: Stamp,
    scratch: transaction::Scratch,
    /// The segment is durable, and nobody has looked yet in what state it came from the disk.
    is_from_disk: bool,
}

impl<M: Memory> Store<M> {
    /// A store on `memory`, whose stamp has been read and checked once and for all.
    pub(crate) fn new(memory: M, stamp: Stamp) -> Self {
        Store { memory, stamp, scratch: transaction::Scratch::new(stamp.durable), is_from_disk: stamp.durable }
    }

    /// Writes the state of an empty queue; the memory reads as zero and has no other user yet.
    pub(crate) fn initialize(memory: &mut M, stamp: &Stamp) {
        memory.write(0, &stamp.encode());
        memory.store(format::GROWN, format::GROUP);
        memory.store(format::FRESH, u64::from(format::FIRST_UNIT));
        memory.store(format::NEXT_ID, 1);
    }

    /// The memory, for the two words that waiting needs and for reading leased payload.
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// The memory, for when those who wait are woken.
    pub(crate) fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// Makes all that the segment says it has accessible.
    ///
    /// # Errors
    /// Those of [`Memory::reach`].
    #[inline]
    pub(crate) fn reach(&mut self) -> io::Result<()> {
        self.memory.look_anew();
        // A change that was committed and not applied may lie beyond what `grown` says so far.
        let end = if self.is_settled() { Some(self.memory.load(format::GROWN)) } else { None };
        self.memory.reach(end)
    }

    /// Whether no change waits to be finished.
    #[inline]
    fn is_settled(&self) -> bool {
        self.memory.load32(format::COMMIT) == self.memory.load32(format::APPLIED) && !self.is_from_disk
    }

    /// What was fixed at creation.
    pub(crate) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Finishes what a process that died in the middle of a change had committed to. To be called
    /// after every locking, before anything else; in the usual case it reads two words.
    #[inline]
    pub(crate) fn recover(&mut self) -> Result<()> {
        if self.is_settled() { Ok(()) } else { self.finish_change() }
    }

    #[cold]
    #[inline(never)]
    fn finish_change(&mut self) -> Result<()> {
        if self.is_from_disk {
            log::recover_from_disk(&mut self.memory)?;
            self.is_from_disk = false;
        }
        log::recover(&mut self.memory, self.stamp.durable)
    }

    fn begin(&mut self) -> Result<Transaction<'_, M>> {
        Transaction::begin(&mut self.memory, &mut self.scratch)
    }

    /// Frames that one transaction takes, finishes or returns.
    fn frames_at_once(&self) -> usize {
        if self.stamp.durable { DURABLE_FRAMES_AT_ONCE } else { FRAMES_AT_ONCE }
    }
}
