//! The programs that people learn `ipcq` from do what they say, in every shell and in make.

use crate::harness::{Done, Running, Sandbox, binary, have};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program of `tests/programs`.
fn program(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(file)
}

/// What the script `file` prints when the shell with these words runs it, and on standard error. `None`:
/// there is no such shell.
fn run(shell: &str, file: &str) -> Option<(String, String)> {
    let mut words = shell.split(' ');
    let command = words.next().expect("a shell has a name");
    if !have(command) {
        return None;
    }
    let sandbox = Sandbox::new();
    let child = sandbox.program(command).args(words).arg(program(file)).spawn().expect("the shell starts");
    let done = Running::from(child).end();
    assert_eq!(sandbox.ok("ls"), "", "{file} leaves queues behind");
    Some((done.text().to_owned(), done.err))
}

/// Asserts that `shell` runs the script `file` without complaint and prints `expected`.
fn prints(shell: &str, file: &str, expected: &str) {
    if let Some(printed) = run(shell, file) {
        assert_eq!(printed, (expected.to_owned(), String::new()));
    }
}

fn one_message_reaches_a_consumer_that_waits(shell: &str) {
    prints(shell, "hello.sh", "Consumer received: Hello from producer!\n");
}

fn five_messages_arrive_in_order(shell: &str) {
    let expected: String = (0..5).map(|number| format!("Consumer received: message {number}\n")).collect();
    prints(shell, "numbered.sh", &expected);
}

fn an_object_arrives_as_variables(shell: &str) {
    prints(shell, "object.sh", "Harry has 95 points, and 100 after the next round\n");
}

fn two_consumers_share_what_two_producers_put(shell: &str) {
    let Some((printed, complaints)) = run(shell, "shared.sh") else { return };
    assert_eq!(complaints, "");
    let (mut turns, mut tasks) = (Vec::new(), Vec::new());
    for line in printed.lines() {
        let (turn, task) = line.split_once(": ").expect("a turn and a task");
        turns.push(turn);
        tasks.push(task);
    }
    turns.sort_unstable();
    tasks.sort_unstable();
    let expected = ["Cleo, turn 1", "Cleo, turn 2", "Cleo, turn 3", "Dan, turn 1", "Dan, turn 2", "Dan, turn 3"];
    assert_eq!(turns, expected);
    let expected =
        ["task 1 of Ann", "task 1 of Bob", "task 2 of Ann", "task 2 of Bob", "task 3 of Ann", "task 3 of Bob"];
    assert_eq!(tasks, expected);
}

fn a_consumer_ends_when_the_queue_is_closed_and_drained(shell: &str) {
    let Some((printed, complaints)) = run(shell, "closing.sh") else { return };
    let expected = "\
Consumer received: item 1
Consumer received: item 2
Consumer received: item 3
Consumer: closed, and nothing is left
A put into a closed queue ends with exit code 3
A get from a removed queue ends with exit code 4
";
    assert_eq!(printed, expected);
    let lines: Vec<_> = complaints.lines().collect();
    assert!(matches!(lines[..], [closed, gone]
        if closed == "ipcq: queue 'items' is closed" && gone.starts_with("ipcq: no queue 'items' ")));
}

fn a_consumer_ends_by_time_out_when_nobody_closes(shell: &str) {
    let expected = "\
Consumer received: item 1
Consumer received: item 2
Consumer received: item 3
Consumer: nothing came for a while
";
    prints(shell, "timing_out.sh", expected);
}

/// One test for every program in every shell.
macro_rules! in_every_shell {
    ($($program:ident)*) => { $(
        mod $program {
            #[test]
            fn in_bash() {
                super::$program("bash");
            }

            #[test]
            fn in_dash() {
                super::$program("dash");
            }

            #[test]
            fn in_zsh() {
                super::$program("zsh");
            }

            #[test]
            fn in_busybox() {
                super::$program("busybox sh");
            }
        }
    )* };
}

in_every_shell! {
    one_message_reaches_a_consumer_that_waits
    five_messages_arrive_in_order
    an_object_arrives_as_variables
    two_consumers_share_what_two_producers_put
    a_consumer_ends_when_the_queue_is_closed_and_drained
    a_consumer_ends_by_time_out_when_nobody_closes
}

/// The script's pauses end only when we say so, and we say so when the message before has been printed.
#[test]
fn each_message_arrives_before_the_next_is_put() {
    let sandbox = Sandbox::new();
    let made = sandbox
        .sh("mkdir bin && mkfifo gate && printf '#!/bin/sh\\nread -r _ < gate\\n' > bin/sleep && chmod +x bin/sleep");
    assert_eq!(made.code, 0, "{made:?}");
    let path = format!("{}:{}:/usr/bin:/bin", sandbox.path("bin").display(), binary().parent().unwrap().display());
    let mut script =
        Running::from(sandbox.program("sh").arg(program("numbered.sh")).env("PATH", path).spawn().unwrap());
    let (sender, printed) = std::sync::mpsc::channel();
    let output = BufReader::new(script.child().stdout.take().unwrap());
    std::thread::spawn(move || output.lines().try_for_each(|line| sender.send(line.unwrap())));
    for number in 0..5 {
        let line = printed.recv_timeout(Duration::from_secs(30)).expect("the message arrives");
        assert_eq!(line, format!("Consumer received: message {number}"));
        // Opening it waits until the script pauses.
        std::fs::OpenOptions::new().write(true).open(sandbox.path("gate")).unwrap().write_all(b"go\n").unwrap();
    }
    assert_eq!(script.end().code, 0);
}

/// Runs the Makefile with these options and returns the sandbox it has run in.
fn make(options: &[&str]) -> Option<Sandbox> {
    if !have("make") {
        return None;
    }
    let sandbox = Sandbox::new();
    let child = sandbox.program("make").arg("-f").arg(program("Makefile")).arg("--silent").args(options).spawn();
    let Done { code, err, .. } = Running::from(child.unwrap()).end();
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(sandbox.ok("ls"), "", "the Makefile leaves queues behind");
    Some(sandbox)
}

/// Asserts that every line of every part is in the file of the consumer once, and in the order of its part.
fn everything_has_been_collected(sandbox: &Sandbox) {
    let collected = std::fs::read_to_string(sandbox.path("collected")).unwrap();
    let mut parts: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for line in collected.lines() {
        let (part, number) = line.split_once(' ').expect("a part and a number");
        parts.entry(part).or_default().push(number.parse().expect("a number"));
    }
    let all: Vec<u32> = (1..=250).collect();
    let expected = ["east", "north", "south", "west"].map(|part| (part, all.clone()));
    assert_eq!(parts, BTreeMap::from(expected));
}

#[test]
fn make_produces_in_parallel_while_it_consumes() {
    if let Some(sandbox) = make(&["-j4"]) {
        everything_has_been_collected(&sandbox);
    }
}

#[test]
fn make_without_parallel_jobs_comes_to_the_same() {
    if let Some(sandbox) = make(&[]) {
        everything_has_been_collected(&sandbox);
    }
}
