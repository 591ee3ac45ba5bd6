//! When and how a worker ends, and what becomes of its jobs and messages then.

use super::{has, report, sorted, start, until_go, until_there, worker};
use crate::harness::{Running, Sandbox, until};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;

#[test]
fn the_end_is_when_the_queue_is_closed_and_drained_or_there_was_no_work_for_so_long() {
    let sandbox = Sandbox::with_queues("jobs held");
    let waiter = sandbox.asleep("work jobs -- cat");
    sandbox.ok("put jobs one");
    sandbox.ok("put jobs two");
    sandbox.ok("close jobs");
    let done = waiter.end();
    assert_eq!((done.code, report(&done)), (0, "ipcq: 2 done, 0 retried, 0 dead"));
    for option in ["-t 0", "--no-wait", "-t 0.2"] {
        let done = sandbox.run(&format!("work held {option} -- cat"));
        assert_eq!((done.code, done.err.as_str()), (0, "ipcq: 0 done, 0 retried, 0 dead\n"));
    }
    // What another worker has may come back.
    sandbox.ok("put held x");
    sandbox.ok("close held");
    let holder = start(&sandbox, "held", &until_go("touch there", ""));
    until_there(&sandbox.path("there"));
    let other = sandbox.asleep("work held -- cat");
    holder.signal("KILL");
    let done = other.end();
    assert_eq!((done.code, done.text()), (0, "x"));
    fs::write(sandbox.path("go"), "").unwrap();
}

#[test]
fn a_worker_notices_that_its_queue_is_removed_and_that_there_is_none() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(
        sandbox.run("work nothing -- true").refusal(4),
        "no queue 'nothing' (create it with 'ipcq create nothing' or 'ipcq put --create')"
    );
    let waiter = sandbox.asleep("work jobs -- true");
    sandbox.ok("rm jobs");
    let done = waiter.end();
    assert_eq!(done.code, 4);
    assert_eq!(report(&done), "ipcq: queue 'jobs' has been removed");
    assert_eq!(sandbox.run("work jobs --create -t 0 -- true").code, 0);
}

#[test]
fn a_first_signal_lets_jobs_finish_and_takes_no_more() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.ok("put jobs a b c");
        let worker = start(&sandbox, "jobs -j 2", &until_go("touch $IPCQ_ID", "cat; echo"));
        until_there(&sandbox.path("1"));
        until_there(&sandbox.path("2"));
        worker.signal(signal);
        let mut worker = worker;
        let mut said = String::new();
        BufReader::new(worker.child().stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with(&format!("ipcq: SIG{signal}: no further messages are taken")), "{said}");
        fs::write(sandbox.path("go"), "").unwrap();
        let done = worker.end();
        assert_eq!((done.code, sorted(&done)), (code, vec!["a", "b"]));
        has(&sandbox, "jobs", 1, 0, 0);
    }
}

#[test]
fn a_worker_that_waits_dies_of_a_signal_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let sandbox = Sandbox::with_queues("jobs");
        let waiter = sandbox.asleep("work jobs -- true");
        waiter.signal(signal);
        let done = waiter.end();
        assert_eq!((done.code, done.err.as_str()), (code, "ipcq: 0 done, 0 retried, 0 dead\n"));
    }
}

#[test]
fn a_second_signal_is_passed_on_and_what_was_not_done_is_given_back() {
    let sandbox = Sandbox::new();
    // Being interrupted is no failure of the message: it does not die of it.
    sandbox.ok("create jobs --max-attempts 1");
    sandbox.ok("put jobs a b");
    let script = "echo $$ > $1.pid; trap 'touch $1.got; test $1 = a && exit 0; exit 1' TERM
        while test -d \"$PWD\"; do sleep 0.01; done";
    let mut command = worker(&sandbox, "jobs -j 2", script);
    let worker = Running::from(command.arg("{}").spawn().unwrap());
    for name in ["a.pid", "b.pid"] {
        until("the job has started", || fs::read_to_string(sandbox.path(name)).is_ok_and(|pid| pid.ends_with('\n')));
    }
    worker.signal("TERM");
    let mut worker = worker;
    let mut errors = BufReader::new(worker.child().stderr.take().unwrap());
    errors.read_line(&mut String::new()).unwrap();
    assert!(!sandbox.path("a.got").exists());
    worker.signal("TERM");
    let done = worker.end();
    assert_eq!(done.code, 143);
    assert!(sandbox.path("a.got").exists() && sandbox.path("b.got").exists());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    // Shells may say something themselves of what was terminated.
    assert!(rest.ends_with("ipcq: 1 done, 0 retried, 0 dead, 1 given back\n"), "{rest}");
    assert_eq!(sandbox.ok("get jobs -a"), "b\n");
}

#[test]
fn repeated_signals_end_a_worker_whose_output_nobody_takes() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let (mut worker, _reader) = sandbox.stuck("work jobs -- cat");
    until("the worker has ended", || {
        worker.signal("TERM");
        worker.child().try_wait().unwrap().is_some()
    });
    let done = worker.end();
    assert_eq!((done.code, report(&done)), (143, "ipcq: 0 done, 0 retried, 0 dead, 1 given back"));
    assert_eq!(sandbox.ok("get jobs -a"), "a\n");
}

#[test]
fn a_control_c_of_the_terminal_does_not_reach_the_jobs() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let mut command = worker(&sandbox, "jobs", &until_go("touch there", "echo finished"));
    let worker = Running::from(command.process_group(0).spawn().unwrap());
    until_there(&sandbox.path("there"));
    assert_eq!(sandbox.sh(&format!("kill -INT -{}", worker.pid())).code, 0);
    fs::write(sandbox.path("go"), "").unwrap();
    worker.ends(130, "finished\n");
    has(&sandbox, "jobs", 0, 0, 0);
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let script = "trap '' HUP INT; exec ipcq work jobs -- sh -c \"$1\"";
    let mut shell = sandbox.program("sh");
    let worker = Running::from(shell.args(["-c", script, "sh", &until_go("touch there", "echo on")]).spawn().unwrap());
    until_there(&sandbox.path("there"));
    worker.signal("HUP");
    worker.signal("INT");
    sandbox.ok("put jobs b");
    sandbox.ok("close jobs");
    fs::write(sandbox.path("go"), "").unwrap();
    worker.ends(0, "on\non\n");
}

#[test]
fn a_killed_workers_message_is_ready_again_and_its_job_may_outlive_it() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let worker = start(&sandbox, "jobs", &until_go("touch there", "touch outlived"));
    until_there(&sandbox.path("there"));
    let other = sandbox.asleep("get jobs --json");
    worker.signal("KILL");
    other.ends(0, "{\"id\":\"1\",\"attempt\":2,\"body\":\"a\"}\n");
    assert!(!sandbox.path("outlived").exists());
    fs::write(sandbox.path("go"), "").unwrap();
    until_there(&sandbox.path("outlived"));
    sandbox.is_sound("jobs");
}
