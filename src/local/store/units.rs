//! Space: handing out units, taking them back, and copying payload in and out of chains of them.
//!
//! Free units form one chain, last freed first, so that the memory in use stays warm; units that were
//! never used follow the mark `fresh unit`. A chain keeps its links when it is freed, so freeing and
//! reusing a long payload changes one or two words, and runs of neighbouring units stay together.

use super::super::format::{self, FIRST_UNIT, FREE_COUNT, FREE_FIRST, FRESH, GROUP, GROWN, UNIT, UNITS_PER_GROUP};
use super::super::memory::Memory;
use super::halves::{half, with_half};
use super::pieces::{Circle, Links, Pieces, SHORT_WAY};
use super::transaction::Transaction;
use super::{Result, damaged};
use std::io;

/// The largest step in which the file grows, in bytes: reserving pages costs their clearing.
const LARGEST_STEP: u64 = 4 << 20;
/// What a drained segment keeps, in bytes: enough for the traffic of a stream that keeps up.
pub(super) const KEPT_WHEN_DRAINED: u64 = 1 << 20;

/// Units linked one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) units: u64,
}

/// Units between two marks that are not link tables.
fn usable(from: u64, to: u64) -> u64 {
    let group = u64::from(UNITS_PER_GROUP);
    (to - from) - (to.div_ceil(group) - from.div_ceil(group))
}

impl<M: Memory> Transaction<'_, M> {
    /// Makes sure that `units` can be allocated; the error is the file system's.
    #[inline(always)]
    pub(super) fn make_room(&mut self, units: u64) -> io::Result<()> {
        let (fresh, grown) = (self.get(FRESH), self.get(GROWN));
        let there = self.get(FREE_COUNT).saturating_add(usable(fresh, (grown / UNIT).max(fresh)));
        let Some(missing) = units.checked_sub(there).filter(|missing| *missing > 0) else { return Ok(()) };
        // A group of 64 has 63 units to hand out.
        let needed = missing.div_ceil(u64::from(UNITS_PER_GROUP) - 1) * GROUP;
        let generous = needed.max((grown / 4 / GROUP * GROUP).min(LARGEST_STEP));
        if grown + needed > format::LARGEST_SEGMENT {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let generous = generous.min(format::LARGEST_SEGMENT - grown);
        let step = match self.memory.grow(grown, grown + generous) {
            Ok(()) => generous,
            Err(_) => self.memory.grow(grown, grown + needed).map(|()| needed)?,
        };
        self.set(GROWN, grown + step);
        Ok(())
    }

    /// Takes `units` (at least 1) for which there is room ([`Transaction::make_room`]).
    pub(super) fn allocate(&mut self, units: u64) -> Result<Chain> {
        self.allocate_runs(units, |_, _| {})
    }

    /// The same, which calls `run` with the first unit and the number of those that lie side by side.
    pub(super) fn allocate_runs(&mut self, units: u64, mut run: impl FnMut(u32, u64)) -> Result<Chain> {
        let free = self.get(FREE_COUNT);
        let reused = units.min(free);
        let (mut first, mut last) = (0, 0);
        if reused > 0 {
            first = self.get_unit(FREE_FIRST)?;
            last = self.check_unit("first free unit", first)?;
            last = self.last_of_runs(last, reused, &mut run)?;
            let rest = if reused < free { self.link(last)? } else { 0 };
            self.set(FREE_FIRST, u64::from(rest));
            self.set(FREE_COUNT, free - reused);
        }
        let mut fresh = self.get(FRESH);
        for _ in reused..units {
            fresh += u64::from(format::is_link_table(fresh as u32));
            let unit = fresh as u32;
            if last == 0 {
                first = unit;
            } else {
                self.link_free(last, unit);
            }
            run(unit, 1);
            last = unit;
            fresh += 1;
        }
        if fresh > self.get(GROWN) / UNIT {
            return damaged("free units", "and the fresh ones are fewer than were counted");
        }
        self.set(FRESH, fresh);
        Ok(Chain { first, last, units })
    }

    /// Takes back `chain`, whose units are linked in order.
    pub(super) fn free(&mut self, chain: Chain) -> Result<()> {
        self.check_unit("first payload unit", chain.first)?;
        self.check_unit("last payload unit", chain.last)?;
        self.set_link(chain.last, self.get(FREE_FIRST) as u32);
        self.set(FREE_FIRST, u64::from(chain.first));
        self.add(FREE_COUNT, chain.units);
        if self.get(FREE_COUNT) == usable(u64::from(FIRST_UNIT), self.get(FRESH)) {
            // Everything is free: start afresh, with neighbours together.
            self.set(FREE_FIRST, 0);
            self.set(FREE_COUNT, 0);
            self.set(FRESH, u64::from(FIRST_UNIT));
        }
        Ok(())
    }

    /// Takes back a unit that is linked to no other.
    pub(super) fn free_unit(&mut self, unit: u32) -> Result<()> {
        self.free(Chain { first: unit, last: unit, units: 1 })
    }

    /// Takes back a frame's record and its payload.
    #[inline(always)]
    pub(super) fn free_frame(&mut self, unit: u32) -> Result<()> {
        let record = self.record("first lease", unit)?;
        let (reason, is_inline, first) = (record.reason_unit(), record.is_inline(), record.first_unit());
        let (last, units) = (record.last_unit(), record.payload_units());
        self.forget_record(unit);
        if reason != 0 {
            self.free_unit(reason)?;
        }
        if is_inline {
            self.free_unit(unit)
        } else {
            self.set_link(unit, first);
            self.free(Chain { first: unit, last, units: units + 1 })
        }
    }

    /// Forgets what a drained segment has grown beyond a modest size. Returns the bytes that may be
    /// released once this is committed, as from and to.
    pub(super) fn shrink_drained(&mut self) -> Option<(u64, u64)> {
        let grown = self.get(GROWN);
        let drained = self.get(FRESH) == u64::from(FIRST_UNIT) && self.get(FREE_COUNT) == 0;
        if !drained || grown <= KEPT_WHEN_DRAINED {
            return None;
        }
        self.set(GROWN, KEPT_WHEN_DRAINED);
        Some((KEPT_WHEN_DRAINED, grown))
    }

    /// The unit after `unit` in its chain.
    pub(super) fn link(&self, unit: u32) -> Result<u32> {
        let offset = format::link_offset(unit);
        self.check_unit("link of a unit", half(self.word(offset & !7), which_half(offset)))
    }

    /// The last of `units` units of the chain that starts with `first`.
    pub(super) fn last_of(&self, first: u32, units: u64) -> Result<u32> {
        self.last_of_runs(first, units, &mut |_, _| {})
    }

    fn last_of_runs(&self, first: u32, units: u64, run: &mut impl FnMut(u32, u64)) -> Result<u32> {
        let mut last = first;
        if units <= SHORT_WAY || self.may_change_links() {
            run(last, 1);
            for _ in 1..units {
                last = self.link(last)?;
                run(last, 1);
            }
        } else {
            let (mut links, mut left, mut circle) = (Links::default(), units, Circle::new(first));
            loop {
                let neighbours = links.neighbours(last, left, self.memory);
                run(last, neighbours.units.min(left));
                if left <= neighbours.units {
                    last += left as u32 - 1;
                    break;
                }
                left -= neighbours.units;
                circle.step(u64::from(last) + neighbours.units - 1, neighbours.next)?;
                last = self.check_unit("link of a unit", neighbours.next)?;
            }
            // Its neighbours are in use if the last of them is.
            self.check_unit("link of a unit", last)?;
        }
        Ok(last)
    }

    /// Links a unit, at the commit.
    pub(super) fn set_link(&mut self, unit: u32, next: u32) {
        let offset = format::link_offset(unit);
        let links = self.word(offset & !7);
        self.set_word(offset & !7, with_half(links, which_half(offset), next));
    }

    /// Links a unit that is free or the last of what was free: its link means nothing to anyone, so it
    /// is stored at once. Where the log is going to store something else, or may, it has to know.
    fn link_free(&mut self, unit: u32, next: u32) {
        let offset = format::link_offset(unit);
        self.memory.store32(offset, next);
        if self.has_word(offset & !7) || self.may_be_stored_again(offset & !7) {
            self.set_link(unit, next);
        }
    }

    /// Copies payload into an allocated chain, starting `skip` bytes into its first unit.
    pub(super) fn write_chain(&mut self, first: u32, skip: u64, bytes: &[u8]) -> Result<()> {
        let mut at = 0;
        let Transaction { memory, .. } = self;
        // The chain's links are in memory already: nothing pending touches a chain being written.
        let mut pieces = Pieces::new(first, skip, bytes.len() as u64);
        while let Some((offset, length)) = pieces.next(*memory)? {
            memory.write(offset, &bytes[at..at + length as usize]);
            at += length as usize;
        }
        Ok(())
    }
}

/// Which of the two numbers of its word is the one at `offset`.
fn which_half(offset: u64) -> usize {
    usize::from(offset & 7 != 0)
}
