//! The fullest redo log, and the fullest file system.

use super::check::check;
use super::operation::Operation;
use super::world::World;
use crate::local::format;
use crate::local::memory::ReadMemory;
use crate::local::store::{DURABLE_FRAMES_AT_ONCE, FRAMES_AT_ONCE, Lease};

/// Leases of owner 0 in a queue where each that goes back changes its own record and four others:
/// those before and after it in both lists, which no two of the leases share.
fn scattered_leases(mut world: World, frames_at_once: usize) -> (World, Vec<Lease>) {
    for operation in [Operation::whole(9), Operation::take(0, 1), Operation::lines(20, 100), Operation::take(0, 20)] {
        world.apply(operation);
    }
    for _ in 0..frames_at_once * 9 {
        world.apply(Operation::whole(300));
    }
    for number in 0..frames_at_once * 9 {
        world.apply(Operation::take(if number % 3 == 1 { 0 } else { 64 }, 1));
    }
    world.apply(Operation::ReturnAll { owner: 64 });
    let leases = world.held[&0].iter().map(|held| held.lease);
    let leases: Vec<_> = leases.skip(1).step_by(3).take(frames_at_once).collect();
    assert_eq!(leases.len(), frames_at_once);
    (world, leases)
}

/// The pairs that the last change of `world` had in its log.
fn pairs(world: &World) -> usize {
    let memory = &world.store.memory;
    let is_second = world.store.stamp.durable && memory.load32(format::COMMIT) % 2 == 1;
    memory.load(if is_second { format::SECOND_LOG } else { format::LOG } + format::REDO_COUNT) as usize
}

#[test]
fn the_largest_transaction_fits_the_log() {
    let (ordinary, durable) = (World::new(1 << 20, format::NO_LIMIT), World::durable(1 << 20, format::NO_LIMIT));
    for (world, frames, most) in
        [(ordinary, FRAMES_AT_ONCE, format::LOG_PAIRS), (durable, DURABLE_FRAMES_AT_ONCE, format::SECOND_LOG_PAIRS)]
    {
        let (world, leases) = scattered_leases(world, frames);
        let mut largest = 0;
        for delivered in [0, 1, frames as u64 / 3, 19, 20, 35, 51] {
            let mut world = world.copy();
            world.store.settle(0, &leases, delivered, true, 9).unwrap();
            check(&world.store.memory).unwrap();
            let settled = pairs(&world);
            // Right behind that, as much as can be taken, the last of it out of the middle of a run.
            world.model.state = check(&world.store.memory).unwrap();
            world.apply(Operation::take(5, frames as u64 - 1));
            let taken = pairs(&world);
            world.apply(Operation::take(63, frames as u64 * 2 + 7));
            let taken_again = pairs(&world);
            world.apply(Operation::take_settling(5, frames as u64 - 1));
            println!("{settled}, {taken}, {taken_again}, {} of {most} pairs", pairs(&world));
            largest = [settled, taken, taken_again, pairs(&world)].into_iter().fold(largest, usize::max);
        }
        assert!(largest > 4 * frames && largest <= most);
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
