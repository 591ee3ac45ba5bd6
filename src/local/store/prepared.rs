//! Prepared messages: put into a queue, but not to be seen before a message of another queue is finished with.
//!
//! So one message can be finished with and another put in one step, though two segments have no change in common:
//! first the new message is prepared, then the old one finished with, which is the moment in which both happen, and
//! then the new one published. It belongs to its owner meanwhile. Where the owner dies, whoever notices looks whether
//! the old message was handed on by the very lease that it was prepared for, which is noted in its queue until the new
//! one is published: if so, what was prepared is published, else it is dropped.

use super::super::format::{self, PREPARED};
use super::super::memory::Memory;
use super::destination::{Destination, Prepare};
use super::frame::State;
use super::list::each_in_list;
use super::owners::Identity;
use super::sleepers::Wake;
use super::transaction::Transaction;
use super::tree::Tree;
use super::units::Chain;
use super::{Put, Result, Store, damaged};
use crate::lease::{LeaseId, Source};
use crate::message::Run;

/// A prepared frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) unit: u32,
    pub(crate) first_id: u64,
}

impl<M: Memory> Store<M> {
    /// Prepares the messages of `run`, all of them or none, as [`Store::put`] puts them.
    pub(crate) fn prepare(
        &mut self,
        run: &Run<'_>,
        prepare: &Prepare<'_>,
        now: u64,
    ) -> Result<(Put, Option<Prepared>)> {
        let first_id = self.memory.load(format::NEXT_ID);
        let put = self.put_to(Destination::Prepared(prepare), run, true, now)?;
        let first = self.memory.load(format::owner_offset(prepare.owner) + format::OWNER_LEASES);
        let prepared = matches!(put, Put::Done(1..)).then_some(Prepared { unit: first as u32, first_id });
        Ok((put, prepared))
    }

    /// Makes prepared messages ready in their place, or drops them. `last`: their owner wants no more.
    pub(crate) fn resolve(&mut self, prepared: Prepared, publish: bool, last: bool) -> Result<()> {
        let mut transaction = self.begin()?;
        let record = *transaction.record("first lease", prepared.unit)?;
        if !record.is_prepared() || record.first_id() != prepared.first_id {
            return damaged("frame flags", format!("of unit {} say that it is not prepared", prepared.unit));
        }
        transaction.resolve(prepared.unit, publish)?;
        if last && let Some(owner) = record.owner().checked_sub(1) {
            transaction.clear_idle_owner(owner)?;
        }
        transaction.note_if_drained();
        transaction.commit()
    }

    /// Whether there are prepared messages at all.
    pub(crate) fn has_prepared(&self) -> bool {
        self.memory.load(PREPARED) > 0
    }

    /// What `owner` has prepared, with the source of each.
    pub(crate) fn prepared_by(&mut self, owner: u32) -> Result<Vec<(Prepared, Source)>> {
        self.begin()?;
        let memory = &self.memory;
        let mut all = Vec::new();
        let first = memory.load(format::owner_offset(owner) + format::OWNER_LEASES);
        each_in_list(memory, first, |unit, record| {
            if record.is_prepared() {
                let mut bytes = vec![0; usize::from(text_length(record.reason())).min(format::UNIT as usize)];
                memory.read(u64::from(record.reason_unit()) * format::UNIT, &mut bytes);
                let Some(source) = Source::decode(&bytes) else {
                    return damaged("reason", format!("of the prepared unit {unit} is too short"));
                };
                all.push((Prepared { unit, first_id: record.first_id() }, source));
            }
            Ok(true)
        })?;
        Ok(all)
    }

    /// Whether that lease of a message ended by handing the message on.
    pub(crate) fn was_handed_on(&mut self, lease: LeaseId) -> Result<bool> {
        Ok(self.begin()?.find_handed_on(lease)?.is_some())
    }

    /// Forgets that it did: its successor has been published.
    pub(crate) fn forget_handed_on(&mut self, lease: LeaseId) -> Result<()> {
        let mut transaction = self.begin()?;
        if let Some(unit) = transaction.find_handed_on(lease)? {
            transaction.tree_remove(Tree::HandedOn, unit)?;
            transaction.free_frame(unit)?;
        }
        transaction.commit()
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Makes the new frame in `unit`, which is nowhere, one that its owner has prepared.
    pub(super) fn prepare(&mut self, unit: u32, prepare: &Prepare<'_>, now: u64) -> Result<()> {
        self.use_owner(prepare.owner, &Identity::resident(prepare.pid), now);
        let text = self.allocate(1)?.first;
        let source = prepare.source.encode();
        self.set_text(text, &source);
        let record = self.record("first lease", unit)?;
        record.set_state(State::Leased);
        record.set_prepared(true);
        record.set_leased_at(now);
        record.set_reason(u32::from_ne_bytes(with_length(source.len() as u16)));
        record.set_reason_unit(text);
        let count = u64::from(record.count());
        self.add_lease(prepare.owner, unit)?;
        self.add(format::LEASED, count);
        self.add(PREPARED, count);
        Ok(())
    }

    /// Leaves of the frame in `unit`, which is nowhere now and of one message, only that it was handed on.
    pub(super) fn leave_handed_on(&mut self, unit: u32) -> Result<()> {
        let record = *self.record("handed-on root", unit)?;
        self.subtract(format::MESSAGE_BYTES, record.message_bytes())?;
        if !record.is_inline() {
            let (first, last, units) = (record.first_unit(), record.last_unit(), record.payload_units());
            self.free(Chain { first, last, units })?;
        }
        let record = self.record("handed-on root", unit)?;
        record.set_state(State::HandedOn);
        record.drop_payload();
        self.tree_insert(Tree::HandedOn, unit)
    }

    fn find_handed_on(&mut self, lease: LeaseId) -> Result<Option<u32>> {
        let Some(unit) = self.tree_find(Tree::HandedOn, lease.message)? else { return Ok(None) };
        let attempts = self.record("handed-on root", unit)?.attempts();
        Ok(Some(unit).filter(|_| attempts == lease.attempt))
    }

    /// Ends the preparation of the frame in `unit`.
    pub(super) fn resolve(&mut self, unit: u32, publish: bool) -> Result<()> {
        self.let_go(unit)?;
        let record = self.record("first lease", unit)?;
        let (count, bytes) = (u64::from(record.count()), record.message_bytes());
        self.subtract(PREPARED, count)?;
        if !publish {
            self.subtract(format::MESSAGE_BYTES, bytes)?;
            self.add(format::TOTAL_PURGED, count);
            self.wake_space();
            return self.free_frame(unit);
        }
        let record = self.record("first lease", unit)?;
        let text = record.reason_unit();
        record.set_prepared(false);
        record.set_reason(0);
        record.set_reason_unit(0);
        self.free_unit(text)?;
        self.wake_data(Wake::Messages(count));
        self.make_ready(unit)
    }
}

/// The length of a text in a reason's last two bytes.
pub(super) fn text_length(reason: u32) -> u16 {
    let [_, _, low, high] = reason.to_ne_bytes();
    u16::from_ne_bytes([low, high])
}

fn with_length(length: u16) -> [u8; 4] {
    let [low, high] = length.to_ne_bytes();
    [0, 0, low, high]
}
