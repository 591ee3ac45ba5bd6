//! A store and its model side by side: every operation is done to both and compared.

use super::Random;
use super::check::{Message, State, check};
use super::memory::TestMemory;
use super::model::{Model, body};
use crate::local::format::{self, Stamp};
use crate::local::store::{Fault, Lease, Put, Store, Taken, Want};
use crate::message::{Framing, Run};
use std::collections::BTreeMap;

/// Which of its leases an owner settles.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    All,
    OlderHalf,
    NewerHalf,
}

/// One operation, with all that it needs to be the same again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    /// Messages of `shortest` to `longest` bytes.
    Put {
        framing: Framing,
        count: u64,
        shortest: u64,
        longest: u64,
        together: bool,
    },
    Take {
        owner: u32,
        messages: u64,
        bytes: u64,
    },
    /// Delivers `percent` of the messages; above 100, more than there are.
    Settle {
        owner: u32,
        part: Part,
        percent: u64,
        last: bool,
    },
    /// The owner has died.
    ReturnAll {
        owner: u32,
    },
    ClearOwner {
        owner: u32,
    },
    Close,
    Trim,
    /// The file system is full, or has room again.
    Full(bool),
}

use Operation::{ClearOwner, Close, Full, Put as PutRun, ReturnAll, Settle, Take, Trim};

/// Owners on both sides of the boundary between the two words of bits.
pub(super) const OWNERS: [u32; 4] = [0, 5, 63, 64];

impl Operation {
    pub(super) fn lines(count: u64, longest: u64) -> Self {
        PutRun { framing: Framing::Newline, count, shortest: longest / 2, longest, together: false }
    }

    pub(super) fn whole(length: u64) -> Self {
        PutRun { framing: Framing::Whole, count: 1, shortest: length, longest: length, together: false }
    }

    pub(super) fn take(owner: u32, messages: u64) -> Self {
        Take { owner, messages, bytes: u64::MAX }
    }

    pub(super) fn settle(owner: u32, percent: u64) -> Self {
        Settle { owner, part: Part::All, percent, last: true }
    }

    pub(super) fn random(random: &mut Random) -> Self {
        let owner = random.one_of(&OWNERS);
        match random.below(100) {
            0..40 => {
                let framing = random.one_of(&[Framing::Whole, Framing::Newline, Framing::Nul]);
                let count = if framing == Framing::Whole { 1 } else { random.one_of(&[0, 1, 2, 4, 9, 30, 150]) };
                // With its delimiter a message of 63 or 255 bytes ends with a unit.
                let (shortest, longest) =
                    random.one_of(&[(0, 0), (0, 4), (0, 60), (63, 63), (127, 129), (0, 400), (255, 255)]);
                let (shortest, longest) = if count < 5 { (shortest, longest * 20) } else { (shortest, longest) };
                PutRun { framing, count, shortest, longest, together: random.below(3) == 0 }
            }
            40..65 => {
                let messages = random.one_of(&[1, 1, 2, 3, 8, 40, u64::MAX]);
                let bytes = random.one_of(&[1, 200, 3000, u64::MAX, u64::MAX]);
                Take { owner, messages, bytes }
            }
            65..90 => {
                let part = random.one_of(&[Part::All, Part::All, Part::OlderHalf, Part::NewerHalf]);
                let percent = random.one_of(&[0, 10, 50, 90, 100, 100, 100, 200]);
                Settle { owner, part, percent, last: random.below(2) == 0 }
            }
            90..93 => ReturnAll { owner },
            93..94 => ClearOwner { owner },
            94..97 => Trim,
            97..99 => Full(random.below(2) == 0),
            _ if random.below(6) == 0 => Close,
            _ => Trim,
        }
    }
}

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
    /// Operations so far.
    operations: u64,
}

impl World {
    pub(super) fn new(capacity: u64, max_items: u64) -> Self {
        World::of(Stamp { capacity, max_items, created: 1, uuid: [7; 16], durable: false, auto_close: false, lease: 0, max_attempts: 0 })
    }

    /// The same for a durable queue.
    pub(super) fn durable(capacity: u64, max_items: u64) -> Self {
        World::of(Stamp { capacity, max_items, created: 1, uuid: [7; 16], durable: true, auto_close: false, lease: 0, max_attempts: 0 })
    }

    fn of(stamp: Stamp) -> Self {
        let store = Store::new(TestMemory::new(&stamp), stamp);
        World { store, model: Model::new(&stamp), held: BTreeMap::new(), operations: 1 }
    }

    /// A queue of random limits, small enough to be full often.
    pub(super) fn random(random: &mut Random) -> Self {
        let capacity = random.one_of(&[90, 1_000, 8_000, 60_000, 3_000_000]);
        World::new(capacity, random.one_of(&[format::NO_LIMIT, format::NO_LIMIT, 1, 40, 300]))
    }

    pub(super) fn copy(&self) -> Self {
        let store = Store::new(self.store.memory.copy(), self.store.stamp);
        World { store, model: self.model.clone(), held: self.held.clone(), operations: self.operations }
    }

    /// Does `operation` and compares everything that can be seen.
    pub(super) fn apply(&mut self, operation: Operation) {
        self.operations += 1;
        match operation {
            PutRun { framing, count, shortest, longest, together } => {
                self.put(framing, count, shortest, longest, together);
            }
            Take { owner, messages, bytes } => self.take(owner, messages, bytes),
            Settle { owner, part, percent, last } => self.settle(owner, part, percent, last),
            ReturnAll { owner } => {
                let ids: Vec<u64> =
                    self.held.remove(&owner).unwrap_or_default().iter().flat_map(|h| h.ids.clone()).collect();
                assert_eq!(self.store.return_all_of(owner).unwrap(), ids.len() as u64);
                self.model.settle(owner, &ids, 0);
                self.model.forget_idle(owner);
            }
            ClearOwner { owner } => {
                self.store.clear_owner(owner).unwrap();
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
        let counts = self.store.counts().unwrap();
        assert_eq!(counts.ready + counts.leased, self.model.live());
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
            Err(Fault::Storage(_)) if self.is_full() && self.model.live() == 0 => {}
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

    fn take(&mut self, owner: u32, messages: u64, bytes: u64) {
        let want = Want { messages, bytes, singly: false, owner, pid: owner + 1000, now: self.now() };
        let mut leases = Vec::new();
        let taken = self.store.take(&want, &mut leases).unwrap();
        let State { ready, closed, .. } = &self.model.state;
        match taken {
            Taken::Nothing => {
                assert!(ready.is_empty(), "{messages} of {} are not taken", ready.len());
                assert!(!closed || self.model.live() > 0);
            }
            Taken::Drained => assert!(*closed && self.model.live() == 0),
            Taken::Removed => panic!("it was not removed"),
            Taken::Leases => self.took(&want, &leases),
        }
        assert_eq!(taken == Taken::Leases, !leases.is_empty());
    }

    fn took(&mut self, want: &Want, leases: &[Lease]) {
        let count: u64 = leases.iter().map(|lease| u64::from(lease.record.count())).sum();
        // A run that cannot be split on a full file system is leased whole.
        let unsplit = self.is_full() && leases.len() == 1;
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
        if !self.is_full() {
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
            attempts: record.attempts(),
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
        for owner in OWNERS {
            self.apply(ReturnAll { owner });
        }
        while self.model.live() > 0 {
            self.apply(Operation::take(5, u64::MAX));
            self.apply(Operation::settle(5, 100));
        }
        self.apply(Trim);
        assert_eq!(self.model.state.put, self.model.state.got);
        assert!(self.store.counts().unwrap().segment_bytes <= 1 << 20);
    }
}
