//! The counts of those who wait: never too low, and not higher with every look of a sleeper; and who is woken.

use super::memory::{Change, TestMemory};
use super::operation::Operation;
use super::world::World;
use crate::local::format::{self, DATA_WAKE, RECENT_WAKE};
use crate::local::memory::ReadMemory;
use crate::local::store::{Put, Store};
use crate::message::Run;

fn waiters(world: &World) -> u32 {
    world.store.memory.load32(format::DATA_WAITERS)
}

#[test]
fn a_sleeper_that_looks_again_is_counted_once() {
    let mut world = World::new(1_000, format::NO_LIMIT);
    let first = world.store.register_data_waiter(None);
    let second = world.store.register_data_waiter(None);
    for _ in 0..100 {
        assert_eq!(world.store.register_data_waiter(Some(first)), first);
        assert_eq!(world.store.register_data_waiter(Some(second)), second);
    }
    assert_eq!(waiters(&world), 2);
}

#[test]
fn whoever_goes_back_to_sleep_after_a_wake_up_is_counted_anew() {
    let mut world = World::new(1_000, format::NO_LIMIT);
    let counted = world.store.register_data_waiter(None);
    world.apply(Operation::whole(3));
    assert_eq!(waiters(&world), 0);
    let counted_again = world.store.register_data_waiter(Some(counted));
    assert_ne!(counted_again, counted);
    assert_eq!(waiters(&world), 1);
}

const NOW: u64 = 1_800_000_000_000_000_000;

/// A queue with so many consumers that sleep, some of which had something a moment ago.
fn with_sleepers(others: u32, recent: u32) -> World {
    let mut world = World::new(1_000, format::NO_LIMIT);
    for _ in 0..others {
        let _ = world.store.register_data_waiter(None);
    }
    for _ in 0..recent {
        let _ = world.store.register_recent_waiter();
    }
    world
}

/// Who is woken by a message that is put: on which word, and how many.
fn woken_by_a_put(world: &mut World) -> Vec<(u64, u32)> {
    woken_by(world, |store| assert_eq!(store.put(&Run::whole(b"one"), false, NOW).unwrap(), Put::Done(1)))
}

fn woken_by(world: &mut World, does: impl FnOnce(&mut Store<TestMemory>)) -> Vec<(u64, u32)> {
    world.store.memory.record();
    does(&mut world.store);
    let changes = world.store.memory.recorded();
    let wakes = changes.into_iter().filter_map(|change| match change {
        Change::Wake(word, count) => Some((word, count)),
        _ => None,
    });
    wakes.collect()
}

const ALL: u32 = i32::MAX as u32;

#[test]
fn of_few_sleepers_all_are_woken_and_of_many_one_for_each_message() {
    assert_eq!(woken_by_a_put(&mut with_sleepers(0, 0)), []);
    assert_eq!(woken_by_a_put(&mut with_sleepers(8, 0)), [(DATA_WAKE, ALL)]);
    assert_eq!(woken_by_a_put(&mut with_sleepers(9, 0)), [(DATA_WAKE, 1)]);
    assert_eq!(woken_by_a_put(&mut with_sleepers(6, 2)), [(RECENT_WAKE, ALL), (DATA_WAKE, ALL)]);
}

#[test]
fn of_many_sleepers_one_that_had_something_a_moment_ago_is_woken_first() {
    let mut world = with_sleepers(9, 1);
    assert_eq!(woken_by_a_put(&mut world), [(RECENT_WAKE, 1)]);
    assert_eq!(woken_by_a_put(&mut world), [(DATA_WAKE, 1)]);
    assert_eq!(waiters(&world), 8);
}

#[test]
fn one_that_watches_takes_one_message_and_for_more_others_are_woken() {
    let mut world = with_sleepers(9, 0);
    world.store.note_spinner(NOW + 20_000);
    assert_eq!(woken_by_a_put(&mut world), []);
    assert_eq!(woken_by_a_put(&mut world), [(DATA_WAKE, 1)]);
}

#[test]
fn nobody_relies_on_one_that_has_ceased_to_watch_or_whose_clock_was_another() {
    for until in [-1, 0, 1_000_000_000] {
        let mut world = with_sleepers(9, 0);
        world.store.note_spinner(NOW.checked_add_signed(until).unwrap());
        assert_eq!(woken_by_a_put(&mut world), [(DATA_WAKE, 1)], "{until}");
    }
}

#[test]
fn few_sleepers_are_all_woken_whoever_watches() {
    let mut world = with_sleepers(8, 0);
    world.store.note_spinner(NOW + 20_000);
    assert_eq!(woken_by_a_put(&mut world), [(DATA_WAKE, ALL)]);
}

#[test]
fn few_sleepers_are_woken_ahead_of_a_put_and_once_more_by_it() {
    let mut world = with_sleepers(3, 0);
    assert_eq!(woken_by(&mut world, |store| store.wake_ahead(|| true)), [(DATA_WAKE, 3)]);
    // Those who came too early sleep again.
    assert_eq!(waiters(&world), 3);
    assert_eq!(woken_by_a_put(&mut world), [(DATA_WAKE, ALL)]);
}

#[test]
fn nobody_is_woken_ahead_of_many_nor_on_the_same_processor_nor_where_the_put_waits_for_a_disk() {
    for (others, recent) in [(0, 0), (9, 0), (9, 1), (1, 1)] {
        assert_eq!(
            woken_by(&mut with_sleepers(others, recent), |store| store.wake_ahead(|| true)),
            [],
            "{others}, {recent}"
        );
    }
    let mut world = with_sleepers(1, 0);
    assert_eq!(woken_by(&mut world, |store| store.wake_ahead(|| false)), []);
    world.store.stamp.durable = true;
    assert_eq!(woken_by(&mut world, |store| store.wake_ahead(|| true)), []);
}
