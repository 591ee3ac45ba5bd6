//! The redo log: the new values of a change, written before the change is made.
//!
//! An ordinary segment has one log: it only has to outlive processes. A durable segment has two, which changes use in
//! turn, and each log has the change's number and a checksum, so that after a power failure it
//! can be told whether the log reached the disk. See ipcq-segment(5), "Durable queues", for why two are enough.

use super::super::checksum;
use super::super::format::{
    self, CONTROL, CONTROL_WORDS, LOG, LOG_PAIRS, REDO_CHECKSUM, REDO_COUNT, REDO_NUMBER, REDO_PAIRS, SECOND_LOG,
    SECOND_LOG_PAIRS,
};
use super::super::memory::{Memory, Pair, ReadMemory};
use super::frame::Record;
use super::payload::is_as_put;
use super::view::View;
use super::{Fault, Result, damaged};
use std::collections::BTreeMap;

/// Bit of a pair's offset, in a durable segment: the pair stands for no word, but for the record in the unit at
/// that offset, whose payload was written with the change.
const PAYLOAD_MARK: u64 = 1;

/// A pair that marks the frame in `unit` as one whose payload was written with the change.
pub(super) fn payload_mark(unit: u32) -> Pair {
    [format::unit_offset(unit) | PAYLOAD_MARK, 0]
}

/// Whether a pair is such a mark and no word.
fn is_mark(pair: &Pair) -> bool {
    pair[0] & PAYLOAD_MARK != 0
}

/// Pairs that a change of a segment can have.
pub(super) fn most_pairs(durable: bool) -> usize {
    if durable { SECOND_LOG_PAIRS } else { LOG_PAIRS }
}

/// One place for a change.
#[derive(Clone, Copy)]
pub(super) struct Log {
    start: u64,
    durable: bool,
}

impl Log {
    /// The log of the change that makes `commit` read `number`.
    pub(super) fn of(number: u32, durable: bool) -> Log {
        Log { start: if durable && number % 2 == 1 { SECOND_LOG } else { LOG }, durable }
    }

    /// Writes a change.
    pub(super) fn write<M: Memory>(self, memory: &mut M, number: u32, pairs: &[Pair]) {
        memory.write_pairs(self.start + REDO_PAIRS, pairs);
        memory.store(self.start + REDO_COUNT, pairs.len() as u64);
        if self.durable {
            memory.store32(self.start + REDO_NUMBER, number);
            memory.store32(self.start + REDO_CHECKSUM, checksum(number, pairs));
        }
    }

    /// Makes sure that what was written is never taken for a change.
    pub(super) fn forget<M: Memory>(self, memory: &mut M) {
        memory.store(self.start + REDO_COUNT, 0);
    }

    /// The pairs in the log.
    fn pairs<M: ReadMemory>(self, memory: &M) -> Result<Vec<Pair>> {
        let count = memory.load(self.start + REDO_COUNT);
        if count == 0 || count > most_pairs(self.durable) as u64 {
            return damaged("redo pairs", format!("counts {count}, which is no change"));
        }
        let places = (self.start + REDO_PAIRS..).step_by(16).take(count as usize);
        Ok(places.map(|at| [memory.load(at), memory.load(at + 8)]).collect())
    }

    /// The words of links that the change in the log sets.
    pub(super) fn links<M: ReadMemory>(self, memory: &M) -> Vec<u64> {
        let pairs = self.pairs(memory).unwrap_or_default();
        let is_link = |pair: &Pair| pair[0] >= format::GROUP && pair[0] % format::GROUP < format::UNIT;
        pairs.iter().filter(|pair| is_link(pair)).map(|pair| pair[0]).collect()
    }

    /// The pairs in the log, each checked to be of a word that can change.
    fn checked_pairs<M: ReadMemory>(self, memory: &M) -> Result<Vec<Pair>> {
        let pairs = self.pairs(memory)?;
        let control = CONTROL..CONTROL + CONTROL_WORDS as u64 * 8;
        for pair in &pairs {
            let offset = pair[0];
            let marks_a_unit = self.durable && is_mark(pair) && (offset - PAYLOAD_MARK).is_multiple_of(format::UNIT);
            if !(offset.is_multiple_of(8) || marks_a_unit)
                || offset >= format::LARGEST_SEGMENT
                || (offset < format::OWNERS && !control.contains(&offset))
            {
                return damaged(
                    "redo pairs",
                    format!("hold the offset {offset}, which is not one of a word that changes"),
                );
            }
        }
        Ok(pairs)
    }

    /// Whether the change `number` is in the log, all of it.
    fn is_whole<M: ReadMemory>(self, memory: &M, number: u32) -> bool {
        memory.load32(self.start + REDO_NUMBER) == number
            && self
                .pairs(memory)
                .is_ok_and(|pairs| memory.load32(self.start + REDO_CHECKSUM) == checksum(number, &pairs))
    }
}

fn checksum(number: u32, pairs: &[Pair]) -> u32 {
    let mut bytes = Vec::with_capacity(size_of::<u32>() + size_of_val(pairs));
    bytes.extend_from_slice(&number.to_ne_bytes());
    bytes.extend(pairs.as_flattened().iter().copied().flat_map(u64::to_ne_bytes));
    checksum::of(&bytes)
}

/// What has to be stored before a segment can be used.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Words, the later of two for the same offset counting.
    pub(super) words: Vec<Pair>,
    /// What `commit` and `applied` read then.
    pub(super) commit: u32,
    /// There is something to be done.
    pub(super) is_something: bool,
}

/// What a process that died has left to be applied.
pub(super) fn pending<M: ReadMemory>(memory: &M, durable: bool) -> Result<Pending> {
    let commit = memory.load32(format::COMMIT);
    let applied = memory.load32(format::APPLIED);
    if commit == applied {
        return Ok(Pending { commit, ..Pending::default() });
    }
    if commit.wrapping_sub(applied) != 1 {
        return damaged("applied", format!("is {applied} while commit is {commit}"));
    }
    let mut words = Log::of(commit, durable).checked_pairs(memory)?;
    words.retain(|pair| !is_mark(pair));
    Ok(Pending { words, commit, is_something: true })
}

/// What is to be done to a durable segment as it was read from the disk: perhaps after a power failure, which took
/// any of the stores that no sync was waited for.
///
/// `commit` on the disk is at most one change behind what was made durable, because each change's
/// sync takes along the `commit` of the change before it; and a log is at most one change ahead of that.
pub(super) fn pending_on_disk<M: ReadMemory>(memory: &M) -> Result<Pending> {
    let commit = memory.load32(format::COMMIT);
    let mut pending = Pending { commit, ..Pending::default() };
    let mut found = commit == 0;
    for number in (0..3).map(|ahead| commit.wrapping_add(ahead)) {
        let log = Log::of(number, true);
        if !log.is_whole(memory, number) {
            continue;
        }
        let (marks, words): (Vec<_>, Vec<_>) = log.checked_pairs(memory)?.into_iter().partition(is_mark);
        let words = [&pending.words[..], &words].concat();
        // What `commit` counts was durable before. Of what it does not, the log may have reached
        // the disk, and the payload not.
        if number != commit && !payloads_are_there(&View::new(memory, words.iter().copied()), &marks) {
            break;
        }
        found = true;
        (pending.words, pending.commit) = (words, number);
    }
    if !found {
        return damaged("redo checksum", format!("fits neither log, and {commit} changes were committed"));
    }
    let last: BTreeMap<u64, u64> = pending.words.iter().copied().map(Pair::into).collect();
    pending.words = last.into_iter().map(Pair::from).filter(|[offset, value]| memory.load(*offset) != *value).collect();
    let applied = memory.load32(format::APPLIED);
    pending.is_something = !pending.words.is_empty() || pending.commit != commit || commit != applied;
    Ok(pending)
}

fn payloads_are_there<M: ReadMemory>(view: &View<'_, M>, marks: &[Pair]) -> bool {
    marks.iter().all(|[offset, _]| {
        let unit = (offset / format::UNIT) as u32;
        let there = Record::load(view, unit).and_then(|record| is_as_put(view, unit, &record));
        matches!(there, Ok(true))
    })
}

/// Applies what a process that died has left.
pub(super) fn recover<M: Memory>(memory: &mut M, durable: bool) -> Result<()> {
    let pending = pending(memory, durable)?;
    if pending.is_something {
        apply(memory, &pending)?;
        memory.store32(format::APPLIED, pending.commit);
    }
    Ok(())
}

/// Brings a durable segment to the state that it had, or was about to have, when the system stopped. To be called
/// once by every process that opens it.
pub(super) fn recover_from_disk<M: Memory>(memory: &mut M) -> Result<()> {
    let pending = pending_on_disk(memory)?;
    if !pending.is_something {
        return Ok(());
    }
    // A log that was left by a process that died may not have reached the disk yet, and has to before
    // anything of it is applied.
    memory.sync().map_err(Fault::Disk)?;
    apply(memory, &pending)?;
    // A change that did not reach the disk in full must not be found later, when it would look whole.
    let next = pending.commit.wrapping_add(1);
    let log = Log::of(next, true);
    if log.is_whole(memory, next) {
        log.forget(memory);
    }
    // Before the next change may overwrite the log of the change before the last.
    memory.sync().map_err(Fault::Disk)?;
    memory.store32(format::COMMIT, pending.commit);
    memory.store32(format::APPLIED, pending.commit);
    Ok(())
}

fn apply<M: Memory>(memory: &mut M, pending: &Pending) -> Result<()> {
    memory.apply(&pending.words);
    // Only now is it known how long the segment says it is.
    let grown = memory.load(format::GROWN);
    if memory.reach(Some(grown)).is_err() {
        return damaged("grown", format!("is {grown}, more than the file has"));
    }
    Ok(())
}
