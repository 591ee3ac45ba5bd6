//! Options, values and commands that make no sense are refused in a line that says what would, and nothing happens.

use crate::harness::{Sandbox, differs};
use std::os::unix::fs::MetadataExt;

/// A sandbox with an empty queue called `jobs`.
fn with_jobs() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    sandbox
}

/// Asserts that `ipcq` refuses these arguments with a line that has all the parts of `says`, and that neither
/// has a queue been made nor a message put.
fn is_refused(arguments: &[&str], says: &[&str]) {
    let sandbox = with_jobs();
    let done = sandbox.run_with(arguments, b"message\n");
    let line = done.refusal(2);
    assert!(says.iter().all(|part| line.contains(part)), "{arguments:?}: {line}");
    assert!(!line.contains("error:") && !line.contains("Usage"), "{line}");
    assert_eq!(sandbox.ok("ls"), "jobs  0  0  0  0  0  67108864  open\n", "{arguments:?}");
}

/// Asserts that both commands that wait refuse this time-out, however it is given.
fn is_no_timeout(value: &str, why: &str) {
    let joined = format!("--timeout={value}");
    let quoted = format!("invalid value '{value}' for '--timeout");
    for arguments in [&["get", "jobs", "-t", value][..], &["get", "jobs", &joined]] {
        is_refused(arguments, &[&quoted, why, "'500ms'", "(see 'ipcq get --help')"]);
    }
    for arguments in [&["put", "jobs", "x", "--timeout", value][..], &["put", "jobs", "x", &joined]] {
        is_refused(arguments, &[&quoted, why, "'500ms'", "(see 'ipcq put --help')"]);
    }
}

/// Asserts that create refuses this value of an option.
fn is_no_value(option: &str, value: &str, why: &str) {
    let joined = format!("{option}={value}");
    let quoted = format!("invalid value '{value}' for '{option} ");
    for arguments in [&["create", "other", option, value][..], &["create", "other", &joined]] {
        is_refused(arguments, &[&quoted, why, "(see 'ipcq create --help')"]);
    }
}

/// Asserts that get refuses this number of messages.
fn is_no_count(value: &str, why: &str) {
    is_refused(&["get", "jobs", "-t", "0", "-n", value], &[&format!("invalid value '{value}' for '-n <N>'"), why]);
}

#[test]
fn a_negative_timeout() {
    is_no_timeout("-1", "a duration cannot be negative");
    is_no_timeout("-0.5", "a duration cannot be negative");
    is_no_timeout("-1s", "a duration cannot be negative");
}

#[test]
fn a_timeout_that_is_no_duration() {
    is_no_timeout("abc", "this is not a duration");
    is_no_timeout("1e999", "this is not a duration");
    is_no_timeout("inf", "this is not a duration");
    is_no_timeout("NaN", "this is not a duration");
    is_no_timeout("1.2.3", "this is not a duration");
}

#[test]
fn a_timeout_beyond_all_clocks() {
    is_no_timeout("9999999999999y", "longer or finer than a duration can be");
    is_refused(&["get", "jobs", "-t", "99999999999999999999"], &["longer than a thousand years"]);
}

#[test]
fn an_empty_timeout() {
    is_no_timeout("", "it is empty");
}

#[test]
fn a_missing_timeout() {
    is_refused(&["get", "jobs", "-t"], &["a value is required for '--timeout", "(see 'ipcq get --help')"]);
}

#[test]
fn a_value_that_would_drive_a_terminal_or_break_the_line() {
    for value in ["\u{1b}[31mred", "1\n2", "1\r2", "1\n\nUsage: x"] {
        let sandbox = with_jobs();
        sandbox.run_with(["get", "jobs", "-t", value], b"").refusal(2);
        sandbox.run_with(["get", "jobs", &format!("--{value}")], b"").refusal(2);
        sandbox.run_with([value], b"").refusal(2);
    }
}

#[test]
fn the_longest_timeout_is_good() {
    let sandbox = with_jobs();
    sandbox.ok("put jobs hello --timeout 1000y");
    assert_eq!(sandbox.ok("get jobs --timeout 1000y"), "hello\n");
}

#[test]
fn a_capacity_of_nothing() {
    is_no_value("--capacity", "0", "use at least 1");
    is_no_value("--capacity", "0K", "use at least 1");
    is_no_value("--capacity", "", "this is not a size");
}

#[test]
fn a_negative_capacity() {
    is_no_value("--capacity", "-1", "a size cannot be negative");
    is_no_value("--capacity", "-1M", "a size cannot be negative");
}

#[test]
fn a_capacity_that_is_no_size() {
    is_no_value("--capacity", "abc", "use a number of bytes, or one with K, M, G or T after it");
    is_no_value("--capacity", "1.5M", "a size cannot have a fraction");
    is_no_value("--capacity", "10Q", "this is not a size");
}

#[test]
fn a_huge_capacity() {
    is_no_value("--capacity", "513G", "use at most 512G");
    is_no_value("--capacity", "18446744073709551616", "use at most 512G");
    is_no_value("--capacity", "99999999999999999999T", "use at most 512G");
}

#[test]
fn the_largest_capacity_is_good_and_takes_no_space() {
    if differs("Storage") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create large --capacity 512G");
    assert_eq!(sandbox.stat("large", "capacity"), 512_u64 << 30);
    sandbox.ok("put large hello");
    assert!(sandbox.queues().join("large").metadata().unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn a_mode_that_locks_the_owner_out() {
    is_no_value("--mode", "0", "its owner could not read and write the queue");
    is_no_value("--mode", "466", "its owner could not read and write the queue");
}

#[test]
fn a_mode_that_is_none() {
    is_no_value("--mode", "999", "this is not a file mode; use an octal mode from 600 to 666");
    is_no_value("--mode", "-600", "this is not a file mode");
    is_no_value("--mode", "u+rw", "this is not a file mode");
    is_no_value("--mode", "", "this is not a file mode");
    is_no_value("--mode", "77777777777777777777", "this is not a file mode");
}

#[test]
fn a_mode_for_a_program() {
    is_no_value("--mode", "700", "a queue cannot be executed");
    is_no_value("--mode", "4600", "this is not a file mode");
}

#[test]
fn a_limit_of_no_messages() {
    is_no_value("--max-items", "0", "this cannot be 0");
    is_no_value("--max-items", "-1", "this cannot be negative");
    is_no_value("--max-items", "1.5", "this is not a whole number");
    is_no_value("--max-items", "", "this is not a whole number");
    is_no_value("--max-items", "18446744073709551616", "this is too large");
}

#[test]
fn a_get_of_no_messages() {
    is_no_count("0", "this cannot be 0");
    is_no_count("-1", "this cannot be negative");
    is_no_count("1.5", "this is not a whole number");
    is_no_count("", "this is not a whole number");
    is_no_count("18446744073709551616", "this is too large");
}

#[test]
fn a_huge_count_is_good() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-items 18446744073709551614");
    sandbox.ok("put jobs a b");
    assert_eq!(sandbox.ok("get jobs -t 0 -n 18446744073709551615"), "a\nb\n");
}

#[test]
fn options_that_contradict_each_other() {
    for (arguments, one, other) in [
        ("put jobs message --lines", "'[MESSAGE]...'", "'--lines'"),
        ("put jobs message -0", "'[MESSAGE]...'", "'--null'"),
        ("put jobs --lines --null", "'--lines'", "'--null'"),
        ("put jobs message --no-wait --timeout 1", "'--timeout <DURATION>'", "'--no-wait'"),
        ("get jobs --no-wait --timeout 1", "'--timeout <DURATION>'", "'--no-wait'"),
        ("get jobs -n 1 --all", "'-n <N>'", "'--all'"),
        ("get jobs -n 1 --follow", "'-n <N>'", "'--follow'"),
        ("get jobs --all --follow", "'--all'", "'--follow'"),
        ("get jobs --null --raw", "'--null'", "'--raw'"),
        ("get jobs --null --json", "'--null'", "'--json'"),
        ("get jobs --raw --shell", "'--raw'", "'--shell'"),
        ("get jobs --json --shell", "'--json'", "'--shell'"),
    ] {
        let arguments: Vec<_> = arguments.split(' ').collect();
        is_refused(&arguments, &[one, other, "cannot be used with", &format!("(see 'ipcq {} --help')", arguments[0])]);
    }
}

#[test]
fn an_option_that_there_is_not() {
    for command in ["create", "put", "get", "close", "rm", "stat", "ack", "nack", "join", "produce", "peek", "purge"] {
        is_refused(&[command, "jobs", "--frobnicate"], &["unexpected argument '--frobnicate'", "--help')"]);
        is_refused(&[command, "jobs", "-X"], &["unexpected argument '-X'", "--help')"]);
    }
    is_refused(&["ls", "--frobnicate"], &["unexpected argument '--frobnicate'", "(see 'ipcq ls --help')"]);
    is_refused(&["--frobnicate"], &["unexpected argument '--frobnicate'", "(see 'ipcq --help')"]);
}

#[test]
fn an_option_that_is_nearly_right_is_suggested() {
    is_refused(&["put", "jobs", "--line"], &["unexpected argument '--line'", "'--lines'"]);
    is_refused(&["get", "jobs", "--folow"], &["unexpected argument '--folow'", "'--follow'"]);
}

#[test]
fn a_command_that_there_is_not() {
    is_refused(&["frobnicate", "jobs"], &["unrecognized subcommand 'frobnicate'", "(see 'ipcq --help')"]);
    is_refused(&["putt", "jobs", "message"], &["unrecognized subcommand 'putt'", "'put'"]);
    is_refused(&[""], &["unrecognized subcommand ''", "(see 'ipcq --help')"]);
}

#[test]
fn no_command() {
    is_refused(&[], &["no command given (see 'ipcq --help')"]);
}

#[test]
fn no_queue() {
    for command in [
        "create", "put", "get", "close", "rm", "stat", "ack", "nack", "extend", "join", "produce", "peek", "retry",
        "purge",
    ] {
        is_refused(&[command], &["<QUEUE>", &format!("(see 'ipcq {command} --help')")]);
    }
}

#[test]
fn a_queue_too_many() {
    for command in ["create", "close", "join", "peek", "purge", "produce"] {
        let arguments = [command, "other", "another"];
        is_refused(&arguments, &["unexpected argument 'another'", &format!("(see 'ipcq {command} --help')")]);
    }
    is_refused(&["ls", "jobs"], &["unexpected argument 'jobs'", "(see 'ipcq ls --help')"]);
}
