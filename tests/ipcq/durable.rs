//! A durable queue is a file on a disk, on which every change is waited for; and it is a queue like any other.
//!
//! What a power failure leaves of it is tested in the library, where the disk is a model.

use crate::harness::{Done, Sandbox, feed};
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// A sandbox on a disk, as far as anybody can tell.
fn on_disk() -> Sandbox {
    Sandbox::within(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// The number of changes that have been made to a queue, each of which was one sync.
fn changes(sandbox: &Sandbox, queue: &str) -> u32 {
    let bytes = fs::read(sandbox.queues().join(queue)).unwrap();
    let commit = ipcq::local::HOT_FIELDS.iter().find(|field| field.name == "commit").unwrap();
    u32::from_ne_bytes(bytes[commit.offset as usize..][..4].try_into().unwrap())
}

#[test]
fn a_file_system_in_memory_is_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    let script = "mount -t tmpfs tmpfs /mnt && IPCQ_DIR=/mnt/queues ipcq create jobs --durable";
    let Some(done) = sandbox.with_mounts(script) else { return };
    let line = done.refusal(2);
    assert!(line.starts_with("cannot create queue 'jobs' as durable: '/mnt/queues' is on tmpfs"), "{line}");
    assert!(line.contains("keeps nothing when the power fails") && line.ends_with("as ./jobs"), "{line}");
}

#[test]
fn what_is_put_is_got_as_from_any_queue() {
    let sandbox = on_disk();
    sandbox.ok("create jobs --durable --max-items 2000");
    assert_eq!(sandbox.stat("jobs", "durable"), true);
    sandbox.ok("put jobs one two");
    let long = vec![b'x'; 300_000];
    assert_eq!(sandbox.run_with(["put", "jobs"], &long).code, 0);
    assert_eq!(sandbox.ok("get jobs -n 2"), "one\ntwo\n");
    assert_eq!(sandbox.run("get jobs").out, long);
    let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
    assert_eq!(sandbox.run_with("put jobs -l".split(' '), lines.as_bytes()).code, 0);
    sandbox.ok("close jobs");
    assert_eq!(sandbox.ok("get jobs --follow"), lines);
    assert_eq!(sandbox.run("get jobs").code, 3);
    assert!(sandbox.ok("verify jobs").starts_with("jobs: sound"));
}

#[test]
fn a_waiting_get_is_woken_and_a_killed_one_gives_back() {
    let sandbox = on_disk();
    sandbox.ok("create jobs --durable");
    let get = sandbox.asleep("get jobs");
    sandbox.ok("put jobs hello");
    get.ends(0, "hello\n");
    sandbox.ok("put jobs again");
    let (mut stuck, _reader) = sandbox.stuck("get jobs");
    stuck.child().kill().unwrap();
    stuck.end();
    sandbox.still_works("jobs");
}

#[test]
fn a_stream_waits_for_the_disk_for_many_lines_at_once() {
    let sandbox = on_disk();
    sandbox.ok("create jobs --durable");
    sandbox.ok("put jobs one");
    assert_eq!(changes(&sandbox, "jobs"), 1);
    let lines = "a line\n".repeat(100_000);
    let put = sandbox.ipcq(["put", "jobs", "-l"]).stdin(Stdio::piped()).spawn().unwrap();
    let Done { code, .. } = feed(put, lines.as_bytes());
    assert_eq!((code, sandbox.stat("jobs", "ready")), (0, 100_001.into()));
    // Not more than if every read from a pipe got just one page.
    assert!(changes(&sandbox, "jobs") < 200, "{}", changes(&sandbox, "jobs"));
}

#[test]
fn exist_ok_does_not_promise_what_the_queue_there_does_not_keep() {
    let sandbox = on_disk();
    sandbox.ok("create ordinary");
    let done = sandbox.run("create ordinary --durable --exist-ok");
    assert!(done.refusal(2).contains("queue 'ordinary' exists already and is not durable"), "{done:?}");
    sandbox.ok("create durable --durable");
    sandbox.ok("create durable --durable --exist-ok");
    assert!(sandbox.run("create durable --durable").refusal(2).contains("exists already"));
}

#[test]
fn a_complete_log_of_a_killed_process_counts_and_a_torn_one_does_not() {
    let sandbox = on_disk();
    sandbox.ok("create jobs --durable");
    sandbox.ok("put jobs one two");
    let path = sandbox.queues().join("jobs");
    let bytes = fs::read(&path).unwrap();
    let commit = ipcq::local::HOT_FIELDS.iter().find(|field| field.name == "commit").unwrap().offset as usize;
    // As if the only change had not been committed yet, although its log and its words are there.
    let mut uncommitted = bytes.clone();
    uncommitted[commit..commit + 8].fill(0);
    fs::write(&path, &uncommitted).unwrap();
    assert!(sandbox.ok("verify jobs").contains("a process died in the middle of a change"));
    assert_eq!(sandbox.ok("get jobs -n 2"), "one\ntwo\n");
    // The second log, at 1024, is that of the first change; see ipcq-segment(5).
    let mut torn = bytes;
    torn[1024 + 20] ^= 1;
    fs::write(&path, &torn).unwrap();
    let done = sandbox.run("get jobs");
    assert!(done.refusal(2).contains("redo checksum fits neither log, and 1 changes were committed"), "{done:?}");
}
