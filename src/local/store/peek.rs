//! Looking at messages without taking them.

use super::super::format;
use super::super::memory::{Memory, ReadMemory};
use super::dead;
use super::frame::{Record, State};
use super::list::each_in_list;
use super::owners::identity;
use super::payload;
use super::tree::{Tree, each_in_order};
use super::{Result, Store};
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
            Shelf::Dead => each_in_order(memory, [Tree::Dead], show)?,
            Shelf::Delayed => each_in_order(memory, [Tree::Delayed], show)?,
            Shelf::Leased => {
                each_in_order(memory, Tree::KEPT, &mut show)?;
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
                each_in_order(memory, [Tree::Returned], |unit, record| {
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

fn show_some<M: ReadMemory>(memory: &M, unit: u32, record: &Record, most: usize, shown: &mut Vec<Shown>) -> Result<()> {
    let mut payload = Vec::new();
    payload::read(memory, unit, record, &mut payload)?;
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
