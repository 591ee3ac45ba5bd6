//! Whether a segment is sound: every field, list and payload is looked at, and nothing is changed.
//!
//! What is verified is the state in which the next process will find the queue: with the change that was
//! committed and not applied, if there is one.

use super::super::format::{self, FIRST_UNIT, OWNER_ENTRIES, OWNERS_HIGH, OWNERS_LOW, READY_FIRST, Stamp, state};
use super::super::memory::ReadMemory;
use super::frame::{Record, State};
use super::log::{pending, pending_on_disk};
use super::owners::OwnersInUse;
use super::units::each_piece;
use super::view::View;
use super::{Fault, Result, damaged};
use crate::queue::Finding;

/// More findings than this are only counted.
const MOST_FINDINGS: usize = 100;

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
    /// Bytes of all messages.
    pub(crate) bytes: u64,
    pub(crate) closed: bool,
}

/// Verifies the segment in `memory`. Calls `visit` with each frame that is sound: its unit,
/// its record and its owner's number; ready ones in their order.
pub(crate) fn verify<M: ReadMemory>(
    memory: &M,
    stamp: &Stamp,
    visit: impl FnMut(u32, &Record, Option<u32>),
) -> Verdict {
    let mut verdict = Verdict::default();
    match if stamp.durable { pending_on_disk(memory) } else { pending(memory, false) } {
        Ok(pending) => {
            verdict.unfinished = pending.is_something;
            let view = View::new(memory, pending.words);
            let walk = Walk { view: &view, stamp, verdict, fresh: 0, used: Vec::new(), ids: Vec::new(), visit };
            walk.run()
        }
        Err(fault) => {
            verdict.note(fault);
            verdict
        }
    }
}

impl Verdict {
    fn note(&mut self, fault: Fault) {
        // Who only looks meets no other fault.
        let Fault::Damaged { field, problem } = fault else { return };
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
    visit: F,
}

impl<M: ReadMemory, F: FnMut(u32, &Record, Option<u32>)> Walk<'_, '_, M, F> {
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
        let incomplete = lists.iter().any(Result::is_err);
        lists.into_iter().filter_map(Result::err).for_each(|fault| self.verdict.note(fault));
        if !incomplete {
            // Behind a break in a list, everything would seem to be lost.
            self.check_totals();
        }
        self.verdict
    }

    fn note(&mut self, field: &'static str, problem: String) {
        self.verdict.note(Fault::Damaged { field, problem });
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
        let (last, messages) = self.walk_list("first ready", self.get(READY_FIRST), None)?;
        self.verdict.ready = messages;
        if self.get(format::READY_LAST) != u64::from(last) {
            let says = self.get(format::READY_LAST);
            return damaged("last ready", format!("is unit {says}, and the list ends with unit {last}"));
        }
        Ok(())
    }

    fn walk_owner(&mut self, owner: u32) -> Result<()> {
        let first = self.get(format::owner_offset(owner) + format::OWNER_LEASES);
        if !self.verdict.owners.contains(owner) {
            // Nobody would ever give them back.
            return match first {
                0 => Ok(()),
                _ => damaged("first lease", format!("of owner {owner} is unit {first}, and there is no such owner")),
            };
        }
        let (_, messages) = self.walk_list("first lease", first, Some(owner))?;
        self.verdict.leased += messages;
        Ok(())
    }

    /// Walks a list of frames, all ready or all leased to `owner`. Returns its last unit and its number of messages.
    fn walk_list(&mut self, field: &'static str, first: u64, owner: Option<u32>) -> Result<(u32, u64)> {
        let (mut field, mut next, mut previous, mut messages, mut next_id) = (field, first, 0, 0_u64, 0);
        while next != 0 {
            let unit = self.claim(field, next)?;
            let record = Record::load(self.view, unit)?;
            self.check_frame(unit, &record, owner)?;
            if record.previous() != previous {
                let says = record.previous();
                return damaged("previous frame", format!("of unit {unit} is unit {says} instead of {previous}"));
            }
            if owner.is_none() && record.first_id() < next_id {
                return damaged("first id", format!("of the ready unit {unit} goes back in the order"));
            }
            let count = u64::from(record.count());
            next_id = record.first_id() + count;
            messages = messages.saturating_add(count);
            self.ids.push((record.first_id(), count));
            self.verdict.bytes = self.verdict.bytes.saturating_add(record.message_bytes());
            (self.visit)(unit, &record, owner);
            (field, previous, next) = ("next frame", unit, u64::from(record.next()));
        }
        Ok((previous, messages))
    }

    fn check_frame(&mut self, unit: u32, record: &Record, owner: Option<u32>) -> Result<()> {
        let state = if owner.is_some() { State::Leased } else { State::Ready };
        if record.state() != Some(state) {
            return damaged("frame state", format!("of unit {unit} is {}, in another's list", record.state_number()));
        }
        if record.owner() != owner.map_or(0, |owner| owner + 1) {
            return damaged("lease owner", format!("of unit {unit} is {}, not whose list it is in", record.owner()));
        }
        self.claim_payload(unit, record)?;
        self.check_payload(unit, record)
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
        let (mut hasher, mut ends, mut last) = (crc32fast::Hasher::new(), 0_u64, None);
        let mut buffer = [0; 4096];
        each_piece(self.view, unit, record, |offset, length| {
            for at in (0..length).step_by(buffer.len()) {
                let chunk = &mut buffer[..(length - at).min(4096) as usize];
                self.view.read(offset + at, chunk);
                hasher.update(chunk);
                last = chunk.last().copied();
                ends += delimiter.map_or(0, |delimiter| memchr::memchr_iter(delimiter, chunk).count() as u64);
            }
            Ok(true)
        })?;
        if hasher.finalize() != record.checksum() {
            return damaged("payload checksum", format!("of unit {unit} does not fit the payload"));
        }
        if delimiter.is_some() && (ends != u64::from(record.count()) || last != delimiter) {
            return damaged("message count", format!("of unit {unit} is {}, and it has {ends}", record.count()));
        }
        Ok(())
    }

    fn check_totals(&mut self) {
        let lost = (FIRST_UNIT..self.fresh as u32)
            .filter(|unit| !format::is_link_table(*unit) && self.used[*unit as usize / 64] & (1 << (unit % 64)) == 0)
            .count();
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
        let Verdict { ready, leased, bytes, .. } = self.verdict;
        for (field, offset, value) in [
            ("ready messages", format::READY, ready),
            ("leased messages", format::LEASED, leased),
            ("delayed messages", format::DELAYED, 0),
            ("dead messages", format::DEAD, 0),
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
        if left != ready.saturating_add(leased) {
            self.note("put in all", format!("less what was got leaves {left}, and there are {}", ready + leased));
        }
        let is_drained = ready == 0 && leased == 0;
        if is_drained && (self.fresh != u64::from(FIRST_UNIT) || self.get(format::FREE_COUNT) != 0) {
            self.note("fresh unit", format!("is {}, and a drained queue starts afresh", self.fresh));
        }
    }
}
