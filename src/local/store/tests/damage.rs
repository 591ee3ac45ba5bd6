//! Damage of known kinds: noticed before anything is done about it, and named.

use super::Random;
use super::check::check;
use super::memory::TestMemory;
use super::operation::Operation;
use super::world::World;
use crate::local::format;
use crate::local::memory::{Memory, ReadMemory};
use crate::local::store::{Fault, Lease, Result, Store, Taken, Want};

fn after(operations: &[Operation]) -> Store<TestMemory> {
    let mut world = World::new(8 << 20, format::NO_LIMIT);
    operations.iter().for_each(|operation| world.apply(*operation));
    world.store
}

fn take(store: &mut Store<TestMemory>, messages: u64) -> Result<Vec<Lease>> {
    let mut leases = Vec::new();
    let want = Want { messages, bytes: u64::MAX, singly: false, owner: 0, pid: 1, now: 1 };
    assert_eq!(store.take(&want, &mut leases)?, Taken::Leases);
    Ok(leases)
}

/// Asserts that an operation has found `field` to be damaged.
fn is_damaged<T: std::fmt::Debug>(result: Result<T>, field: &str) {
    match result.map_err(|fault| *fault) {
        Err(Fault::Damaged { field: named, .. }) => assert_eq!(named, field),
        other => panic!("{other:?}"),
    }
}

/// Where the record of the first ready frame is.
fn first_record(store: &Store<TestMemory>) -> u64 {
    store.memory.load(format::READY_FIRST) * format::UNIT
}

#[test]
fn a_segment_that_says_it_is_longer_than_its_file_is_not_worked_on() {
    let mut store = after(&[Operation::whole(9)]);
    store.memory.store(format::GROWN, store.memory.length() + format::GROUP);
    is_damaged(store.counts(1), "grown");
    is_damaged(take(&mut store, 1), "grown");
}

#[test]
fn a_payload_is_not_longer_than_all_that_was_handed_out() {
    let mut store = after(&[Operation::whole(3_000)]);
    let length = store.memory.load(format::FRESH) * format::UNIT + 1;
    store.memory.store(first_record(&store) + format::RECORD_LENGTH, length);
    is_damaged(take(&mut store, 1), "payload bytes");
}

#[test]
fn a_payload_is_not_longer_than_the_capacity() {
    let mut world = World::new(3_000, format::NO_LIMIT);
    world.apply(Operation::lines(20, 100));
    let mut store = world.store;
    let length_at = first_record(&store) + format::RECORD_LENGTH;
    store.memory.store(length_at, 3_021);
    is_damaged(take(&mut store, 20), "payload bytes");
    store.memory.store(length_at, 3_020);
    take(&mut store, 20).unwrap();
}

#[test]
fn a_payload_that_goes_round_in_a_circle_comes_to_an_end() {
    for circle in 1..6 {
        let mut store = after(&[Operation::whole(3_000), Operation::whole(20_000)]);
        let record = first_record(&store);
        let first = store.memory.load32(record + format::RECORD_FIRST_UNIT);
        // The last of the circle leads back to the third unit, and there seems to be much.
        store.memory.store32(format::link_offset(first + 2 + circle), first + 2);
        store.memory.store(record + format::RECORD_LENGTH, 20_000);
        let leases = take(&mut store, 1).unwrap();
        let mut buffer = Vec::new();
        is_damaged(store.read(&leases[0], &mut buffer), "link of a unit");
        assert!(buffer.is_empty());
    }
}

#[test]
fn no_space_is_lent_twice_where_what_is_free_goes_round_in_a_circle() {
    let mut store = after(&[Operation::whole(20_000), Operation::whole(1)]);
    let leases = take(&mut store, 1).unwrap();
    store.settle(0, &leases, 1, true, 1).unwrap();
    let first = store.memory.load(format::FREE_FIRST) as u32;
    // Of some eighty units.
    store.memory.store32(format::link_offset(first + 30), first + 10);
    is_damaged(store.lend(0, 1, 20_000, 1).map(drop), "link of a unit");
}

#[test]
fn a_run_has_as_many_messages_as_it_says() {
    for count in [7, 9] {
        let mut store = after(&[Operation::lines(8, 100)]);
        let count_at = first_record(&store) + format::RECORD_COUNT;
        store.memory.store32(count_at, count as u32);
        store.memory.store(format::READY, count);
        let leases = take(&mut store, count).unwrap();
        let mut buffer = b"kept".to_vec();
        is_damaged(store.read(&leases[0], &mut buffer), "message count");
        assert_eq!(buffer, b"kept");
    }
}

#[test]
fn no_part_of_a_run_that_has_changed_is_given_out() {
    for byte in [0, 50, 3_000] {
        let mut store = after(&[Operation::lines(60, 100)]);
        let first = store.memory.load32(first_record(&store) + format::RECORD_FIRST_UNIT);
        store.memory.bytes[(format::unit_offset(first) + byte) as usize] ^= 1;
        is_damaged(take(&mut store, 2), "payload checksum");
        assert_eq!(store.counts(1).unwrap().leased, 0);
    }
}

#[test]
fn what_is_damaged_can_be_removed_and_the_others_be_got() {
    // The damaged one is alone, in a run, in one unit or in many.
    for damaged in [Operation::whole(9), Operation::whole(3_000), Operation::lines(20, 100)] {
        let mut store = after(&[damaged, damaged, Operation::whole(7), damaged]);
        let unit = store.memory.load(format::READY_FIRST) as u32;
        let first = store.memory.load32(format::unit_offset(unit) + format::RECORD_FIRST_UNIT);
        let offset = if first == 0 { format::unit_offset(unit) + format::INLINE } else { format::unit_offset(first) };
        store.memory.bytes[offset as usize] ^= 1;
        let counts = store.counts(1).unwrap();
        let each = (counts.ready - 1) / 3;
        assert_eq!(store.purge_damaged().unwrap(), each);
        assert!(check(&store.memory).is_ok());
        assert_eq!(store.purge_damaged().unwrap(), 0, "the next can be got");
        assert_eq!(store.counts(1).unwrap().ready, counts.ready - each);
        let leases = take(&mut store, u64::MAX).unwrap();
        assert_eq!(leases.len(), 3);
        assert!(leases.iter().all(|lease| store.read(lease, &mut Vec::new()).is_ok()));
    }
}

#[test]
fn a_damaged_run_with_another_number_of_messages_can_be_removed() {
    let mut store = after(&[Operation::lines(8, 100), Operation::whole(7)]);
    let count_at = first_record(&store) + format::RECORD_COUNT;
    store.memory.store32(count_at, 7);
    store.memory.store(format::READY, 8);
    assert_eq!(store.purge_damaged().unwrap(), 7);
    assert_eq!(store.counts(1).unwrap().ready, 1);
}

#[test]
fn a_payload_whose_units_are_not_to_be_found_is_not_removed() {
    let mut store = after(&[Operation::whole(3_000), Operation::whole(9)]);
    let first = store.memory.load32(first_record(&store) + format::RECORD_FIRST_UNIT);
    store.memory.store32(format::link_offset(first), first);
    is_damaged(store.purge_damaged(), "link of a unit");
    assert_eq!(store.counts(1).unwrap().ready, 2);
}

#[test]
fn a_log_that_changes_while_it_is_read_is_applied_as_it_was_checked() {
    let mut store = after(&[Operation::whole(9), Operation::whole(9)]);
    let commit = store.memory.load32(format::COMMIT);
    store.memory.store32(format::APPLIED, commit.wrapping_sub(1));
    let stamp = store.memory.bytes[..format::STAMP_BYTES].to_vec();
    for seed in 0..if cfg!(miri) { 50 } else { 2_000 } {
        let mut store = Store::new(store.memory.copy(), store.stamp);
        store.memory.lie(Random(seed), 20);
        // To end is all that can be asked of it.
        let _ = store.recover();
        assert_eq!(store.memory.bytes[..format::STAMP_BYTES], stamp);
    }
}
