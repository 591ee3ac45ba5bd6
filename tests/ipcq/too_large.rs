//! A message that can never fit is refused by name, what was before it is put, and nothing after it.

use crate::harness::Sandbox;

/// A sandbox with a queue called `jobs` that has room for ten bytes.
fn with_ten_bytes() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --capacity 10");
    sandbox
}

/// Asserts that a put with these arguments and this input is refused with a line that starts with `says` and
/// tells the way out, and that exactly the messages `put` are in the queue afterwards.
fn is_refused(arguments: &str, input: &[u8], says: &str, put: &[&str]) {
    let sandbox = with_ten_bytes();
    let done = sandbox.run_with(arguments.split(' '), input);
    let line = done.refusal(2);
    assert!(line.starts_with(says), "{line}");
    assert!(
        line.ends_with("the capacity of queue 'jobs' (10 bytes): create the queue with a larger --capacity"),
        "{line}"
    );
    let there: String = put.iter().map(|message| format!("{message}\n")).collect();
    assert_eq!(sandbox.stat("jobs", "ready"), put.len());
    if !put.is_empty() {
        assert_eq!(sandbox.ok("get jobs --all"), there);
    }
}

#[test]
fn an_argument() {
    is_refused("put jobs 12345678901", b"", "the message is 11 bytes, more than", &[]);
}

#[test]
fn one_of_several_arguments() {
    is_refused("put jobs one 12345678901 two", b"", "message 2 is 11 bytes, more than", &[]);
}

#[test]
fn all_of_standard_input() {
    is_refused("put jobs", b"12345678901", "standard input is over 10 bytes, more than", &[]);
    is_refused("put jobs", &[b'x'; 1 << 20], "standard input is over 10 bytes, more than", &[]);
}

#[test]
fn a_line_in_the_middle() {
    let input = b"one\ntwo\n12345678901\nfour\n";
    is_refused("put jobs --lines", input, "line 3 of standard input is 11 bytes, more than", &["one", "two"]);
}

#[test]
fn the_first_line() {
    is_refused("put jobs --lines", b"12345678901\ntwo\n", "line 1 of standard input is 11 bytes, more than", &[]);
}

#[test]
fn a_last_line_without_its_newline() {
    is_refused(
        "put jobs --lines",
        b"one\n12345678901",
        "line 2 of standard input is over 10 bytes, more than",
        &["one"],
    );
}

#[test]
fn a_line_that_does_not_end() {
    let input = [b"one\n".as_slice(), &[b'x'; 1 << 20]].concat();
    is_refused("put jobs --lines", &input, "line 2 of standard input is over 10 bytes, more than", &["one"]);
}

#[test]
fn a_piece_of_a_null_delimited_stream() {
    let input = b"one\0two\0more than ten bytes\0four\0";
    is_refused("put jobs --null", input, "message 3 of standard input is 19 bytes, more than", &["one", "two"]);
}

#[test]
fn a_json_line() {
    let input = b"1\n2\n\"12345678901\"\n4\n";
    is_refused("put jobs --lines --json", input, "line 3 of standard input is 13 bytes, more than", &["1", "2"]);
}

#[test]
fn a_line_after_many_others_is_counted_right_and_all_of_those_are_put() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --capacity 100K");
    let lines: String = (1..=10_000).map(|number| format!("{number}\n")).collect();
    let input = format!("{lines}{}\nafter\n", "x".repeat(200_000));
    let done = sandbox.run_with(["put", "jobs", "--lines"], input.as_bytes());
    assert!(done.refusal(2).starts_with("line 10001 of standard input is "), "{done:?}");
    assert_eq!(sandbox.ok("get jobs --all"), lines);
}

#[test]
fn a_message_of_exactly_the_capacity_fits() {
    for (arguments, input) in [
        ("put jobs 1234567890", ""),
        ("put jobs", "1234567890"),
        ("put jobs -l", "1234567890\n"),
        ("put jobs -0", "1234567890"),
    ] {
        let sandbox = with_ten_bytes();
        assert_eq!(sandbox.run_with(arguments.split(' '), input.as_bytes()).code, 0, "{arguments}");
        assert_eq!(sandbox.ok("get jobs --raw"), "1234567890");
    }
}
