//! One atomic change of a segment: all of it happens, or none, wherever its process dies.
//!
//! A transaction collects new values for words in private memory. [`Transaction::commit`] writes
//! what nobody can see yet (records and payload in free units), then the new values of live words as
//! pairs {offset, value} into the redo log (`log.rs`), and then increments `commit`: the one commit point.
//! Then the pairs are applied and `applied` follows. Whoever locks the segment and finds
//! `applied != commit` applies the pairs again, which does no harm twice. In a durable segment all that was
//! written is synced to the disk before the commit point.
//!
//! Sleepers are woken before the commit point. They need the lock to look, and we hold it, so they
//! see the change if it happens; waking after it would leave a gap in which a kill loses the wake-up.

use super::super::format::{self, CONTROL, CONTROL_FIELDS, CONTROL_WORDS, Field};
use super::super::memory::{Memory, Pair, ReadMemory};
use super::below::Below;
use super::bits::bits;
use super::branches::{Branches, trace};
use super::frame::Record;
use super::log::{self, Log};
use super::sleepers::{self, Wake, Wakes};
use super::{Fault, Result, damaged};

struct Touched {
    unit: u32,
    record: Record,
    /// The unit was free: its record is invisible until the commit and needs no redo.
    fresh: bool,
}

/// The control words, as a transaction wants them.
struct Control {
    /// As in the segment: so they are read at one go, and nothing is moved about.
    bytes: [u8; CONTROL_WORDS * 8],
    /// A bit for each word that is not what the segment says.
    changed: u64,
}

impl Default for Control {
    fn default() -> Self {
        Control { bytes: [0; CONTROL_WORDS * 8], changed: 0 }
    }
}

impl Control {
    fn load<M: ReadMemory>(&mut self, memory: &M) {
        // Nobody changes them while we hold the lock.
        memory.read(CONTROL, &mut self.bytes);
        self.changed = 0;
    }

    fn get(&self, index: usize) -> u64 {
        u64::from_ne_bytes(self.bytes.as_chunks().0[index])
    }

    fn set(&mut self, index: usize, value: u64) {
        let word = &mut self.bytes.as_chunks_mut().0[index];
        if *word != value.to_ne_bytes() {
            *word = value.to_ne_bytes();
            self.changed |= 1 << index;
        }
    }

    /// The words that were set to something else.
    fn changes(&self) -> impl Iterator<Item = Pair> {
        bits(self.changed).map(|index| [CONTROL + index * 8, self.get(index as usize)])
    }
}

/// What a transaction collects. It lives as long as the store, so that a transaction allocates nothing, and is handed
/// about in registers.
#[derive(Default)]
pub(super) struct Scratch {
    durable: bool,
    control: Control,
    wakes: Wakes,
    records: Vec<Touched>,
    /// The traces of their units.
    touched: u64,
    branches: Branches,
    words: Vec<Pair>,
    /// What is in the redo log. What is applied comes from here: others may scribble over the log itself.
    pairs: Vec<Pair>,
    /// Units of the frames whose payload was written by this transaction.
    fresh_payloads: Vec<u32>,
    /// Words of links that the change before this one set.
    set_before: Vec<u64>,
}

impl Scratch {
    /// For the changes of a segment that is durable or not.
    pub(super) fn new(durable: bool) -> Self {
        Scratch { durable, ..Scratch::default() }
    }

    /// Returns its index.
    fn touch(&mut self, touched: Touched) -> usize {
        self.touched |= trace(touched.unit);
        self.records.push(touched);
        self.records.len() - 1
    }
}

/// A change in the making. Dropped without [`Transaction::commit`], it never was.
pub(super) struct Transaction<'a, M> {
    pub(super) memory: &'a mut M,
    scratch: &'a mut Scratch,
}

/// Words that one step of a longer operation changes at most: taking a frame out of one tree and putting it into another
/// changes two words of each node on two branches, and some of the frame, its neighbours, the counts, and the
/// text of a reason.
const LARGEST_STEP: usize = 190;

#[cold]
#[inline(never)]
fn not_in_use(field: &'static str, unit: u32) -> Result<u32> {
    damaged(field, format!("names unit {unit}, which is not in use"))
}

fn control_index(offset: u64) -> usize {
    ((offset - CONTROL) / 8) as usize
}

fn control_name(offset: u64) -> &'static str {
    CONTROL_FIELDS.iter().find(|field: &&Field| field.offset == offset).map_or("control", |field| field.name)
}

impl<'a, M: Memory> Transaction<'a, M> {
    pub(super) fn begin(memory: &'a mut M, scratch: &'a mut Scratch) -> Result<Self> {
        scratch.records.clear();
        scratch.touched = 0;
        scratch.branches.clear();
        scratch.words.clear();
        scratch.fresh_payloads.clear();
        scratch.set_before.clear();
        scratch.wakes = Wakes::default();
        if scratch.durable {
            scratch.set_before.extend(Log::of(memory.load32(format::COMMIT), true).links(memory));
        }
        scratch.control.load(memory);
        let transaction = Transaction { memory, scratch };
        transaction.check_bounds()?;
        Ok(transaction)
    }

    /// The two words on which every later bound rests.
    fn check_bounds(&self) -> Result<()> {
        let (grown, fresh) = (self.get(format::GROWN), self.get(format::FRESH));
        if grown < format::GROUP || grown % format::GROUP != 0 || grown > format::LARGEST_SEGMENT {
            return damaged("grown", format!("is {grown}, which is no length of a segment"));
        }
        if grown > self.memory.length() {
            return damaged("grown", format!("is {grown}, more than the file has"));
        }
        if fresh < u64::from(format::FIRST_UNIT) || fresh > (grown / format::UNIT).max(u64::from(format::FIRST_UNIT)) {
            return damaged("fresh unit", format!("is {fresh}, outside the segment"));
        }
        Ok(())
    }

    /// The control word at `offset`.
    pub(super) fn get(&self, offset: u64) -> u64 {
        self.scratch.control.get(control_index(offset))
    }

    /// A control word that holds a unit's number, or 0 for none.
    pub(super) fn get_unit(&self, offset: u64) -> Result<u32> {
        let value = self.get(offset);
        if value == 0 {
            return Ok(0);
        }
        self.check_unit(control_name(offset), u32::try_from(value).unwrap_or(u32::MAX))
    }

    pub(super) fn set(&mut self, offset: u64, value: u64) {
        self.scratch.control.set(control_index(offset), value);
    }

    pub(super) fn add(&mut self, offset: u64, amount: u64) {
        self.set(offset, self.get(offset).wrapping_add(amount));
    }

    pub(super) fn subtract(&mut self, offset: u64, amount: u64) -> Result<()> {
        match self.get(offset).checked_sub(amount) {
            Some(value) => self.set(offset, value),
            None => return damaged(control_name(offset), format!("is {}, less than there is", self.get(offset))),
        }
        Ok(())
    }

    /// `unit` if it is one that can have been handed out.
    pub(super) fn check_unit(&self, field: &'static str, unit: u32) -> Result<u32> {
        let fresh = self.get(format::FRESH);
        if unit < format::FIRST_UNIT || u64::from(unit) >= fresh || format::is_link_table(unit) {
            return not_in_use(field, unit);
        }
        Ok(unit)
    }

    /// A word outside the control block, as this transaction sees it.
    pub(super) fn word(&self, offset: u64) -> u64 {
        let pending = self.scratch.words.iter().rev().find(|[at, _]| *at == offset);
        pending.map_or_else(|| self.memory.load(offset), |[_, value]| *value)
    }

    /// Sets a word outside the control block.
    pub(super) fn set_word(&mut self, offset: u64, value: u64) {
        match self.scratch.words.iter_mut().find(|[at, _]| *at == offset) {
            Some([_, pending]) => *pending = value,
            None => self.scratch.words.push([offset, value]),
        }
    }

    /// The record in `unit`, as this transaction sees it.
    #[inline(always)]
    pub(super) fn record(&mut self, field: &'static str, unit: u32) -> Result<&mut Record> {
        let index = match self.index_of(unit) {
            Some(index) => index,
            None => self.look_at(field, unit)?,
        };
        Ok(&mut self.scratch.records[index].record)
    }

    /// Makes a copy of the record in `unit`. Returns its index.
    #[inline(never)]
    fn look_at(&mut self, field: &'static str, unit: u32) -> Result<usize> {
        let unit = self.check_unit(field, unit)?;
        let index = self.scratch.touch(Touched { unit, record: Record::EMPTY, fresh: false });
        // Read where it is to stay: copies of what was just written are slow.
        let read = self.scratch.records[index].record.read(self.memory, unit);
        if read.is_err() {
            self.scratch.records.pop();
        }
        read.map(|()| index)
    }

    fn index_of(&self, unit: u32) -> Option<usize> {
        // Mostly it is one that was looked at just now, or not yet.
        let may_be_there = self.scratch.touched & trace(unit) != 0;
        may_be_there.then(|| self.scratch.records.iter().rposition(|touched| touched.unit == unit)).flatten()
    }

    /// The record in `unit`, if this transaction has looked at it before.
    pub(super) fn touched(&self, unit: u32) -> Option<&Record> {
        self.index_of(unit).map(|index| &self.scratch.records[index].record)
    }

    /// The branches of the node in `unit`, as this transaction sees them.
    pub(super) fn branches_of(&self, unit: u32) -> Below {
        self.scratch.branches.get(self.memory, unit)
    }

    /// Whether this transaction may have put the node in `unit` where it is.
    pub(super) fn may_have_moved(&self, unit: u32) -> bool {
        self.scratch.branches.may_have_changed(unit)
    }

    /// The branches that this transaction sets.
    pub(super) fn branches(&mut self) -> &mut Branches {
        &mut self.scratch.branches
    }

    /// Starts a record in a unit that this transaction has allocated. It is filled where it is to stay.
    pub(super) fn new_record(&mut self, unit: u32) -> &mut Record {
        self.forget_record(unit);
        let index = self.scratch.touch(Touched { unit, record: Record::EMPTY, fresh: true });
        self.note_payload(unit);
        &mut self.scratch.records[index].record
    }

    /// Notes that (some of) the payload of the frame in `unit` was written by this transaction.
    pub(super) fn note_payload(&mut self, unit: u32) {
        self.scratch.fresh_payloads.push(unit);
    }

    /// The record in `unit` is no more: what it says need not be stored.
    #[inline(always)]
    pub(super) fn forget_record(&mut self, unit: u32) {
        if let Some(index) = self.index_of(unit) {
            // Mostly it is the last, of which nothing need be copied.
            let last = self.scratch.records.len() - 1;
            if index < last {
                self.scratch.records.swap(index, last);
            }
            self.scratch.records.truncate(last);
        }
        self.scratch.branches.forget(unit);
    }

    /// Forgets the copy of a record that was only looked at, so that a long search stays short on memory.
    pub(super) fn drop_untouched(&mut self, unit: u32) {
        self.scratch.records.retain(|touched| touched.unit != unit || touched.fresh || touched.record.changes() > 0);
    }

    /// Whether links may be among the words that this transaction sets.
    pub(super) fn may_change_links(&self) -> bool {
        !self.scratch.words.is_empty()
    }

    /// Whether this transaction sets the word at `offset`.
    pub(super) fn has_word(&self, offset: u64) -> bool {
        self.scratch.words.iter().any(|[at, _]| *at == offset)
    }

    /// Whether, after a power failure, the log of the change before this one could store the word of links at
    /// `offset` once more, over what this transaction stored without its own log.
    pub(super) fn may_be_stored_again(&self, offset: u64) -> bool {
        self.scratch.set_before.contains(&offset)
    }

    pub(super) fn wake_data(&mut self, wake: Wake) {
        self.scratch.wakes.data = wake;
    }

    pub(super) fn wake_space(&mut self) {
        self.scratch.wakes.space = Wake::All;
    }

    /// Wakes those who wait until everything has been finished with.
    pub(super) fn wake_finished(&mut self) {
        self.scratch.wakes.finished = Wake::All;
    }

    /// Whether another step of an operation on many frames still fits the redo log.
    pub(super) fn has_room(&self) -> bool {
        let words = |touched: &Touched| match (touched.fresh, self.scratch.durable) {
            (true, false) => 0,
            (true, true) => format::RECORD_WORDS,
            (false, _) => touched.record.changes(),
        };
        let changed: usize = self.scratch.records.iter().map(words).sum();
        let words = self.scratch.words.len() + self.scratch.branches.len();
        changed + words + self.scratch.fresh_payloads.len() + LARGEST_STEP <= log::most_pairs(self.scratch.durable)
    }

    /// Makes the change.
    pub(super) fn commit(self) -> Result<()> {
        let Transaction { memory, scratch } = self;
        let Scratch { durable, control, wakes, records, branches, words, pairs, fresh_payloads, .. } = scratch;
        let durable = *durable;
        pairs.clear();
        for touched in records.iter() {
            let at = format::unit_offset(touched.unit);
            match (touched.fresh, durable) {
                (true, false) => memory.write(at, touched.record.bytes()),
                // In the log it is safe as soon as the log is.
                (true, true) => pairs.extend(touched.record.words().map(|[offset, value]| [at + offset, value])),
                (false, _) => {
                    let changed = touched.record.changed_words();
                    pairs.extend(changed.map(|[offset, value]| [at + offset, value]));
                }
            }
        }
        pairs.extend(branches.words());
        pairs.extend_from_slice(words);
        pairs.extend(control.changes());
        if pairs.is_empty() {
            return Ok(());
        }
        let words = pairs.len();
        if durable {
            pairs.extend(fresh_payloads.iter().map(|unit| log::payload_mark(*unit)));
        }
        if pairs.len() > log::most_pairs(durable) {
            return damaged("redo pairs", "would overflow: the lists are longer than they can be");
        }
        let commit = memory.load32(format::COMMIT).wrapping_add(1);
        let log = Log::of(commit, durable);
        log.write(memory, commit, pairs);
        if durable && let Err(error) = memory.sync() {
            log.forget(memory);
            return Err(Fault::Disk(error).into());
        }
        let still_asleep = sleepers::wake(memory, wakes);
        memory.store32(format::COMMIT, commit);
        memory.apply(&pairs[..words]);
        memory.store32(format::APPLIED, commit);
        if let Some(still_asleep) = still_asleep {
            still_asleep.note(memory);
        }
        Ok(())
    }
}
