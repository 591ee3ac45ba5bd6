//! The fullest redo log, and the fullest file system.

use super::check::check;
use super::world::{Operation, World};
use crate::local::format;
use crate::local::memory::ReadMemory;
use crate::local::store::{FRAMES_AT_ONCE, Lease};

/// Leases of owner 0 in a queue where each that goes back changes its own record and four others:
/// those before and after it in both lists, which no two of the leases share.
fn scattered_leases() -> (World, Vec<Lease>) {
    let mut world = World::new(1 << 20, format::NO_LIMIT);
    for operation in [Operation::whole(9), Operation::take(0, 1), Operation::lines(20, 100), Operation::take(0, 20)] {
        world.apply(operation);
    }
    for _ in 0..FRAMES_AT_ONCE * 9 {
        world.apply(Operation::whole(300));
    }
    for number in 0..FRAMES_AT_ONCE * 9 {
        world.apply(Operation::take(if number % 3 == 1 { 0 } else { 64 }, 1));
    }
    world.apply(Operation::ReturnAll { owner: 64 });
    let leases = world.held[&0].iter().map(|held| held.lease);
    let leases = leases.skip(1).step_by(3).take(FRAMES_AT_ONCE).collect();
    (world, leases)
}

#[test]
fn the_largest_transaction_fits_the_log() {
    let (world, leases) = scattered_leases();
    assert_eq!(leases.len(), FRAMES_AT_ONCE);
    let pairs = [0, 1, 10, 19, 20, 35, 51].map(|delivered| {
        let mut world = world.copy();
        world.store.settle(0, &leases, delivered, true, 9).unwrap();
        check(&world.store.memory).unwrap();
        world.store.memory.load(format::LOG_COUNT) as usize
    });
    println!("{pairs:?} of {} pairs", format::LOG_PAIRS);
    let most = *pairs.iter().max().unwrap();
    assert!(most > 7 * FRAMES_AT_ONCE && most <= format::LOG_PAIRS);
}

#[test]
fn a_full_file_system_keeps_nobody_from_getting_one_message() {
    let mut world = World::new(1 << 20, format::NO_LIMIT);
    world.apply(Operation::lines(50, 100));
    world.apply(Operation::Full(true));
    for count in [40, 20, 7, 3, 1, 1, 1] {
        world.apply(Operation::lines(count, 150));
    }
    while world.model.live() > 0 {
        let before = world.model.live();
        world.apply(Operation::take(0, 1));
        world.apply(Operation::take(5, 1));
        world.apply(Operation::settle(5, 100));
        world.apply(Operation::settle(0, 100));
        assert!(world.model.live() <= before.saturating_sub(2), "{before} messages, and nothing is got");
    }
}

#[test]
fn consumers_that_die_on_a_full_file_system_leave_messages_that_can_be_got() {
    let mut world = World::new(1 << 20, format::NO_LIMIT);
    world.apply(Operation::lines(150, 400));
    world.apply(Operation::Full(true));
    for count in [40, 20, 7, 3, 1, 1, 1] {
        world.apply(Operation::lines(count, 150));
    }
    // Each takes a part out of the run and dies, which uses up every unit there is.
    for messages in 1..60 {
        world.apply(Operation::take(0, messages));
        world.apply(Operation::ReturnAll { owner: 0 });
    }
    while world.model.live() > 0 {
        world.apply(Operation::take(0, 1));
        world.apply(Operation::settle(0, 1));
        world.apply(Operation::take(0, 1));
        world.apply(Operation::settle(0, 100));
    }
}
