//! A message that has had all its attempts is dead: kept aside with the reason, until it is retried or purged.

use crate::harness::{Running, Sandbox, differs};
use serde_json::Value;

/// A sandbox with a queue `jobs` that was created with these options and holds the messages `a`, `b` and `c`.
fn three(options: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create jobs {options}"));
    sandbox.ok("put jobs a b c");
    sandbox
}

/// Kills the first `count` messages of a queue whose messages have one attempt.
fn kill(sandbox: &Sandbox, count: u64) {
    let ids = sandbox.ok(&format!("get jobs -n {count} --lease 1h -o body"));
    sandbox.ok(&format!("nack jobs {}", ids.replace('\n', " ")));
}

/// What `peek --dead --json` shows of the only dead message of the queue `jobs`.
fn the_dead(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.ok("peek jobs --dead --json")).expect("it is one object")
}

/// Ready, leased, delayed and dead messages of the queue `jobs`.
fn counts(sandbox: &Sandbox) -> [u64; 4] {
    ["ready", "leased", "delayed", "dead"].map(|key| sandbox.stat("jobs", key).as_u64().expect("a number"))
}

#[test]
fn a_message_that_is_given_back_too_often_is_dead() {
    let sandbox = three("--max-attempts 3");
    for id in ["1", "1.2", "1.3"] {
        assert_eq!(counts(&sandbox), [3, 0, 0, 0]);
        assert_eq!(sandbox.ok("get jobs --lease 1h -o body"), format!("{id}\n"));
        sandbox.ok(&format!("nack jobs {id}"));
    }
    assert_eq!(counts(&sandbox), [2, 0, 0, 1]);
    let dead = the_dead(&sandbox);
    assert_eq!((&dead["id"], &dead["attempt"], &dead["body"]), (&"1".into(), &3.into(), &"a".into()));
    assert_eq!(dead["reason"]["cause"], "given back");
    assert_eq!(sandbox.ok("get jobs -a"), "b\nc\n");
    sandbox.run("nack jobs 1.3").refusal(2);
    sandbox.run("ack jobs 1.3").refusal(2);
    sandbox.is_sound("jobs");
}

#[test]
fn with_a_delay_too_it_is_dead_at_once() {
    let sandbox = three("--max-attempts 1");
    sandbox.ok("get jobs --lease 1h");
    sandbox.ok("nack jobs 1 --delay 1h");
    assert_eq!(counts(&sandbox), [2, 0, 0, 1]);
}

#[test]
fn without_max_attempts_no_message_dies() {
    let sandbox = three("");
    for attempt in 1..=20 {
        let id = sandbox.ok("get jobs --lease 1h -o body");
        assert_eq!(id.trim(), if attempt == 1 { "1".to_owned() } else { format!("1.{attempt}") });
        sandbox.ok(&format!("nack jobs {}", id.trim()));
    }
    assert_eq!(counts(&sandbox), [3, 0, 0, 0]);
}

#[test]
fn an_attempt_that_runs_out_or_whose_owner_dies_counts_and_is_the_reason() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = three("--max-attempts 1");
    sandbox.ok("get jobs --lease 1ms");
    assert_eq!(sandbox.ok("get jobs -n 2 -t 5s"), "b\nc\n");
    assert_eq!(the_dead(&sandbox)["reason"]["cause"], "lease ran out");
    sandbox.ok("purge jobs --dead");
    sandbox.ok("put jobs d");
    let owner = Running::from(sandbox.program("sleep").arg("1000").spawn().expect("sleep starts"));
    sandbox.ok(&format!("get jobs --lease 1h --owner {}", owner.pid()));
    owner.signal("KILL");
    owner.end();
    assert_eq!(the_dead(&sandbox)["reason"]["cause"], "consumer died");
    sandbox.is_sound("jobs");
}

#[test]
fn a_plain_get_that_fails_kills_no_message() {
    let sandbox = three("--max-attempts 1");
    for _ in 0..3 {
        assert_eq!(sandbox.sh("ipcq get jobs -a > /dev/full").code, 2);
        let (consumer, _reader) = sandbox.stuck("get jobs");
        consumer.signal("KILL");
        consumer.end();
        sandbox.until_deaths_are_known("jobs");
    }
    assert_eq!(sandbox.ok("get jobs -a"), "a\nb\nc\n");
}

#[test]
fn the_dead_are_shown_to_people_with_the_reason() {
    let sandbox = three("--max-attempts 1");
    kill(&sandbox, 1);
    let text = sandbox.ok("peek jobs --dead");
    assert!(text.starts_with("1  attempt 1  died ") && text.ends_with(" ago  given back  a\n"), "{text}");
    assert!(sandbox.ok("stat jobs").contains("\n  dead      1\n"));
    assert_eq!(sandbox.ok("ls").split_whitespace().nth(4), Some("1"));
    assert_eq!(sandbox.ok("peek jobs"), "b\nc\n");
}

#[test]
fn retry_puts_a_message_back_in_its_old_place_with_its_first_attempt_before_it() {
    let sandbox = three("--max-attempts 2");
    for id in ["1", "1.2"] {
        sandbox.ok("get jobs --lease 1h");
        sandbox.ok(&format!("nack jobs {id}"));
    }
    sandbox.ok("retry jobs 1");
    assert_eq!(counts(&sandbox), [3, 0, 0, 0]);
    let first: Value = serde_json::from_str(&sandbox.ok("get jobs --json --lease 1h")).unwrap();
    assert_eq!((&first["body"], &first["attempt"]), (&"a".into(), &1.into()));
    assert_eq!(first["id"], "1.3", "no id is that of two leases");
    sandbox.run("ack jobs 1").refusal(2);
    sandbox.ok(&format!("nack jobs {}", first["id"].as_str().unwrap()));
    assert_eq!(counts(&sandbox), [3, 0, 0, 0], "it has two attempts again");
    assert_eq!(sandbox.ok("get jobs -a"), "a\nb\nc\n");
    sandbox.is_sound("jobs");
}

#[test]
fn retry_takes_several_or_all_or_none() {
    let sandbox = three("--max-attempts 1");
    kill(&sandbox, 3);
    sandbox.ok("put jobs d");
    for ids in ["1 4", "4", "99", "1 99 2"] {
        let done = sandbox.run(&format!("retry jobs {ids}"));
        assert!(done.refusal(2).contains("is not dead; nothing was changed"), "{done:?}");
        assert_eq!(counts(&sandbox), [1, 0, 0, 3], "{ids}");
    }
    sandbox.ok("retry jobs 3 1.1 3");
    assert_eq!(sandbox.ok("get jobs -a"), "a\nc\nd\n");
    sandbox.ok("retry jobs --all");
    sandbox.ok("retry jobs --all");
    assert_eq!(sandbox.ok("get jobs -a"), "b\n");
    for arguments in ["retry jobs", "retry jobs 1 --all", "retry jobs x"] {
        sandbox.run(arguments).refusal(2);
    }
    sandbox.is_sound("jobs");
}

#[test]
fn retry_wakes_those_who_sleep() {
    let sandbox = three("--max-attempts 1");
    kill(&sandbox, 3);
    let sleepers = [sandbox.asleep("get jobs -n 2"), sandbox.asleep("get jobs")];
    sandbox.ok("retry jobs --all");
    let got: Vec<_> = sleepers.into_iter().map(|sleeper| sleeper.end().text().to_owned()).collect();
    assert_eq!(got.concat().len(), 6, "{got:?}");
}

#[test]
fn purge_removes_what_waits_or_what_is_dead_and_nothing_else() {
    let prepared = || {
        let sandbox = three("--max-attempts 1");
        kill(&sandbox, 1);
        assert_eq!(sandbox.ok("get jobs -n 2 --lease 1h -o body"), "2\n3\n");
        sandbox.ok("put jobs d e");
        sandbox
    };
    let sandbox = prepared();
    assert_eq!(counts(&sandbox), [2, 2, 0, 1]);
    sandbox.ok("purge jobs --dead");
    assert_eq!((counts(&sandbox), sandbox.stat("jobs", "bytes")), ([2, 2, 0, 0], 4.into()));
    sandbox.ok("purge jobs");
    assert_eq!((counts(&sandbox), sandbox.stat("jobs", "bytes")), ([0, 2, 0, 0], 2.into()));
    sandbox.ok("ack jobs 2 3");
    sandbox.still_works("jobs");
    let sandbox = three("");
    sandbox.ok("get jobs -n 2 --lease 1h");
    sandbox.ok("nack jobs 1 --delay 1h");
    sandbox.ok("purge jobs --delayed");
    assert_eq!(counts(&sandbox), [1, 1, 0, 0]);
    sandbox.ok("nack jobs 2 --delay 1h");
    sandbox.ok("purge jobs");
    assert_eq!(counts(&sandbox), [0, 0, 0, 0]);
    sandbox.run("purge jobs --dead --delayed").refusal(2);
    sandbox.still_works("jobs");
}

#[test]
fn purge_makes_room_and_ends_what_is_closed() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-items 1");
    sandbox.ok("put jobs a");
    let waiter = sandbox.asleep("put jobs b");
    sandbox.ok("purge jobs");
    waiter.ends(0, "");
    assert_eq!(sandbox.ok("get jobs --lease 1h"), "b\n");
    sandbox.ok("put jobs c");
    sandbox.ok("nack jobs 2 --delay 1h");
    sandbox.ok("close jobs");
    let follower = sandbox.asleep("get jobs -f --lease 1h -o got");
    assert_eq!(sandbox.run("join jobs -t 0").code, 1);
    sandbox.ok("purge jobs --delayed");
    sandbox.ok("ack jobs 3");
    follower.ends(0, "3\n");
    sandbox.is_sound("jobs");
}

#[test]
fn a_dead_message_counts_against_the_capacity_until_it_is_purged() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --capacity 4 --max-attempts 1");
    sandbox.ok("put jobs abcd");
    kill(&sandbox, 1);
    assert_eq!(sandbox.run("put jobs e -t 0").code, 1);
    let waiter = sandbox.asleep("put jobs e");
    sandbox.ok("purge jobs --dead");
    waiter.ends(0, "");
    assert_eq!(sandbox.ok("get jobs"), "e\n");
}

#[test]
fn a_closed_queue_with_only_dead_messages_is_drained() {
    let sandbox = three("--max-attempts 1");
    let ids = sandbox.ok("get jobs -n 3 --lease 1h -o body").replace('\n', " ");
    sandbox.ok("close jobs");
    let waiters = [(sandbox.asleep("get jobs"), 3), (sandbox.asleep("get jobs -f"), 0)];
    sandbox.ok(&format!("nack jobs {ids}"));
    waiters.into_iter().for_each(|(waiter, code)| waiter.ends(code, ""));
    assert_eq!(sandbox.run("get jobs").code, 3);
    assert!(sandbox.ok("stat jobs").contains("drained"));
    sandbox.ok("retry jobs 2");
    assert_eq!(sandbox.ok("get jobs -f"), "b\n");
}

#[test]
fn thousands_die_and_live_again() {
    let sandbox = Sandbox::in_memory();
    sandbox.ok("create jobs --max-attempts 1");
    let lines: String = (1..=1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(sandbox.run_with(["put", "jobs", "-l"], lines.as_bytes()).code, 0);
    kill(&sandbox, 1000);
    assert_eq!(counts(&sandbox), [0, 0, 0, 1000]);
    assert_eq!(sandbox.ok("peek jobs --dead -n 9999").lines().count(), 1000);
    sandbox.is_sound("jobs");
    sandbox.ok("retry jobs --all");
    assert_eq!(sandbox.ok("get jobs -a"), lines);
    sandbox.is_sound("jobs");
}
