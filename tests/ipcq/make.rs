//! In a recipe of make, `ipcq work` takes part in make's own limit on jobs: with the real GNU make, and with a
//! job server in the form of a named pipe, as newer versions have it.

use crate::harness::{Done, Running, Sandbox, have, until};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::process::Command;

/// What a job does: it counts how many run, itself included. Until four have been seen at once, nobody goes on.
const SCRIPT: &str = "#!/bin/sh
mkdir running/$IPCQ_QUEUE.$IPCQ_ID
until test -e seen-$MOST || ! test -d \"$PWD\"; do
    count=$(ls running | wc -l)
    test $count -lt $MOST || touch seen-$count
    sleep 0.01
done
ls running | wc -l >> counts
sleep 0.01
rmdir running/$IPCQ_QUEUE.$IPCQ_ID
";

/// Two closed queues with twelve messages each, and the script as `./job`.
fn prepare() -> Sandbox {
    let sandbox = Sandbox::with_queues("a b");
    for queue in ["a", "b"] {
        sandbox.ok(&format!("put {queue} 1 2 3 4 5 6 7 8 9 10 11 12"));
        sandbox.ok(&format!("close {queue}"));
    }
    fs::create_dir(sandbox.path("running")).unwrap();
    fs::write(sandbox.path("job"), SCRIPT).unwrap();
    sandbox
}

/// A program that waits until `most` jobs run.
fn waiting_for(sandbox: &Sandbox, program: &str, most: usize) -> Command {
    let mut command = sandbox.program(program);
    command.env("MOST", most.to_string());
    command
}

/// Asserts that so many jobs have run at the same time, and never more; and that all have run.
fn at_most(sandbox: &Sandbox, most: usize, all: usize) {
    let text = fs::read_to_string(sandbox.path("counts")).unwrap();
    let counts: Vec<usize> = text.lines().map(|count| count.trim().parse().unwrap()).collect();
    assert_eq!(counts.len(), all);
    assert!(counts.iter().all(|count| (1..=most).contains(count)), "{counts:?}");
    assert!(sandbox.path(&format!("seen-{most}")).exists());
    assert!(!sandbox.path(&format!("seen-{}", most + 1)).exists());
}

/// Runs make on a makefile in which `all` needs `a` and `b`, each with this recipe.
fn make(sandbox: &Sandbox, arguments: &str, most: usize, recipe: &str) -> Done {
    fs::write(sandbox.path("Makefile"), format!(".PHONY: all a b\nall: a b\na b:\n\t{recipe}\n")).unwrap();
    let mut make = waiting_for(sandbox, "make", most);
    Running::from(make.args(arguments.split_whitespace()).spawn().unwrap()).end()
}

#[test]
fn two_workers_under_make_never_run_more_than_make_allows_and_reach_it() {
    if !have("make") {
        return;
    }
    let sandbox = prepare();
    let done = make(&sandbox, "-j4", 4, "+@ipcq work $@ -- sh ./job");
    assert_eq!((done.code, done.text()), (0, ""), "{}", done.err);
    assert!(!done.err.contains("jobserver"), "make counts its tokens at the end: {}", done.err);
    at_most(&sandbox, 4, 24);
}

#[test]
fn a_worker_under_make_runs_no_more_than_it_is_told_either() {
    if !have("make") {
        return;
    }
    let sandbox = prepare();
    let done = make(&sandbox, "-j8", 2, "+@ipcq work $@ -j 1 -- sh ./job");
    assert_eq!(done.code, 0, "{}", done.err);
    at_most(&sandbox, 2, 24);
}

#[test]
fn without_the_plus_in_the_recipe_a_worker_says_so_and_runs_one_job_at_a_time() {
    if !have("make") {
        return;
    }
    let sandbox = prepare();
    let done = make(&sandbox, "-j2", 2, "@ipcq work $@ -- sh ./job");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("ipcq: make's job server is out of reach"), "{}", done.err);
    at_most(&sandbox, 2, 24);
}

#[test]
fn a_make_that_runs_one_at_a_time_has_workers_that_do() {
    if !have("make") {
        return;
    }
    let sandbox = prepare();
    let done = make(&sandbox, "-j1", 1, "+@ipcq work $@ -- sh ./job");
    assert_eq!(done.code, 0, "{}", done.err);
    at_most(&sandbox, 1, 24);
}

#[test]
fn when_make_only_shows_what_there_is_to_do_a_worker_does_nothing() {
    if !have("make") {
        return;
    }
    let sandbox = prepare();
    for arguments in ["-n", "-n -j4", "-q", "-k -t"] {
        let done = make(&sandbox, arguments, 1, "+@ipcq work $@ -- sh ./job");
        assert!(done.err.contains("so nothing is done"), "{arguments}: {}", done.err);
    }
    assert!(!sandbox.path("counts").exists());
    assert_eq!(sandbox.stat("a", "ready"), 12);
}

/// A named pipe with so many tokens, open for reading and writing.
fn named_pipe(sandbox: &Sandbox, tokens: &[u8]) -> File {
    nix::unistd::mkfifo(&sandbox.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut fifo = OpenOptions::new().read(true).write(true).open(sandbox.path("fifo")).unwrap();
    fifo.write_all(tokens).unwrap();
    fifo
}

fn worker(sandbox: &Sandbox, queue: &str, most: usize) -> Command {
    let mut worker = waiting_for(sandbox, "ipcq", most);
    let auth = format!(" -j9 --jobserver-auth=fifo:{}", sandbox.path("fifo").display());
    worker.args(["work", queue, "--", "sh", "./job"]).env("MAKEFLAGS", auth);
    worker
}

#[test]
fn a_job_server_that_is_a_named_pipe_does_as_well_and_gets_back_the_tokens_it_gave() {
    let sandbox = prepare();
    let mut fifo = named_pipe(&sandbox, b"xyz");
    let done = Running::from(worker(&sandbox, "a", 4).spawn().unwrap()).end();
    assert_eq!((done.code, done.text()), (0, ""), "{}", done.err);
    at_most(&sandbox, 4, 12);
    let mut tokens = [0; 3];
    fifo.read_exact(&mut tokens).unwrap();
    tokens.sort_unstable();
    assert_eq!(&tokens, b"xyz");
}

#[test]
fn a_worker_waits_for_tokens_without_work_for_the_processor_and_uses_them_when_they_come() {
    let sandbox = prepare();
    let mut fifo = named_pipe(&sandbox, b"");
    let worker = Running::from(worker(&sandbox, "a", 3).spawn().unwrap());
    until("the first job runs", || fs::read_dir(sandbox.path("running")).unwrap().count() == 1);
    fifo.write_all(b"x").unwrap();
    until("a second one runs", || fs::read_dir(sandbox.path("running")).unwrap().count() == 2);
    fifo.write_all(b"y").unwrap();
    let done = worker.end();
    assert_eq!(done.code, 0, "{}", done.err);
    at_most(&sandbox, 3, 12);
    fifo.read_exact(&mut [0; 2]).unwrap();
}

#[test]
fn a_worker_that_waits_for_messages_keeps_no_token_from_others() {
    let sandbox = Sandbox::with_queues("jobs");
    let mut fifo = named_pipe(&sandbox, b"x");
    fs::create_dir(sandbox.path("running")).unwrap();
    fs::write(sandbox.path("job"), SCRIPT).unwrap();
    let waiter = Running::from(worker(&sandbox, "jobs", 2).spawn().unwrap());
    sandbox.ok("put jobs 1");
    until("its job runs", || fs::read_dir(sandbox.path("running")).unwrap().count() == 1);
    waiter.until_asleep();
    let mut token = [0];
    fifo.read_exact(&mut token).unwrap();
    sandbox.ok("put jobs 2");
    fifo.write_all(&token).unwrap();
    sandbox.ok("close jobs");
    assert_eq!(waiter.end().code, 0);
}
