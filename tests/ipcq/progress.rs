//! `--progress` of a stream shows how much has gone through, how fast, and how full the queue is: on a terminal, or
//! wherever it is forced to.

use crate::harness::{Running, Sandbox, feed, have, until};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

#[test]
fn a_stream_that_waits_shows_how_far_it_got_and_how_full_the_queue_is() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-items 4");
    std::fs::write(sandbox.path("lines"), "one\ntwo\n".repeat(4)).unwrap();
    let mut put = sandbox.ipcq(["put", "jobs", "-l", "--progress=always"]);
    let mut put = put.stdin(std::fs::File::open(sandbox.path("lines")).unwrap()).spawn().unwrap();
    let mut said = BufReader::new(put.stderr.take().unwrap()).lines().map(|line| line.unwrap());
    let full = said.find(|line| line.starts_with("ipcq: 4 messages, 12 B, ")).unwrap();
    assert!(full.ends_with("/s, queue 100% full"), "{full}");

    let got = sandbox.run("get jobs -n 8 --progress=always");
    assert_eq!(got.text(), "one\ntwo\n".repeat(4));
    let last = got.err.lines().last().unwrap();
    assert!(last.starts_with("ipcq: 8 messages, 32 B, ") && last.ends_with(", queue 0% full"), "{last}");
    let last = said.last().unwrap();
    assert!(last.starts_with("ipcq: 8 messages, 24 B, "), "{last}");
    Running::from(put).ends(0, "");
}

#[test]
fn without_a_terminal_nothing_is_shown_unless_it_is_forced() {
    let sandbox = Sandbox::with_queues("jobs");
    for command in ["put jobs -l --progress", "get jobs -n 2 --progress", "put jobs x --progress=always", "join jobs"] {
        let done = feed(sandbox.ipcq(command.split(' ')).stdin(Stdio::piped()).spawn().unwrap(), b"a\nb\n");
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{command}");
        if command.starts_with("put jobs x") {
            sandbox.ok("purge jobs");
        }
    }
    sandbox.ok("put jobs a b c");
    let worker = sandbox.run("work jobs -j 1 -t 0 --progress=always -- true");
    assert!(worker.err.contains(" of 3 messages finished with\n"), "{}", worker.err);
    let refused = sandbox.run("get jobs --progress=sometimes");
    assert!(refused.refusal(2).contains("'sometimes'"), "{refused:?}");
}

#[test]
fn a_terminal_shows_what_is_got_and_the_progress_beside_it() {
    if !have("script") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let mut terminal = sandbox.program("script");
    terminal.args(["-q", "-e", "-c", "ipcq get jobs -f --progress", "/dev/null"]).env("TERM", "xterm");
    let mut terminal = Running::from(terminal.spawn().unwrap());
    sandbox.ok("put jobs hello");
    let mut screen = terminal.child().stdout.take().unwrap();
    let mut shown = String::new();
    until("the message and the progress are shown", || {
        let mut piece = [0; 4096];
        let length = screen.read(&mut piece).unwrap();
        shown.push_str(&String::from_utf8_lossy(&piece[..length]));
        shown.contains("hello\r\n") && shown.contains("1 message, 6 B, ") && shown.contains("queue 0% full")
    });
    sandbox.ok("close jobs");
    assert_eq!(terminal.end().code, 0);
}
