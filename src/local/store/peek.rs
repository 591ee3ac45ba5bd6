//! Looking at messages without taking them.

use super::super::format;
use super::super::memory::{Memory, ReadMemory};
use super::dead;
use super::frame::{Record, State};
use super::owners::identity;
use super::take::check_payload;
use super::tree::{Tree, each_in_order};
use super::units::each_piece;
use super::{Fault, Result, Store, damaged};
use crate::lease::{Reason, Shelf};
use crate::message::Run;

/// A message that is looked at.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) id: u64,
    pub(crate) record: Record,
    pub(crate) body: Vec<u8>,
    /// The process that holds its lease.
    pub(crate) holder: Option<u32>,
    /// Why it is dead.
    pub(crate) reason: Option<Reason>,
}

impl<M: Memory> Store<M> {
    /// The first `most` messages of a shelf: ready ones in their order, leased and delayed ones by when that ends, dead
    /// ones by when they died.
    pub(crate) fn peek(&mut self, shelf: Shelf, most: usize) -> Result<Vec<Shown>> {
        // Its bounds are checked on the way.
        self.begin()?;
        let memory = &self.memory;
        let mut shown = Vec::new();
        let mut show = |unit: u32, record: &Record| {
            show_some(memory, unit, record, most, &mut shown)?;
            Ok(shown.len() < most)
        };
        if most == 0 {
            return Ok(shown);
        }
        match shelf {
            Shelf::Dead => each_in_order(memory, Tree::Dead, show)?,
            Shelf::Delayed => each_in_order(memory, Tree::Delayed, show)?,
            Shelf::Leased => {
                each_in_order(memory, Tree::Kept, &mut show)?;
                // What is taken and not kept has no end but its holder's.
                for owner in self.owners_in_use().others(None) {
                    let first = memory.load(format::owner_offset(owner) + format::OWNER_LEASES);
                    each_in_list(memory, first, |unit, record| {
                        if record.is_kept() || record.is_prepared() { Ok(true) } else { show(unit, record) }
                    })?;
                }
            }
            Shelf::Ready => {
                let mut returned = Vec::new();
                each_in_order(memory, Tree::Returned, |unit, record| {
                    returned.push((unit, *record));
                    Ok(returned.len() < most)
                })?;
                let mut returned = returned.into_iter().peekable();
                let mut go_on = true;
                each_in_list(memory, memory.load(format::READY_FIRST), |unit, record| {
                    while let Some((older, its)) =
                        returned.next_if(|(_, its)| go_on && its.first_id() < record.first_id())
                    {
                        go_on = show(older, &its)?;
                    }
                    go_on = go_on && show(unit, record)?;
                    Ok(go_on)
                })?;
                for (unit, record) in returned {
                    go_on = go_on && show(unit, &record)?;
                }
            }
        }
        Ok(shown)
    }
}

/// Calls `visit` with each frame of a list, as long as it returns true.
pub(super) fn each_in_list<M: ReadMemory>(
    memory: &M,
    first: u64,
    mut visit: impl FnMut(u32, &Record) -> Result<bool>,
) -> Result<()> {
    let fresh = memory.load(format::FRESH);
    let (mut next, mut left) = (first, fresh);
    while next != 0 {
        if next < u64::from(format::FIRST_UNIT) || next >= fresh || format::is_link_table(next as u32) || left == 0 {
            return damaged("next frame", format!("names unit {next}, which is not in use, or there already"));
        }
        left -= 1;
        let record = Record::load(memory, next as u32)?;
        if !visit(next as u32, &record)? {
            break;
        }
        next = record.next().into();
    }
    Ok(())
}

fn show_some<M: ReadMemory>(memory: &M, unit: u32, record: &Record, most: usize, shown: &mut Vec<Shown>) -> Result<()> {
    let mut payload = Vec::new();
    if payload.try_reserve(record.length() as usize).is_err() {
        return Err(Fault::Memory(record.length()));
    }
    each_piece(memory, unit, record, |offset, length| {
        memory.append(offset, length, &mut payload);
        Ok(true)
    })?;
    check_payload(unit, record, &payload)?;
    let owner = record.owner().checked_sub(1).filter(|owner| *owner < format::OWNER_ENTRIES);
    let holder = owner.map(|owner| identity(memory, owner).pid);
    let reason = match record.state() {
        Some(State::Dead) => Some(dead::reason(memory, record)?),
        _ => None,
    };
    let run = Run::stored(&payload, record.framing(), record.count().into(), record.json());
    for (body, id) in run.messages().zip(record.first_id()..).take(most - shown.len()) {
        shown.push(Shown { id, record: *record, body: body.to_vec(), holder, reason: reason.clone() });
    }
    Ok(())
}
