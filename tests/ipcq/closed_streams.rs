//! A standard stream that is closed or cannot be written is an error where it is needed, and loses nothing.

use crate::harness::Sandbox;

/// A sandbox with a queue called `jobs`, in which there are these messages.
fn with_jobs(messages: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    if !messages.is_empty() {
        sandbox.ok(&format!("put jobs {messages}"));
    }
    sandbox
}

/// Asserts that the script, a single command, ends well and prints nothing.
fn ends_well(sandbox: &Sandbox, script: &str) {
    let done = sandbox.sh(script);
    assert_eq!((done.code, done.text(), done.err.as_str()), (0, "", ""), "{script}");
}

#[test]
fn put_of_standard_input_that_is_closed() {
    for options in ["", "--lines", "--null", "--json"] {
        let sandbox = with_jobs("");
        let done = sandbox.sh(&format!("ipcq put jobs {options} <&-"));
        assert!(done.refusal(2).starts_with("standard input is closed: "), "{done:?}");
        assert_eq!(sandbox.stat("jobs", "ready"), 0);
    }
}

#[test]
fn put_of_standard_input_that_cannot_be_read() {
    for options in ["", "--lines", "--null"] {
        let sandbox = with_jobs("");
        let done = sandbox.sh(&format!("ipcq put jobs {options} < /"));
        assert!(done.refusal(2).starts_with("cannot read standard input: Is a directory"), "{done:?}");
        assert_eq!(sandbox.stat("jobs", "ready"), 0);
    }
}

#[test]
fn put_of_arguments_needs_no_stream_at_all() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        let sandbox = with_jobs("");
        ends_well(&sandbox, &format!("ipcq put jobs one two {closed}"));
        assert_eq!(sandbox.ok("get jobs --all"), "one\ntwo\n", "{closed}");
    }
}

#[test]
fn create_close_and_rm_need_no_stream_at_all() {
    let sandbox = Sandbox::new();
    ends_well(&sandbox, "ipcq create jobs <&- >&- 2>&-");
    ends_well(&sandbox, "ipcq close jobs <&- >&- 2>&-");
    assert_eq!(sandbox.stat("jobs", "closed"), true);
    ends_well(&sandbox, "ipcq rm jobs <&- >&- 2>&-");
    assert_eq!(sandbox.ok("ls"), "");
}

#[test]
fn put_of_a_stream_needs_no_output() {
    let sandbox = with_jobs("");
    ends_well(&sandbox, "printf 'one\\ntwo\\n' | ipcq put jobs --lines >&- 2>&-");
    assert_eq!(sandbox.ok("get jobs --all"), "one\ntwo\n");
}

#[test]
fn an_error_that_cannot_be_reported_still_has_its_exit_code() {
    let sandbox = with_jobs("");
    for stderr in ["2>&-", "2>/dev/full"] {
        for (command, code) in [("put nothing x", 4), ("put jobs -X", 2), ("get jobs -t 0", 1), ("get", 2)] {
            let done = sandbox.sh(&format!("ipcq {command} {stderr}"));
            assert_eq!((done.code, done.err.as_str()), (code, ""), "{command} {stderr}");
        }
    }
}

#[test]
fn get_into_a_closed_output_takes_nothing() {
    for options in ["", "--all", "--follow", "-n 2", "--json", "--at-most-once"] {
        let sandbox = with_jobs("one two");
        let done = sandbox.sh(&format!("ipcq get jobs {options} >&-"));
        assert!(done.refusal(2).starts_with("standard output is closed: nothing was taken"), "{done:?}");
        assert_eq!(sandbox.ok("get jobs --all"), "one\ntwo\n");
    }
}

#[test]
fn get_into_a_full_device_gives_back_what_it_took() {
    for options in ["", "--all", "--follow", "-n 2", "--json"] {
        let sandbox = with_jobs("one two");
        let done = sandbox.sh(&format!("ipcq get jobs {options} > /dev/full"));
        assert!(done.refusal(2).starts_with("cannot write to standard output: No space left"), "{done:?}");
        assert_eq!(sandbox.ok("get jobs --all"), "one\ntwo\n");
    }
}

#[test]
fn get_into_a_file_that_cannot_be_made_gives_back_what_it_took() {
    for (file, why) in
        [("missing/file", "No such file or directory"), (".", "Is a directory"), ("/dev/full", "No space")]
    {
        let sandbox = with_jobs("one two");
        let done = sandbox.run(&format!("get jobs --all --output {file}"));
        let line = done.refusal(2);
        assert!(line.contains(file) && line.contains(why), "{line}");
        assert_eq!(sandbox.ok("get jobs --all"), "one\ntwo\n");
    }
}

#[test]
fn get_into_a_file_needs_no_stream_at_all() {
    let sandbox = with_jobs("one two");
    ends_well(&sandbox, "ipcq get jobs --all --output got <&- >&- 2>&-");
    assert_eq!(std::fs::read_to_string(sandbox.path("got")).unwrap(), "one\ntwo\n");
}

#[test]
fn get_needs_neither_input_nor_a_place_for_errors() {
    let sandbox = with_jobs("one");
    let done = sandbox.sh("ipcq get jobs <&- 2>&-");
    assert_eq!((done.code, done.text()), (0, "one\n"));
}

#[test]
fn what_is_to_be_printed_and_cannot_be_is_an_error() {
    let sandbox = with_jobs("one");
    for command in ["ls", "ls --json", "stat jobs", "stat --json jobs", "completions bash"] {
        assert!(sandbox.sh(&format!("ipcq {command} >&-")).refusal(2).starts_with("standard output is closed"));
        let done = sandbox.sh(&format!("ipcq {command} > /dev/full"));
        assert!(done.refusal(2).starts_with("cannot write to standard output"), "{done:?}");
    }
}
