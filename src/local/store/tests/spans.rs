//! Leases that run much longer than others are in another tree, and have no part in what becomes of those.

use super::check::check;
use super::crash::with_trees;
use super::memory::Change;
use super::operation::{HOUR, KeptBy, MINUTE, Operation};
use super::world::World;
use crate::lease::LeaseId;
use crate::local::format;
use crate::local::memory::ReadMemory;
use crate::local::store::Verdict;
use crate::local::store::span::Span;
use crate::local::store::tree::{Tree, each_in_order};
use std::collections::HashSet;

#[test]
fn a_lease_that_comes_and_goes_moves_none_that_runs_much_longer() {
    let mut world = World::new(1 << 20, format::NO_LIMIT);
    let keep = |duration| Operation::Keep { owner: 0, keeper: KeptBy::Nobody, duration };
    [Operation::whole(9); 40].into_iter().for_each(|operation| world.apply(operation));
    let steps = [Operation::take_singly(0, 15), keep(5 * HOUR), Operation::take_singly(0, 15), keep(5 * HOUR)];
    steps.into_iter().chain([Operation::take_singly(0, 1)]).for_each(|operation| world.apply(operation));
    let mut long = HashSet::new();
    each_in_order(&world.store.memory, [Tree::Kept(Span::Hours)], |unit, _| {
        long.insert(u64::from(unit));
        Ok(true)
    })
    .unwrap();
    assert!(long.len() > 20, "{} leases are kept", long.len());

    world.store.memory.record();
    world.apply(keep(MINUTE));
    let short = *world.kept.last().unwrap();
    world.store.end(&[short], Verdict::Done, 1).unwrap().unwrap();
    let stored = world.store.memory.recorded().into_iter().filter_map(|change| match change {
        Change::Word(offset, _) | Change::Bytes(offset, _) => Some(offset / format::UNIT),
        _ => None,
    });
    let stored: HashSet<u64> = stored.collect();
    assert!(stored.iter().any(|unit| *unit >= format::FIRST_UNIT.into()), "{stored:?}");
    assert!(stored.is_disjoint(&long), "{stored:?}, and {long:?}");
}

#[test]
fn a_lease_in_the_tree_of_another_span_is_noticed() {
    let mut memory = with_trees(World::new(60_000, format::NO_LIMIT)).store.memory.copy();
    check(&memory).unwrap();
    let root = memory.load(format::KEPT_HOURS_ROOT) as u32;
    memory.bytes[(format::unit_offset(root) + format::RECORD_FLAGS) as usize] ^= 8;
    let problem = check(&memory).unwrap_err();
    assert!(problem.contains("kept root, hours") && problem.contains("no kept lease of that tree"), "{problem}");
}

#[test]
fn a_lease_that_does_not_say_its_span_is_not_extended() {
    let mut world = with_trees(World::new(60_000, format::NO_LIMIT));
    let root = world.store.memory.load(format::KEPT_HOURS_ROOT) as u32;
    let message = world.store.memory.load(format::unit_offset(root) + format::RECORD_FIRST_ID);
    let lease: LeaseId = *world.kept.iter().find(|lease| lease.message == message).unwrap();
    world.store.memory.bytes[(format::unit_offset(root) + format::RECORD_FLAGS) as usize] ^= 2;
    let before = world.store.memory.bytes.clone();
    let refused = world.store.extend(&[lease], 2 * MINUTE, 1).unwrap_err();
    assert!(format!("{refused:?}").contains("no kept lease"), "{refused:?}");
    assert_eq!(world.store.memory.bytes, before);
}
