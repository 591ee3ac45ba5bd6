//! Random operations: the store does what a vector of messages would do.

use super::Random;
use super::operation::Operation;
use super::world::World;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_vector_of_messages_does(limits in any::<u64>(), operations in vec(any::<u64>(), 1..80)) {
        let mut world = World::random(&mut Random(limits));
        for seed in operations {
            world.apply(Operation::random(&mut Random(seed)));
        }
        world.drain();
    }
}
