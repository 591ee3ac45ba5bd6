//! What a worker cannot do, and how it says so.

use super::{has, report, sorted};
use crate::harness::{Running, Sandbox, until};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};

#[test]
fn a_command_that_cannot_be_run_ends_the_worker_and_loses_nothing() {
    let sandbox = Sandbox::with_queues("jobs");
    fs::write(sandbox.path("script"), "#!/bin/sh\n").unwrap();
    sandbox.ok("put jobs a b");
    for (command, code, why) in [
        ("./nothing", 127, "No such file or directory"),
        ("no-such-program-anywhere", 127, "No such file or directory"),
        ("./script", 126, "Permission denied"),
        ("/", 126, "Permission denied"),
    ] {
        let done = sandbox.run(&format!("work jobs -j 2 -- {command} {{}}"));
        assert_eq!((done.code, done.text()), (code, ""), "{}", done.err);
        assert!(report(&done).starts_with(&format!("ipcq: cannot run '{command}': {why}")), "{}", done.err);
    }
    assert_eq!(sandbox.ok("get jobs -a"), "a\nb\n");
}

#[test]
fn a_message_that_cannot_be_an_argument_is_dead_and_the_others_are_done() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(sandbox.run_with(["put", "jobs"], b"a\0b").code, 0);
    assert_eq!(sandbox.run_with(["put", "jobs"], &vec![b'x'; 3 << 20]).code, 0);
    sandbox.ok("put jobs good");
    let done = sandbox.run("work jobs -t 0 -- echo {}");
    assert_eq!((done.code, done.text(), report(&done)), (5, "good\n", "ipcq: 1 done, 0 retried, 2 dead"));
    for line in [
        "ipcq: message 1 is dead: exit status 126, attempt 1: the message has a NUL, which no argument can have\n",
        "ipcq: message 2 is dead: exit status 126, attempt 1: the message is too long for an argument\n",
    ] {
        assert!(done.err.contains(line), "{}", done.err);
    }
    has(&sandbox, "jobs", 0, 0, 2);
}

#[test]
fn a_worker_that_may_not_open_enough_files_runs_fewer_jobs_and_does_all() {
    let sandbox = Sandbox::with_queues("jobs");
    let numbers: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    sandbox.ok(&format!("put jobs {}", numbers.join(" ")));
    // They are slow enough for those that were started first to run when there are too many.
    let script = "ulimit -n 40; ipcq work jobs -t 0 -j 60 -- sh -c 'sleep 0.1; echo $IPCQ_ID $IPCQ_ATTEMPT'";
    let done = sandbox.sh(script);
    assert_eq!((done.code, report(&done)), (0, "ipcq: 60 done, 0 retried, 0 dead"), "{}", done.err);
    let mut ran = sorted(&done);
    ran.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(ran, numbers.iter().map(|number| format!("{number} 1")).collect::<Vec<_>>());
    let told: Vec<&str> = done.err.lines().filter(|line| line.contains("Too many open files")).collect();
    assert!(matches!(told[..], [line] if line.starts_with("ipcq: fewer jobs run at a time, now ")), "{}", done.err);
    // Where not even one can run, it says so and gives the message back, whatever files it has inherited.
    sandbox.ok("put jobs last");
    let done = sandbox.sh("ulimit -n 9; ipcq work jobs -t 0 -- true");
    assert_eq!(done.code, 2);
    assert!(report(&done).contains("Too many open files"), "{}", done.err);
    has(&sandbox, "jobs", 1, 0, 0);
}

#[test]
fn a_worker_that_ends_gives_back_what_it_could_not_start() {
    let sandbox = Sandbox::with_queues("jobs");
    let numbers: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    sandbox.ok(&format!("put jobs {}", numbers.join(" ")));
    let script = "ulimit -n 40; exec ipcq work jobs -t 0 -j 60 -- sh -c 'until test -e go; do sleep 0.01; done'";
    let mut shell = sandbox.program("sh");
    let mut worker = Running::from(shell.args(["-c", script]).spawn().unwrap());
    let mut told = String::new();
    BufReader::new(worker.child().stderr.take().unwrap()).read_line(&mut told).unwrap();
    let running: u64 = told.split_once("now ").unwrap().1.split(':').next().unwrap().parse().unwrap();
    assert!(sandbox.stat("jobs", "leased").as_u64() > Some(running), "{told}");
    worker.signal("TERM");
    until("the others are ready again", || sandbox.stat("jobs", "ready") == 60 - running);
    fs::write(sandbox.path("go"), "").unwrap();
    assert_eq!(worker.end().code, 143);
    has(&sandbox, "jobs", 60 - running, 0, 0);
}

#[test]
fn mistakes_on_the_command_line_are_told_in_a_sentence() {
    let sandbox = Sandbox::with_queues("jobs");
    let cases: [(&[&str], &str); 7] = [
        (&["jobs", "true"], "'true' found; put '--' before the command"),
        (&["jobs", "-j2", "./job", "{}"], "'./job' found; put '--' before the command"),
        (&["jobs"], "<COMMAND>"),
        (&["jobs", "--"], "<COMMAND>"),
        (&["jobs", "-j", "0", "--", "true"], "this cannot be 0"),
        (&["jobs", "-j", "-1", "--", "true"], "this cannot be negative"),
        (&["jobs", "--backoff", "-1s", "--", "true"], "a duration cannot be negative"),
    ];
    for (arguments, what) in cases {
        let arguments = ["work"].iter().chain(arguments).map(OsStr::new);
        let done = sandbox.run_with(arguments, b"");
        assert!(done.refusal(2).contains(what), "{done:?}");
    }
}
