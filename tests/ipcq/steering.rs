//! Queues are paused and resumed, messages moved from one to another, and conditions waited for.

use crate::harness::{Sandbox, until};
use std::process::Stdio;

#[test]
fn a_paused_queue_lets_everyone_wait_until_it_is_resumed() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs first");
    sandbox.ok("pause jobs");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1);
    assert_eq!(sandbox.run("put jobs more -t 0").code, 1);
    assert_eq!(sandbox.stat("jobs", "paused"), true);
    let (get, put) = (sandbox.asleep("get jobs"), sandbox.asleep("put jobs second"));
    sandbox.ok("resume jobs");
    get.ends(0, "first\n");
    put.ends(0, "");
    assert_eq!(sandbox.stat("jobs", "paused"), false);
    sandbox.still_works("jobs");
}

#[test]
fn one_side_can_be_paused_and_resumed_alone() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("pause jobs --get");
    sandbox.ok("put jobs first");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1);
    assert!(sandbox.ok("ls").contains("get-paused"));
    sandbox.ok("pause jobs --put");
    assert!(sandbox.ok("ls").ends_with(" paused\n"));
    sandbox.ok("resume jobs --get");
    assert!(sandbox.ok("ls").contains("put-paused"));
    assert_eq!(sandbox.ok("get jobs"), "first\n");
    assert_eq!(sandbox.run("put jobs more -t 0").code, 1);
    sandbox.ok("resume jobs --put");
    sandbox.still_works("jobs");
}

#[test]
fn a_closed_queue_that_is_paused_is_drained_when_it_is_empty_only() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs first");
    sandbox.ok("pause jobs --get");
    sandbox.ok("close jobs");
    let follower = sandbox.asleep("get jobs -f");
    sandbox.ok("resume jobs");
    follower.ends(0, "first\n");
}

#[test]
fn messages_move_to_the_end_of_another_queue_as_they_were() {
    let sandbox = Sandbox::with_queues("from to");
    sandbox.ok("put to first");
    sandbox.ok("put from 1 2");
    assert_eq!(sandbox.run_with(["put", "from"], b"3\n\xff").code, 0);
    sandbox.ok("put from --json {\"a\":4}");
    sandbox.ok("mv from to");
    assert_eq!(sandbox.ok("get to -n 3"), "first\n1\n2\n");
    assert_eq!(sandbox.run("get to -t 0").out, b"3\n\xff");
    assert!(sandbox.ok("get to --json").contains("\"body\":{\"a\":4}"));
    assert_eq!(sandbox.stat("from", "ready"), 0);
    ["from", "to"].iter().for_each(|queue| sandbox.still_works(queue));
}

#[test]
fn so_many_move_as_are_wanted_and_as_there_is_room_for() {
    let sandbox = Sandbox::with_queues("from");
    sandbox.ok("create to --max-items 3");
    let lines: String = (1..=100).map(|number| format!("{number}\n")).collect();
    sandbox.run_with(["put", "-l", "from"], lines.as_bytes());
    sandbox.ok("mv from to -n 2");
    assert_eq!(sandbox.ok("get to -a"), "1\n2\n");
    let done = sandbox.run("mv from to -t 0");
    assert_eq!(done.refusal(1), "queue 'to' is full: some messages were not moved");
    assert_eq!(sandbox.ok("get to -a"), "3\n4\n5\n");
    assert_eq!(sandbox.ok("get from -n 2"), "6\n7\n");
    assert!(sandbox.run("mv from from").refusal(2).contains("the same queue"));
    assert!(sandbox.run("mv from nowhere").refusal(4).contains("nowhere"));
    ["from", "to"].iter().for_each(|queue| sandbox.is_sound(queue));
}

#[test]
fn a_message_is_in_one_of_two_queues_whenever_the_mover_is_killed() {
    const COUNT: usize = 20_000;
    const KILLS: usize = 20;
    let lines: String = (1..=COUNT).map(|number| format!("{number}\n")).collect();
    let sandbox = Sandbox::with_queues("here there");
    sandbox.run_with(["put", "-l", "here"], lines.as_bytes());
    sandbox.kill_movers(["here", "there"], KILLS, || {
        ["here", "there"].iter().for_each(|queue| sandbox.is_sound(queue));
    });
    ["here", "there"].iter().for_each(|queue| sandbox.until_deaths_are_known(queue));
    // The last one may have been killed when it had moved them all.
    let all = ["here", "there"].map(|queue| sandbox.run(&format!("get {queue} -a")).text().to_owned()).concat();
    let mut numbers: Vec<usize> = all.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=COUNT), "{} of {COUNT}", numbers.len());
}

#[test]
fn a_dead_message_is_in_one_of_two_queues_whenever_the_mover_is_killed() {
    // Who is done before it could be killed proves nothing.
    until("somebody has been killed", || movers_of_dead_messages_killed() > 0);
}

/// Has dead messages moved by movers that are killed, and the rest by one that is not. Returns how many were killed in
/// the middle of it.
fn movers_of_dead_messages_killed() -> usize {
    const COUNT: usize = 2000;
    const MOVERS: usize = 40;
    let sandbox = Sandbox::with_queues("there");
    sandbox.ok("create here --max-attempts 1");
    let lines: String = (1..=COUNT).map(|number| format!("{number}\n")).collect();
    sandbox.run_with(["put", "-l", "here"], lines.as_bytes());
    assert_eq!(sandbox.sh("ipcq get here -n 2000 --lease 1h -o bodies | xargs ipcq nack here").code, 0);
    assert_eq!(sandbox.stat("here", "dead"), COUNT);
    let mut killed = 0;
    for _ in 0..MOVERS {
        let mut mover = sandbox.start("mv here there --dead");
        let before = sandbox.stat("there", "put").as_u64().unwrap();
        until("some have been moved", || {
            mover.child().try_wait().unwrap().is_some() || sandbox.stat("there", "put").as_u64().unwrap() > before
        });
        mover.child().kill().unwrap();
        killed += usize::from(mover.end().code == 137);
        ["here", "there"].iter().for_each(|queue| sandbox.is_sound(queue));
        if sandbox.stat("here", "dead") == 0 {
            break;
        }
    }
    sandbox.ok("mv here there --dead");
    ["here", "there"].iter().for_each(|queue| sandbox.until_deaths_are_known(queue));
    let mut numbers: Vec<usize> = sandbox.ok("get there -a").lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=COUNT), "{} of {COUNT}", numbers.len());
    killed
}

#[test]
fn who_waits_for_a_message_is_told_and_takes_none() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(sandbox.run("wait jobs --ready -t 0").code, 1);
    let waiters: Vec<_> = (0..12).map(|_| sandbox.asleep("wait jobs --ready")).collect();
    let consumer = sandbox.asleep("get jobs");
    sandbox.ok("put jobs one two");
    waiters.into_iter().for_each(|waiter| waiter.ends(0, ""));
    let got = consumer.end().text().to_owned();
    assert_eq!((got.as_str(), sandbox.ok("get jobs").as_str()), ("one\n", "two\n"));
}

#[test]
fn who_waits_until_it_is_empty_or_closed_is_told() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("wait jobs --empty -t 0");
    sandbox.ok("put jobs one two");
    let (empty, closed) = (sandbox.asleep("wait jobs --empty"), sandbox.asleep("wait jobs --closed"));
    sandbox.ok("get jobs -n 2");
    empty.ends(0, "");
    assert_eq!(sandbox.run("wait jobs --closed -t 0.1").code, 1);
    sandbox.ok("close jobs");
    closed.ends(0, "");
}

#[test]
fn a_queue_that_is_yet_to_be_created_can_be_waited_for() {
    for directory_is_there in [true, false] {
        let sandbox = Sandbox::new();
        if directory_is_there {
            sandbox.ok("create other");
        }
        assert_eq!(sandbox.run("wait jobs --exists -t 0.05").code, 1);
        let mut waiter = sandbox.start("wait jobs --exists");
        sandbox.ok("create another");
        assert!(waiter.child().try_wait().unwrap().is_none());
        sandbox.ok("create jobs");
        waiter.ends(0, "");
    }
}

#[test]
fn something_has_to_be_waited_for() {
    let sandbox = Sandbox::with_queues("jobs");
    assert!(sandbox.run("wait jobs").refusal(2).contains("--ready"));
    assert_eq!(sandbox.run("wait nowhere --ready").code, 4);
    let mut command = sandbox.ipcq(["wait", "jobs", "--ready"]);
    let waiter = crate::harness::Running::from(command.stdout(Stdio::null()).spawn().unwrap());
    waiter.until_asleep();
    sandbox.ok("rm jobs");
    assert_eq!(waiter.end().code, 4);
}
