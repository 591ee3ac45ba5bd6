//! What is not the name of a queue is refused in a line that says why, and nothing is made.

use crate::harness::{Done, Sandbox};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Asserts that every command refuses the queue `name` with a line that says `why`, and that nothing is made.
fn is_refused(name: impl AsRef<OsStr>, why: &str) {
    let sandbox = Sandbox::new();
    for command in ["create", "put", "get", "close", "rm", "stat", "join", "peek", "purge"] {
        for create in [false, true] {
            let options: &[&str] = match command {
                "put" | "get" if create => &["--create", "--timeout=0"],
                _ if create => continue,
                _ => &[],
            };
            let arguments = [OsStr::new(command)].into_iter().chain(options.iter().map(OsStr::new));
            let done: Done = sandbox.run_with(arguments.chain([OsStr::new("--"), name.as_ref()]), b"message");
            let line = done.refusal(2);
            assert!(line.contains(why), "{command}: {line}");
        }
    }
    assert!(!sandbox.queues().exists());
}

#[test]
fn an_empty_name() {
    is_refused("", "'' is not a queue name: it is empty");
}

#[test]
fn the_names_of_directories() {
    is_refused(".", "it is a directory");
    is_refused("..", "it is a directory");
    is_refused("queues/", "names a directory");
    is_refused("/", "names a directory");
    is_refused("queues/..", "names a directory");
}

#[test]
fn a_name_of_300_bytes() {
    is_refused("a".repeat(300), "it is 300 bytes long; use at most 200");
}

#[test]
fn a_name_with_a_newline() {
    is_refused("a\nb", r"'a\nb' is not a queue name: it contains '\n'");
}

#[test]
fn a_name_in_utf_8() {
    is_refused("café", "'café' is not a queue name: it contains 'é'");
}

#[test]
fn a_name_that_is_not_even_utf_8() {
    is_refused(OsStr::from_bytes(b"caf\xe9"), "it contains bytes that are not UTF-8");
}

#[test]
fn a_name_that_would_drive_a_terminal() {
    is_refused("\u{1b}[2J", r"it contains '\u{1b}'");
}

#[test]
fn a_leading_dash_even_after_two_dashes() {
    is_refused("-x", "'-x' is not a queue name: it starts with '-'");
}

#[test]
fn a_leading_dot() {
    is_refused(".hidden", "it starts with '.'");
}

#[test]
fn a_leading_dash_is_taken_for_a_flag() {
    let sandbox = Sandbox::new();
    for command in ["create", "put", "get", "close", "rm", "stat", "join", "peek", "purge"] {
        let done = sandbox.run(&format!("{command} -x"));
        assert!(done.refusal(2).starts_with("unexpected argument '-x' found"), "{done:?}");
    }
}

#[test]
fn a_path_through_a_directory_that_is_not_there() {
    let sandbox = Sandbox::new();
    for command in ["put", "get", "close", "rm", "stat", "join", "peek", "purge"] {
        let done = sandbox.run(&format!("{command} a/../b"));
        assert!(done.refusal(4).starts_with("no queue 'a/../b'"), "{done:?}");
    }
    let done = sandbox.run("create a/../b");
    assert!(done.refusal(2).contains("there is no directory 'a/..'"), "{done:?}");
    assert!(!sandbox.path("b").exists());
}

#[test]
fn a_path_with_two_dots_is_the_file_it_names() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("a")).unwrap();
    sandbox.ok("create a/../b");
    assert!(sandbox.path("b").is_file());
    sandbox.ok("put ./b hello");
    assert_eq!(sandbox.ok("get a/../b"), "hello\n");
}

#[test]
fn the_longest_name_and_every_allowed_character_are_good() {
    let sandbox = Sandbox::new();
    for name in ["a".repeat(200), "_".into(), "0.a-B_9".into(), "a..".into()] {
        sandbox.ok(&format!("create {name}"));
        sandbox.ok(&format!("put {name} hello"));
        assert_eq!(sandbox.ok(&format!("get {name}")), "hello\n");
    }
}
