//! A message may be anything: an option's look-alike, nothing at all, several lines, one of 20,000.

use crate::harness::{Running, Sandbox};

/// Puts these words after `put jobs` and returns what `get` gives back.
fn there_and_back(arguments: &[&str], get: &str) -> String {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let put = sandbox.run_with(["put", "jobs"].iter().chain(arguments), b"a\0b\0");
    assert_eq!((put.code, put.text(), put.err.as_str()), (0, "", ""));
    sandbox.ok(get)
}

#[test]
fn a_message_that_looks_like_an_option_is_put_after_two_dashes() {
    assert_eq!(there_and_back(&["--", "-x"], "get jobs -a"), "-x\n");
    assert_eq!(there_and_back(&["--", "--lines", "--", "-t"], "get jobs -a"), "--lines\n--\n-t\n");
}

#[test]
fn a_single_dash_is_a_message() {
    assert_eq!(there_and_back(&["-"], "get jobs -a"), "-\n");
}

#[test]
fn an_option_after_the_queue_is_an_option_and_no_number() {
    assert_eq!(there_and_back(&["-0"], "get jobs -a"), "a\nb\n");
}

#[test]
fn an_option_look_alike_without_two_dashes_is_refused_with_the_way_out() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let done = sandbox.run("put jobs -5");
    assert!(done.refusal(2).contains("use '-- -5'"), "{done:?}");
}

#[test]
fn an_empty_message_is_a_message() {
    assert_eq!(there_and_back(&[""], "get jobs"), "\n");
    assert_eq!(there_and_back(&["", ""], "get jobs -a --null"), "\0\0");
    assert_eq!(there_and_back(&["a", "", "b"], "get jobs -a"), "a\n\nb\n");
}

#[test]
fn more_empty_messages_than_the_capacity_admits_are_put_as_there_is_room() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --capacity 2");
    let put = sandbox.start("put jobs --timeout 30 -- a b c d");
    let put_empty = || Running::from(sandbox.ipcq(["put", "jobs", "", "", ""]).spawn().unwrap());
    assert_eq!(sandbox.ok("get jobs -n 4"), "a\nb\nc\nd\n");
    put.ends(0, "");
    // They have no bytes, so all that can be bounded is their number.
    let put = put_empty();
    assert_eq!(sandbox.ok("get jobs -n 3"), "\n\n\n");
    put.ends(0, "");
}

#[test]
fn a_message_of_several_lines_is_one_message() {
    assert_eq!(there_and_back(&["one\ntwo", "\n", "three\n"], "get jobs -a -0"), "one\ntwo\0\n\0three\n\0");
    assert_eq!(there_and_back(&["one\ntwo", "three"], "get jobs"), "one\ntwo\n");
}

#[test]
fn every_one_of_20_000_arguments_arrives_in_order() {
    let arguments: Vec<String> = (1..=20_000).map(|number| number.to_string()).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_eq!(there_and_back(&arguments, "get jobs -a"), arguments.join("\n") + "\n");
}
