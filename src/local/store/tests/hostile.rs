//! Hostile bytes: whatever a segment says, every operation ends, in success or with what is damaged.

use super::Random;
use super::crash::worlds;
use super::model::body;
use super::world::{OWNERS, World};
use crate::local::format::{self, Field};
use crate::local::memory::{Memory, ReadMemory};
use crate::local::store::{Fault, Lease, Result, Want};
use crate::message::{Framing, Run};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

const MUTATIONS: u64 = 20_000;

/// Far more than any operation on a segment of this size needs.
const ACCESSES: u64 = 1_000_000;

/// Changes one word, mostly one that means something, mostly to something that nearly means something.
fn mutate(world: &mut World, random: &mut Random) {
    let memory = &mut world.store.memory;
    let fresh = memory.load(format::FRESH).clamp(format::FIRST_UNIT.into(), 5000);
    let any_unit = |random: &mut Random| random.below(fresh - 60) + 62;
    let field_of = |random: &mut Random, fields: &[Field], base: u64| {
        let field = fields[random.below(fields.len() as u64) as usize];
        (base + field.offset, field.bytes.min(8))
    };
    let (offset, bytes) = match random.below(20) {
        0..7 => field_of(random, format::CONTROL_FIELDS, 0),
        7..9 => {
            // A change that was committed and not applied, and one pair of it.
            memory.store32(format::COMMIT, memory.load32(format::APPLIED).wrapping_add(1));
            memory.store(format::LOG + format::REDO_COUNT, random.one_of(&[0, 1, 3, 20, 255, 256]));
            let pair = format::LOG + format::REDO_PAIRS + random.below(20) * 16;
            memory.store(pair, random.one_of(&[format::GROWN, format::FRESH, format::READY, format::READY_FIRST]));
            (pair + random.one_of(&[0, 8, 8]), 8)
        }
        9..11 => {
            let owner = random.one_of(&OWNERS);
            field_of(random, format::OWNER_FIELDS, format::owner_offset(owner))
        }
        11..16 => {
            let unit = any_unit(random);
            field_of(random, format::RECORD_FIELDS, unit * format::UNIT)
        }
        16..18 => (format::link_offset(any_unit(random) as u32), 4),
        18 => field_of(random, format::HOT_FIELDS, 0),
        _ => (random.below(memory.bytes.len() as u64 - 128) + 128, 1),
    };
    let Some(target) = memory.bytes.get_mut(offset as usize..(offset + bytes) as usize) else { return };
    let mut word = [0; 8];
    word[..target.len()].copy_from_slice(target);
    let old = u64::from_ne_bytes(word);
    let new = match random.below(10) {
        0 => random.next(),
        1 => random.one_of(&[u64::MAX, u64::MAX - 1, i64::MAX as u64, u64::from(u32::MAX), u64::MAX << 32]),
        2 => random.below(5),
        3 => random.below(400),
        4 | 5 => any_unit(random),
        6 => random.below(400) * format::GROUP,
        7 => old.wrapping_add(1),
        8 => old.wrapping_sub(1),
        _ => old ^ (1 << random.below(64)),
    };
    target.copy_from_slice(&new.to_ne_bytes()[..bytes as usize]);
}

/// Whether the operation was done; damage is the only reason not to.
fn done<T>(result: Result<T>) -> bool {
    match result {
        Ok(_) => true,
        Err(Fault::Damaged { field, problem }) => {
            assert!(!field.is_empty() && !problem.is_empty());
            false
        }
        Err(fault) => panic!("{fault:?} with all the room there is"),
    }
}

/// Works on the segment as a process would. Returns how many operations were done and refused.
fn work(world: &mut World, random: &mut Random) -> (u64, u64) {
    let mut counts = (0, 0);
    let mut leases: Vec<Lease> = Vec::new();
    for clock in 0..10 {
        let store = &mut world.store;
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
        let ok = match random.below(16) {
            0..3 => {
                let (count, length) = random.one_of(&[(1, 10), (1, 3000), (40, 63), (300, 0)]);
                let bytes = body(Framing::Nul, (0..count).map(|_| length), || b'x');
                done(store.put(&Run::delimited(&bytes, Framing::Nul), false, clock))
            }
            3..8 => {
                let messages = random.one_of(&[1, 2, 5, 50, u64::MAX]);
                let want = Want { messages, bytes: random.one_of(&[1000, u64::MAX]), owner, pid: 1, now: clock };
                leases.clear();
                let taken = done(store.take(&want, &mut leases));
                assert!(taken || leases.is_empty());
                let mut buffer = Vec::new();
                taken && leases.iter().all(|lease| done(store.read(lease, &mut buffer)))
            }
            8..10 => done(store.settle(owner, &leases, random.one_of(&[0, 1, 3, u64::MAX]), true, clock)),
            10..12 => {
                // Taken before the bytes were changed.
                let held: Vec<Lease> = world.held.get(&owner).into_iter().flatten().map(|held| held.lease).collect();
                done(store.settle(owner, &held, random.one_of(&[0, 1, 3, 30, u64::MAX]), false, clock))
            }
            12 => done(store.return_all_of(owner)),
            13 => done(store.clear_owner(owner)),
            14 => done(store.trim()) && done(store.counts()),
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

#[test]
fn hostile_bytes_are_survived_and_refused() {
    let worlds = worlds();
    let (mut succeeded, mut refused) = (0, 0);
    let mut failed = Vec::new();
    for seed in 0..MUTATIONS {
        let mut random = Random(seed);
        let mut world = worlds[random.below(worlds.len() as u64) as usize].copy();
        world.store.memory.limit = u64::MAX;
        let stamp = world.store.memory.bytes[..format::STAMP_BYTES].to_vec();
        let survived = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..random.one_of(&[1, 1, 1, 2, 4]) {
                mutate(&mut world, &mut random);
            }
            let counts = work(&mut world, &mut random);
            assert_eq!(world.store.memory.bytes[..format::STAMP_BYTES], stamp, "wrote to what nobody writes to");
            counts
        }));
        match survived {
            Ok(counts) => (succeeded, refused) = (succeeded + counts.0, refused + counts.1),
            Err(_) => failed.push(seed),
        }
    }
    println!("{succeeded} operations were done, {refused} refused");
    assert!(failed.is_empty(), "of the seeds {} panicked: {:?}", failed.len(), &failed[..failed.len().min(9)]);
    assert!(succeeded > MUTATIONS && refused > MUTATIONS / 4);
}
