//! A storm of kill -9: producers and consumers of all kinds are killed at random while others go on, and
//! afterwards the books of those who put and those who got must agree.
//!
//! The storm in the test suite is short. A long one:
//! `IPCQ_STORM=5000 cargo test --release --test ipcq storm -- --nocapture`.

mod actors;
mod books;
mod judgement;
mod messages;
mod processes;
mod watch;

use crate::harness::{Random, Sandbox};
use actors::{Actor, CROWD, Consumer, Producer, QUEUES};
use books::Books;
use ipcq::local::{CONTROL_FIELDS, STAMP_FIELDS};
use judgement::Judgement;
use processes::Processes;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use watch::{Sight, field, watch};

/// Kills, if IPCQ_STORM does not say how many.
const KILLS: usize = 200;
/// Producers; the first is never killed.
const PRODUCERS: usize = 9;
/// Consumers that get in all ways there are, and are killed.
const CONSUMERS: usize = 5;
/// Consumers that are killed and mostly asleep before a queue that is mostly empty: more than are
/// all woken at once.
const CROWD_SIZE: usize = 12;
/// How long it may take until everyone has come to an end by himself when the queues are closed.
const UNTIL_ALL_HAVE_ENDED: Duration = Duration::from_secs(30);
/// How long a process may be seen to sleep while a message is ready: much longer than it does, for
/// the machine may have other work.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Uses every queue, and returns how long the slowest command took.
fn use_all(producer: &mut Producer<'_>, consumer: &mut Actor<'_>) -> Duration {
    let mut slowest = Duration::ZERO;
    for (queue, (name, _)) in QUEUES.iter().enumerate() {
        let start = Instant::now();
        producer.put_arguments(queue, &format!("put {name} -t 0"), 1);
        let put = Instant::now();
        consumer.get(&[queue], "--json -t 0", false, &AtomicU32::new(0));
        slowest = slowest.max(put - start).max(put.elapsed());
    }
    slowest
}

/// That the queue's storage is as it was when it was new: nothing in use, nothing leaked. Somebody must have
/// looked for a message since the last owner of leases died.
fn assert_all_space_is_free(path: &Path) {
    let segment = std::fs::read(path).unwrap();
    let control = |name| field(&segment, 0, CONTROL_FIELDS, name);
    // When everything is free, all units are fresh again. One that had leaked would prevent that.
    let first = field(&segment, 0, STAMP_FIELDS, "units per group") + 1;
    assert_eq!((control("fresh unit"), control("free units")), (first, 0), "{}", path.display());
    assert_eq!((control("owners 0-63"), control("owners 64-127")), (0, 0), "{}", path.display());
}

/// What a storm has left behind.
struct Aftermath {
    sandbox: Sandbox,
    processes: Processes,
    books: Books,
    sight: Sight,
    /// The slowest of the commands that came right after the last kill.
    slowest_afterwards: Duration,
    /// From the end of the storm until everyone had ended.
    until_all_had_ended: Duration,
}

/// Lets everyone loose, kills so many, and waits until everyone has ended.
fn storm(kills: usize) -> Aftermath {
    let (sandbox, processes) = (Sandbox::in_memory(), Processes::default());
    for (name, options) in QUEUES {
        sandbox.ok(&format!("create {name} {options}"));
    }
    let (mut books, mut seed) = (Books::default(), 0);
    let mut actor = |mortal| {
        seed += 1;
        Actor {
            sandbox: &sandbox,
            processes: &processes,
            index: seed as usize - 1,
            mortal,
            random: Random::new(seed),
            books: Books::default(),
        }
    };
    let (waiters, nobody) = (<[AtomicU32; QUEUES.len()]>::default(), AtomicU32::new(0));
    let (sight, slowest_afterwards, until_all_had_ended) = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for number in 0..PRODUCERS {
            let producer = Producer::new(actor(number > 0));
            threads.push(scope.spawn(|| producer.run()));
        }
        for _ in 0..CONSUMERS {
            let actor = actor(true);
            threads.push(scope.spawn(|| actor.consume(Consumer::Any, &nobody)));
        }
        for _ in 0..CROWD_SIZE {
            let actor = actor(true);
            threads.push(scope.spawn(|| actor.consume(Consumer::Waiter(CROWD), &nobody)));
        }
        for (queue, running) in waiters.iter().enumerate() {
            let actor = actor(false);
            threads.push(scope.spawn(move || actor.consume(Consumer::Waiter(queue), running)));
        }
        let watch = scope.spawn(|| watch(&sandbox, &processes, &waiters));
        let _end = processes.end_with_this();

        processes.kill_many(kills, Random::new(0));
        let (mut last_producer, mut last_consumer) = (Producer::new(actor(false)), actor(false));
        let slowest_afterwards = use_all(&mut last_producer, &mut last_consumer);
        QUEUES.iter().for_each(|(name, _)| sandbox.is_sound(name));
        let start = Instant::now();
        processes.end_storm();
        for (queue, (name, _)) in QUEUES.iter().enumerate() {
            sandbox.ok(&format!("close {name}"));
            let mut actor = actor(false);
            threads.push(scope.spawn(move || {
                actor.get(&[queue], "-f -0", false, &AtomicU32::new(0));
                actor.books
            }));
        }
        while threads.iter().any(|thread| !thread.is_finished()) {
            if start.elapsed() > UNTIL_ALL_HAVE_ENDED {
                panic!("some never came to an end:\n{}", processes.describe());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let until_all_had_ended = start.elapsed();
        threads.into_iter().for_each(|thread| books.add(thread.join().unwrap()));
        books.add(last_producer.actor.books);
        books.add(last_consumer.books);
        (watch.join().unwrap(), slowest_afterwards, until_all_had_ended)
    });
    Aftermath { sandbox, processes, books, sight, slowest_afterwards, until_all_had_ended }
}

#[test]
fn in_a_storm_of_kills_nothing_is_lost_or_torn_and_only_the_killed_cause_duplicates() {
    let kills = std::env::var("IPCQ_STORM").map_or(KILLS, |kills| kills.parse().expect("IPCQ_STORM is a number"));
    let start = Instant::now();
    let Aftermath { sandbox, processes, books, sight, slowest_afterwards, until_all_had_ended } = storm(kills);
    let storm_time = start.elapsed();
    let judgement = Judgement::of(&books);
    println!("{} kills in {:?}", processes.kills(), storm_time);
    for (doing, count) in processes.killed_while.into_inner().unwrap() {
        println!("    {doing}: {count}");
    }
    print!("{judgement}");
    println!("{sight:?}, slowest command after the last kill {slowest_afterwards:?}");
    println!("everyone had ended {until_all_had_ended:?} after the storm");

    assert!(judgement.is_clean(), "{judgement}");
    assert!(sight.longest_sleep < LONGEST_SLEEP, "{sight:?}");
    assert!(sight.all_sleeps < storm_time / 10, "those who wait just look now and then: {sight:?}");
    let mut put = 0;
    for (name, _) in QUEUES {
        for figure in ["ready", "leased", "bytes"] {
            assert_eq!(sandbox.stat(name, figure), 0, "{figure} of {name}");
        }
        assert_eq!(sandbox.stat(name, "put"), sandbox.stat(name, "got"), "{name}");
        put += sandbox.stat(name, "put").as_u64().unwrap();
        assert_eq!(sandbox.run(&format!("put {name} late")).code, 3);
        assert_eq!(sandbox.run(&format!("get {name}")).code, 3);
        assert_all_space_is_free(&sandbox.queues().join(name));
    }
    assert_eq!(put, judgement.delivered as u64);
}
