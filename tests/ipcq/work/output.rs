//! What jobs write, and what a worker shows of itself.

use super::{report, sorted, start, until_go, until_there, work, worker};
use crate::harness::{Running, Sandbox, have};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn the_output_of_each_job_is_in_one_piece_on_both_streams() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    // Each writes twice, and in between the other does.
    let script = "m=$(cat); other=$(echo $m | tr ab ba)
        echo $m 1; echo $m one >&2; touch $m
        until test -e $other; do test -d \"$PWD\" || exit; done
        echo $m 2; echo $m two >&2";
    let done = work(&sandbox, "jobs -t 0 -j 2", script);
    assert!(["a 1\na 2\nb 1\nb 2\n", "b 1\nb 2\na 1\na 2\n"].contains(&done.text()), "{}", done.text());
    let err = &done.err[..done.err.find("ipcq: ").unwrap()];
    assert!(["a one\na two\nb one\nb two\n", "b one\nb two\na one\na two\n"].contains(&err), "{err}");
}

#[test]
fn much_output_comes_whole_and_without_a_file_that_stays() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b c");
    fs::create_dir(sandbox.path("tmp")).unwrap();
    let script = "head -c 5000000 /dev/zero | tr '\\0' $1; echo; ls -A tmp";
    let mut worker = worker(&sandbox, "jobs -t 0 -j 3", script);
    let done = Running::from(worker.arg("{}").env("TMPDIR", sandbox.path("tmp")).spawn().unwrap()).end();
    assert_eq!(done.code, 0);
    let expected = ["a", "b", "c"].map(|letter| letter.repeat(5_000_000));
    assert!(sorted(&done) == expected, "{} lines", done.text().lines().count());
}

#[test]
fn what_a_job_wrote_just_before_its_end_is_not_lost() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    // As much as fits into a pipe, for the worker does not read meanwhile.
    let script = until_go("touch there", "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; touch written");
    let worker = start(&sandbox, "jobs -t 0", &script);
    until_there(&sandbox.path("there"));
    worker.signal("STOP");
    fs::write(sandbox.path("go"), "").unwrap();
    until_there(&sandbox.path("written"));
    worker.signal("CONT");
    let done = worker.end();
    assert_eq!((done.code, done.out.len()), (0, 60_000));
    assert!(done.err.starts_with(&"\0".repeat(60_000)));
}

#[test]
fn a_worker_is_woken_for_output_while_it_waits_for_messages() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    nix::unistd::mkfifo(&sandbox.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut worker = start(&sandbox, "jobs -t 0 -j 2 --tag", "exec cat fifo");
    let mut lines = BufReader::new(worker.child().stdout.take().unwrap()).lines();
    let mut fifo = fs::OpenOptions::new().write(true).open(sandbox.path("fifo")).unwrap();
    let mut times = Vec::new();
    for number in 0..11 {
        let start = Instant::now();
        fifo.write_all(format!("{number}\n").as_bytes()).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), format!("1\t{number}"));
        times.push(start.elapsed());
    }
    drop(fifo);
    assert_eq!(worker.end().code, 0);
    times.sort();
    // Without a wake-up it would be nearly the 100 ms or more after which sleepers look again.
    assert!(times[5] < Duration::from_millis(60), "{times:?}");
}

#[test]
fn with_tags_each_line_comes_at_once_and_says_whose_it_is() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    let script = until_go("echo one", "printf 'two\\nthree'; echo \"to $(cat)\" >&2");
    let mut worker = start(&sandbox, "jobs -t 0 -j 2 --tag", &script);
    let mut lines = BufReader::new(worker.child().stdout.take().unwrap()).lines();
    let mut first = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
    first.sort();
    assert_eq!(first, ["1\tone", "2\tone"], "before any job has ended");
    fs::write(sandbox.path("go"), "").unwrap();
    let mut rest: Vec<String> = lines.map(Result::unwrap).collect();
    rest.sort();
    assert_eq!(rest, ["1\tthree", "1\ttwo", "2\tthree", "2\ttwo"]);
    let done = worker.end();
    assert!(done.err.contains("1\tto a\n") && done.err.contains("2\tto b\n"), "{}", done.err);
}

#[test]
fn when_nobody_reads_its_output_a_worker_ends_and_gives_back_what_was_not_seen() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b c");
    fs::write(sandbox.path("job"), until_go("", "cat; echo")).unwrap();
    // The pipe is the shell's: what other tests start at the same time would have one of ours for a moment.
    let done = sandbox.sh("{ ipcq work jobs -j 1 -- sh job; echo $? > code; } | { exec <&-; touch go; }");
    assert_eq!(done.err, "ipcq: 0 done, 0 retried, 0 dead, 1 given back\n");
    assert_eq!(fs::read_to_string(sandbox.path("code")).unwrap(), "141\n");
    assert_eq!(sandbox.ok("get jobs -a"), "a\nb\nc\n");
    let done = sandbox.sh("ipcq put jobs x; ipcq work jobs -t 0 -- cat >&-");
    assert_eq!(done.code, 2);
    assert!(done.err.contains("standard output is closed"), "{}", done.err);
    if Path::new("/dev/full").exists() {
        let done = sandbox.sh("ipcq work jobs -t 0 -- cat > /dev/full");
        assert_eq!(done.code, 2);
        assert_eq!(report(&done), "ipcq: cannot write to standard output: No space left on device (os error 28)");
    }
    assert_eq!(sandbox.ok("get jobs -a"), "x\n");
}

#[test]
fn a_bar_shows_progress_on_a_terminal_and_nowhere_else() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b c");
    let done = sandbox.run("work jobs -t 0 --progress -- true");
    assert_eq!((done.text(), done.err.as_str()), ("", "ipcq: 3 done, 0 retried, 0 dead\n"));
    if !have("script") {
        return;
    }
    sandbox.ok("put jobs a b c");
    let shown = on_a_terminal(&sandbox, "ipcq work jobs -j 1 -t 0 --progress -- sleep 0.15");
    assert!(shown.contains("0/3 ") && shown.contains("1/3 "), "{shown}");
    assert!(shown.contains("/s ") && shown.contains("ETA "), "{shown}");
    assert!(shown.contains("ipcq: 3 done, 0 retried, 0 dead"), "{shown}");
}

/// What a command shows on a terminal, on which lines end with a carriage return as well.
fn on_a_terminal(sandbox: &Sandbox, command: &str) -> String {
    let mut terminal = sandbox.program("script");
    terminal.args(["-q", "-e", "-c", command, "/dev/null"]);
    terminal.env("TERM", "xterm").stdin(Stdio::null());
    Running::from(terminal.spawn().unwrap()).end().text().to_owned()
}

#[test]
fn a_line_that_a_job_has_not_ended_is_ended_before_a_report_and_before_a_bar() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let done = work(&sandbox, "jobs -t 0", "printf out; printf err >&2; exit 100");
    let expected = "err\nipcq: message 1 is dead: exit status 100, attempt 1: err\nipcq: 0 done, 0 retried, 1 dead\n";
    assert_eq!((done.text(), done.err.as_str()), ("out", expected));
    // Both streams in one pipe.
    sandbox.ok("put jobs b");
    assert_eq!(sandbox.sh("ipcq work jobs -t 0 -- cat 2>&1").text(), "b\nipcq: 1 done, 0 retried, 0 dead\n");
    if !have("script") {
        return;
    }
    sandbox.ok("put jobs c d");
    let shown = on_a_terminal(&sandbox, "ipcq work jobs -j 1 -t 0 --progress -- cat");
    assert!(shown.contains("c\r\n") && shown.contains("d\r\n"), "{shown}");
    sandbox.ok("put jobs e");
    let shown = on_a_terminal(&sandbox, "ipcq work jobs -t 0 --progress --tag -- cat");
    assert!(shown.contains("5\te\r\n"), "the tag and its line are written together: {shown}");
}
