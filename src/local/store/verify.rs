//! Whether a segment is sound: every field, list and payload is looked at, and nothing is changed.
//!
//! What is verified is the state in which the next process will find the queue: with the change that was
//! committed and not applied, if there is one.

use super::super::checksum::Checksum;
use super::super::format::{self, FIRST_UNIT, OWNER_ENTRIES, OWNERS_HIGH, OWNERS_LOW, READY_FIRST, Stamp, state};
use super::super::memory::ReadMemory;
use super::below::Below;
use super::chunks::Chunks;
use super::dead;
use super::frame::{Record, State};
use super::log::{pending, pending_on_disk};
use super::owners::OwnersInUse;
use super::pieces::each_piece;
use super::tree::{DEPTH, STEP_BITS, Tree, way_to};
use super::view::View;
use super::{Fault, Result, damaged};
use crate::delimiter::count_ends;
use crate::queue::Finding;
use std::collections::HashSet;

/// More findings than this are only counted.
const MOST_FINDINGS: usize = 100;

const TREES: [Tree; 4] = [Tree::Returned, Tree::Delayed, Tree::Dead, Tree::HandedOn];

/// What verifying found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// What is wrong, the first of it.
    pub(crate) findings: Vec<Finding>,
    /// How much more is wrong.
    pub(crate) more_findings: u64,
    /// A change was committed and has not been applied: the next process does that.
    pub(crate) unfinished: bool,
    pub(crate) owners: OwnersInUse,
    pub(crate) ready: u64,
    pub(crate) leased: u64,
    pub(crate) delayed: u64,
    pub(crate) dead: u64,
    /// Bytes of all messages.
    pub(crate) bytes: u64,
    pub(crate) closed: bool,
}

/// Verifies the segment in `memory`. Calls `visit` with each frame that is sound, once: its unit and its record.
pub(crate) fn verify<M: ReadMemory>(memory: &M, stamp: &Stamp, visit: impl FnMut(u32, &Record)) -> Verdict {
    let mut verdict = Verdict::default();
    match if stamp.durable { pending_on_disk(memory) } else { pending(memory, false) } {
        Ok(pending) => {
            verdict.unfinished = pending.is_something;
            let view = View::new(memory, pending.words);
            let (used, ids, kept) = (Vec::new(), Vec::new(), HashSet::new());
            let walk = Walk {
                view: &view,
                stamp,
                verdict,
                fresh: 0,
                used,
                ids,
                kept,
                prepared: 0,
                handed_on: 0,
                lent: 0,
                visit,
            };
            walk.run()
        }
        Err(fault) => {
            verdict.note(fault);
            verdict
        }
    }
}

impl Verdict {
    #[expect(clippy::boxed_local, reason = "as results have it")]
    fn note(&mut self, fault: Box<Fault>) {
        // Who only looks meets no other fault.
        let Fault::Damaged { field, problem } = *fault else { return };
        let finding = Finding { field, problem };
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }
}

struct Walk<'a, 'm, M, F> {
    view: &'a View<'m, M>,
    stamp: &'a Stamp,
    verdict: Verdict,
    /// The first unit that was never used.
    fresh: u64,
    /// A bit for each unit that has been found in a list.
    used: Vec<u64>,
    /// First ids and counts of all frames.
    ids: Vec<(u64, u64)>,
    /// Units of kept leases that have been found in the list of their owner.
    kept: HashSet<u32>,
    /// Prepared messages.
    prepared: u64,
    /// Messages that are gone and noted.
    handed_on: u64,
    /// Units that are lent to producers.
    lent: u64,
    visit: F,
}

impl<M: ReadMemory, F: FnMut(u32, &Record)> Walk<'_, '_, M, F> {
    fn run(mut self) -> Verdict {
        if let Err(fault) = self.check_marks() {
            // Every bound rests on these two.
            self.verdict.note(fault);
            return self.verdict;
        }
        self.verdict.closed = self.get(format::STATE) & state::CLOSED != 0;
        let known = state::CLOSED | state::REMOVED | state::PUT_PAUSED | state::GET_PAUSED;
        if self.get(format::STATE) & !known != 0 {
            self.note("state", format!("is {:#x}, with bits that mean nothing", self.get(format::STATE)));
        }
        self.verdict.owners = OwnersInUse::new(self.get(OWNERS_LOW), self.get(OWNERS_HIGH));
        let free = self.walk_free();
        let ready = self.walk_ready();
        let mut lists = vec![free, ready];
        lists.extend((0..OWNER_ENTRIES).map(|owner| self.walk_owner(owner)));
        lists.extend(TREES.into_iter().chain(Tree::KEPT).map(|tree| self.walk_tree(tree)));
        lists.push(match self.kept.iter().next() {
            Some(unit) => {
                damaged("frame flags", format!("of unit {unit} are those of a kept lease, to which no tree leads"))
            }
            None => Ok(()),
        });
        let incomplete = lists.iter().any(Result::is_err);
        lists.into_iter().filter_map(Result::err).for_each(|fault| self.verdict.note(fault));
        if !incomplete {
            // Behind a break in a list, everything would seem to be lost.
            self.check_totals();
        }
        self.verdict
    }

    fn note(&mut self, field: &'static str, problem: String) {
        self.verdict.note(Fault::Damaged { field, problem }.into());
    }

    fn get(&self, offset: u64) -> u64 {
        self.view.load(offset)
    }

    fn check_marks(&mut self) -> Result<()> {
        let (grown, fresh) = (self.get(format::GROWN), self.get(format::FRESH));
        if grown < format::GROUP || grown % format::GROUP != 0 {
            return damaged("grown", format!("is {grown}, which is no length of a segment"));
        }
        let length = self.view.length();
        if grown > length {
            return damaged("grown", format!("is {grown}, and the file has {length} bytes: it was truncated"));
        }
        if fresh < u64::from(FIRST_UNIT) || fresh > (grown / format::UNIT).max(FIRST_UNIT.into()) {
            return damaged("fresh unit", format!("is {fresh}, outside the segment"));
        }
        let words = fresh.div_ceil(64) as usize;
        if self.used.try_reserve_exact(words).is_err() {
            return damaged("fresh unit", format!("is {fresh}, too many to be looked at with the memory there is"));
        }
        self.used.resize(words, 0);
        self.fresh = fresh;
        Ok(())
    }

    /// Marks `unit`, which `field` names, as found in a list.
    fn claim(&mut self, field: &'static str, unit: u64) -> Result<u32> {
        let inside = unit >= u64::from(FIRST_UNIT) && unit < self.fresh;
        if !inside || format::is_link_table(unit as u32) {
            return damaged(field, format!("names unit {unit}, which is not in use"));
        }
        let bits = &mut self.used[unit as usize / 64];
        let bit = 1 << (unit % 64);
        if *bits & bit != 0 {
            return damaged(field, format!("names unit {unit}, which something else uses as well"));
        }
        *bits |= bit;
        Ok(unit as u32)
    }

    fn link(&self, unit: u32) -> u64 {
        u64::from(self.view.load32(format::link_offset(unit)))
    }

    fn walk_free(&mut self) -> Result<()> {
        let (mut next, count) = (self.get(format::FREE_FIRST), self.get(format::FREE_COUNT));
        if count == 0 && next != 0 {
            return damaged("first free unit", format!("is {next}, and no unit is free"));
        }
        let mut field = "first free unit";
        for _ in 0..count {
            let unit = self.claim(field, next)?;
            (field, next) = ("link of a unit", self.link(unit));
        }
        Ok(())
    }

    fn walk_ready(&mut self) -> Result<()> {
        let last = self.walk_list("first ready", self.get(READY_FIRST), None)?;
        if self.get(format::READY_LAST) != u64::from(last) {
            let says = self.get(format::READY_LAST);
            return damaged("last ready", format!("is unit {says}, and the list ends with unit {last}"));
        }
        Ok(())
    }

    fn walk_owner(&mut self, owner: u32) -> Result<()> {
        self.walk_loan(owner)?;
        let first = self.get(format::owner_offset(owner) + format::OWNER_LEASES);
        if !self.verdict.owners.contains(owner) {
            // Nobody would ever give them back.
            return match first {
                0 => Ok(()),
                _ => damaged("first lease", format!("of owner {owner} is unit {first}, and there is no such owner")),
            };
        }
        self.walk_list("first lease", first, Some(owner)).map(drop)
    }

    fn walk_loan(&mut self, owner: u32) -> Result<()> {
        let entry = format::owner_offset(owner);
        let first = self.view.load32(entry + format::OWNER_LENT);
        let units = self.view.load32(entry + format::OWNER_LENT_UNITS);
        if (first == 0) != (units == 0) || (units > 0 && !self.verdict.owners.contains(owner)) {
            return damaged("first lent unit", format!("of owner {owner} is {first}, and {units} are lent"));
        }
        let (mut next, mut field) = (first.into(), "first lent unit");
        for _ in 0..units {
            let unit = self.claim(field, next)?;
            (field, next) = ("link of a unit", self.link(unit));
        }
        self.lent += u64::from(units);
        Ok(())
    }

    /// Walks a list of frames, all ready or all leased to `owner`. Returns its last unit.
    fn walk_list(&mut self, field: &'static str, first: u64, owner: Option<u32>) -> Result<u32> {
        let state = if owner.is_some() { State::Leased } else { State::Ready };
        let (mut field, mut next, mut previous, mut next_id) = (field, first, 0, 0);
        while next != 0 {
            let unit = self.claim(field, next)?;
            let record = Record::load(self.view, unit)?;
            if record.owner() != owner.map_or(0, |owner| owner + 1) {
                return damaged(
                    "lease owner",
                    format!("of unit {unit} is {}, not whose list it is in", record.owner()),
                );
            }
            if record.previous() != previous {
                let says = record.previous();
                return damaged("previous frame", format!("of unit {unit} is unit {says} instead of {previous}"));
            }
            if owner.is_none() && record.first_id() < next_id {
                return damaged("first id", format!("of the ready unit {unit} goes back in the order"));
            }
            if record.is_kept() {
                self.kept.insert(unit);
            }
            if record.is_prepared() {
                self.prepared += u64::from(record.count());
            }
            self.check_frame(unit, &record, state)?;
            next_id = record.first_id() + u64::from(record.count());
            (field, previous, next) = ("next frame", unit, u64::from(record.next()));
        }
        Ok(previous)
    }

    /// Walks a tree: each frame comes after the one above it, and is where its id belongs.
    fn walk_tree(&mut self, tree: Tree) -> Result<()> {
        let field = tree.field();
        // Unit, the priority above it, depth, and the way that has led there.
        let mut open = vec![(self.get(tree.root()), 0, 0, 0)];
        while let Some((unit, above, depth, way)) = open.pop() {
            if unit == 0 {
                continue;
            }
            let is_listed =
                matches!(tree, Tree::Kept(_)) && u32::try_from(unit).is_ok_and(|unit| self.kept.remove(&unit));
            let unit = if is_listed { unit as u32 } else { self.claim(field, unit)? };
            let record = Record::load(self.view, unit)?;
            if let Tree::Kept(span) = tree
                && (record.kept() != Some(span) || record.count() != 1 || (record.owner() != 0) != is_listed)
            {
                return damaged(field, format!("leads to unit {unit}, which is no kept lease of that tree"));
            }
            if way_to(record.first_id(), depth) != way {
                return damaged(field, format!("leads to unit {unit} where its id does not belong"));
            }
            let priority = tree.priority(&record);
            if priority < above {
                return damaged(field, format!("leads to unit {unit} behind one that comes later"));
            }
            if !is_listed {
                self.check_frame(unit, &record, tree.state())?;
            }
            if depth == DEPTH && record.below() != Below::default() {
                return damaged(field, "leads deeper than a tree can be");
            }
            for (unit, step) in record.below().units().into_iter().zip(0..) {
                open.push((unit.into(), priority, depth + 1, way << STEP_BITS | step));
            }
        }
        Ok(())
    }

    /// Checks a frame that is where frames of this state are, and counts it.
    fn check_frame(&mut self, unit: u32, record: &Record, state: State) -> Result<()> {
        if record.state() != Some(state) {
            return damaged("frame state", format!("of unit {unit} is {}, where others are", record.state_number()));
        }
        if state != State::Leased && (record.is_kept() || record.owner() != 0) {
            return damaged("frame flags", format!("of unit {unit} are {}, and it is not leased", record.flags()));
        }
        self.claim_payload(unit, record)?;
        self.check_payload(unit, record)?;
        if record.is_prepared() && (record.is_kept() || record.owner() == 0 || record.reason_unit() == 0) {
            return damaged("frame flags", format!("of unit {unit} are {}, which do not agree", record.flags()));
        }
        if state == State::Dead || record.is_prepared() {
            if record.reason_unit() != 0 {
                self.claim("reason unit", record.reason_unit().into())?;
            }
            if state == State::Dead {
                dead::reason(self.view, record)?;
            }
        }
        let count = u64::from(record.count());
        if state == State::HandedOn {
            if count != 1 || record.length() != 0 {
                return damaged("frame state", format!("of unit {unit} is that of a message that is gone"));
            }
            self.handed_on += 1;
            self.ids.push((record.first_id(), count));
            return Ok(());
        }
        let verdict = &mut self.verdict;
        let counter = match state {
            State::Ready => &mut verdict.ready,
            State::Leased => &mut verdict.leased,
            State::Delayed => &mut verdict.delayed,
            State::Dead | State::HandedOn => &mut verdict.dead,
        };
        *counter = counter.saturating_add(count);
        verdict.bytes = verdict.bytes.saturating_add(record.message_bytes());
        self.ids.push((record.first_id(), count));
        (self.visit)(unit, record);
        Ok(())
    }

    fn claim_payload(&mut self, unit: u32, record: &Record) -> Result<()> {
        let (mut last, mut next, mut field) = (0, u64::from(record.first_unit()), "first payload unit");
        for _ in 0..record.payload_units() {
            last = self.claim(field, next)?;
            (field, next) = ("link of a unit", self.link(last));
        }
        if last != record.last_unit() {
            let says = record.last_unit();
            return damaged("last payload unit", format!("of unit {unit} is {says}, and the payload ends in {last}"));
        }
        Ok(())
    }

    fn check_payload(&self, unit: u32, record: &Record) -> Result<()> {
        let delimiter = record.framing().delimiter();
        let (mut checksum, mut ends, mut last) = (Checksum::of_length(record.length()), 0_u64, None);
        let mut chunks = Chunks::new();
        each_piece(self.view, unit, record, |offset, length| {
            chunks.each(self.view, offset, length, |chunk| {
                checksum.add(chunk);
                last = chunk.last().copied();
                ends += count_ends(chunk, delimiter);
            });
            Ok(true)
        })?;
        if checksum.finish() != record.checksum() {
            return damaged("payload checksum", format!("of unit {unit} does not fit the payload"));
        }
        if delimiter.is_some() && (ends != u64::from(record.count()) || last != delimiter) {
            return damaged("message count", format!("of unit {unit} is {}, and it has {ends}", record.count()));
        }
        Ok(())
    }

    fn check_totals(&mut self) {
        // A word of bits is a group, whose first unit is its table of links; group 0 is the header. A forged segment has
        // thousands of millions of units: they are counted by groups.
        let groups = (0..self.fresh).step_by(64).zip(&self.used).skip(1);
        let lost = groups.map(|(first, used)| {
            let handed_out = u64::MAX >> (64 - (self.fresh - first).min(64));
            u64::from((handed_out & !1 & !used).count_ones())
        });
        let lost: u64 = lost.sum();
        if lost > 0 {
            self.note("fresh unit", format!("has {lost} units before it that are neither free nor in use"));
        }
        self.ids.sort_unstable();
        if let Some(pair) = self.ids.windows(2).find(|pair| pair[0].0.saturating_add(pair[0].1) > pair[1].0) {
            let id = pair[1].0;
            self.note("first id", format!("{id} belongs to two messages"));
        }
        let end = self.ids.last().map_or(0, |(first, count)| first.saturating_add(*count));
        if end > self.get(format::NEXT_ID) {
            self.note(
                "next id",
                format!("is {}, and there is a message with the id {}", self.get(format::NEXT_ID), end - 1),
            );
        }
        let Verdict { ready, leased, delayed, dead, bytes, .. } = self.verdict;
        for (field, offset, value) in [
            ("ready messages", format::READY, ready),
            ("leased messages", format::LEASED, leased),
            ("delayed messages", format::DELAYED, delayed),
            ("dead messages", format::DEAD, dead),
            ("prepared messages", format::PREPARED, self.prepared),
            ("message bytes", format::MESSAGE_BYTES, bytes),
        ] {
            if self.get(offset) != value {
                self.note(field, format!("is {}, and there are {value}", self.get(offset)));
            }
        }
        if bytes > self.stamp.capacity {
            self.note("message bytes", format!("is {bytes}, more than the capacity, {}", self.stamp.capacity));
        }
        if self.get(format::HIGH_WATER) < bytes {
            self.note("high-water bytes", format!("is {}, less than there are", self.get(format::HIGH_WATER)));
        }
        let finished = self.get(format::TOTAL_GOT).wrapping_add(self.get(format::TOTAL_PURGED));
        let left = self.get(format::TOTAL_PUT).wrapping_sub(finished);
        let live = [ready, leased, delayed, dead].iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        if left != live {
            self.note("put in all", format!("less what was got leaves {left}, and there are {live}"));
        }
        let producers = (0..OWNER_ENTRIES)
            .filter(|owner| self.verdict.owners.contains(*owner))
            .filter(|owner| self.get(format::owner_offset(*owner) + format::OWNER_PRODUCES) != 0)
            .count() as u64;
        if self.get(format::PRODUCERS) != producers {
            self.note("producers", format!("is {}, and there are {producers}", self.get(format::PRODUCERS)));
        }
        let is_drained = live == 0 && self.handed_on == 0 && self.lent == 0;
        if is_drained && (self.fresh != u64::from(FIRST_UNIT) || self.get(format::FREE_COUNT) != 0) {
            self.note("fresh unit", format!("is {}, and a drained queue starts afresh", self.fresh));
        }
    }
}
