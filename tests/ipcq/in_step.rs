//! Queues of every kind and a model, which is a map of messages, do the same in step, and give the same answers.
//!
//! `IPCQ_SEQUENCES=10000 cargo test --test ipcq in_step` tries so many sequences of operations;
//! `IPCQ_SEQUENCE_SEED=7` tries others.

mod model;
mod steps;

use crate::harness::{Random, Sandbox, until};
use crate::server::new_database;
use ipcq::address::Address;
use ipcq::open;
use ipcq::place::{Access, Place, Surroundings};
use ipcq::queue::{Condition, Limits, Queue};
use model::Model;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any};
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};
use std::ffi::OsString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use steps::Step;

/// Those who use a queue at the same time.
const CLIENTS: usize = 3;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn queues_on_this_machine_and_on_a_server_do_what_a_map_of_messages_does() {
    let sandbox = Sandbox::in_memory();
    let homes = [Some(sandbox.home()), new_database().map(OsString::from)];
    let places: Vec<Place> = homes.into_iter().flatten().map(place).collect();
    let seed = number("IPCQ_SEQUENCE_SEED", 1);
    let config = ProptestConfig {
        cases: number("IPCQ_SEQUENCES", 60) as u32,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 2000,
        max_global_rejects: 20,
        ..ProptestConfig::default()
    };
    let sequences = (any::<u64>(), vec(any::<u64>().no_shrink(), 1..100));
    let tried = TestRunner::new(config).run(&sequences, |(limits, seeds)| {
        let mut world = World::new(&places, &mut Random::new(limits));
        seeds.into_iter().try_for_each(|seed| world.step(&mut Random::new(seed)))?;
        world.end();
        Ok(())
    });
    match tried {
        Ok(()) => {}
        // The steps and, last, the difference; not the numbers from which they were made.
        Err(TestError::Fail(reason, _)) => panic!("IPCQ_SEQUENCE_SEED={seed}: {reason}"),
        Err(other) => panic!("IPCQ_SEQUENCE_SEED={seed}: {other}"),
    }
}

fn place(ipcq_dir: OsString) -> Place {
    Place::from(&Surroundings {
        ipcq_dir: Some(ipcq_dir),
        // Longer than a machine stands still, and shorter than we wait for a death that could not be told meanwhile.
        access: Access { presence: Some("20s".into()), ..Access::default() },
        tmpdir: None,
        uid: 0,
        shared_memory: "/dev/shm".into(),
    })
}

/// A queue of one kind, and those who use it.
struct Side<'a> {
    place: &'a Place,
    address: Address,
    clients: Vec<Box<dyn Queue>>,
}

impl Side<'_> {
    /// One of them does what is due; false: the server has not said that it was done.
    fn looks(&mut self) -> bool {
        match self.clients[0].wait(Condition::Ready, Some(Instant::now())) {
            Ok(_) => true,
            Err(error) => {
                assert!(is_silence(&error.to_string()), "{}: {error}", self.place.directory().display());
                false
            }
        }
    }
}

/// Whether that is what whoever does not want to wait may hear of a machine that stands still for a second.
fn is_silence(answer: &str) -> bool {
    answer.contains("it does not answer")
}

/// The same queue in every kind, and the model.
struct World<'a> {
    model: Model,
    sides: Vec<Side<'a>>,
    steps: Vec<Step>,
}

impl<'a> World<'a> {
    fn new(places: &'a [Place], random: &mut Random) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let limits = Limits {
            capacity: [30, 100, 1 << 20][random.below(3) as usize],
            max_items: Some(random.below(12)).filter(|items| *items > 0),
            max_attempts: Some(random.below(4) as u32).filter(|attempts| *attempts > 0),
            auto_close: random.below(3) == 0,
            ..Limits::default()
        };
        let name = format!("queue-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let side = |place: &'a Place| {
            let address = Address::parse(name.as_ref()).unwrap();
            open::create(place, &address, &limits).unwrap();
            let clients = (0..CLIENTS).map(|_| open::open(place, &address).unwrap()).collect();
            Side { place, address, clients }
        };
        let sides = places.iter().map(side).collect();
        World { model: Model::new(limits, CLIENTS), sides, steps: Vec::new() }
    }

    /// Takes a step on all sides, and compares what comes of it.
    fn step(&mut self, random: &mut Random) -> Result<(), TestCaseError> {
        let Some(step) = Step::random(&self.model, random) else { return Ok(()) };
        self.steps.push(step);
        let step = &self.steps[self.steps.len() - 1];
        let expected = self.model.answer(step);
        for side in &mut self.sides {
            let answer = side.answer(step);
            if is_silence(&answer) {
                return Err(TestCaseError::reject("the server did not answer in time"));
            }
            assert_eq!(answer, expected, "{}, after {:#?}", side.place.directory().display(), self.steps);
            if step.lets_time_pass() {
                // Somebody has to look, or what is due is done later, when it may matter for something else.
                until("somebody has looked", || side.looks());
            }
        }
        let expected = self.model.everything();
        for side in &mut self.sides {
            // On this machine, what we have dropped may live on for a moment in children that other tests are just starting;
            // a server that could not be told in time notices that nothing is heard of it.
            if matches!(step, Step::Leave { .. }) {
                until("everybody knows", || {
                    let is_known = side.everything() == expected;
                    if !is_known {
                        side.looks();
                    }
                    is_known
                });
            }
            let found = side.everything();
            assert_eq!(found, expected, "{}, after {:#?}", side.place.directory().display(), self.steps);
        }
        Ok(())
    }

    fn end(self) {
        for side in self.sides {
            drop(side.clients);
            let verified = open::verify(side.place, &side.address, None).unwrap();
            assert!(verified.is_sound(), "{verified:?}, after {:#?}", self.steps);
            open::remove(side.place, &side.address).unwrap();
        }
    }
}
