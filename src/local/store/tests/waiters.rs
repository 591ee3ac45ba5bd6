//! The counts of those who wait: never too low, and not higher with every look of a sleeper.

use super::world::{Operation, World};
use crate::local::format;
use crate::local::memory::ReadMemory;

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
