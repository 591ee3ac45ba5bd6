//! What a queue should do: a map of messages by their ids.

use super::steps::{Body, Delay, How, Step};
use ipcq::lease::{Cause, LeaseId, Shelf};
use ipcq::message::Framing;
use ipcq::queue::{Condition, Limits};
use std::collections::{BTreeMap, BTreeSet};

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Ready,
    /// Taken by a client, and neither settled nor kept.
    Taken(usize),
    /// Leased beyond that, until a client's death, or until a time, which is far away.
    Kept {
        by: Option<usize>,
        has_time: bool,
    },
    /// Put by a client, and not to be seen yet.
    Prepared(usize),
    /// Until a time that is far away; which step it was.
    Delayed(u64),
    /// In which step, and why.
    Dead(u64, String),
}

pub(super) struct Message {
    body: Body,
    framing: Framing,
    json: bool,
    /// Since it was put or last retried, and in all.
    attempts: u32,
    handed_out: u32,
    /// It is not part of a run with others, as far as is known.
    is_alone: bool,
    pub(super) place: Place,
}

/// What was taken by a client and is neither settled nor kept.
#[derive(Clone, Default)]
pub(super) struct Taken {
    pub(super) ids: Vec<u64>,
    pub(super) singly: bool,
}

#[derive(Default)]
struct Figures {
    put: u64,
    got: u64,
    returned: u64,
    expired: u64,
    died: u64,
    purged: u64,
    high_water: u64,
}

pub(super) struct Model {
    limits: Limits,
    pub(super) messages: BTreeMap<u64, Message>,
    pub(super) taken: Vec<Taken>,
    producers: BTreeSet<usize>,
    pub(super) closed: bool,
    puts_paused: bool,
    gets_paused: bool,
    figures: Figures,
    next_id: u64,
    steps: u64,
}

impl Model {
    pub(super) fn new(limits: Limits, clients: usize) -> Self {
        Model {
            limits,
            messages: BTreeMap::new(),
            taken: vec![Taken::default(); clients],
            producers: BTreeSet::new(),
            closed: false,
            puts_paused: false,
            gets_paused: false,
            figures: Figures::default(),
            next_id: 1,
            steps: 0,
        }
    }

    pub(super) fn clients(&self) -> usize {
        self.taken.len()
    }

    /// The ids of messages in such places.
    pub(super) fn ids(&self, is_meant: impl Fn(&Place) -> bool) -> Vec<u64> {
        self.messages.iter().filter(|(_, message)| is_meant(&message.place)).map(|(id, _)| *id).collect()
    }

    /// How many messages every queue leases at once singly, if that many are wanted: one may take only the first of a run.
    pub(super) fn at_once_singly(&self, wanted: u64) -> u64 {
        let ready = self.on(Shelf::Ready);
        let alone = ready.iter().take_while(|id| self.messages[id].is_alone).count() as u64;
        wanted.min(alone + 1)
    }

    /// The lease of a message that is known.
    pub(super) fn lease(&self, id: u64) -> LeaseId {
        LeaseId { message: id, attempt: self.messages[&id].handed_out }
    }

    fn on(&self, shelf: Shelf) -> Vec<u64> {
        let mut ids = self.ids(|place| match shelf {
            Shelf::Ready => *place == Place::Ready,
            Shelf::Leased => matches!(place, Place::Taken(_) | Place::Kept { .. }),
            Shelf::Delayed => matches!(place, Place::Delayed(_)),
            Shelf::Dead => matches!(place, Place::Dead(..)),
        });
        ids.sort_by_key(|id| match self.messages[id].place {
            Place::Delayed(step) | Place::Dead(step, _) => (step, *id),
            _ => (0, *id),
        });
        ids
    }

    fn is_waiting(place: &Place) -> bool {
        matches!(place, Place::Ready | Place::Delayed(_))
    }

    /// What a step should answer.
    pub(super) fn answer(&mut self, step: &Step) -> String {
        self.steps += 1;
        match step {
            Step::Put { bodies, framing, json, together, .. } => match self.put(bodies, *framing, *json, *together) {
                Some(count) => count.to_string(),
                None => "Closed".into(),
            },
            Step::Take { client, messages, singly } => self.take(*client, *messages, *singly),
            Step::Settle { client, delivered, .. } => {
                let taken = std::mem::take(&mut self.taken[*client]);
                for (index, id) in taken.ids.into_iter().enumerate() {
                    if (index as u64) < *delivered { self.finish(id) } else { self.give_back(id) }
                }
                "done".into()
            }
            Step::Keep { client, kept, ours, has_time, .. } => {
                let taken = std::mem::take(&mut self.taken[*client]);
                for (index, id) in taken.ids.into_iter().enumerate() {
                    if (index as u64) < *kept {
                        let by = ours.then_some(*client);
                        self.message(id).place = Place::Kept { by, has_time: *has_time };
                    } else {
                        self.give_back(id);
                    }
                }
                "done".into()
            }
            Step::RunOut { client, kept } => {
                let taken = std::mem::take(&mut self.taken[*client]);
                for (index, id) in taken.ids.into_iter().enumerate() {
                    if (index as u64) < *kept {
                        self.figures.expired += 1;
                        self.fail(id, self.limits.max_attempts, &Cause::Expired.to_string());
                    } else {
                        self.give_back(id);
                    }
                }
                "done".into()
            }
            Step::End { leases, how, .. } => self.end(leases, how),
            Step::Extend { leases, .. } => match leases.iter().find(|lease| !self.is_kept(**lease)) {
                Some(lease) => not_leased(*lease),
                None => {
                    for lease in leases {
                        if let Place::Kept { has_time, .. } = &mut self.message(lease.message).place {
                            *has_time = true;
                        }
                    }
                    "done".into()
                }
            },
            Step::Retry { ids, .. } => self.retry(ids.as_deref()),
            Step::HandOnDead { lease, .. } => {
                let found = self.messages.get(&lease.message);
                if found.is_some_and(|m| matches!(m.place, Place::Dead(..)) && m.handed_out == lease.attempt) {
                    self.messages.remove(&lease.message);
                    self.figures.purged += 1;
                    return "done".into();
                }
                not_dead(lease.message)
            }
            Step::Purge { shelf, .. } => {
                let ids = self.on(*shelf);
                ids.iter().for_each(|id| drop(self.messages.remove(id)));
                self.figures.purged += ids.len() as u64;
                ids.len().to_string()
            }
            Step::Prepare { client, body } => match self.put(std::slice::from_ref(body), Framing::Whole, false, true) {
                None => "Closed".into(),
                Some(0) => "None".into(),
                Some(_) => {
                    let id = self.next_id - 1;
                    self.message(id).place = Place::Prepared(*client);
                    format!("Some({id})")
                }
            },
            Step::Resolve { id, publish, .. } => {
                if *publish {
                    self.message(*id).place = Place::Ready;
                } else {
                    self.messages.remove(id);
                    self.figures.purged += 1;
                }
                "done".into()
            }
            Step::Produce { .. } if !self.limits.auto_close => "done".into(),
            Step::Produce { client } if self.producers.contains(client) => "done".into(),
            Step::Produce { .. } if self.closed => "Closed".into(),
            Step::Produce { client } => {
                self.producers.insert(*client);
                "done".into()
            }
            Step::Leave { client } => {
                self.leave(*client);
                "done".into()
            }
            Step::Close { .. } => {
                self.closed = true;
                "done".into()
            }
            Step::Steer { puts, gets, paused, .. } => {
                self.puts_paused = if *puts { *paused } else { self.puts_paused };
                self.gets_paused = if *gets { *paused } else { self.gets_paused };
                "done".into()
            }
            Step::Wait { condition, .. } => match condition {
                Condition::Ready => !self.on(Shelf::Ready).is_empty() && !self.gets_paused,
                Condition::Empty => self.ids(Self::is_waiting).is_empty(),
                Condition::Closed => self.closed,
            }
            .to_string(),
            Step::Join { .. } => self.ids(|place| !matches!(place, Place::Dead(..))).is_empty().to_string(),
            Step::Peek { shelf, most, .. } => self.show(*shelf, *most),
        }
    }

    fn message(&mut self, id: u64) -> &mut Message {
        self.messages.get_mut(&id).unwrap()
    }

    fn bytes(&self) -> u64 {
        self.messages.values().map(|message| message.body.0.len() as u64).sum()
    }

    /// How many are put; `None`: the queue is closed.
    fn put(&mut self, bodies: &[Body], framing: Framing, json: bool, together: bool) -> Option<u64> {
        if self.closed {
            return None;
        }
        let Limits { capacity, max_items, .. } = self.limits;
        let most = max_items.unwrap_or(u64::MAX).min(capacity);
        let all: u64 = bodies.iter().map(|body| body.0.len() as u64).sum();
        let together = together && all <= capacity && bodies.len() as u64 <= most;
        let (mut waiting, mut live) = (self.ids(Self::is_waiting).len() as u64, self.messages.len() as u64);
        let (mut bytes, mut fits) = (self.bytes(), 0);
        for body in bodies {
            bytes += body.0.len() as u64;
            if waiting >= max_items.unwrap_or(u64::MAX) || live >= capacity || bytes > capacity {
                break;
            }
            (waiting, live, fits) = (waiting + 1, live + 1, fits + 1);
        }
        if self.puts_paused || (together && fits < bodies.len()) {
            return Some(0);
        }
        for body in &bodies[..fits] {
            let message = Message {
                body: body.clone(),
                framing,
                json,
                attempts: 0,
                handed_out: 0,
                is_alone: fits == 1,
                place: Place::Ready,
            };
            self.messages.insert(self.next_id, message);
            self.next_id += 1;
        }
        self.figures.put += fits as u64;
        self.figures.high_water = self.figures.high_water.max(self.bytes());
        Some(fits as u64)
    }

    fn take(&mut self, client: usize, most: u64, singly: bool) -> String {
        let ready = self.on(Shelf::Ready);
        if ready.is_empty() || self.gets_paused {
            let rest = self.ids(|place| !matches!(place, Place::Dead(..)));
            return if self.closed && rest.is_empty() { "Drained" } else { "Nothing" }.into();
        }
        let ids: Vec<u64> = ready.into_iter().take(most as usize).collect();
        let mut shown = String::new();
        for id in &ids {
            let message = self.message(*id);
            message.attempts += 1;
            message.handed_out += 1;
            message.is_alone |= singly;
            message.place = Place::Taken(client);
            shown += &message.shown(*id);
        }
        self.taken[client] = Taken { ids, singly };
        shown
    }

    fn finish(&mut self, id: u64) {
        self.messages.remove(&id);
        self.figures.got += 1;
    }

    fn give_back(&mut self, id: u64) {
        self.message(id).place = Place::Ready;
        self.figures.returned += 1;
    }

    /// A kept lease ends without success. Returns whether the message is dead.
    fn fail(&mut self, id: u64, max_attempts: Option<u32>, reason: &str) -> bool {
        let is_dead = max_attempts.is_some_and(|most| most > 0 && self.messages[&id].attempts >= most);
        if is_dead {
            self.bury(id, reason)
        } else {
            self.give_back(id)
        }
        is_dead
    }

    fn bury(&mut self, id: u64, reason: &str) {
        let step = self.steps;
        self.message(id).place = Place::Dead(step, reason.to_owned());
        self.figures.died += 1;
    }

    fn is_kept(&self, lease: LeaseId) -> bool {
        let found = self.messages.get(&lease.message);
        found.is_some_and(|m| matches!(m.place, Place::Kept { .. }) && m.handed_out == lease.attempt)
    }

    fn end(&mut self, leases: &[LeaseId], how: &How) -> String {
        if let Some(lease) = leases.iter().find(|lease| !self.is_kept(**lease)) {
            return not_leased(*lease);
        }
        let ids: BTreeSet<u64> = leases.iter().map(|lease| lease.message).collect();
        let (mut done, mut again, mut dead) = (0, 0, 0);
        for id in ids {
            match how {
                How::Done | How::HandedOn => {
                    self.finish(id);
                    done += 1;
                }
                How::Dead(text) => {
                    self.bury(id, &format!("{}: {text}", Cause::Returned));
                    dead += 1;
                }
                How::Again { delay, max_attempts, exit } => {
                    let most = max_attempts.or(self.limits.max_attempts);
                    if self.fail(id, most, &Cause::Exit(*exit).to_string()) {
                        dead += 1;
                        continue;
                    }
                    again += 1;
                    if *delay == Delay::Long {
                        let step = self.steps;
                        self.message(id).place = Place::Delayed(step);
                    }
                }
            }
        }
        format!("{done} done, {again} again, {dead} dead")
    }

    fn retry(&mut self, ids: Option<&[u64]>) -> String {
        let dead = self.on(Shelf::Dead);
        if let Some(id) = ids.unwrap_or_default().iter().find(|id| !dead.contains(id)) {
            return not_dead(*id);
        }
        let ids: BTreeSet<u64> = ids.unwrap_or(&dead).iter().copied().collect();
        for id in &ids {
            let message = self.message(*id);
            (message.place, message.attempts) = (Place::Ready, 0);
        }
        ids.len().to_string()
    }

    fn leave(&mut self, client: usize) {
        let taken = std::mem::take(&mut self.taken[client]);
        taken.ids.into_iter().for_each(|id| self.give_back(id));
        for id in self.ids(|place| matches!(place, Place::Kept { by: Some(by), .. } if *by == client)) {
            self.fail(id, self.limits.max_attempts, &Cause::HolderDied.to_string());
        }
        if self.producers.remove(&client) && self.producers.is_empty() {
            self.closed = true;
        }
    }

    fn show(&self, shelf: Shelf, most: usize) -> String {
        let mut shown = String::new();
        for id in self.on(shelf).into_iter().take(most) {
            let message = &self.messages[&id];
            let (has_time, holder, reason) = match &message.place {
                Place::Taken(_) => (false, true, ""),
                Place::Kept { by, has_time } => (*has_time, by.is_some(), ""),
                Place::Dead(_, reason) => (true, false, reason.as_str()),
                Place::Delayed(_) => (true, false, ""),
                Place::Ready | Place::Prepared(_) => (false, false, ""),
            };
            shown += &format!("{}{}", message.shown(id), peeked(has_time, holder, reason));
        }
        shown
    }

    /// The figures, and what is on the shelves.
    pub(super) fn everything(&self) -> String {
        let Limits { capacity, max_items, .. } = self.limits;
        let Figures { put, got, returned, expired, died, purged, high_water } = self.figures;
        let leased = self.on(Shelf::Leased).len() + self.ids(|place| matches!(place, Place::Prepared(_))).len();
        let [ready, delayed, dead] = [Shelf::Ready, Shelf::Delayed, Shelf::Dead].map(|shelf| self.on(shelf).len());
        let mut all = figures(&[
            ("ready", ready as u64),
            ("leased", leased as u64),
            ("delayed", delayed as u64),
            ("dead", dead as u64),
            ("bytes", self.bytes()),
            ("capacity", capacity),
            ("max_items", max_items.unwrap_or(0)),
            ("closed", self.closed.into()),
            ("puts_paused", self.puts_paused.into()),
            ("gets_paused", self.gets_paused.into()),
            ("put", put),
            ("got", got),
            ("returned", returned),
            ("expired", expired),
            ("died", died),
            ("purged", purged),
            ("high_water", high_water),
            ("producers", self.producers.len() as u64),
        ]);
        for shelf in [Shelf::Ready, Shelf::Leased, Shelf::Delayed, Shelf::Dead] {
            all += &format!("{shelf:?}\n{}", self.show(shelf, usize::MAX));
        }
        all
    }
}

impl Message {
    fn shown(&self, id: u64) -> String {
        let Message { body, framing, json, attempts, handed_out, .. } = self;
        shown(id, *attempts, *handed_out, *framing, *json, &body.0)
    }
}

pub(super) fn shown(id: u64, attempts: u32, handed_out: u32, framing: Framing, json: bool, body: &[u8]) -> String {
    format!("{id} {attempts} {handed_out} {framing:?} {json} {}\n", body.escape_ascii())
}

pub(super) fn peeked(has_time: bool, has_holder: bool, reason: &str) -> String {
    format!("  time {has_time}, holder {has_holder}, {reason}\n")
}

pub(super) fn figures(figures: &[(&str, u64)]) -> String {
    figures.iter().map(|(name, figure)| format!("{name} {figure}\n")).collect()
}

pub(super) fn not_leased(lease: LeaseId) -> String {
    format!("not leased: {lease}")
}

pub(super) fn not_dead(id: u64) -> String {
    format!("not dead: {id}")
}
