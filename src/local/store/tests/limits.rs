//! The fullest redo log, and the fullest file system.

use super::check::check;
use super::world::{Operation, World};
use crate::local::format;
use crate::local::memory::Memory;
use crate::local::store::{FRAMES_AT_ONCE, Lease};

/// Each lease that goes back changes its record and four others, and no two share a neighbour.
fn scattered_leases(first: Operation) -> (World, Vec<Lease>) {
    let mut world = World::new(1 << 20, format::NO_LIMIT);
    world.apply(first);
    world.apply(Operation::take(0, 1));
    for _ in 0..FRAMES_AT_ONCE * 9 {
        world.apply(Operation::whole(300));
    }
    for number in 0..FRAMES_AT_ONCE * 9 {
        world.apply(Operation::take(if number % 3 == 1 { 0 } else { 64 }, 1));
    }
    world.apply(Operation::ReturnAll { owner: 64 });
    let leases: Vec<Lease> = world.held[&0].iter().map(|held| held.lease).collect();
    (world, leases)
}

#[test]
fn the_largest_transaction_fits_the_log() {
    let first = Operation::lines(20, 100);
    for delivered in 0..FRAMES_AT_ONCE as u64 {
        let (world, leases) = scattered_leases(first);
        let mut world = world;
        let some: Vec<Lease> = leases.into_iter().skip(1).step_by(3).take(FRAMES_AT_ONCE).collect();
        world.store.settle(0, &some, delivered, true, 9).unwrap();
        check(&world.store.memory).unwrap();
        println!("{delivered} {}", world.store.memory.load(format::LOG_COUNT));
    }
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
