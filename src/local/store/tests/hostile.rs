//! Hostile bytes: whatever a segment says, every operation ends, in success or with what is damaged.

use super::Random;
use super::crash::worlds;
use super::memory::TestMemory;
use super::operation::{OWNERS, Operation, SCRIPT};
use super::world::World;
use crate::lease::{Cause, LeaseId, Reason, Shelf};
use crate::local::format::{self, Field, Stamp};
use crate::local::memory::{Memory, ReadMemory};
use crate::local::store::{Fault, Identity, Keeper, Lease, Loan, Result, Store, Verdict, Want, verify};
use crate::message::{Framing, Run};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Segments that were changed; under an interpreter, which is a thousand times slower, fewer.
const MUTATIONS: u64 = if cfg!(miri) { 300 } else { 110_000 };

/// Far more than any operation on a segment of this size needs.
const ACCESSES: u64 = 1_000_000;

/// Where others store to a segment while it is worked on, one of so many words that are read is what they stored.
const TRUTHS_FOR_A_LIE: u64 = 300;

/// What is changed.
#[derive(Clone, Copy, Debug)]
enum Site {
    Stamp(Field),
    /// A hot word, a control word, or one of the redo log.
    Word(Field),
    Owner(Field),
    Record(Field),
    /// A change that was committed and not applied, and one pair of it.
    Log,
    Link,
    /// Any byte after the stamp.
    Byte,
    /// Nothing for good: what is read changes from one look to the next.
    Lies,
}

/// Everything that can be changed: each field of each table once.
fn sites() -> Vec<Site> {
    let mut sites = vec![Site::Log, Site::Link, Site::Link, Site::Byte, Site::Lies, Site::Lies];
    sites.extend(format::STAMP_FIELDS.iter().copied().map(Site::Stamp));
    sites.extend([format::HOT_FIELDS, format::CONTROL_FIELDS].concat().into_iter().map(Site::Word));
    for log in format::REDO_LOGS {
        let fields = format::LOG_FIELDS.iter().map(|field| Field { offset: log + field.offset, ..*field });
        sites.extend(fields.map(Site::Word));
    }
    sites.extend(format::OWNER_FIELDS.iter().copied().map(Site::Owner));
    sites.extend(format::RECORD_FIELDS.iter().copied().map(Site::Record));
    sites
}

/// A segment before it is changed, and the leases that are out.
struct Start {
    memory: TestMemory,
    held: Vec<(u32, Vec<Lease>)>,
    kept: Vec<LeaseId>,
    dead: Vec<u64>,
    loans: Vec<Loan>,
}

impl Start {
    fn new(world: World) -> Self {
        let leases =
            |(owner, held): (_, Vec<super::world::Held>)| (owner, held.iter().map(|held| held.lease).collect());
        Start {
            held: world.held.into_iter().map(leases).collect(),
            loans: world.loans.into_values().collect(),
            memory: world.store.memory,
            kept: world.kept,
            dead: world.model.state.dead.iter().map(|message| message.id).collect(),
        }
    }

    fn held_by(&self, owner: u32) -> &[Lease] {
        self.held.iter().find(|(holder, _)| *holder == owner).map_or(&[], |(_, leases)| leases)
    }
}

/// The segments that are changed; for an interpreter, a small one.
fn starts() -> Vec<Start> {
    let mut small = World::new(30_000, format::NO_LIMIT);
    for operation in [Operation::lines(20, 40), Operation::whole(700), Operation::take(0, 3), Operation::whole(5)] {
        small.apply(operation);
    }
    let worlds = if cfg!(miri) { Vec::new() } else { worlds() };
    worlds.into_iter().chain([small]).map(Start::new).collect()
}

/// Some unit of the segment, or nearly one.
fn any_unit(memory: &TestMemory, random: &mut Random) -> u64 {
    let fresh = memory.load(format::FRESH).clamp(format::FIRST_UNIT.into(), 5000);
    random.below(fresh - 60) + 62
}

/// Changes one word, mostly to something that nearly means something.
fn mutate(memory: &mut TestMemory, site: Site, random: &mut Random) {
    let of = |field: Field, base: u64, random: &mut Random| {
        (base + field.offset + random.below(field.bytes.div_ceil(8)) * 8, field.bytes.min(8))
    };
    let (offset, bytes) = match site {
        Site::Stamp(field) | Site::Word(field) => of(field, 0, random),
        Site::Owner(field) => of(field, format::owner_offset(random.one_of(&OWNERS)), random),
        Site::Record(field) => of(field, any_unit(memory, random) * format::UNIT, random),
        Site::Log => {
            memory.store32(format::COMMIT, memory.load32(format::APPLIED).wrapping_add(1));
            memory.store(format::LOG + format::REDO_COUNT, random.one_of(&[0, 1, 3, 20, 255, 256]));
            let pair = format::LOG + format::REDO_PAIRS + random.below(20) * 16;
            memory.store(pair, random.one_of(&[format::GROWN, format::FRESH, format::READY, format::READY_FIRST]));
            (pair + random.one_of(&[0, 8, 8]), 8)
        }
        Site::Link => (format::link_offset(any_unit(memory, random) as u32), 4),
        Site::Byte => (random.below(memory.bytes.len() as u64 - 128) + 128, 1),
        Site::Lies => return memory.lie(Random(random.next()), TRUTHS_FOR_A_LIE),
    };
    let Some(there) = memory.bytes.get(offset as usize..(offset + bytes) as usize) else { return };
    let mut word = [0; 8];
    word[..there.len()].copy_from_slice(there);
    let new = near(u64::from_ne_bytes(word), any_unit(memory, random), random);
    memory.bytes[offset as usize..(offset + bytes) as usize].copy_from_slice(&new.to_ne_bytes()[..bytes as usize]);
    if matches!(site, Site::Stamp(_)) && random.below(2) == 0 {
        let checksum = crate::local::checksum::of(&memory.bytes[..format::STAMP_CHECKSUM as usize]);
        memory.store32(format::STAMP_CHECKSUM, checksum);
    }
}

/// Something that is not `old` but might well be.
fn near(old: u64, unit: u64, random: &mut Random) -> u64 {
    match random.below(10) {
        0 => random.next(),
        1 => random.one_of(&[u64::MAX, u64::MAX - 1, i64::MAX as u64, u64::from(u32::MAX), u64::MAX << 32]),
        2 => random.below(5),
        3 => random.below(400),
        4 | 5 => unit,
        6 => random.below(400) * format::GROUP,
        7 => old.wrapping_add(1),
        8 => old.wrapping_sub(1),
        _ => old ^ (1 << random.below(64)),
    }
}

/// Whether the operation was done; damage is the only reason not to.
fn done<T>(result: Result<T>) -> bool {
    match result.map_err(|fault| *fault) {
        Ok(_) => true,
        Err(Fault::Damaged { field, problem }) => {
            assert!(!field.is_empty() && !problem.is_empty());
            false
        }
        Err(fault) => panic!("{fault:?} with all the room there is"),
    }
}

/// What is put.
struct Bodies([Vec<u8>; 4]);

impl Bodies {
    fn new() -> Self {
        let body = |count, length| [&b"x".repeat(length)[..], b"\0"].concat().repeat(count);
        Bodies([body(1, 10), body(1, 3000), body(40, 63), body(300, 0)])
    }
}

/// Works on the segment as a process would. Returns how many operations were done and refused.
fn work(store: &mut Store<TestMemory>, start: &Start, bodies: &Bodies, random: &mut Random) -> (u64, u64) {
    let mut counts = (0, 0);
    let mut leases: Vec<Lease> = Vec::new();
    let reason = Reason { cause: Cause::Exit(1), text: b"why".to_vec() };
    for clock in 0..8 {
        store.memory.allow(ACCESSES);
        if let Err(error) = store.reach() {
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            counts.1 += 1;
            return counts;
        }
        if !done(store.recover()) {
            counts.1 += 1;
            return counts;
        }
        let owner = random.one_of(&OWNERS);
        let ok = match random.below(29) {
            0..3 => {
                let body = &bodies.0[random.below(4) as usize];
                done(store.put(&Run::delimited(body, Framing::Nul), false, clock))
            }
            3..8 => {
                let messages = random.one_of(&[1, 2, 5, 50, u64::MAX]);
                let want = Want {
                    messages,
                    bytes: random.one_of(&[1000, u64::MAX]),
                    singly: random.below(3) == 0,
                    owner,
                    pid: 1,
                    now: clock,
                };
                leases.clear();
                let delivered = start.held_by(owner).first().filter(|_| random.below(3) == 0);
                let taken = match delivered {
                    Some(delivered) if store.nothing_to_take().is_none() => {
                        done(store.take_and_settle(&want, delivered, &mut leases))
                    }
                    _ => done(store.take(&want, &mut leases)),
                };
                assert!(taken || leases.is_empty());
                let mut buffer = Vec::new();
                taken && leases.iter().all(|lease| done(store.read(lease, &mut buffer)))
            }
            8..10 => done(store.settle(owner, &leases, random.one_of(&[0, 1, 3, u64::MAX]), true, clock)),
            // Taken before the bytes were changed.
            10..12 => {
                let delivered = random.one_of(&[0, 1, 3, 30, u64::MAX]);
                done(store.settle(owner, start.held_by(owner), delivered, false, clock))
            }
            12 => done(store.return_all_of(random.one_of(&[owner, SCRIPT]), 1)),
            17 => done(store.look_at_clock(random.one_of(&[clock, 2_000_000, u64::MAX]))),
            18..21 => {
                let verdict = random.one_of(&[
                    Verdict::Done,
                    Verdict::Again { not_before: 0, max_attempts: 3, reason: &reason },
                    Verdict::Again { not_before: 9, max_attempts: 0, reason: &reason },
                    Verdict::Dead { reason: &reason },
                    Verdict::HandedOn,
                ]);
                let leases = &start.kept[..start.kept.len().min(random.below(20) as usize)];
                done(store.end(leases, verdict, clock))
            }
            21 => {
                let keeper =
                    random.one_of(&[Keeper::Nobody, Keeper::Taker, Keeper::Other(SCRIPT, Identity::resident(1))]);
                done(store.keep(owner, &leases, random.one_of(&[0, 5, u64::MAX]), keeper, false, clock))
            }
            22 => done(store.extend(&start.kept, 7, clock)),
            23 => {
                let shelf = random.one_of(&[Shelf::Ready, Shelf::Leased, Shelf::Delayed, Shelf::Dead]);
                done(store.peek(shelf, random.one_of(&[1, 10, 10_000])))
            }
            24 => done(store.retry(if random.below(2) == 0 { None } else { Some(&start.dead) })),
            25 => {
                let shelf = random.one_of(&[Shelf::Ready, Shelf::Leased, Shelf::Delayed, Shelf::Dead]);
                done(store.is_finished_before(random.below(100))) && done(store.purge(shelf))
            }
            27 => match store.lend(owner, 1, random.one_of(&[1, 3000]), clock) {
                Ok(Some(loan)) => put_lent(store, &loan, &bodies.0[2], clock),
                other => done(other),
            },
            28 => match start.loans.first() {
                Some(loan) if random.below(3) > 0 => put_lent(store, loan, &bodies.0[2], clock),
                Some(loan) => done(store.end_loan(loan)),
                None => true,
            },
            26 => {
                let started = store.start_producing(owner, &Identity::resident(1), clock);
                done(started) && done(store.stop_producing(owner))
            }
            13 => done(store.clear_owner(owner)),
            14 => done(store.trim()) && done(store.counts(1)),
            15 => {
                store.memory.allow(100 * ACCESSES);
                verify(&store.memory, store.stamp(), |_, _| {}).findings.is_empty()
            }
            _ => done(if random.below(3) == 0 { store.close() } else { store.mark_removed() }),
        };
        if ok {
            counts.0 += 1;
        } else {
            counts.1 += 1;
        }
    }
    counts
}

fn put_lent(store: &mut Store<TestMemory>, loan: &Loan, body: &[u8], clock: u64) -> bool {
    match store.fill(loan, body, Framing::Nul) {
        Some(filled) => done(store.put_lent(loan, &filled, 500, clock)),
        None => true,
    }
}

/// What became of many seeds.
#[derive(Default)]
struct Tally {
    succeeded: u64,
    refused: u64,
    failed: Vec<u64>,
    /// How often each of the sites was changed.
    changed: Vec<u64>,
}

/// Changes a segment and works on it, for each of `seeds`.
fn try_seeds(seeds: impl Iterator<Item = u64>, sites: &[Site]) -> Tally {
    let starts = starts();
    let bodies = Bodies::new();
    let mut tally = Tally { changed: vec![0; sites.len()], ..Tally::default() };
    let mut bytes = Vec::new();
    for seed in seeds {
        let mut random = Random(seed);
        let start = &starts[random.below(starts.len() as u64) as usize];
        let mut memory = start.memory.copy_into(std::mem::take(&mut bytes));
        let mut change = |memory: &mut TestMemory, site: u64, random: &mut Random| {
            tally.changed[site as usize] += 1;
            mutate(memory, sites[site as usize], random);
        };
        change(&mut memory, seed % sites.len() as u64, &mut random);
        for _ in 0..random.one_of(&[0, 0, 0, 1, 3]) {
            change(&mut memory, random.below(sites.len() as u64), &mut random);
        }
        let stamp: [u8; format::STAMP_BYTES] = memory.bytes[..format::STAMP_BYTES].try_into().unwrap();
        let Ok(decoded) = Stamp::decode(&stamp) else {
            tally.refused += 1;
            bytes = memory.bytes;
            continue;
        };
        let mut store = Store::new(memory, decoded);
        let survived = catch_unwind(AssertUnwindSafe(|| {
            let counts = work(&mut store, start, &bodies, &mut random);
            assert_eq!(store.memory.bytes[..format::STAMP_BYTES], stamp, "wrote to what nobody writes to");
            counts
        }));
        match survived {
            Ok((done, refused)) => (tally.succeeded, tally.refused) = (tally.succeeded + done, tally.refused + refused),
            Err(_) => tally.failed.push(seed),
        }
        bytes = store.memory.bytes;
    }
    tally
}

#[test]
fn hostile_bytes_are_survived_and_refused() {
    let sites = sites();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let work = |first: usize| {
            let sites = &sites;
            scope.spawn(move || try_seeds((first as u64..MUTATIONS).step_by(threads), sites))
        };
        let threads: Vec<_> = (0..threads).map(work).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all = |figure: fn(&Tally) -> u64| tallies.iter().map(figure).sum::<u64>();
    let (succeeded, refused) = (all(|tally| tally.succeeded), all(|tally| tally.refused));
    println!("{succeeded} operations were done, {refused} refused");
    let mut failed: Vec<u64> = tallies.iter().flat_map(|tally| tally.failed.clone()).collect();
    failed.sort_unstable();
    assert!(failed.is_empty(), "of the seeds {} panicked: {:?}", failed.len(), &failed[..failed.len().min(9)]);
    assert!(succeeded > MUTATIONS && refused > MUTATIONS / 4, "{succeeded} done, {refused} refused");
    for (index, site) in sites.iter().enumerate() {
        let changed: u64 = tallies.iter().map(|tally| tally.changed[index]).sum();
        assert!(changed >= MUTATIONS / sites.len() as u64, "{site:?} was changed only {changed} times");
    }
}
