//! What the system refuses to a process is an error that says so, and the queue works on afterwards.

use crate::harness::{Done, Sandbox, differs, feed, have, is_on_redis};
use std::fs;
use std::process::Stdio;

/// Runs `ipcq` with the words of `arguments` and `input`, and with this limit, as `--nofile=3`. `None`: limits cannot
/// be set here.
fn limited(sandbox: &Sandbox, limit: &str, arguments: &str, input: &[u8]) -> Option<Done> {
    if !have("prlimit") {
        return None;
    }
    let mut command = sandbox.program("prlimit");
    command.args([limit, "ipcq"]).args(arguments.split(' ')).stdin(Stdio::piped());
    Some(feed(command.spawn().unwrap(), input))
}

/// Asserts that `jobs` has these messages, all of them lines, that they and others can be got, and that its figures
/// agree with that.
fn works_on_with(sandbox: &Sandbox, lines: &str) {
    let bytes = lines.len() - lines.lines().count();
    assert!(sandbox.ok("verify jobs").starts_with("jobs: sound"));
    for (key, figure) in [("ready", lines.lines().count()), ("leased", 0), ("bytes", bytes)] {
        assert_eq!(sandbox.stat("jobs", key), figure, "{key}");
    }
    if !lines.is_empty() {
        assert!(sandbox.ok("get jobs --all") == lines, "not the messages that are to be there");
    }
    sandbox.ok("put jobs again");
    assert_eq!(sandbox.ok("get jobs"), "again\n");
    for key in ["ready", "leased", "bytes"] {
        assert_eq!(sandbox.stat("jobs", key), 0, "{key}");
    }
    assert_eq!(sandbox.stat("jobs", "put"), sandbox.stat("jobs", "got"));
}

/// Asserts that the command was refused with a sentence that has all these parts.
fn is_refused(done: &Done, parts: &[&str]) {
    let line = done.refusal(2);
    assert!(parts.iter().all(|part| line.contains(part)), "{line}");
}

const TOO_LARGE: &[&str] = &["File too large", "'ulimit -f'"];

#[test]
fn a_queue_that_would_be_too_large_a_file_is_not_created() {
    if differs("Files and permissions") {
        return;
    }
    for size in [0, 4096, 16383] {
        for command in ["create jobs", "put jobs message --create", "get jobs --create --timeout 0"] {
            let sandbox = Sandbox::new();
            let Some(done) = limited(&sandbox, &format!("--fsize={size}"), command, b"") else { return };
            is_refused(&done, TOO_LARGE);
            assert_eq!(fs::read_dir(sandbox.queues()).unwrap().count(), 0, "{size} {command}");
            sandbox.ok("create jobs");
            works_on_with(&sandbox, "");
        }
    }
}

#[test]
fn a_queue_that_may_not_become_a_larger_file_takes_what_there_is_room_for() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let Some(done) = limited(&sandbox, "--fsize=65536", "put jobs", &[b'x'; 100_000]) else { return };
    is_refused(&done, &["cannot make queue 'jobs' larger: File too large", "'ulimit -f'"]);
    works_on_with(&sandbox, "");

    let lines: String = (0..1000).map(|number| format!("{number:0100}\n")).collect();
    let done = limited(&sandbox, "--fsize=65536", "put jobs --lines --timeout 0", lines.as_bytes()).unwrap();
    let put = sandbox.stat("jobs", "ready").as_u64().unwrap() as usize;
    assert!(put > 100, "{put}");
    assert_eq!(done.refusal(1), format!("queue 'jobs' is full: only the first {put} messages were put"));
    works_on_with(&sandbox, &lines[..put * 101]);
}

#[test]
fn a_message_that_would_make_too_large_a_file_goes_back() {
    let sandbox = Sandbox::with_queues("jobs");
    let message = "x".repeat(5000) + "\n";
    sandbox.run_with(["put", "jobs", "--lines"], message.as_bytes());
    let Some(done) = limited(&sandbox, "--fsize=1000", "get jobs --output out", b"") else { return };
    is_refused(&done, &[&["cannot write to out"], TOO_LARGE].concat());
    assert_eq!(fs::read(sandbox.path("out")).unwrap(), b"");
    works_on_with(&sandbox, &message);

    sandbox.run_with(["put", "jobs", "--lines"], message.as_bytes());
    let done = sandbox.sh("prlimit --fsize=1000 ipcq get jobs > out");
    is_refused(&done, &[&["cannot write to standard output"], TOO_LARGE].concat());
    works_on_with(&sandbox, &message);
}

#[test]
fn of_several_messages_those_that_do_not_fit_a_file_go_back() {
    let lines: String = (0..300).map(|number| format!("{number:09}\n")).collect();
    for options in ["--all", "--follow", "-n 300"] {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.run_with(["put", "jobs", "--lines"], lines.as_bytes());
        let command = format!("get jobs {options} --output out");
        let Some(done) = limited(&sandbox, "--fsize=1005", &command, b"") else { return };
        is_refused(&done, TOO_LARGE);
        assert_eq!(fs::read_to_string(sandbox.path("out")).unwrap(), lines[..1000], "{options}");
        works_on_with(&sandbox, &lines[1000..]);
    }
}

#[test]
fn too_few_descriptors_are_a_sentence() {
    const COMMANDS: [(&str, &str); 8] = [
        ("put jobs message", "kept\nmessage\n"),
        ("put jobs --lines", "kept\n"),
        ("get jobs --timeout 0", ""),
        ("get jobs --timeout 0 --output out", ""),
        ("stat jobs", "kept\n"),
        ("ls", "kept\n"),
        ("close other", "kept\n"),
        ("create new", "kept\n"),
    ];
    let mut refusals = 0;
    for descriptors in [3, 4, 5, 7] {
        for (command, left) in COMMANDS {
            let sandbox = Sandbox::with_queues("jobs other");
            sandbox.ok("put jobs kept");
            let Some(done) = limited(&sandbox, &format!("--nofile={descriptors}"), command, b"") else { return };
            assert!(done.code == 0 || descriptors < 7, "{command}: {done:?}");
            if done.code == 0 {
                works_on_with(&sandbox, left);
            } else {
                is_refused(&done, &["Too many open files", "'ulimit -n'"]);
                works_on_with(&sandbox, "kept\n");
                refusals += 1;
            }
        }
    }
    // A server is reached by one descriptor.
    let too_few = if is_on_redis() { 1 } else { 2 };
    assert!(refusals >= too_few * COMMANDS.len(), "{refusals}");
}

const MEGABYTE: usize = 1 << 20;

#[test]
fn a_queue_for_which_there_is_no_address_space_is_a_sentence() {
    if differs("Storage") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.run_with(["put", "jobs"], &vec![b'x'; 20 * MEGABYTE]);
    for command in ["put jobs message", "get jobs --timeout 0", "stat jobs", "close jobs", "create jobs --exist-ok"] {
        let Some(done) = limited(&sandbox, &format!("--as={}", 15 * MEGABYTE), command, b"") else { return };
        is_refused(&done, &["cannot map queue 'jobs': Cannot allocate memory", "'ulimit -v'"]);
    }
    let listing = limited(&sandbox, &format!("--as={}", 15 * MEGABYTE), "ls", b"").unwrap();
    is_refused(&listing, &["1 queue could not be read: cannot map queue 'jobs'"]);
    assert_eq!(sandbox.ok("get jobs").len(), 20 * MEGABYTE);
    works_on_with(&sandbox, "");
}

#[test]
fn a_message_for_which_there_is_no_memory_is_a_sentence_to_who_puts_it() {
    if differs("Large messages") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let text = format!("\"{}\"\n", "x".repeat(3 * MEGABYTE));
    let (mut refused, mut done_well) = (0, 0);
    for command in ["put jobs", "put jobs --lines", "put jobs --json", "put jobs --lines --json"] {
        for megabytes in [8, 11, 14, 30] {
            let limit = format!("--as={}", megabytes * MEGABYTE);
            let Some(done) = limited(&sandbox, &limit, command, text.as_bytes()) else { return };
            if done.code == 0 {
                done_well += 1;
                assert_eq!(sandbox.ok("get jobs --raw").trim_end(), text.trim_end());
            } else {
                refused += 1;
                is_refused(&done, &["memory", "'ulimit -v'"]);
            }
            works_on_with(&sandbox, "");
        }
    }
    assert!(refused >= 4 && done_well >= 4, "{refused} {done_well}");
}

#[test]
fn a_message_for_which_there_is_no_memory_goes_back() {
    if differs("Large messages") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let text = format!("{{\"key\":\"{}\"}}\n", "x'".repeat(MEGABYTE));
    let (mut refused, mut done_well) = (0, 0);
    for (put, get) in [
        ("--lines", ""),
        ("--lines", "--null"),
        ("--lines", "--json"),
        ("--lines", "--shell"),
        ("--lines --json", "--json"),
    ] {
        let put = format!("put jobs {put}");
        assert_eq!(sandbox.run_with(put.trim_end().split(' '), text.as_bytes()).code, 0);
        for megabytes in [8, 11, 14, 40] {
            let limit = format!("--as={}", megabytes * MEGABYTE);
            let command = format!("get jobs --timeout 0 {get}");
            let Some(done) = limited(&sandbox, &limit, command.trim_end(), b"") else { return };
            if done.code == 0 {
                done_well += 1;
                assert_eq!(sandbox.run_with(put.trim_end().split(' '), text.as_bytes()).code, 0);
            } else {
                refused += 1;
                is_refused(&done, &["memory", "'ulimit -v'"]);
            }
            assert_eq!((sandbox.stat("jobs", "ready"), sandbox.stat("jobs", "leased")), (1.into(), 0.into()));
        }
        assert_eq!(sandbox.ok("get jobs --raw").trim_end(), text.trim_end());
        works_on_with(&sandbox, "");
    }
    assert!(refused >= 5 && done_well >= 5, "{refused} {done_well}");
}
