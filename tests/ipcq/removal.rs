//! Of many who create a queue one does; and when it is removed, those who wait on it end, and those who come later.

use crate::harness::{Done, Running, Sandbox};

/// Starts the same create this many times, as nearly at the same instant as it can be, and waits for all.
fn create_at_once(sandbox: &Sandbox, arguments: &str, times: usize) -> Vec<Done> {
    // Each waits for the end of the same input before it becomes the create.
    let (gate, opener) = std::io::pipe().unwrap();
    let script = format!("read -r _; exec ipcq {arguments}");
    let start = |_| {
        let mut shell = sandbox.program("sh");
        Running::from(shell.args(["-c", &script]).stdin(gate.try_clone().unwrap()).spawn().unwrap())
    };
    let running: Vec<Running> = (0..times).map(start).collect();
    drop(opener);
    running.into_iter().map(Running::end).collect()
}

#[test]
fn of_many_who_create_at_once_exactly_one_does() {
    for _ in 0..20 {
        let sandbox = Sandbox::new();
        let done = create_at_once(&sandbox, "create jobs", 4);
        let (won, lost): (Vec<_>, Vec<_>) = done.iter().partition(|done| done.code == 0);
        assert_eq!(won.len(), 1, "{done:?}");
        for done in lost {
            assert!(done.refusal(2).starts_with("queue 'jobs' exists already"), "{done:?}");
        }
        sandbox.ok("put jobs works");
    }
}

#[test]
fn all_who_create_at_once_succeed_if_it_may_exist() {
    for _ in 0..20 {
        let sandbox = Sandbox::new();
        for done in create_at_once(&sandbox, "create jobs --exist-ok", 4) {
            assert_eq!((done.code, done.err.as_str()), (0, ""));
        }
        sandbox.ok("put jobs works");
    }
}

#[test]
fn all_who_put_and_create_at_once_put_into_the_same_queue() {
    for _ in 0..20 {
        let sandbox = Sandbox::new();
        for done in create_at_once(&sandbox, "put jobs message --create", 4) {
            assert_eq!((done.code, done.err.as_str()), (0, ""));
        }
        assert_eq!(sandbox.ok("get jobs --all"), "message\n".repeat(4));
    }
}

#[test]
fn a_queue_that_may_exist_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --capacity 100");
    sandbox.ok("put jobs hello");
    sandbox.ok("create jobs --capacity 200 --max-items 1 --exist-ok");
    assert_eq!(sandbox.stat("jobs", "capacity"), 100);
    assert_eq!(sandbox.ok("get jobs"), "hello\n");
}

/// A command that waits for a message in, or for room in, the queue `jobs`.
fn waiting(sandbox: &Sandbox, arguments: &str) -> Running {
    let running = sandbox.start(arguments);
    running.until_asleep();
    running
}

/// Asserts that the command ended because `jobs` is gone.
fn ended_with_the_queue(done: &Done) {
    assert_eq!(done.refusal(4), "queue 'jobs' has been removed");
}

#[test]
fn removing_a_queue_ends_those_who_wait_for_a_message() {
    for arguments in ["get jobs", "get jobs -n 3", "get jobs --follow", "get jobs --all --timeout 1h", "get other jobs"]
    {
        let sandbox = Sandbox::new();
        sandbox.ok("create jobs");
        sandbox.ok("create other");
        let waiters = [waiting(&sandbox, arguments), waiting(&sandbox, arguments)];
        sandbox.ok("rm jobs");
        waiters.into_iter().for_each(|waiter| ended_with_the_queue(&waiter.end()));
    }
}

#[test]
fn removing_a_full_queue_ends_those_who_wait_for_room() {
    for limit in ["--max-items 1", "--capacity 6"] {
        let sandbox = Sandbox::new();
        sandbox.ok(&format!("create jobs {limit}"));
        sandbox.ok("put jobs first");
        let waiters = [waiting(&sandbox, "put jobs second"), waiting(&sandbox, "put jobs third --timeout 1h")];
        sandbox.ok("rm jobs");
        waiters.into_iter().for_each(|waiter| ended_with_the_queue(&waiter.end()));
    }
}

#[test]
fn removing_a_full_queue_ends_a_stream_into_it() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-items 1");
    std::fs::write(sandbox.path("lines"), "one\ntwo\n").unwrap();
    let lines = std::fs::File::open(sandbox.path("lines")).unwrap();
    let stream = Running::from(sandbox.ipcq(["put", "jobs", "--lines"]).stdin(lines).spawn().unwrap());
    stream.until_asleep();
    sandbox.ok("rm jobs");
    ended_with_the_queue(&stream.end());
}

#[test]
fn closing_a_full_queue_ends_those_who_wait_for_room() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-items 1");
    sandbox.ok("put jobs first");
    let put = waiting(&sandbox, "put jobs second");
    sandbox.ok("close jobs");
    assert_eq!(put.end().refusal(3), "queue 'jobs' is closed");
    assert_eq!(sandbox.ok("get jobs --all"), "first\n");
}

#[test]
fn a_queue_that_was_removed_is_no_queue_for_those_who_come_later() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    sandbox.ok("put jobs hello");
    sandbox.ok("rm jobs");
    for command in [
        "put jobs hello",
        "put jobs",
        "get jobs",
        "get jobs --follow",
        "get jobs --lease",
        "ack jobs 1",
        "nack jobs 1",
        "extend jobs 1 1s",
        "join jobs",
        "produce jobs -- true",
        "peek jobs",
        "retry jobs --all",
        "purge jobs",
        "close jobs",
        "rm jobs",
        "stat jobs",
    ] {
        let done = sandbox.run(command);
        assert!(done.refusal(4).starts_with("no queue 'jobs' (create it with 'ipcq create jobs'"), "{done:?}");
    }
    assert!(!sandbox.queues().join("jobs").exists());
}

#[test]
fn a_new_queue_of_the_same_name_is_not_the_old_one() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let get = waiting(&sandbox, "get jobs");
    let done = sandbox.sh("ipcq rm jobs && ipcq create jobs && ipcq put jobs new");
    assert_eq!(done.code, 0, "{done:?}");
    ended_with_the_queue(&get.end());
    assert_eq!(sandbox.ok("get jobs"), "new\n");
}

#[test]
fn rm_removes_what_it_can_and_names_what_it_cannot() {
    let sandbox = Sandbox::new();
    sandbox.ok("create one");
    sandbox.ok("create two");
    let done = sandbox.run("rm one missing two");
    assert!(done.refusal(4).starts_with("no queue 'missing'"), "{done:?}");
    assert_eq!(sandbox.ok("ls"), "");
    sandbox.ok("rm --force missing");
}
