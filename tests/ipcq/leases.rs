//! A message got with --lease stays in the queue, invisible, until it is acknowledged, given back, or comes back.

use crate::harness::{Running, Sandbox, differs, full_pipe};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

/// The objects that `get` or `peek` with these arguments and --json prints.
fn objects(sandbox: &Sandbox, arguments: &str) -> Vec<Value> {
    let text = sandbox.ok(&format!("{arguments} --json"));
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Leases a message from the queue `jobs`, with further options. Returns the id.
fn lease(sandbox: &Sandbox, options: &str) -> String {
    objects(sandbox, &format!("get jobs -t 5s --lease {options}"))[0]["id"].as_str().expect("ids are text").to_owned()
}

/// A sandbox with a queue `jobs` that was created with these options and holds the messages `a`, `b` and `c`.
fn three(options: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create jobs {options}"));
    sandbox.ok("put jobs a b c");
    sandbox
}

/// A process that does nothing until it is killed.
fn owner(sandbox: &Sandbox) -> Running {
    Running::from(sandbox.program("sleep").arg("1000").spawn().expect("sleep starts"))
}

/// Ready, leased, delayed and dead messages of the queue `jobs`.
fn counts(sandbox: &Sandbox) -> [u64; 4] {
    ["ready", "leased", "delayed", "dead"].map(|key| sandbox.stat("jobs", key).as_u64().expect("a number"))
}

#[test]
fn a_leased_message_is_invisible_and_leaves_the_queue_with_ack() {
    let sandbox = three("");
    assert_eq!(lease(&sandbox, ""), "1");
    assert_eq!(counts(&sandbox), [2, 1, 0, 0]);
    assert_eq!(sandbox.ok("get jobs -a"), "b\nc\n");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1);
    assert_eq!(sandbox.ok("ack jobs 1"), "");
    assert_eq!(counts(&sandbox), [0, 0, 0, 0]);
    assert_eq!((sandbox.stat("jobs", "bytes"), sandbox.stat("jobs", "got")), (0.into(), 3.into()));
    sandbox.is_sound("jobs");
}

#[test]
fn what_cannot_be_acknowledged_is_refused_and_nothing_changes() {
    let sandbox = three("");
    lease(&sandbox, "1h");
    lease(&sandbox, "1h");
    sandbox.ok("ack jobs 1");
    let leased =
        |line: &str| line.contains("is not leased from queue 'jobs' now") && line.contains("nothing was changed");
    // Acknowledged already; ready; never there; an attempt that has not been; one that is right among others.
    for ids in ["1", "3", "99", "2.2", "2 1", "3 2", "2 2.2", "2 99 2"] {
        for command in [format!("ack jobs {ids}"), format!("nack jobs {ids}"), format!("extend jobs {ids} 1s")] {
            let done = sandbox.run(&command);
            assert!(leased(done.refusal(2)), "{command}: {done:?}");
            assert_eq!(counts(&sandbox), [1, 1, 0, 0], "{command}");
        }
    }
    for text in ["x", "-1", "0", "1.0", "1.", "18446744073709551616"] {
        assert!(sandbox.run(&format!("ack jobs {text}")).refusal(2).contains("an id is what"), "{text}");
    }
    assert_eq!(sandbox.run("ack nothing 1").code, 4);
    sandbox.ok("ack jobs 2 2");
    assert_eq!(sandbox.ok("get jobs -a"), "c\n");
    sandbox.is_sound("jobs");
}

#[test]
fn several_leases_end_together() {
    let sandbox = Sandbox::with_queues("jobs");
    let lines: String = (1..=200).map(|number| format!("{number}\n")).collect();
    assert_eq!(sandbox.run_with(["put", "jobs", "-l"], lines.as_bytes()).code, 0);
    let ids: Vec<_> = objects(&sandbox, "get jobs --lease 1h -a").iter().map(|object| object["id"].clone()).collect();
    assert_eq!(ids.len(), 200);
    let ids: Vec<_> = ids.iter().filter_map(Value::as_str).collect();
    sandbox.ok(&format!("extend jobs {} 2h", ids.join(" ")));
    sandbox.ok(&format!("ack jobs {}", ids[..100].join(" ")));
    sandbox.ok(&format!("nack jobs {}", ids[100..].join(" ")));
    assert_eq!(sandbox.ok("get jobs -a"), (101..=200).map(|number| format!("{number}\n")).collect::<String>());
    sandbox.is_sound("jobs");
}

#[test]
fn a_lease_that_runs_out_comes_back_in_its_old_place_with_one_more_attempt() {
    let sandbox = three("");
    assert_eq!(lease(&sandbox, "1ms"), "1");
    let got = objects(&sandbox, "get jobs -n 3 -t 5s");
    let got: Vec<_> = got.iter().map(|object| (object["body"].clone(), object["attempt"].clone())).collect();
    assert_eq!(got, [("a".into(), 2.into()), ("b".into(), 1.into()), ("c".into(), 1.into())]);
    sandbox.is_sound("jobs");
}

#[test]
fn who_comes_late_cannot_end_the_lease_of_the_next() {
    let sandbox = three("");
    assert_eq!(lease(&sandbox, "1ms"), "1");
    assert_eq!(lease(&sandbox, "1h"), "1.2");
    for command in ["ack jobs 1", "nack jobs 1", "extend jobs 1 1ms"] {
        sandbox.run(command).refusal(2);
    }
    assert_eq!(objects(&sandbox, "peek jobs --leased")[0]["id"], "1.2");
    sandbox.ok("ack jobs 1.2");
    assert_eq!(sandbox.ok("get jobs -a"), "b\nc\n");
    // Nor when it is over and nobody has noticed yet.
    sandbox.ok("put jobs d");
    assert_eq!(lease(&sandbox, "1ms"), "4");
    sandbox.run("ack jobs 4").refusal(2);
    assert_eq!(sandbox.ok("get jobs"), "d\n");
}

#[test]
fn sleepers_get_what_comes_back_when_it_does() {
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..11 {
        let sandbox = Sandbox::with_queues("leased delayed");
        sandbox.ok("create full --max-items 1");
        sandbox.ok("put leased x");
        sandbox.ok("put delayed x");
        let id = sandbox.ok("get delayed --lease 1h -o body");
        // Those who sleep already have to hear of it.
        let sleeper = sandbox.asleep("get delayed");
        let start = Instant::now();
        sandbox.ok(&format!("nack delayed {} --delay 60ms", id.trim()));
        sleeper.ends(0, "x\n");
        times[0].push(start.elapsed());
        let start = Instant::now();
        sandbox.ok("get leased --lease 60ms");
        sandbox.start("get leased full").ends(0, "x\n");
        times[1].push(start.elapsed());
        sandbox.ok("put leased y");
        let id = sandbox.ok("get leased --lease 1h -o body");
        let sleeper = sandbox.asleep("get leased");
        let start = Instant::now();
        sandbox.ok(&format!("extend leased {} 60ms", id.trim()));
        sleeper.ends(0, "y\n");
        times[2].push(start.elapsed());
    }
    for times in &mut times {
        times.sort();
        // They look again after 200 ms in any case.
        assert!(times[0] >= Duration::from_millis(59), "{times:?}");
        assert!(times[times.len() / 2] < Duration::from_millis(150), "{times:?}");
    }
}

#[test]
fn a_lease_ends_with_its_owner() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = three("");
    let process = owner(&sandbox);
    assert_eq!(lease(&sandbox, &format!("--owner {}", process.pid())), "1");
    let leased = objects(&sandbox, "peek jobs --leased");
    assert_eq!((&leased[0]["holder"], &leased[0]["until"]), (&process.pid().into(), &Value::Null));
    assert_eq!(sandbox.ok("get jobs -n 2"), "b\nc\n");
    let sleeper = sandbox.asleep("get jobs --json");
    process.signal("KILL");
    // Nobody has waited for it: it is a zombie.
    let done = sleeper.end();
    assert!(done.text().contains("\"attempt\":2,\"body\":\"a\""), "{done:?}");
    // And without anybody asleep.
    sandbox.ok("put jobs d e");
    let process = owner(&sandbox);
    lease(&sandbox, &format!("1h --owner {}", process.pid()));
    process.signal("KILL");
    assert_eq!(process.end().code, 137);
    assert_eq!(sandbox.ok("peek jobs"), "d\ne\n");
    assert_eq!(sandbox.ok("get jobs -n 2"), "d\ne\n");
    sandbox.is_sound("jobs");
}

#[test]
fn whichever_is_first_ends_a_lease_the_deadline_or_the_owners_death() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = three("");
    let process = owner(&sandbox);
    lease(&sandbox, &format!("1ms --owner {}", process.pid()));
    assert_eq!(sandbox.ok("get jobs -n 3 -t 5s"), "a\nb\nc\n");
    sandbox.ok("put jobs d");
    lease(&sandbox, &format!("1h --owner {}", process.pid()));
    process.signal("KILL");
    assert_eq!(sandbox.ok("get jobs -t 5s"), "d\n");
    sandbox.is_sound("jobs");
}

#[test]
fn a_script_holds_its_leases_over_several_calls_and_in_subshells() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = three("");
    let script = r#"
        m=$(ipcq get jobs --lease --owner $$ --shell) && eval "$m" && echo "$ipcq_body"
        first=$ipcq_id
        (m=$(ipcq get jobs --lease --owner $$ --shell) && eval "$m" && echo "$ipcq_body"; ipcq ack "$ipcq_queue" "$ipcq_id")
        ipcq get jobs --lease 1h -o body
        cat body
        ipcq get jobs -t 0 || echo "none: $?"
        ipcq ack jobs "$first" 3"#;
    let done = sandbox.sh(script);
    assert_eq!((done.code, done.text(), done.err.as_str()), (0, "a\nb\n3\nc\nnone: 1\n", ""));
    assert_eq!(counts(&sandbox), [0; 4]);
    sandbox.ok("put jobs d");
    assert_eq!(sandbox.sh("ipcq get jobs --lease 1h --owner $$; ipcq get jobs -t 0").code, 1);
    assert_eq!(sandbox.ok("get jobs -t 5s"), "d\n", "the script has ended");
}

#[test]
fn a_message_of_many_owners_comes_back_when_its_own_dies() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let owners: Vec<_> = (0..5).map(|_| owner(&sandbox)).collect();
    for (number, owner) in owners.iter().enumerate() {
        sandbox.ok(&format!("put jobs {number}a {number}b"));
        sandbox.ok(&format!("get jobs -n 2 --lease --owner {}", owner.pid()));
    }
    for (number, owner) in owners.iter().enumerate().rev() {
        owner.signal("KILL");
        assert_eq!(sandbox.ok("get jobs -n 2 -t 10s"), format!("{number}a\n{number}b\n"));
    }
    assert_eq!(sandbox.run("get jobs -t 0").code, 1);
    sandbox.is_sound("jobs");
}

#[test]
fn an_owner_that_does_not_live_is_refused_before_anything_is_taken() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = three("");
    let process = owner(&sandbox);
    let pid = process.pid();
    process.signal("KILL");
    process.end();
    let done = sandbox.run(&format!("get jobs --lease --owner {pid}"));
    assert!(done.refusal(2).contains("there is no such process"), "{done:?}");
    for pid in ["0", "-1", "x", "", "4294967296", "1.5", "+1"] {
        let done = sandbox.run_with(["get", "jobs", "--lease", "--owner", pid], b"");
        assert!(done.refusal(2).contains("not the number of a process"), "{pid}: {done:?}");
    }
    let first = objects(&sandbox, "get jobs");
    assert_eq!((&first[0]["body"], &first[0]["attempt"]), (&"a".into(), &1.into()));
}

#[test]
fn options_that_make_no_sense_together_are_refused() {
    let sandbox = three("");
    sandbox.ok("create other");
    for (arguments, sentence) in [
        ("get jobs --owner 1", "--lease"),
        ("get jobs --lease --at-most-once", "cannot be used with"),
        ("get --lease jobs", "name queues before"),
        ("get jobs --lease 0", "over at once"),
        ("get jobs --lease -1", "cannot be negative"),
        ("get jobs --lease 1x", "not a duration"),
        ("get jobs other --lease", "--json or --shell"),
        ("ack jobs", "<ID>"),
        ("extend jobs 1", "<ID>"),
        ("extend jobs 1 x", "not a duration"),
        ("extend jobs 1 0", "over at once"),
        ("nack jobs 1 --delay -1s", "negative"),
    ] {
        let done = sandbox.run(arguments);
        assert!(done.refusal(2).contains(sentence), "{arguments}: {done:?}");
    }
    assert_eq!(counts(&sandbox), [3, 0, 0, 0]);
}

#[test]
fn a_lease_from_one_of_several_queues_says_which() {
    let sandbox = Sandbox::with_queues("other jobs");
    sandbox.ok("put ./it's_here a --create");
    let object = &objects(&sandbox, "get jobs ./it's_here other --lease")[0];
    assert_eq!((&object["queue"], &object["id"]), (&"./it's_here".into(), &"1".into()));
    sandbox.ok("nack ./it's_here 1");
    let script =
        r#"m=$(ipcq get jobs "./it's_here" --lease --shell) && eval "$m" && ipcq ack "$ipcq_queue" "$ipcq_id""#;
    assert_eq!(sandbox.sh(script).code, 0);
    assert!(!sandbox.ok("put jobs b").contains("queue") && !sandbox.ok("get jobs --json").contains("queue"));
}

#[test]
fn the_time_of_a_lease_is_what_is_said_or_the_queues_or_five_minutes() {
    if differs("The owner of a lease") {
        return;
    }
    for (options, leases, expected) in [
        ("", "", Some(300.0)),
        ("", "10s", Some(10.0)),
        ("--lease 20s", "", Some(20.0)),
        ("--lease 20s", "10s", Some(10.0)),
        ("", "--owner OWNER", None),
        ("--lease 20s", "--owner OWNER", Some(20.0)),
        ("", "10s --owner OWNER", Some(10.0)),
        ("", "1000y", Some(31_557_600_000.0)),
    ] {
        let sandbox = three(options);
        let process = owner(&sandbox);
        let now = || std::time::UNIX_EPOCH.elapsed().expect("it is later").as_secs_f64();
        let before = now();
        lease(&sandbox, &leases.replace("OWNER", &process.pid().to_string()));
        let until = objects(&sandbox, "peek jobs --leased")[0]["until"].as_f64();
        let Some(expected) = expected else {
            assert_eq!(until, None, "{options} {leases}");
            continue;
        };
        // No clock reaches the year 3000 in nanoseconds.
        let expected = if leases == "1000y" { (u64::MAX as f64 / 1e9) - before } else { expected };
        let until = until.expect("it has an end");
        assert!(until > before + expected - 0.1 && until < now() + expected + 0.1, "{options} {leases}: {until}");
    }
}

#[test]
fn nack_gives_back_at_once_or_later_in_the_old_place() {
    let sandbox = three("");
    lease(&sandbox, "1h");
    lease(&sandbox, "1h");
    sandbox.ok("nack jobs 1");
    assert_eq!(lease(&sandbox, "1h"), "1.2");
    sandbox.ok("nack jobs 1.2 2 --delay 1h");
    assert_eq!(counts(&sandbox), [1, 0, 2, 0]);
    assert_eq!(sandbox.ok("get jobs -t 0"), "c\n");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1);
    sandbox.is_sound("jobs");
    let sandbox = three("");
    lease(&sandbox, "1h");
    sandbox.ok("nack jobs 1 --delay 1ms");
    assert_eq!(sandbox.ok("get jobs -n 3 -t 5s"), "a\nb\nc\n");
    assert_eq!(sandbox.stat("jobs", "returned"), 1);
}

#[test]
fn extend_buys_time_and_can_take_it_away() {
    let sandbox = three("");
    let start = Instant::now();
    assert_eq!(lease(&sandbox, "500ms"), "1");
    sandbox.ok("extend jobs 1 1h");
    assert_eq!(sandbox.ok("get jobs -n 2"), "b\nc\n");
    // It is over when the time is over that it was to run at first.
    let patience = Duration::from_millis(800).saturating_sub(start.elapsed());
    assert_eq!(sandbox.run(&format!("get jobs -t {}ms", patience.as_millis())).code, 1);
    sandbox.ok("extend jobs 1 1ms");
    assert_eq!(sandbox.ok("get jobs -t 5s"), "a\n");
    sandbox.is_sound("jobs");
}

#[test]
fn leases_outlive_every_process_and_are_in_the_file() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("spool")).unwrap();
    sandbox.ok("create ./spool/jobs");
    sandbox.ok("put ./spool/jobs a b c");
    assert_eq!(sandbox.ok("get ./spool/jobs -n 2 --lease 1h -o bodies"), "1\n2\n");
    assert_eq!(std::fs::read_to_string(sandbox.path("bodies")).unwrap(), "a\nb\n");
    assert_eq!(sandbox.sh("cp ./spool/jobs ./spool/copy && chmod 600 ./spool/copy").code, 0);
    for queue in ["./spool/jobs", "./spool/copy"] {
        sandbox.ok(&format!("ack {queue} 1"));
        sandbox.ok(&format!("nack {queue} 2"));
        assert_eq!(sandbox.ok(&format!("get {queue} -a")), "b\nc\n");
        sandbox.is_sound(queue);
    }
}

#[test]
fn what_could_not_be_written_is_ready_again_and_not_leased() {
    let sandbox = three("");
    for script in
        ["ipcq get jobs --lease > /dev/full", "ipcq get jobs --lease -n 3 -o /dev/full", "ipcq get jobs --lease >&-"]
    {
        let done = sandbox.sh(script);
        assert_eq!(done.code, 2, "{script}: {done:?}");
        assert_eq!(counts(&sandbox), [3, 0, 0, 0], "{script}");
    }
    let (consumer, reader) = sandbox.stuck("get jobs --lease -n 3");
    assert_eq!(counts(&sandbox), [0, 3, 0, 0]);
    consumer.signal("KILL");
    consumer.end();
    drop(reader);
    sandbox.until_deaths_are_known("jobs");
    assert_eq!(sandbox.ok("get jobs -a"), "a\nb\nc\n");
    sandbox.is_sound("jobs");
}

#[test]
fn a_message_whose_id_cannot_be_told_is_ready_again() {
    let sandbox = three("--max-attempts 1");
    let done = sandbox.sh("ipcq get jobs -n 2 --lease -o bodies > /dev/full");
    assert!(done.refusal(2).contains("No space left"), "{done:?}");
    assert_eq!(counts(&sandbox), [3, 0, 0, 0], "it is not the message that has failed");
    let (reader, writer) = full_pipe();
    let mut command = sandbox.ipcq("get jobs -n 2 --lease -o bodies".split(' '));
    let consumer = Running::from(command.stdout(writer).spawn().expect("ipcq starts"));
    drop(command);
    consumer.until_writing();
    drop(reader);
    assert_eq!(consumer.end().code, 141);
    assert_eq!(counts(&sandbox), [3, 0, 0, 0]);
    sandbox.is_sound("jobs");
}

#[test]
fn a_lease_that_returns_is_never_refused_and_counts_against_the_capacity() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-items 1");
    sandbox.ok("put jobs a");
    lease(&sandbox, "1h");
    sandbox.ok("put jobs b -t 0");
    sandbox.ok("nack jobs 1");
    assert_eq!(counts(&sandbox), [2, 0, 0, 0]);
    assert_eq!(sandbox.run("put jobs c -t 0").code, 1);
    assert_eq!(sandbox.ok("get jobs -a"), "a\nb\n");
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --capacity 4");
    sandbox.ok("put jobs abcd");
    lease(&sandbox, "1h");
    assert_eq!(sandbox.run("put jobs e -t 0").code, 1);
    let waiter = sandbox.asleep("put jobs e");
    sandbox.ok("ack jobs 1");
    waiter.ends(0, "");
}

#[test]
fn a_closed_queue_is_not_drained_while_a_lease_may_come_back() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    lease(&sandbox, "1h");
    lease(&sandbox, "1h");
    sandbox.ok("close jobs");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1);
    let follower = sandbox.asleep("get jobs -f");
    sandbox.ok("nack jobs 2");
    sandbox.ok("ack jobs 1");
    follower.ends(0, "b\n");
    assert_eq!(sandbox.run("get jobs").code, 3);
}

#[test]
fn a_follower_that_leases_takes_all_and_keeps_each() {
    let sandbox = three("");
    sandbox.ok("close jobs");
    let mut follower = sandbox.start("get jobs -f --lease 1h -o bodies");
    let output = follower.child().stdout.take().expect("stdout is a pipe");
    let mut ids = BufReader::new(output).lines().map(|line| line.expect("a line can be read"));
    assert_eq!(ids.by_ref().take(3).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(counts(&sandbox), [0, 3, 0, 0]);
    sandbox.ok("nack jobs 2");
    assert_eq!(ids.next().as_deref(), Some("2.2"));
    sandbox.ok("ack jobs 1 2.2 3");
    assert_eq!(ids.next(), None);
    follower.ends(0, "");
    assert_eq!(std::fs::read_to_string(sandbox.path("bodies")).unwrap(), "a\nb\nc\nb\n");
}

#[test]
fn a_removed_queue_has_no_leases() {
    let sandbox = three("");
    lease(&sandbox, "1h");
    sandbox.ok("rm jobs");
    for command in
        ["ack jobs 1", "nack jobs 1", "extend jobs 1 1s", "peek jobs", "retry jobs 1", "purge jobs", "join jobs"]
    {
        assert_eq!(sandbox.run(command).code, 4, "{command}");
    }
}
