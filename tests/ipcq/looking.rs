//! Looking at queues, by `ls`, `stat` and `peek`, changes nothing in them, whatever it finds, and waits for no stopped
//! process.

use crate::harness::{Running, Sandbox, differs, have, until};
use ipcq::local::{HOT_FIELDS, REDO_LOGS};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What a look prints of the queue `jobs` that is not the same a moment later.
const LOOKS: [&str; 5] = ["ls", "ls --leases --json", "stat jobs", "peek jobs", "peek jobs --leased"];

fn file(sandbox: &Sandbox, queue: &str) -> PathBuf {
    sandbox.queues().join(queue)
}

/// Looks in every way, and asserts that the queues stay as they are, byte for byte.
fn look_and_change_nothing(sandbox: &Sandbox, queues: &[&str]) {
    let bytes = || queues.iter().map(|queue| sandbox.contents(queue)).collect::<Vec<_>>();
    let before = bytes();
    for look in LOOKS {
        assert_eq!(sandbox.run(look).code, 0, "{look}");
        assert!(bytes() == before, "{look} has changed something");
    }
}

#[test]
fn what_a_killed_consumer_had_is_shown_as_ready_and_left_where_it_is() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs first second");
    let (consumer, _reader) = sandbox.stuck("get jobs");
    consumer.signal("KILL");
    consumer.end();
    sandbox.until_deaths_are_known("jobs");
    look_and_change_nothing(&sandbox, &["jobs"]);
    assert_eq!(sandbox.ok("ls"), "jobs  2  0  0  0  11  67108864  open\n");
    assert_eq!(sandbox.ok("peek jobs"), "first\nsecond\n");
    assert_eq!(["returned", "leased"].map(|key| sandbox.stat("jobs", key)), [1, 0]);
    assert_eq!(sandbox.ok("get jobs -a"), "first\nsecond\n");
}

#[test]
fn what_is_due_is_shown_as_ready_and_left_where_it_is() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs first second");
    sandbox.ok("get jobs --lease 1ms");
    // A look is not to be the one that notices.
    std::thread::sleep(Duration::from_millis(5));
    look_and_change_nothing(&sandbox, &["jobs"]);
    assert_eq!(sandbox.ok("peek jobs"), "first\nsecond\n");
}

#[test]
fn a_change_in_the_middle_of_which_a_process_died_is_shown_and_not_finished() {
    if differs("Changes") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let mut forged = fs::read(file(&sandbox, "jobs")).unwrap();
    sandbox.ok("put jobs message");
    let after = fs::read(file(&sandbox, "jobs")).unwrap();
    // The new message, the redo log and the commit word, and nothing that was stored after that.
    let commit = HOT_FIELDS.iter().find(|field| field.name == "commit").unwrap().offset as usize;
    let log = REDO_LOGS[0] as usize;
    for part in [commit..commit + 4, log..log + 4096] {
        forged[part.clone()].copy_from_slice(&after[part]);
    }
    let first_group = forged.len();
    forged.extend_from_slice(&after[first_group..]);
    fs::write(file(&sandbox, "jobs"), forged).unwrap();
    assert!(sandbox.ok("verify jobs").contains("died"), "it is what it is meant to be");
    look_and_change_nothing(&sandbox, &["jobs"]);
    assert_eq!(sandbox.ok("ls"), "jobs  1  0  0  0  7  67108864  open\n");
    assert!(sandbox.ok("verify jobs").contains("died"), "it is still to be finished");
    assert_eq!(sandbox.ok("get jobs"), "message\n");
}

#[test]
fn nobody_waits_for_queues_that_a_stopped_process_keeps_locked() {
    const LOCKED: usize = 200;
    if differs("Locks") || !have("flock") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs other");
    for number in 0..LOCKED {
        fs::copy(file(&sandbox, "jobs"), file(&sandbox, &format!("locked-{number}"))).unwrap();
    }
    // One descriptor for each: what locks them is one process.
    let script =
        "i=0; while [ $i -lt $1 ]; do eval \"exec $((i + 10))<queues/locked-$i\"; flock $((i + 10)); i=$((i + 1)); done
        kill -STOP $$";
    let mut hog = sandbox.program("bash");
    let hog = Running::from(hog.args(["-c", script, "bash", &LOCKED.to_string()]).spawn().unwrap());
    until("it has stopped", || fs::read_to_string(format!("/proc/{}/stat", hog.pid())).unwrap().contains(") T "));
    let start = Instant::now();
    let done = sandbox.run("ls");
    let expected = "jobs   0  0  0  0  0  67108864  open\nother  0  0  0  0  0  67108864  open\n";
    assert_eq!((done.code, done.text()), (2, expected));
    assert!(
        done.err.starts_with(&format!("ipcq: {LOCKED} queues could not be read (locked-0, locked-1, ")),
        "{done:?}"
    );
    sandbox.run("stat locked-7").refusal(2);
    // Far more than it takes, and less than a wait for each.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn who_keeps_a_queue_locked_is_named_and_what_lets_it_go_on() {
    if differs("Locks") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let queue = File::open(file(&sandbox, "jobs")).unwrap();
    queue.lock().unwrap();
    let locked = format!("queue 'jobs' is locked by process {}", std::process::id());
    for command in ["stat jobs", "peek jobs"] {
        assert_eq!(sandbox.run(command).refusal(2), locked, "{command}");
    }
    drop(queue);
    if !have("flock") {
        return;
    }
    let mut hog = sandbox.program("flock");
    let hog = Running::from(hog.args(["--no-fork", "queues/jobs", "sleep", "1000"]).spawn().unwrap());
    let pid = hog.pid();
    until("it has the lock", || File::open(file(&sandbox, "jobs")).unwrap().try_lock().is_err());
    hog.signal("STOP");
    until("it has stopped", || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T "));
    let stopped =
        format!("queue 'jobs' is locked by process {pid}, which is stopped ('kill -CONT {pid}' lets it go on)");
    for command in ["stat jobs", "peek jobs"] {
        assert_eq!(sandbox.run(command).refusal(2), stopped, "{command}");
    }
    assert_eq!(sandbox.run("put jobs x -t 0").refusal(1), format!("{stopped}: nothing was put"));
    assert_eq!(sandbox.run("ls").err, format!("ipcq: 1 queue could not be read: {stopped}\n"));
}
