//! What a killed process leaves behind keeps nobody waiting: not who comes next, and not who sleeps already.

use crate::harness::{PRESENCE, Running, Sandbox, differs, is_on_redis, until};
use std::io::PipeReader;
use std::time::{Duration, Instant};

/// Nobody waits longer than this for what a process has left behind that is known to be dead.
const RECOVERY: Duration = Duration::from_millis(250);

/// Asserts that `recover`, which returns how long it took until things went on, takes no longer than that
/// where the machine has no other work: at least once in a few times.
fn assert_recovers(mut recover: impl FnMut() -> Duration) {
    // A server does not see processes.
    let until_known = if is_on_redis() { humantime::parse_duration(PRESENCE).unwrap() } else { Duration::ZERO };
    let times: Vec<_> = (0..3).map(|_| recover()).collect();
    println!("{times:?}");
    assert!(times.iter().any(|time| *time <= until_known + RECOVERY), "{times:?}");
}

/// Waits until one of `waiters` has ended, with exit code 0.
fn until_one_ends(waiters: &mut Vec<Running>) {
    let mut ended = None;
    until("one of them ends", || {
        ended = waiters.iter_mut().position(|waiter| waiter.child().try_wait().unwrap().is_some());
        ended.is_some()
    });
    assert_eq!(waiters.swap_remove(ended.unwrap()).end().code, 0);
}

/// Waits until one of `waiters`, each of them with the reader of its output, writes.
fn until_one_writes(waiters: &mut Vec<(Running, PipeReader)>) -> (Running, PipeReader) {
    let mut writes = None;
    until("one of them writes", || {
        writes = waiters.iter().position(|(waiter, _)| waiter.is_writing());
        writes.is_some()
    });
    waiters.swap_remove(writes.unwrap())
}

#[test]
fn whoever_comes_next_gets_the_message_of_a_killed_consumer_at_once() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_recovers(|| {
        sandbox.ok("put jobs message");
        let (consumer, _reader) = sandbox.stuck("get jobs");
        consumer.signal("KILL");
        consumer.end();
        let start = Instant::now();
        sandbox.until_deaths_are_known("jobs");
        // It does not wait at all.
        assert_eq!(sandbox.ok("get jobs -t 0"), "message\n");
        let time = start.elapsed();
        sandbox.is_sound("jobs");
        time
    });
}

#[test]
fn the_message_of_a_killed_consumer_reaches_those_who_have_seen_that_it_is_taken() {
    assert_recovers(|| {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.ok("put jobs message");
        let (consumer, _reader) = sandbox.stuck("get jobs");
        // On a server it may be the follower that gets it, which does not end then.
        let other = if is_on_redis() { "get jobs" } else { "get jobs -f" };
        let mut waiters = vec![sandbox.asleep("get jobs"), sandbox.asleep(other)];
        let start = Instant::now();
        consumer.signal("KILL");
        until_one_ends(&mut waiters);
        let time = start.elapsed();
        sandbox.is_sound("jobs");
        time
    });
}

#[test]
fn the_message_of_a_killed_consumer_reaches_those_who_slept_when_it_was_taken() {
    assert_recovers(|| {
        let sandbox = Sandbox::with_queues("jobs");
        // Of so many only one is woken for a message, and none of them can write what it takes.
        let mut waiters: Vec<_> = (0..20).map(|_| sandbox.stuck_later("get jobs")).collect();
        sandbox.ok("put jobs message");
        let (consumer, _reader) = until_one_writes(&mut waiters);
        let start = Instant::now();
        consumer.signal("KILL");
        until_one_writes(&mut waiters);
        let time = start.elapsed();
        sandbox.is_sound("jobs");
        time
    });
}

#[test]
fn a_closed_queue_is_drained_when_those_who_sleep_have_got_what_a_killed_consumer_had() {
    assert_recovers(|| {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.ok("put jobs message");
        let (consumer, _reader) = sandbox.stuck("get jobs");
        sandbox.ok("close jobs");
        let mut followers = vec![sandbox.asleep("get jobs -f"), sandbox.asleep("get jobs -f")];
        let start = Instant::now();
        consumer.signal("KILL");
        until_one_ends(&mut followers);
        until_one_ends(&mut followers);
        let time = start.elapsed();
        sandbox.is_sound("jobs");
        time
    });
}

/// A worker whose jobs say in a file which attempt they are, and in another their process; they end with the sandbox.
fn worker(sandbox: &Sandbox) -> Running {
    let script = "echo $$ > job; touch attempt-$IPCQ_ATTEMPT; while test -d \"$PWD\"; do sleep 0.01; done";
    let mut command = sandbox.ipcq(["work", "jobs", "--backoff", "0", "--", "sh", "-c", script]);
    let worker = Running::from(command.spawn().unwrap());
    until("its job runs", || sandbox.path("attempt-1").exists());
    worker
}

#[test]
fn the_message_of_a_killed_worker_reaches_those_who_sleep() {
    assert_recovers(|| {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.ok("put jobs message");
        let worker = worker(&sandbox);
        let mut waiters = vec![sandbox.asleep("get jobs")];
        let start = Instant::now();
        worker.signal("KILL");
        until_one_ends(&mut waiters);
        let time = start.elapsed();
        sandbox.is_sound("jobs");
        time
    });
}

#[test]
fn the_message_of_a_killed_job_is_worked_on_again_at_once() {
    assert_recovers(|| {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.ok("put jobs message");
        let worker = worker(&sandbox);
        let start = Instant::now();
        assert_eq!(sandbox.sh("kill -KILL $(cat job)").code, 0);
        until("the second attempt runs", || sandbox.path("attempt-2").exists());
        let time = start.elapsed();
        worker.signal("KILL");
        worker.end();
        sandbox.is_sound("jobs");
        time
    });
}

#[test]
fn sleepers_notice_soon_that_the_file_is_gone_though_nobody_told_them() {
    if differs("Files and permissions") {
        return;
    }
    for command in ["get jobs", "put full more"] {
        assert_recovers(|| {
            let sandbox = Sandbox::with_queues("jobs");
            sandbox.ok("create full --max-items 1");
            sandbox.ok("put full first");
            let mut waiter = sandbox.asleep(command);
            let start = Instant::now();
            // This much an rm has done that was killed before it told anyone.
            for queue in ["jobs", "full"] {
                std::fs::remove_file(sandbox.queues().join(queue)).unwrap();
            }
            until("it ends", || waiter.child().try_wait().unwrap().is_some());
            let time = start.elapsed();
            waiter.ends(4, "");
            time
        });
    }
}
