//! The queue that a segment stands for, if it is sound.

use super::memory::TestMemory;
use crate::local::format::{self, Stamp};
use crate::local::memory::ReadMemory;
use crate::local::store::frame::State as Place;
use crate::local::store::pieces::each_piece;
use crate::local::store::verify;
use crate::message::{Framing, Run};
use std::collections::BTreeMap;

/// One message, wherever it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u64,
    pub(super) attempts: u32,
    pub(super) framing: Framing,
    pub(super) json: bool,
    pub(super) body: Vec<u8>,
}

/// The queue that a segment stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// In the order in which they are got.
    pub(super) ready: Vec<Message>,
    /// Of each owner in use, in the order of the ids, as all of these.
    pub(super) leased: BTreeMap<u32, Vec<Message>>,
    /// Leases that nobody's death ends.
    pub(super) unowned: Vec<Message>,
    pub(super) delayed: Vec<Message>,
    pub(super) dead: Vec<Message>,
    /// The ids of kept leases, and when they run out.
    pub(super) kept: BTreeMap<u64, u64>,
    pub(super) closed: bool,
    pub(super) next_id: u64,
    pub(super) put: u64,
    pub(super) got: u64,
    pub(super) returned: u64,
}

/// Verifies the segment and returns the state, or what is wrong.
pub(super) fn check(memory: &TestMemory) -> Result<State, String> {
    let stamp = stamp(memory)?;
    let mut state = State::default();
    let mut frames = Vec::new();
    let verdict = verify(memory, &stamp, |unit, record| frames.push((unit, *record)));
    if !verdict.findings.is_empty() {
        return Err(format!("{:?}", verdict.findings));
    }
    if verdict.unfinished {
        return Err("a change is not applied".into());
    }
    for owner in verdict.owners.others(None) {
        state.leased.insert(owner, Vec::new());
    }
    for (unit, record) in frames {
        let mut payload = Vec::new();
        let appended = each_piece(memory, unit, &record, |offset, length| {
            memory.append(offset, length, &mut payload);
            Ok(true)
        });
        appended.map_err(|fault| format!("{fault:?}"))?;
        let run = Run::stored(&payload, record.framing(), record.count().into(), record.json());
        let messages = run.messages().zip(record.first_id()..).map(|(body, id)| Message {
            id,
            attempts: record.attempts_that_count(),
            framing: record.framing(),
            json: record.json(),
            body: body.to_vec(),
        });
        match record.state() {
            Some(Place::Ready) => state.ready.extend(messages),
            Some(Place::Leased) => match record.owner().checked_sub(1) {
                Some(owner) => state.leased.entry(owner).or_default().extend(messages),
                None => state.unowned.extend(messages),
            },
            Some(Place::Delayed) => state.delayed.extend(messages),
            Some(Place::Dead) => state.dead.extend(messages),
            Some(Place::HandedOn) | None => return Err("a frame that is no message".into()),
        }
        if record.is_kept() {
            state.kept.insert(record.first_id(), record.due());
        }
    }
    for messages in [&mut state.ready, &mut state.unowned, &mut state.delayed, &mut state.dead] {
        messages.sort_by_key(|message| message.id);
    }
    state.leased.values_mut().for_each(|messages| messages.sort_by_key(|message| message.id));
    state.closed = verdict.closed;
    state.next_id = memory.load(format::NEXT_ID);
    state.put = memory.load(format::TOTAL_PUT);
    state.got = memory.load(format::TOTAL_GOT);
    state.returned = memory.load(format::TOTAL_RETURNED);
    Ok(state)
}

fn stamp(memory: &TestMemory) -> Result<Stamp, String> {
    let mut stamp = [0; format::STAMP_BYTES];
    memory.read(0, &mut stamp);
    Stamp::decode(&stamp)
}
