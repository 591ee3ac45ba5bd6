//! What a queue should do, without segments: vectors of messages.

use super::check::{Message, State};
use crate::local::format::Stamp;
use crate::local::store::{DURABLE_FRAMES_AT_ONCE, FRAMES_AT_ONCE, Put};
use crate::message::{Framing, Run};

#[derive(Clone)]
pub(super) struct Model {
    pub(super) state: State,
    capacity: u64,
    max_items: u64,
    frames_at_once: usize,
}

impl Model {
    pub(super) fn new(stamp: &Stamp) -> Self {
        let state = State { next_id: 1, ..State::default() };
        let frames_at_once = if stamp.durable { DURABLE_FRAMES_AT_ONCE } else { FRAMES_AT_ONCE };
        Model { state, capacity: stamp.capacity, max_items: stamp.max_items, frames_at_once }
    }

    fn leased(&self) -> impl Iterator<Item = &Message> {
        self.state.leased.values().flatten()
    }

    /// Messages that are not done with.
    pub(super) fn live(&self) -> u64 {
        (self.state.ready.len() + self.leased().count()) as u64
    }

    /// What a put of `run` should say.
    pub(super) fn expect_put(&self, run: &Run<'_>, together: bool) -> Put {
        if self.state.closed {
            return Put::Closed;
        }
        let (mut waiting, mut live) = (self.state.ready.len() as u64, self.live());
        let mut bytes: u64 =
            self.state.ready.iter().chain(self.leased()).map(|message| message.body.len() as u64).sum();
        let mut fits = 0;
        for message in run.messages() {
            bytes += message.len() as u64;
            if waiting >= self.max_items || live >= self.capacity || bytes > self.capacity {
                break;
            }
            (waiting, live, fits) = (waiting + 1, live + 1, fits + 1);
        }
        if run.count() > 0 && (fits == 0 || (together && fits < run.count())) { Put::Full } else { Put::Done(fits) }
    }

    /// The first `count` messages of `run` are put.
    pub(super) fn put(&mut self, run: &Run<'_>, count: u64) {
        for body in run.messages().take(count as usize) {
            let (id, framing, json, body) = (self.state.next_id, run.framing(), run.json, body.to_vec());
            self.state.ready.push(Message { id, attempts: 0, framing, json, body });
            self.state.next_id += 1;
            self.state.put += 1;
        }
    }

    /// The first `count` messages are taken.
    pub(super) fn take(&mut self, owner: u32, count: usize) -> Vec<Message> {
        let mut taken: Vec<Message> = self.state.ready.drain(..count).collect();
        for message in &mut taken {
            message.attempts += 1;
        }
        let leased = self.state.leased.entry(owner).or_default();
        leased.extend(taken.iter().cloned());
        leased.sort_by_key(|message| message.id);
        taken
    }

    /// Of the messages `ids` the first `delivered` are done with, the others are ready again.
    pub(super) fn settle(&mut self, owner: u32, ids: &[u64], delivered: usize) {
        for (index, id) in ids.iter().enumerate() {
            let leased = self.state.leased.get_mut(&owner).unwrap();
            let message = leased.remove(leased.binary_search_by_key(id, |message| message.id).unwrap());
            if index < delivered {
                self.state.got += 1;
            } else {
                self.state.returned += 1;
                let place = self.state.ready.partition_point(|ready| ready.id < message.id);
                self.state.ready.insert(place, message);
            }
        }
    }

    /// The owner is in the table no more, if it holds nothing.
    pub(super) fn forget_idle(&mut self, owner: u32) {
        if self.state.leased.get(&owner).is_some_and(Vec::is_empty) {
            self.state.leased.remove(&owner);
        }
    }

    /// Whether a take of `count` messages in `frames` frames stopped before it had to.
    pub(super) fn took_too_little(&self, wanted: u64, count: u64, frames: usize, enough_bytes: bool) -> bool {
        count < wanted && !enough_bytes && frames < self.frames_at_once && !self.state.ready.is_empty()
    }
}

/// Messages of the given lengths in the form of a run.
pub(super) fn body(framing: Framing, lengths: impl Iterator<Item = u64>, mut byte: impl FnMut() -> u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for length in lengths {
        for _ in 0..length {
            let byte = byte();
            bytes.push(if Some(byte) == framing.delimiter() { b'.' } else { byte });
        }
        bytes.extend(framing.delimiter());
    }
    bytes
}
