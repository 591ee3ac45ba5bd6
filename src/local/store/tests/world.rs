//! A store and its model side by side: every operation is done to both and compared.

use super::Random;
use super::check::{Message, State, check};
use super::memory::TestMemory;
use super::model::{Model, body};
use super::operation::Operation::{
    ClearOwner, Close, Deliver, End, EndLoan, Extend, ForgetHandedOn, Full, Keep, Lend, Pause, Prepare, Produce, Purge,
    Put as PutRun, PutLent, Resolve, Resume, Retry, ReturnAll, Settle, StopProducing, Take, Trim, Wait,
};
use super::operation::{How, KeptBy, OWNERS, Operation, Part, SCRIPT};
use crate::lease::{Cause, LeaseId, Reason, Shelf, Source};
use crate::local::format::{self, Stamp};
use crate::local::memory::ReadMemory;
use crate::local::store::{Fault, Identity, Keeper, Lease, Loan, NEVER, Prepared, Put, Store, Taken, Verdict, Want};
use crate::message::{Framing, Run};
use std::collections::BTreeMap;

/// A lease and the ids of its messages.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) lease: Lease,
    ids: Vec<u64>,
}

pub(super) struct World {
    pub(super) store: Store<TestMemory>,
    pub(super) model: Model,
    /// The leases of each owner in the order in which they were taken.
    pub(super) held: BTreeMap<u32, Vec<Held>>,
    /// Kept leases.
    pub(super) kept: Vec<LeaseId>,
    pub(super) handed_on: Vec<LeaseId>,
    /// What was prepared, by whom.
    pub(super) prepared: Vec<(u32, Prepared)>,
    pub(super) loans: BTreeMap<u32, Loan>,
    /// Operations so far.
    operations: u64,
    /// Nanoseconds that have passed.
    clock: u64,
}

impl World {
    pub(super) fn new(capacity: u64, max_items: u64) -> Self {
        World::of(World::stamp(capacity, max_items))
    }

    /// The same for a durable queue.
    pub(super) fn durable(capacity: u64, max_items: u64) -> Self {
        World::of(Stamp { durable: true, ..World::stamp(capacity, max_items) })
    }

    /// The same where messages die after so many attempts.
    pub(super) fn with_attempts(capacity: u64, max_attempts: u32) -> Self {
        World::of(Stamp { max_attempts, ..World::stamp(capacity, format::NO_LIMIT) })
    }

    fn stamp(capacity: u64, max_items: u64) -> Stamp {
        let (durable, auto_close) = (false, false);
        Stamp { capacity, max_items, created: 1, uuid: [7; 16], durable, auto_close, lease: 0, max_attempts: 0 }
    }

    fn of(stamp: Stamp) -> Self {
        let store = Store::new(TestMemory::new(&stamp), stamp);
        let (held, kept, prepared, handed_on) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        let (model, loans) = (Model::new(&stamp), BTreeMap::new());
        World { store, model, held, kept, prepared, loans, handed_on, operations: 1, clock: 1_000_000 }
    }

    /// A queue of random limits, small enough to be full often.
    pub(super) fn random(random: &mut Random) -> Self {
        let capacity = random.one_of(&[90, 1_000, 8_000, 60_000, 3_000_000]);
        let max_items = random.one_of(&[format::NO_LIMIT, format::NO_LIMIT, 1, 40, 300]);
        let (max_attempts, auto_close) = (random.one_of(&[0, 1, 3]), random.below(2) == 0);
        World::of(Stamp { max_attempts, auto_close, ..World::stamp(capacity, max_items) })
    }

    pub(super) fn copy(&self) -> Self {
        let store = Store::new(self.store.memory.copy(), self.store.stamp);
        World {
            store,
            model: self.model.clone(),
            held: self.held.clone(),
            kept: self.kept.clone(),
            prepared: self.prepared.clone(),
            loans: self.loans.clone(),
            handed_on: self.handed_on.clone(),
            operations: self.operations,
            clock: self.clock,
        }
    }

    /// Does `operation` and compares everything that can be seen.
    pub(super) fn apply(&mut self, operation: Operation) {
        self.operations += 1;
        match operation {
            PutRun { framing, count, shortest, longest, together } => {
                self.put(framing, count, shortest, longest, together);
            }
            Take { owner, messages, bytes, singly, settling } => {
                let want = Want { messages, bytes, singly, owner, pid: owner + 1000, now: self.now() };
                match self.held.get(&owner).and_then(|held| held.first()).cloned() {
                    Some(delivered) if settling && self.store.nothing_to_take().is_none() => {
                        self.take_and_settle(&want, &delivered);
                    }
                    _ => self.take(&want),
                }
            }
            Settle { owner, part, percent, last } => self.settle(owner, part, percent, last),
            ReturnAll { owner } => self.return_all_of(owner),
            ClearOwner { owner } => {
                self.store.clear_owner(owner).unwrap();
                self.model.forget_idle(owner);
            }
            Keep { owner, keeper, duration } => self.keep(owner, keeper, duration),
            End { every, how } => self.end(every, how),
            Extend { every, duration } => {
                let until = self.clock.saturating_add(duration).min(NEVER - 1);
                let leases: Vec<LeaseId> = self.running().step_by(every).collect();
                self.store.extend(&leases, until, self.clock).unwrap().unwrap();
                self.model.state.kept.extend(leases.iter().map(|lease| (lease.message, until)));
            }
            Wait(time) => {
                self.clock += time;
                self.store.look_at_clock(self.clock).unwrap();
                self.model.look_at_clock(self.store.stamp.max_attempts, self.clock);
                self.forget_ended();
            }
            Retry(every) => self.retry(every),
            Purge(shelf) => assert_eq!(self.store.purge(shelf).unwrap(), self.model.purge(shelf)),
            Produce(owner) => {
                let started = self.store.start_producing(owner, &Identity::resident(1), 1).unwrap();
                assert_eq!(started, !self.model.state.closed);
                if started {
                    self.model.produce(owner);
                }
            }
            Prepare { owner, length } => self.prepare(owner, length),
            ForgetHandedOn => {
                for lease in std::mem::take(&mut self.handed_on) {
                    self.store.forget_handed_on(lease).unwrap();
                    assert!(!self.store.was_handed_on(lease).unwrap());
                }
            }
            Pause(puts, gets) => {
                self.store.pause(puts, gets).unwrap();
                self.model.paused = (self.model.paused.0 || puts, self.model.paused.1 || gets);
            }
            Resume(puts, gets) => {
                self.store.resume(puts, gets).unwrap();
                self.model.paused = (self.model.paused.0 && !puts, self.model.paused.1 && !gets);
            }
            Resolve(publish) => {
                for (owner, prepared) in std::mem::take(&mut self.prepared) {
                    self.store.resolve(prepared, publish, true).unwrap();
                    self.model.resolve(owner, prepared.first_id, publish);
                    self.model.forget_idle(owner);
                }
            }
            Lend { owner, bytes } => self.lend(owner, bytes),
            PutLent { owner, longest, next } => self.put_lent(owner, longest, next),
            EndLoan(owner) => {
                if let Some(loan) = self.loans.remove(&owner) {
                    self.store.end_loan(&loan).unwrap();
                    self.model.end_loan(owner);
                    self.model.forget_idle(owner);
                }
            }
            Deliver { owner, length, comes } => self.deliver(owner, length, comes),
            StopProducing(owner) => {
                self.store.stop_producing(owner).unwrap();
                self.model.stop_producing(owner, self.store.stamp.auto_close);
                self.model.forget_idle(owner);
            }
            Close => {
                self.store.close().unwrap();
                self.model.state.closed = true;
            }
            Trim => self.store.trim().unwrap(),
            Full(full) => {
                self.store.memory.limit = if full { self.store.memory.bytes.len() as u64 } else { u64::MAX };
            }
        }
        assert_eq!(check(&self.store.memory).as_ref(), Ok(&self.model.state), "after {operation:?}");
        let counts = self.store.counts(1).unwrap();
        assert_eq!(counts.ready + counts.leased + counts.delayed + counts.dead, self.model.live());
        assert_eq!(counts.put - counts.got - self.model.purged, self.model.live());
    }

    /// The kept leases that run now.
    fn running(&self) -> impl Iterator<Item = LeaseId> {
        self.kept.iter().copied().filter(|lease| self.model.state.kept[&lease.message] > self.clock)
    }

    /// Of the kept leases only those are left that the model knows.
    fn forget_ended(&mut self) {
        self.kept.retain(|lease| self.model.state.kept.contains_key(&lease.message));
    }

    fn return_all_of(&mut self, owner: u32) {
        self.held.remove(&owner);
        self.loans.remove(&owner);
        self.model.end_loan(owner);
        for (_, prepared) in self.prepared.extract_if(.., |(preparer, _)| *preparer == owner) {
            self.model.resolve(owner, prepared.first_id, false);
        }
        let ids: Vec<u64> =
            self.model.state.leased.get(&owner).into_iter().flatten().map(|message| message.id).collect();
        let returned = self.store.return_all_of(owner, self.clock).unwrap();
        let ready = self.model.state.ready.len();
        for id in ids {
            self.model.give_back(id, self.store.stamp.max_attempts, 0, self.clock);
        }
        assert_eq!(returned, (self.model.state.ready.len() - ready) as u64);
        self.model.stop_producing(owner, self.store.stamp.auto_close);
        self.model.forget_idle(owner);
        self.forget_ended();
    }

    fn prepare(&mut self, owner: u32, length: u64) {
        let body = vec![b'p'; length as usize];
        let run = Run::whole(&body);
        let expected = self.model.expect_put(&run, true);
        let source = Source {
            uuid: [9; 16],
            lease: LeaseId { message: self.operations, attempt: 3 },
            path: b"/queues/source".to_vec(),
        };
        let prepare = crate::local::store::Prepare { source: &source, owner, pid: 1 };
        let (put, prepared) = match self.store.prepare(&run, &prepare, self.clock) {
            Err(fault) if matches!(*fault, Fault::Storage(_)) && self.is_full() => return,
            prepared => prepared.unwrap(),
        };
        assert!(put == expected || (self.is_full() && put == Put::Full), "{put:?} and not {expected:?}");
        let Some(prepared) = prepared else { return };
        self.model.put(&run, 1);
        self.model.prepare(owner);
        assert_eq!(self.store.prepared_by(owner).unwrap().first(), Some(&(prepared, source)));
        self.prepared.push((owner, prepared));
    }

    fn deliver(&mut self, owner: u32, length: u64, comes: bool) {
        let holds_nothing = self.model.state.leased.get(&owner).is_some_and(Vec::is_empty);
        let receiver = self.store.become_receiver(owner, None);
        assert_eq!(receiver.is_some(), holds_nothing && !self.store.stamp.durable);
        let Some(receiver) = receiver else { return };
        assert_eq!(self.store.become_receiver(owner, None), None, "there is one");
        assert_eq!(self.store.call_receiver(), Some(receiver));
        let body = vec![b'd'; length as usize];
        let run = Run::whole(&body);
        let State { ready, closed, kept, delayed, .. } = &self.model.state;
        let is_next = ready.is_empty() && !closed && self.model.paused == (false, false);
        let can_be = is_next && self.model.expect_put(&run, true) == Put::Done(1);
        let must_be = can_be && !self.is_full() && kept.is_empty() && delayed.is_empty();
        let is_delivered = match self.store.deliver(&run, receiver, self.clock) {
            Err(fault) if matches!(*fault, Fault::Storage(_)) && self.is_full() => false,
            delivered => delivered.unwrap(),
        };
        assert!(if is_delivered { can_be } else { !must_be });
        if is_delivered {
            self.model.put(&run, 1);
            let taken = self.model.take(owner, 1);
            if comes {
                assert!(self.store.cease_to_receive(receiver));
                let lease = self.store.delivered_to(owner).unwrap().unwrap();
                assert_eq!(lease.record.first_id(), taken[0].id);
                self.held.entry(owner).or_default().push(Held { lease, ids: vec![taken[0].id] });
            } else {
                let message = self.model.state.leased.get_mut(&owner).unwrap().pop().unwrap();
                // As if it had never been handed out.
                self.model.state.ready.push(Message { attempts: 0, ..message });
            }
            assert_eq!(self.store.take_back(receiver).unwrap(), !comes);
        }
        assert!(!self.store.cease_to_receive(receiver));
        assert_eq!(self.store.call_receiver(), None);
    }

    fn lend(&mut self, owner: u32, bytes: u64) {
        let lent = self.store.lend(owner, 1, bytes, self.clock).unwrap();
        let refused = self.store.stamp.durable || self.model.state.closed || self.model.paused.0;
        assert!(if self.is_full() { !refused || lent.is_none() } else { refused == lent.is_none() });
        if let Some(loan) = lent {
            self.model.lend(owner);
            self.loans.insert(owner, loan);
        }
    }

    fn put_lent(&mut self, owner: u32, longest: u64, next: u64) {
        let Some(loan) = self.loans.get(&owner).cloned() else { return };
        let mut random = Random(self.operations);
        let framing = random.one_of(&[Framing::Newline, Framing::Nul]);
        let lengths = std::iter::repeat_with(|| longest / 2 + random.below(longest / 2 + 1));
        let space = loan.space();
        let mut bytes = body(framing, lengths.take(3 + space as usize / (longest as usize / 2 + 1)), || b'f');
        bytes.truncate(space as usize);
        let run = Run::delimited(&bytes, framing);
        let Some(filled) = self.store.fill(&loan, &bytes, framing) else {
            return assert_eq!(run.count(), 0);
        };
        assert_eq!((filled.count, filled.length), (run.count(), run.bytes().len() as u64));
        let (put, next) = self.store.put_lent(&loan, &filled, next, self.now()).unwrap();
        assert_eq!(put, self.model.expect_put(&run, true));
        if matches!(put, Put::Done(_)) {
            assert!(next.is_some() || self.is_full());
            self.model.put(&run, run.count());
            self.loans.remove(&owner);
            match next {
                Some(loan) => drop(self.loans.insert(owner, loan)),
                None => self.model.end_loan(owner),
            }
        }
    }

    fn keep(&mut self, owner: u32, keeper: KeptBy, duration: u64) {
        let held = self.held.entry(owner).or_default();
        let (single, others) = held.drain(..).partition(|held: &Held| held.ids.len() == 1);
        *held = others;
        let single: Vec<Held> = single;
        let leases: Vec<Lease> = single.iter().map(|held| held.lease).collect();
        let until = self.clock.saturating_add(duration).min(NEVER - 1);
        let script = Identity { pid: 77, started: 1, namespace: 2, boot: 3 };
        let (keeper, until) = match keeper {
            KeptBy::Taker => (Keeper::Taker, if duration == u64::MAX { NEVER } else { until }),
            KeptBy::Script => (Keeper::Other(SCRIPT, script), if duration == u64::MAX { NEVER } else { until }),
            KeptBy::Nobody => (Keeper::Nobody, until),
        };
        self.store.keep(owner, &leases, until, keeper, false, 1).unwrap();
        for held in single {
            let attempt = held.lease.record.attempts();
            self.kept.push(LeaseId { message: held.ids[0], attempt });
            self.model.keep(owner, held.ids[0], until, keeper);
        }
    }

    fn end(&mut self, every: usize, how: How) {
        let leases: Vec<LeaseId> = self.running().step_by(every).collect();
        let max_attempts = self.store.stamp.max_attempts;
        let reason =
            Reason { cause: Cause::Exit(7), text: vec![b'r'; if let How::Dead(length) = how { length } else { 0 }] };
        let not_before = if let How::Again(delay) = how { self.clock + delay } else { 0 };
        let verdict = match how {
            How::Done => Verdict::Done,
            How::Again(_) => Verdict::Again { not_before, max_attempts, reason: &reason },
            How::Dead(_) => Verdict::Dead { reason: &reason },
            How::HandedOn => Verdict::HandedOn,
        };
        // What is no lease, or another one, prevents all of it.
        if let Some(first) = leases.first() {
            let other = LeaseId { attempt: first.attempt + 1, ..*first };
            let refused = self.store.end(&[*first, other], verdict, self.clock).unwrap();
            assert_eq!(refused, Err(other));
        }
        let twice = [&leases[..], &leases[..leases.len().min(1)]].concat();
        let ended = self.store.end(&twice, verdict, self.clock).unwrap().unwrap();
        assert_eq!(ended.done + ended.again + ended.dead, leases.len() as u64);
        let dead = self.model.state.dead.len();
        for lease in &leases {
            match how {
                How::Done => self.model.finish(lease.message),
                How::Again(_) => self.model.give_back(lease.message, max_attempts, not_before, self.clock),
                How::Dead(_) => self.model.bury(lease.message),
                How::HandedOn => {
                    self.model.finish(lease.message);
                    self.handed_on.push(*lease);
                    assert!(self.store.was_handed_on(*lease).unwrap());
                    let other = LeaseId { attempt: lease.attempt + 1, ..*lease };
                    assert!(!self.store.was_handed_on(other).unwrap());
                }
            }
        }
        assert_eq!(ended.dead, (self.model.state.dead.len() - dead) as u64);
        self.forget_ended();
        let shown = self.store.peek(Shelf::Dead, usize::MAX).unwrap();
        assert_eq!(shown.len(), self.model.state.dead.len());
        if let How::Dead(length) = how {
            let text = &reason.text[..length.min(Reason::MOST_TEXT)];
            for shown in shown.iter().filter(|shown| leases.iter().any(|lease| lease.message == shown.id)) {
                let found = shown.reason.as_ref().unwrap();
                assert_eq!(found.cause, Cause::Exit(7));
                assert!(found.text == text || (self.is_full() && found.text.is_empty()));
            }
        }
    }

    fn retry(&mut self, every: usize) {
        let dead: Vec<u64> = self.model.state.dead.iter().map(|message| message.id).collect();
        let ids: Vec<u64> = dead.iter().copied().step_by(every.max(1)).collect();
        let with_another = [&ids[..], &[u64::MAX]].concat();
        assert_eq!(self.store.retry(Some(&with_another)).unwrap(), Err(u64::MAX));
        let retried = self.store.retry(if every == 0 { None } else { Some(&ids) }).unwrap();
        assert_eq!(retried, Ok(ids.len() as u64));
        ids.into_iter().for_each(|id| self.model.retry(id));
    }

    /// The wall clock, which people set as they like.
    fn now(&self) -> u64 {
        let noon = 1_800_000_000_000_000_000;
        Random(!self.operations).one_of(&[0, 1, noon, noon + self.operations, noon - self.operations, u64::MAX])
    }

    fn is_full(&self) -> bool {
        self.store.memory.limit != u64::MAX
    }

    fn put(&mut self, framing: Framing, count: u64, shortest: u64, longest: u64, together: bool) {
        let mut random = Random(self.operations);
        let lengths: Vec<u64> =
            (0..count).map(|_| shortest + random.below(longest.saturating_sub(shortest) + 1)).collect();
        let bytes = body(framing, lengths.into_iter(), || random.next() as u8);
        let run = match framing {
            Framing::Whole => Run::whole(&bytes),
            _ => Run::delimited(&bytes, framing),
        };
        let run = run.with_json(self.operations.is_multiple_of(3));
        assert_eq!(run.count(), count);
        let expected = self.model.expect_put(&run, together);
        match self.store.put(&run, together, self.now()) {
            Ok(Put::Full) if self.is_full() && self.model.live() > 0 => {}
            Err(fault) if matches!(*fault, Fault::Storage(_)) && self.is_full() && self.model.live() == 0 => {}
            Ok(Put::Done(fewer)) if self.is_full() && !together => {
                assert!(matches!(expected, Put::Done(count) if (1..=count).contains(&fewer) || count == 0));
                self.model.put(&run, fewer);
            }
            other => {
                assert_eq!(other.unwrap(), expected);
                if let Put::Done(count) = expected {
                    self.model.put(&run, count);
                }
            }
        }
    }

    fn take(&mut self, want: &Want) {
        let mut leases = Vec::new();
        let has_returned = self.store.memory.load(format::RETURNED_ROOT) != 0;
        let taken = match self.store.take(want, &mut leases) {
            // A message cannot be taken out of its run.
            Err(fault) if matches!(*fault, Fault::Storage(_)) && want.singly && self.is_full() => {
                return assert!(leases.is_empty());
            }
            taken => taken.unwrap(),
        };
        let State { ready, closed, .. } = &self.model.state;
        match taken {
            Taken::Nothing => {
                assert!(ready.is_empty() || self.model.paused.1, "{} of {} are not taken", want.messages, ready.len());
                assert!(!closed || self.model.unfinished() > 0);
            }
            Taken::Drained => assert!(*closed && self.model.unfinished() == 0),
            Taken::Removed => panic!("it was not removed"),
            Taken::Leases if self.model.paused.1 => panic!("gets are paused"),
            Taken::Leases => self.took(want, &leases, has_returned),
        }
        assert_eq!(taken == Taken::Leases, !leases.is_empty());
    }

    fn take_and_settle(&mut self, want: &Want, delivered: &Held) {
        let mut leases = Vec::new();
        let has_returned = self.store.memory.load(format::RETURNED_ROOT) != 0;
        match self.store.take_and_settle(want, &delivered.lease, &mut leases) {
            Err(fault) if matches!(*fault, Fault::Storage(_)) && want.singly && self.is_full() => {
                return assert!(leases.is_empty());
            }
            taken => taken.unwrap(),
        }
        self.took(want, &leases, has_returned);
        self.held.get_mut(&want.owner).unwrap().remove(0);
        self.model.settle(want.owner, &delivered.ids, delivered.ids.len());
    }

    fn took(&mut self, want: &Want, leases: &[Lease], has_returned: bool) {
        let count: u64 = leases.iter().map(|lease| u64::from(lease.record.count())).sum();
        // A run that cannot be split on a full file system is leased whole.
        let unsplit = self.is_full() && leases.len() == 1;
        assert!(!want.singly || leases.iter().all(|lease| lease.record.count() == 1));
        assert!(count > 0 && (count <= want.messages || unsplit));
        let messages = self.model.take(want.owner, count as usize);
        let mut left = &messages[..];
        let mut bytes = 0;
        for lease in leases {
            assert!(bytes < want.bytes, "took more than the bytes that were wanted");
            bytes += lease.record.length();
            let (of_lease, rest) = left.split_at(lease.record.count() as usize);
            left = rest;
            assert_eq!(self.read(lease), of_lease);
            let ids = of_lease.iter().map(|message| message.id).collect();
            self.held.entry(want.owner).or_default().push(Held { lease: *lease, ids });
        }
        let enough_bytes = bytes >= want.bytes;
        // What has to be split, or is in a tree, changes more, so less of it is taken at once.
        if !self.is_full() && !has_returned && !want.singly {
            assert!(!self.model.took_too_little(want.messages, count, leases.len(), enough_bytes));
        }
    }

    /// The messages of a lease, as a consumer sees them.
    fn read(&self, lease: &Lease) -> Vec<Message> {
        let mut buffer = b"kept".to_vec();
        self.store.read(lease, &mut buffer).unwrap();
        let record = &lease.record;
        let run = Run::stored(&buffer[4..], record.framing(), record.count().into(), record.json());
        let message = |(body, id): (&[u8], u64)| Message {
            id,
            attempts: record.attempts_that_count(),
            framing: record.framing(),
            json: record.json(),
            body: body.to_vec(),
        };
        run.messages().zip(record.first_id()..).map(message).collect()
    }

    fn settle(&mut self, owner: u32, part: Part, percent: u64, last: bool) {
        let held = self.held.entry(owner).or_default();
        let half = held.len() / 2;
        let settled: Vec<Held> = match part {
            Part::All => std::mem::take(held),
            Part::OlderHalf => held.drain(..half).collect(),
            Part::NewerHalf => held.split_off(half),
        };
        let leases: Vec<Lease> = settled.iter().map(|held| held.lease).collect();
        let ids: Vec<u64> = settled.into_iter().flat_map(|held| held.ids).collect();
        let delivered = ids.len() as u64 * percent / 100;
        self.store.settle(owner, &leases, delivered, last, self.now()).unwrap();
        self.model.settle(owner, &ids, delivered as usize);
        if last && !leases.is_empty() {
            self.model.forget_idle(owner);
        }
    }

    /// Everyone dies and one consumer takes all that there is. The checker sees to it that nothing
    /// is in use afterwards.
    pub(super) fn drain(&mut self) {
        self.apply(Full(false));
        self.apply(Resume(true, true));
        for owner in OWNERS.into_iter().chain([SCRIPT]) {
            self.apply(ReturnAll { owner });
        }
        self.apply(Wait(u64::MAX / 2));
        self.apply(Wait(NEVER - 1 - self.clock));
        self.apply(Retry(0));
        self.apply(ForgetHandedOn);
        while self.model.live() > 0 {
            self.apply(Operation::take(5, u64::MAX));
            self.apply(Operation::settle(5, 100));
        }
        self.apply(Trim);
        assert_eq!(self.model.state.put, self.model.state.got + self.model.purged);
        assert!(self.store.counts(1).unwrap().segment_bytes <= 1 << 20);
    }
}
