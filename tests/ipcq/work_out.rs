//! `ipcq work --out`: what a job writes is put into another queue together with the end of its message.

use crate::harness::{Random, Running, Sandbox, until};

#[test]
fn what_a_job_writes_is_one_message_in_the_other_queue() {
    let sandbox = Sandbox::with_queues("jobs results");
    sandbox.ok("put jobs a b");
    sandbox.ok("close jobs");
    let worker =
        sandbox.sh("ipcq work jobs -j 1 --out results -- sh -c 'echo one; read m || :; echo \"$m\"; echo aside >&2'");
    assert_eq!((worker.code, worker.text()), (0, ""));
    assert_eq!(worker.err.matches("aside").count(), 2, "{}", worker.err);
    assert_eq!(sandbox.ok("get results -n 2"), "one\na\none\nb\n");
    ["jobs", "results"].iter().for_each(|queue| sandbox.is_sound(queue));
}

#[test]
fn a_job_that_fails_puts_nothing() {
    let sandbox = Sandbox::with_queues("jobs results");
    sandbox.ok("put jobs a");
    sandbox.ok("close jobs");
    let worker = sandbox.sh("ipcq work jobs --max-attempts 2 --backoff 0 --out results -- sh -c 'echo output; exit 1'");
    assert_eq!(worker.code, 5);
    assert_eq!(sandbox.stat("results", "put"), 0);
    assert_eq!(sandbox.stat("jobs", "dead"), 1);
}

#[test]
fn output_that_can_never_fit_makes_the_message_dead() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("create results --capacity 100");
    sandbox.ok("put jobs a");
    sandbox.ok("close jobs");
    assert_eq!(sandbox.sh("ipcq work jobs --out results -- head -c 101 /dev/zero").code, 5);
    assert!(sandbox.ok("peek jobs --dead").contains("more than the capacity of 'results'"));
}

#[test]
fn a_full_queue_is_waited_for_and_a_signal_ends_that() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("create results --max-items 1");
    sandbox.ok("put jobs a b c");
    sandbox.ok("put results first");
    let worker = Running::from(sandbox.ipcq("work jobs -j 1 --out results -- cat".split(' ')).spawn().unwrap());
    let waits = || sandbox.stat("jobs", "leased") == 1;
    until("a job is done and waits", waits);
    assert_eq!(sandbox.ok("get results"), "first\n");
    assert_eq!(sandbox.ok("get results -t 5"), "a");
    until("another waits", || sandbox.stat("results", "ready") == 1 && waits());
    worker.signal("TERM");
    assert_eq!(worker.end().code, 143);
    let rest = sandbox.ok("get results -a") + &sandbox.ok("get jobs -a");
    assert_eq!(rest, "bc\n");
    sandbox.is_sound("jobs");
}

#[test]
fn a_closed_queue_for_the_output_stops_the_worker_and_loses_nothing() {
    let sandbox = Sandbox::with_queues("jobs results");
    sandbox.ok("put jobs a");
    sandbox.ok("close results");
    let worker = sandbox.run("work jobs --out results -- cat");
    assert_eq!(worker.code, 3, "{worker:?}");
    assert_eq!(sandbox.ok("get jobs -t 0"), "a\n");
}

#[test]
fn each_message_has_exactly_one_result_however_often_workers_are_killed() {
    const KILLS: usize = 25;
    const COUNT: usize = KILLS * 20;
    let sandbox = Sandbox::with_queues("jobs results");
    let start = || sandbox.start("work jobs -j 2 --max-attempts 1000 --backoff 0 --out results -- cat");
    let mut random = Random::new(1);
    let mut workers = [start(), start(), start()];
    for kill in 0..KILLS {
        let lines: String = (1..=20).map(|number| format!("{}\n", kill * 20 + number)).collect();
        let before = sandbox.stat("results", "put").as_u64().unwrap();
        sandbox.run_with(["put", "-l", "jobs"], lines.as_bytes());
        let enough = before + random.below(20);
        until("there are more results", || sandbox.stat("results", "put").as_u64().unwrap() > enough);
        let killed = std::mem::replace(&mut workers[kill % 3], start());
        killed.signal("KILL");
        assert_eq!(killed.end().code, 137);
    }
    sandbox.ok("close jobs");
    for worker in workers {
        assert_eq!(worker.end().code, 0);
    }
    let mut results: Vec<usize> = Vec::new();
    until("everything has been published", || {
        let more = sandbox.run("get results -a --json -t 0");
        let body =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["body"].as_str().map(str::to_owned);
        results.extend(more.text().lines().map(|line| body(line).unwrap().parse::<usize>().unwrap()));
        sandbox.stat("results", "leased") == 0 && sandbox.stat("results", "ready") == 0
    });
    results.sort_unstable();
    assert!(results.iter().copied().eq(1..=COUNT), "{} results of {COUNT}", results.len());
    ["jobs", "results"].iter().for_each(|queue| sandbox.is_sound(queue));
}
