//! What a queue should do, without segments: vectors of messages.

use super::check::{Message, State};
use super::operation::SCRIPT;
use crate::lease::Shelf;
use crate::local::format::Stamp;
use crate::local::store::{DURABLE_FRAMES_AT_ONCE, FRAMES_AT_ONCE, Keeper, Put};
use crate::message::{Framing, Run};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone)]
pub(super) struct Model {
    pub(super) state: State,
    capacity: u64,
    max_items: u64,
    frames_at_once: usize,
    /// When delayed messages become ready.
    due: BTreeMap<u64, u64>,
    pub(super) purged: u64,
    /// Whether puts, and gets, are.
    pub(super) paused: (bool, bool),
    producers: BTreeSet<u32>,
    /// Owners that have been lent space.
    borrowers: BTreeSet<u32>,
}

fn remove(list: &mut Vec<Message>, id: u64) -> Option<Message> {
    list.binary_search_by_key(&id, |message| message.id).ok().map(|place| list.remove(place))
}

fn insert(list: &mut Vec<Message>, message: Message) {
    list.insert(list.partition_point(|other| other.id < message.id), message);
}

impl Model {
    pub(super) fn new(stamp: &Stamp) -> Self {
        let state = State { next_id: 1, ..State::default() };
        let frames_at_once = if stamp.durable { DURABLE_FRAMES_AT_ONCE } else { FRAMES_AT_ONCE };
        Model {
            state,
            capacity: stamp.capacity,
            max_items: stamp.max_items,
            frames_at_once,
            due: BTreeMap::new(),
            purged: 0,
            paused: (false, false),
            producers: BTreeSet::new(),
            borrowers: BTreeSet::new(),
        }
    }

    fn waiting(&self) -> impl Iterator<Item = &Message> {
        self.state.ready.iter().chain(&self.state.delayed)
    }

    fn others(&self) -> impl Iterator<Item = &Message> {
        self.state.leased.values().flatten().chain(&self.state.unowned).chain(&self.state.dead)
    }

    /// Messages that have not left the queue.
    pub(super) fn live(&self) -> u64 {
        (self.waiting().count() + self.others().count()) as u64
    }

    /// Messages that are not done with and not dead.
    pub(super) fn unfinished(&self) -> u64 {
        self.live() - self.state.dead.len() as u64
    }

    /// What a put of `run` should say.
    pub(super) fn expect_put(&self, run: &Run<'_>, together: bool) -> Put {
        if self.state.closed {
            return Put::Closed;
        }
        let (mut waiting, mut live) = (self.waiting().count() as u64, self.live());
        let mut bytes: u64 = self.waiting().chain(self.others()).map(|message| message.body.len() as u64).sum();
        let mut fits = 0;
        if self.paused.0 {
            return Put::Full;
        }
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

    /// The message that was put last was only prepared.
    pub(super) fn prepare(&mut self, owner: u32) {
        let message = self.state.ready.pop().unwrap();
        self.state.leased.entry(owner).or_default().push(message);
    }

    /// The prepared message `id` is ready, or dropped.
    pub(super) fn resolve(&mut self, owner: u32, id: u64, publish: bool) {
        let message = remove(self.state.leased.get_mut(&owner).unwrap(), id).unwrap();
        if publish {
            insert(&mut self.state.ready, message);
        } else {
            self.purged += 1;
        }
    }

    /// The owner produces.
    pub(super) fn produce(&mut self, owner: u32) {
        self.state.leased.entry(owner).or_default();
        self.producers.insert(owner);
    }

    /// The owner produces no more. The end of the last producer may be that of the queue.
    pub(super) fn stop_producing(&mut self, owner: u32, auto_close: bool) {
        self.state.closed |= self.producers.remove(&owner) && self.producers.is_empty() && auto_close;
    }

    /// The owner is lent space.
    pub(super) fn lend(&mut self, owner: u32) {
        self.state.leased.entry(owner).or_default();
        self.borrowers.insert(owner);
    }

    /// It is not any more.
    pub(super) fn end_loan(&mut self, owner: u32) {
        self.borrowers.remove(&owner);
    }

    /// The owner is in the table no more, if it has nothing and does not produce.
    pub(super) fn forget_idle(&mut self, owner: u32) {
        if !self.producers.contains(&owner)
            && !self.borrowers.contains(&owner)
            && self.state.leased.get(&owner).is_some_and(Vec::is_empty)
        {
            self.state.leased.remove(&owner);
        }
    }

    /// Takes the leased message `id` from whoever has it.
    fn let_go(&mut self, id: u64) -> Message {
        self.state.kept.remove(&id);
        let of_owner = self.state.leased.values_mut().find_map(|list| remove(list, id));
        let message = of_owner.or_else(|| remove(&mut self.state.unowned, id)).unwrap();
        if self.state.leased.get(&SCRIPT).is_some_and(Vec::is_empty) {
            self.state.leased.remove(&SCRIPT);
        }
        message
    }

    /// The lease of the message `id`, which `owner` has taken, is kept until a time.
    pub(super) fn keep(&mut self, owner: u32, id: u64, until: u64, keeper: Keeper) {
        let message = remove(self.state.leased.get_mut(&owner).unwrap(), id).unwrap();
        let list = match keeper {
            Keeper::Taker => self.state.leased.get_mut(&owner).unwrap(),
            Keeper::Other(entry, _) => self.state.leased.entry(entry).or_default(),
            Keeper::Nobody => &mut self.state.unowned,
        };
        insert(list, message);
        self.state.kept.insert(id, until);
    }

    /// The message `id`, whose lease was kept, is done with.
    pub(super) fn finish(&mut self, id: u64) {
        self.let_go(id);
        self.state.got += 1;
    }

    /// The lease of the message `id` ends without success: as `after` says.
    pub(super) fn give_back(&mut self, id: u64, max_attempts: u32, not_before: u64, now: u64) {
        let was_kept = self.state.kept.contains_key(&id);
        let message = self.let_go(id);
        if was_kept && max_attempts > 0 && message.attempts >= max_attempts {
            insert(&mut self.state.dead, message);
            return;
        }
        self.state.returned += 1;
        if not_before > now {
            self.due.insert(message.id, not_before);
            insert(&mut self.state.delayed, message);
        } else {
            insert(&mut self.state.ready, message);
        }
    }

    /// The lease of the message `id` ends, and it is dead.
    pub(super) fn bury(&mut self, id: u64) {
        let message = self.let_go(id);
        insert(&mut self.state.dead, message);
    }

    /// What is due by `now` happens.
    pub(super) fn look_at_clock(&mut self, max_attempts: u32, now: u64) {
        let over: Vec<u64> = self.state.kept.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        for id in over {
            self.give_back(id, max_attempts, 0, now);
        }
        let due: Vec<u64> = self.due.iter().filter(|(_, time)| **time <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.due.remove(&id);
            let message = remove(&mut self.state.delayed, id).unwrap();
            insert(&mut self.state.ready, message);
        }
    }

    /// A dead message is ready again.
    pub(super) fn retry(&mut self, id: u64) {
        let message = remove(&mut self.state.dead, id).unwrap();
        insert(&mut self.state.ready, Message { attempts: 0, ..message });
    }

    /// The messages of a shelf are removed. Returns their number.
    pub(super) fn purge(&mut self, shelf: Shelf) -> u64 {
        let list = match shelf {
            Shelf::Ready => &mut self.state.ready,
            Shelf::Delayed => {
                self.due.clear();
                &mut self.state.delayed
            }
            Shelf::Dead => &mut self.state.dead,
            Shelf::Leased => return 0,
        };
        let purged = list.len() as u64;
        list.clear();
        self.purged += purged;
        purged
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
