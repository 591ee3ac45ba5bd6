//! `ipcq verify` says whether a queue is sound, in use or not, and changes nothing.

use crate::harness::{Done, Running, Sandbox, are_root, differs, is_on_redis};
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Stdio;

/// A field of the segment, as bytes from its start; see ipcq-segment(5).
fn field(name: &str) -> u64 {
    let tables = [ipcq::local::CONTROL_FIELDS, ipcq::local::HOT_FIELDS];
    tables.concat().iter().find(|field| field.name == name).expect("there is such a field").offset
}

/// Has `queue` say that this many messages are ready. Returns what that figure is called.
fn miscount(sandbox: &Sandbox, queue: &str, ready: u64) -> &'static str {
    if is_on_redis() {
        sandbox.ask_server(&format!("hset {{ipcq:{queue}}}:meta ready {ready}"));
        return "ready";
    }
    damage(sandbox, queue, "ready messages", ready);
    "ready messages"
}

/// Overwrites a word of the segment of `queue`.
fn damage(sandbox: &Sandbox, queue: &str, name: &str, value: u64) {
    let file = OpenOptions::new().write(true).open(sandbox.queues().join(queue)).unwrap();
    file.write_all_at(&value.to_ne_bytes(), field(name)).unwrap();
}

fn json(done: &Done) -> serde_json::Value {
    serde_json::from_slice(&done.out).expect("it prints JSON")
}

#[test]
fn a_queue_at_rest_is_sound_and_stays_as_it_is() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.run_with("put jobs -l".split(' '), "a line\n".repeat(1000).as_bytes());
    sandbox.run_with(["put", "jobs"], &[7; 100_000]);
    let before = sandbox.contents("jobs");
    assert_eq!(sandbox.ok("verify jobs"), "jobs: sound: 1001 messages ready, 0 leased, 106000 bytes\n");
    assert_eq!(sandbox.contents("jobs"), before);
}

#[test]
fn a_queue_that_may_only_be_read_can_be_verified() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs hello");
    fs::set_permissions(sandbox.queues().join("jobs"), Permissions::from_mode(0o400)).unwrap();
    if are_root() {
        let mut verify = sandbox.program("setpriv");
        verify.args(["--bounding-set=-dac_override,-dac_read_search", "ipcq", "verify", "jobs"]);
        Running::from(verify.spawn().unwrap()).ends(0, "jobs: sound: 1 message ready, 0 leased, 5 bytes\n");
    }
}

#[test]
fn a_queue_in_use_is_sound_at_every_moment() {
    let sandbox = Sandbox::with_queues("jobs");
    let consumer = Running::from(sandbox.ipcq(["get", "jobs", "-f"]).stdout(Stdio::null()).spawn().unwrap());
    let mut producer = Running::from(sandbox.ipcq(["put", "jobs", "-l"]).stdin(Stdio::piped()).spawn().unwrap());
    let mut input = producer.child().stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..100 {
                let verified = sandbox.run("verify jobs");
                assert_eq!((verified.code, verified.err.as_str()), (0, ""), "{number}: {verified:?}");
            }
            sandbox.ok("close jobs");
        });
        // Until the queue is closed, which is an end that put does not like.
        while input.write_all("some lines\nof any kind\n".repeat(500).as_bytes()).is_ok() {}
    });
    assert_eq!(producer.end().code, 3);
    consumer.ends(0, "");
    assert!(sandbox.ok("verify jobs").starts_with("jobs: sound: 0 messages ready"));
}

#[test]
fn what_a_dead_consumer_holds_is_no_damage() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs one two");
    let (mut consumer, _reader) = sandbox.stuck("get jobs -n 2");
    assert_eq!(sandbox.ok("verify jobs"), "jobs: sound: 0 messages ready, 2 leased, 6 bytes\n");
    consumer.child().kill().unwrap();
    consumer.end();
    sandbox.until_deaths_are_known("jobs");
    let note = "  note: 1 process died with messages; the next get gives them back\n";
    assert_eq!(sandbox.ok("verify jobs"), format!("jobs: sound: 0 messages ready, 2 leased, 6 bytes\n{note}"));
    sandbox.still_works("jobs");
}

#[test]
fn an_unfinished_change_is_no_damage() {
    if differs("Changes") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs one");
    // The log still holds the put: as if its process had died before it could say that all is applied.
    let applied = (fs::read(sandbox.queues().join("jobs")).unwrap()[field("applied") as usize] - 1).to_ne_bytes();
    let file = OpenOptions::new().write(true).open(sandbox.queues().join("jobs")).unwrap();
    file.write_all_at(&applied, field("applied")).unwrap();
    let note = "  note: a process died in the middle of a change; the next command finishes it\n";
    assert_eq!(sandbox.ok("verify jobs"), format!("jobs: sound: 1 message ready, 0 leased, 3 bytes\n{note}"));
    assert_eq!(json(&sandbox.run("verify --json jobs"))["unfinished"], true);
    sandbox.still_works("jobs");
}

#[test]
fn damage_is_named_in_words_and_ends_with_exit_code_2() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs one two");
    let figure = miscount(&sandbox, "jobs", 7);
    let done = sandbox.run("verify jobs");
    let line = done.text().lines().nth(1);
    assert_eq!((done.code, line), (2, Some(format!("  {figure} is 7, and there are 2").as_str())));
    assert!(done.text().starts_with("jobs: damaged: "), "{done:?}");
    assert!(done.err.contains("/jobs' is damaged: 1 problem (") && done.err.lines().count() == 1, "{done:?}");
    let found = json(&sandbox.run("verify jobs --json"));
    assert_eq!((&found["name"], &found["sound"]), (&"jobs".into(), &false.into()));
    assert_eq!(found["problems"][0]["field"], figure);
    assert_eq!(found["problems"][0]["problem"], "is 7, and there are 2");
}

#[test]
fn every_queue_is_verified_and_the_worst_decides() {
    let sandbox = Sandbox::with_queues("good bad");
    miscount(&sandbox, "bad", 3);
    let done = sandbox.run("verify good missing bad good");
    assert_eq!((done.code, done.text().lines().filter(|line| line.starts_with("good: sound")).count()), (2, 2));
    assert!(done.err.contains("no queue 'missing'"), "{done:?}");
    assert_eq!(sandbox.run("verify good missing").code, 4);
}

#[test]
fn a_file_that_is_no_queue_is_refused() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    fs::write(sandbox.queues().join("text"), "Dear diary,\n".repeat(2000)).unwrap();
    assert!(sandbox.run("verify text").refusal(2).contains("it is not an ipcq segment"));
    fs::write(sandbox.queues().join("empty"), "").unwrap();
    assert!(sandbox.run("verify empty").refusal(2).contains("too short"));
}

#[test]
fn a_truncated_queue_is_damaged() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.run_with(["put", "jobs"], &[7; 100_000]);
    OpenOptions::new().write(true).open(sandbox.queues().join("jobs")).unwrap().set_len(32 << 10).unwrap();
    let done = sandbox.run("verify jobs");
    assert_eq!(done.code, 2);
    assert!(done.text().contains("grown is ") && done.text().contains("it was truncated"), "{done:?}");
}
