//! The counts of those who wait: never too low, and not higher with every look of a sleeper; and who is woken.

use super::memory::{Change, TestMemory};
use super::operation::Operation;
use super::world::World;
use crate::local::format::{self, DATA_WAKE, RECEIVER, RECENT_WAKE};
use crate::local::memory::ReadMemory;
use crate::local::store::{Identity, Put, Receiver, Store, Taken, Want};
use crate::message::{Framing, Run};

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
fn one_that_has_locked_is_no_longer_relied_on() {
    let mut world = with_sleepers(9, 0);
    world.store.note_spinner(NOW + 20_000);
    assert!(world.store.has_spinner(NOW) && !world.store.has_spinner(NOW + 20_000));
    world.store.forget_spinner();
    assert!(!world.store.has_spinner(NOW));
    assert_eq!(woken_by_a_put(&mut world), [(DATA_WAKE, 1)]);
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
    assert_eq!(woken_by(&mut world, |store| _ = store.wake_ahead(|_| true)), [(DATA_WAKE, 3)]);
    // Those who came too early sleep again.
    assert_eq!(waiters(&world), 3);
    assert_eq!(woken_by_a_put(&mut world), [(DATA_WAKE, ALL)]);
}

#[test]
fn nobody_is_woken_ahead_of_many_nor_on_the_same_processor_nor_where_the_put_waits_for_a_disk() {
    for (others, recent) in [(0, 0), (9, 0), (9, 1), (1, 1)] {
        assert_eq!(
            woken_by(&mut with_sleepers(others, recent), |store| _ = store.wake_ahead(|_| true)),
            [],
            "{others}, {recent}"
        );
    }
    let mut world = with_sleepers(1, 0);
    assert_eq!(woken_by(&mut world, |store| _ = store.wake_ahead(|_| false)), []);
    world.store.stamp.durable = true;
    assert_eq!(woken_by(&mut world, |store| _ = store.wake_ahead(|_| true)), []);
}

#[test]
fn who_has_taken_something_a_moment_ago_where_many_sleep_is_expected_back() {
    let expects = |sleepers: u32, later: u64| {
        let mut world = with_sleepers(sleepers, 0);
        world.store.note_taker(NOW);
        world.store.expects_taker(NOW.wrapping_add(later))
    };
    assert!(expects(9, 0) && expects(9, 100_000));
    assert!(!expects(8, 0), "few are all woken");
    assert!(!expects(9, 100_001) && !expects(9, u64::MAX), "nobody relies on what was long ago, or is to come");
}

#[test]
fn for_a_message_that_is_awaited_nobody_is_woken() {
    let mut world = with_sleepers(9, 1);
    let woken = woken_by(&mut world, |store| {
        assert_eq!(store.put_awaited(&Run::whole(b"one"), NOW).unwrap(), Put::Done(1));
    });
    assert_eq!(woken, []);
    assert_eq!(woken_by(&mut world, Store::pass_on), [(RECENT_WAKE, 1)]);
}

#[test]
fn who_waits_for_room_or_for_the_end_is_woken_and_where_nobody_does_nothing_is_stored_for_them() {
    const WORDS: [u64; 4] =
        [format::SPACE_WAKE, format::SPACE_WAITERS, format::FINISHED_WAKE, format::FINISHED_WAITERS];
    let words = |world: &World| WORDS.map(|word| world.store.memory.load32(word));
    let mut world = World::new(1_000, format::NO_LIMIT);
    let mut there_and_gone = |waits: bool| {
        if waits {
            world.store.register_space_waiter(None);
            world.store.register_finished_waiter(None);
        }
        let before = words(&world);
        let woken = woken_by(&mut world, |store| {
            assert_eq!(store.put(&Run::whole(b"one"), false, NOW).unwrap(), Put::Done(1));
            let (mut leases, want) =
                (Vec::new(), Want { messages: 1, bytes: 1, singly: false, owner: OWNER, pid: 1, now: NOW });
            assert_eq!(store.take(&want, &mut leases).unwrap(), Taken::Leases);
            store.settle(OWNER, &leases, 1, true, NOW).unwrap();
        });
        (woken, before, words(&world))
    };
    let (woken, before, after) = there_and_gone(false);
    assert_eq!((woken, before), (vec![], after));
    let (woken, before, after) = there_and_gone(true);
    assert_eq!(woken, [(format::FINISHED_WAKE, ALL), (format::SPACE_WAKE, ALL)]);
    assert_eq!(after, [before[0] + 1, 0, before[2] + 1, 0]);
}

/// A queue before which so many others sleep, and a receiver.
fn with_receiver(others: u32) -> (World, Receiver) {
    let mut world = with_sleepers(others, 0);
    world.store.start_producing(OWNER, &Identity::resident(1), NOW).unwrap();
    let receiver = world.store.become_receiver(OWNER, Some(3)).unwrap();
    (world, receiver)
}

const OWNER: u32 = 5;

#[test]
fn the_receiver_is_woken_ahead_of_a_put_and_nobody_else() {
    for others in [0, 3, 9] {
        let (mut world, receiver) = with_receiver(others);
        let mut called = None;
        assert_eq!(
            woken_by(&mut world, |store| called = store.wake_ahead(|last| last == Some(3))),
            [(RECEIVER, 1)],
            "{others}"
        );
        assert_eq!(called, Some(receiver));
        assert_eq!(
            woken_by(&mut world, |store| assert!(store.deliver(&Run::whole(b"one"), receiver, NOW).unwrap())),
            []
        );
        assert_eq!(waiters(&world), others);
    }
}

#[test]
fn a_receiver_that_is_not_called_is_woken_like_others_and_before_them() {
    let (mut world, receiver) = with_receiver(9);
    assert_eq!(woken_by(&mut world, |store| _ = store.wake_ahead(|last| last != Some(3))), []);
    assert_eq!(woken_by_a_put(&mut world), [(RECEIVER, 1)]);
    assert!(!world.store.cease_to_receive(receiver));
    assert_eq!(woken_by_a_put(&mut world), [(DATA_WAKE, 1)]);
    let (mut world, _) = with_receiver(8);
    assert_eq!(woken_by_a_put(&mut world), [(RECEIVER, 1), (DATA_WAKE, ALL)]);
}

#[test]
fn for_a_message_that_is_taken_back_others_are_woken() {
    let (mut world, receiver) = with_receiver(9);
    assert_eq!(world.store.wake_ahead(|_| true), Some(receiver));
    assert!(world.store.deliver(&Run::whole(b"one"), receiver, NOW).unwrap());
    assert_eq!(woken_by(&mut world, |store| assert!(store.take_back(receiver).unwrap())), [(DATA_WAKE, 1)]);
    assert!(!world.store.cease_to_receive(receiver), "nothing is there for it any more");
}

#[test]
fn only_a_single_message_that_would_be_the_next_is_delivered() {
    let lines = Run::delimited(b"one\ntwo\n", Framing::Newline);
    let (mut world, receiver) = with_receiver(0);
    assert!(!world.store.deliver(&Run::whole(b"one"), receiver, NOW).unwrap(), "it was not called");
    assert_eq!(world.store.wake_ahead(|_| true), Some(receiver));
    assert!(!world.store.deliver(&lines, receiver, NOW).unwrap(), "they are two");
    assert_eq!(world.store.put(&lines, true, NOW).unwrap(), Put::Done(2));
    let newer = world.store.become_receiver(OWNER, Some(3)).unwrap();
    assert_ne!(newer, receiver);
    assert_eq!(world.store.wake_ahead(|_| true), Some(newer));
    assert!(!world.store.deliver(&Run::whole(b"one"), newer, NOW).unwrap(), "another is older");
}

#[test]
fn what_one_receiver_is_told_no_other_takes_for_its_own() {
    let (mut world, former) = with_receiver(0);
    world.store.stop_producing(OWNER).unwrap();
    world.store.clear_owner(OWNER).unwrap();
    assert_eq!(world.store.call_receiver(), None, "its entry is somebody else's");
    world.store.start_producing(OWNER, &Identity::resident(2), NOW).unwrap();
    let receiver = world.store.become_receiver(OWNER, Some(3)).unwrap();
    assert_eq!(world.store.call_receiver(), Some(receiver));
    assert!(world.store.deliver(&Run::whole(b"one"), receiver, NOW).unwrap());
    assert!(!world.store.cease_to_receive(former));
    assert!(world.store.cease_to_receive(receiver));
}
