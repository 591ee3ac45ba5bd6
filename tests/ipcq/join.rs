//! A join ends when all that was put before it has been finished with, and says if something is dead.

use crate::harness::{Running, Sandbox, differs, have, until};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

#[test]
fn a_join_of_a_queue_with_nothing_to_do_ends_at_once() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(sandbox.ok("join jobs"), "");
    sandbox.ok("put jobs a");
    sandbox.ok("get jobs");
    assert_eq!(sandbox.ok("join jobs -t 0"), "");
    sandbox.ok("close jobs");
    assert_eq!(sandbox.ok("join jobs"), "");
    assert_eq!(sandbox.run("join nothing").code, 4);
}

#[test]
fn a_join_waits_for_what_is_ready_leased_or_delayed() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    let joins = ["join jobs", "join jobs -t 1h"].map(|arguments| sandbox.asleep(arguments));
    assert_eq!(sandbox.ok("get jobs"), "a\n");
    assert_eq!(sandbox.run("join jobs -t 0").code, 1);
    sandbox.ok("get jobs --lease 1h");
    assert_eq!(sandbox.run("join jobs -t 0").code, 1);
    sandbox.ok("nack jobs 2 --delay 1ms");
    assert_eq!(sandbox.ok("get jobs --lease 1h -t 5s"), "b\n");
    let done = sandbox.run("join jobs -t 10ms");
    assert_eq!((done.code, done.text(), done.err.as_str()), (1, "", ""));
    for join in &joins {
        join.until_asleep();
    }
    sandbox.ok("ack jobs 2.2");
    joins.into_iter().for_each(|join| join.ends(0, ""));
}

#[test]
fn a_join_does_not_wait_for_what_is_put_later() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    sandbox.ok("get jobs --lease 1h");
    let join = sandbox.asleep("join jobs");
    sandbox.ok("put jobs c d");
    sandbox.ok("get jobs -n 2 --lease 1h");
    sandbox.ok("ack jobs 3");
    sandbox.ok("put jobs e");
    sandbox.ok("ack jobs 1");
    assert_eq!(sandbox.run("join jobs -t 0").code, 1);
    sandbox.ok("ack jobs 2");
    join.ends(0, "");
    assert_eq!(sandbox.ok("get jobs -a"), "d\ne\n");
}

#[test]
fn a_join_ends_while_producers_go_on() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs first");
    let mut producer = sandbox.program("sh");
    producer.args(["-c", "i=0; while ipcq put jobs $i; do i=$((i + 1)); done"]);
    let producer = Running::from(producer.spawn().expect("sh starts"));
    let join = sandbox.asleep("join jobs");
    let consumer = sandbox.start("get jobs -f -o got");
    join.ends(0, "");
    sandbox.ok("close jobs");
    assert!(producer.end().err.contains("is closed"));
    consumer.ends(0, "");
}

#[test]
fn a_join_says_how_many_are_dead_with_an_exit_code_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-attempts 1");
    sandbox.ok("put jobs a b");
    sandbox.ok("get jobs --lease 1h");
    let join = sandbox.asleep("join jobs");
    sandbox.ok("nack jobs 1");
    sandbox.ok("get jobs");
    let line = join.end();
    assert_eq!(line.refusal(5), "queue 'jobs' is finished, but 1 message is dead (see 'ipcq peek jobs --dead')");
    sandbox.ok("put jobs c");
    assert_eq!(sandbox.run("join jobs -t 0").code, 1, "not finished is not finished, whoever is dead");
    sandbox.ok("get jobs --lease 1ms");
    let done = sandbox.run("join jobs");
    assert!(done.refusal(5).contains("2 messages are dead"), "{done:?}");
    sandbox.ok("purge jobs --dead");
    assert_eq!(sandbox.ok("join jobs"), "");
}

#[test]
fn a_join_wakes_by_itself_when_a_lease_with_its_last_attempt_runs_out_or_its_owner_dies() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-attempts 1");
    sandbox.ok("put jobs a b");
    sandbox.ok("get jobs --lease 30ms");
    let owner = Running::from(sandbox.program("sleep").arg("1000").spawn().expect("sleep starts"));
    sandbox.ok(&format!("get jobs --lease --owner {}", owner.pid()));
    let join = sandbox.asleep("join jobs");
    owner.signal("KILL");
    assert!(join.end().refusal(5).contains("2 messages are dead"));
}

#[test]
fn a_join_ends_when_the_queue_is_purged_or_removed() {
    let sandbox = Sandbox::with_queues("jobs other");
    sandbox.ok("put jobs a");
    sandbox.ok("put other a");
    let joins = ["jobs", "other"].map(|queue| sandbox.asleep(&format!("join {queue}")));
    sandbox.ok("purge jobs");
    sandbox.ok("rm other");
    let [purged, removed] = joins;
    purged.ends(0, "");
    assert_eq!(removed.end().refusal(4), "queue 'other' has been removed");
}

#[test]
fn a_bar_shows_how_much_is_finished_on_a_terminal_and_nowhere_else() {
    if differs("Who waits") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b c");
    let joiner = sandbox.start("join jobs --progress");
    let mut terminal = sandbox.program("script");
    terminal.args(["-q", "-e", "-c", "ipcq join jobs --progress", "/dev/null"]).env("TERM", "xterm");
    let shown = have("script").then(|| Running::from(terminal.stdin(Stdio::null()).spawn().unwrap()));
    // Who waits shows that by a lock, see ipcq-segment(5).
    let file = format!(":{} 324 327", std::fs::metadata(sandbox.queues().join("jobs")).unwrap().ino());
    let waiters = 1 + usize::from(shown.is_some());
    until("they wait", || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().filter(|line| line.contains(" POSIX ") && line.ends_with(&file)).count() == waiters
    });
    sandbox.ok("get jobs -n 3");
    joiner.ends(0, "");
    if let Some(shown) = shown {
        let shown = shown.end();
        assert_eq!(shown.code, 0);
        assert!(shown.text().contains("/3 "), "{shown:?}");
    }
}
