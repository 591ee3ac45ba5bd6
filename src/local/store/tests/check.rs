//! The invariants of a segment, walked from its raw words, and the queue that it stands for.

use super::memory::TestMemory;
use crate::local::format;
use crate::local::memory::Memory;
use crate::local::store::frame::{Record, State as FrameState};
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
    /// Of each owner in use, in the order of the ids.
    pub(super) leased: BTreeMap<u32, Vec<Message>>,
    pub(super) closed: bool,
    pub(super) next_id: u64,
    pub(super) put: u64,
    pub(super) got: u64,
    pub(super) returned: u64,
}

impl State {
    pub(super) fn is_drained(&self) -> bool {
        self.ready.is_empty() && self.leased.values().all(Vec::is_empty)
    }
}

type Checked<T> = Result<T, String>;

macro_rules! ensure {
    ($claim:expr, $($text:tt)+) => {
        if !$claim {
            return Err(format!($($text)+));
        }
    };
}

/// Checks every invariant and returns the state.
pub(super) fn check(memory: &TestMemory) -> Checked<State> {
    Walk::start(memory)?.run()
}

struct Walk<'a> {
    memory: &'a TestMemory,
    fresh: u64,
    /// What each unit is used for.
    uses: Vec<Option<&'static str>>,
    /// First ids and counts of all frames.
    ids: Vec<(u64, u64)>,
    bytes: u64,
}

impl<'a> Walk<'a> {
    fn start(memory: &'a TestMemory) -> Checked<Self> {
        ensure!(memory.load32(format::COMMIT) == memory.load32(format::APPLIED), "a change is not applied");
        let (grown, fresh) = (memory.load(format::GROWN), memory.load(format::FRESH));
        ensure!(grown % format::GROUP == 0 && grown <= memory.bytes.len() as u64, "grown is {grown}");
        let first = u64::from(format::FIRST_UNIT);
        ensure!(fresh == first || (fresh > first && fresh <= grown / format::UNIT), "fresh is {fresh}");
        Ok(Walk { memory, fresh, uses: vec![None; fresh as usize], ids: Vec::new(), bytes: 0 })
    }

    fn run(mut self) -> Checked<State> {
        let memory = self.memory;
        self.walk_free()?;
        let ready = self.walk_ready()?;
        let mut leased = BTreeMap::new();
        for owner in 0..format::OWNER_ENTRIES {
            let messages = self.walk_owner(owner)?;
            let word = if owner < 64 { format::OWNERS_LOW } else { format::OWNERS_HIGH };
            if memory.load(word) & (1 << (owner % 64)) != 0 {
                leased.insert(owner, messages);
            } else {
                ensure!(messages.is_empty(), "owner {owner} holds leases and is not in use");
            }
        }
        let state = State {
            ready,
            leased,
            closed: memory.load(format::STATE) & format::state::CLOSED != 0,
            next_id: memory.load(format::NEXT_ID),
            put: memory.load(format::TOTAL_PUT),
            got: memory.load(format::TOTAL_GOT),
            returned: memory.load(format::TOTAL_RETURNED),
        };
        self.check_totals(&state)?;
        Ok(state)
    }

    fn check_totals(&mut self, state: &State) -> Checked<()> {
        let memory = self.memory;
        for unit in format::FIRST_UNIT..self.fresh as u32 {
            ensure!(format::is_link_table(unit) || self.uses[unit as usize].is_some(), "unit {unit} is lost");
        }
        self.ids.sort_unstable();
        for pair in self.ids.windows(2) {
            ensure!(pair[0].0.saturating_add(pair[0].1) <= pair[1].0, "two frames have the same ids: {pair:?}");
        }
        let end = self.ids.last().map_or(0, |(first, count)| first.saturating_add(*count));
        ensure!(end <= state.next_id, "id {end} will be used again");
        let (ready, leased) = (state.ready.len() as u64, state.leased.values().map(Vec::len).sum::<usize>() as u64);
        for (field, value) in [
            (format::READY, ready),
            (format::LEASED, leased),
            (format::DELAYED, 0),
            (format::DEAD, 0),
            (format::MESSAGE_BYTES, self.bytes),
        ] {
            ensure!(memory.load(field) == value, "control word {field} is {}, not {value}", memory.load(field));
        }
        ensure!(memory.load(format::HIGH_WATER) >= self.bytes, "the high water is below the water");
        let left = state.put.wrapping_sub(state.got);
        ensure!(left == ready + leased, "{} put, {} got, not so many left", state.put, state.got);
        if state.is_drained() {
            let free = memory.load(format::FREE_COUNT);
            ensure!(
                self.fresh == u64::from(format::FIRST_UNIT) && free == 0,
                "a drained segment does not start afresh"
            );
        }
        Ok(())
    }

    fn claim(&mut self, unit: u64, what: &'static str) -> Checked<u32> {
        let inside = unit >= u64::from(format::FIRST_UNIT) && unit < self.fresh;
        ensure!(inside && !format::is_link_table(unit as u32), "{what} is unit {unit}");
        let before = self.uses[unit as usize].replace(what);
        ensure!(before.is_none(), "unit {unit} is {what} and {}", before.unwrap_or_default());
        Ok(unit as u32)
    }

    fn link(&self, unit: u32) -> u64 {
        u64::from(self.memory.load32(format::link_offset(unit)))
    }

    fn walk_free(&mut self) -> Checked<()> {
        let (mut next, count) = (self.memory.load(format::FREE_FIRST), self.memory.load(format::FREE_COUNT));
        ensure!(count > 0 || next == 0, "no unit is free and unit {next} is the first");
        for _ in 0..count {
            let unit = self.claim(next, "free")?;
            next = self.link(unit);
        }
        Ok(())
    }

    fn walk_ready(&mut self) -> Checked<Vec<Message>> {
        let mut messages = Vec::new();
        let (mut previous, mut next) = (0, self.memory.load(format::READY_FIRST));
        while next != 0 {
            let (unit, record) = self.walk_frame(next, FrameState::Ready, previous, &mut messages)?;
            ensure!(record.owner() == 0, "the ready unit {unit} has an owner");
            (previous, next) = (unit, u64::from(record.next()));
        }
        ensure!(self.memory.load(format::READY_LAST) == u64::from(previous), "the last ready is not {previous}");
        for pair in messages.windows(2) {
            ensure!(pair[0].id < pair[1].id, "message {} is ready before {}", pair[0].id, pair[1].id);
        }
        Ok(messages)
    }

    fn walk_owner(&mut self, owner: u32) -> Checked<Vec<Message>> {
        let mut messages = Vec::new();
        let (mut previous, mut next) = (0, self.memory.load(format::owner_offset(owner) + format::OWNER_LEASES));
        while next != 0 {
            let (unit, record) = self.walk_frame(next, FrameState::Leased, previous, &mut messages)?;
            ensure!(record.owner() == owner + 1, "unit {unit} of owner {owner} says {}", record.owner());
            (previous, next) = (unit, u64::from(record.next()));
        }
        messages.sort_by_key(|message| message.id);
        Ok(messages)
    }

    fn walk_frame(
        &mut self,
        unit: u64,
        state: FrameState,
        previous: u32,
        messages: &mut Vec<Message>,
    ) -> Checked<(u32, Record)> {
        let unit = self.claim(unit, "a record")?;
        let record = Record::load(self.memory, unit).map_err(|fault| format!("{fault:?}"))?;
        ensure!(record.state() == Some(state), "unit {unit} is {:?} in the list of {state:?}", record.state());
        ensure!(record.previous() == previous, "unit {unit} follows {previous}, not {}", record.previous());
        let payload = self.walk_payload(unit, &record)?;
        ensure!(crc32fast::hash(&payload) == record.checksum(), "the checksum of unit {unit} is wrong");
        let count = u64::from(record.count());
        let run = Run::stored(&payload, record.framing(), count, record.json());
        let bytes: u64 = run.messages().map(|message| message.len() as u64).sum();
        ensure!(bytes == run.message_bytes(), "the payload of unit {unit} is not {count} messages");
        if let Some(delimiter) = record.framing().delimiter() {
            ensure!(payload.ends_with(&[delimiter]), "the last message of unit {unit} has no end");
        }
        ensure!(run.message_bytes() == record.message_bytes(), "unit {unit} counts its bytes wrongly");
        self.bytes += run.message_bytes();
        self.ids.push((record.first_id(), count));
        messages.extend(run.messages().zip(record.first_id()..).map(|(body, id)| Message {
            id,
            attempts: record.attempts(),
            framing: record.framing(),
            json: record.json(),
            body: body.to_vec(),
        }));
        Ok((unit, record))
    }

    fn walk_payload(&mut self, unit: u32, record: &Record) -> Checked<Vec<u8>> {
        let (skip, length) = (record.skip() as usize, record.length() as usize);
        let mut payload = Vec::new();
        if record.is_inline() {
            ensure!(record.last_unit() == 0, "unit {unit} has a last unit and no first");
            self.memory.append(format::unit_offset(unit) + format::INLINE, format::INLINE_BYTES, &mut payload);
        } else {
            let (mut last, mut next) = (0, u64::from(record.first_unit()));
            for _ in 0..record.payload_units() {
                last = self.claim(next, "payload")?;
                next = self.link(last);
                self.memory.append(format::unit_offset(last), format::UNIT, &mut payload);
            }
            ensure!(last == record.last_unit(), "the payload of unit {unit} ends in {last}");
        }
        ensure!(skip + length <= payload.len(), "the payload of unit {unit} is too short");
        Ok(payload[skip..skip + length].to_vec())
    }
}
