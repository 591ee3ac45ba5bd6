//! A queue made with --auto-close ends with its last producer, however that ends.

use crate::harness::{Done, Running, Sandbox, differs, until};
use std::io::Write;
use std::process::Stdio;

/// A sandbox with a queue `jobs` that closes itself.
fn closing() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --auto-close");
    sandbox
}

/// Starts a producer that puts `line` and then goes on until it is told to end, by the end of its input.
fn producer(sandbox: &Sandbox, arguments: &str, line: &str) -> Running {
    let put = sandbox.stat("jobs", "put").as_u64().expect("a number");
    let mut child = sandbox.ipcq(arguments.split(' ')).stdin(Stdio::piped()).spawn().expect("ipcq starts");
    child.stdin.as_mut().expect("stdin is a pipe").write_all(line.as_bytes()).expect("it reads");
    until("it is put", || sandbox.stat("jobs", "put") == put + 1);
    Running::from(child)
}

/// The kinds of producers.
const PRODUCERS: [(&str, &str); 4] = [
    ("put jobs -l", "x\n"),
    ("put jobs --null", "x\0"),
    ("produce jobs -- cat", "x\n"),
    ("produce jobs -0 -- cat", "x\0"),
];

#[test]
fn the_queue_is_closed_when_its_producer_has_ended_and_not_before() {
    for (arguments, line) in PRODUCERS {
        let sandbox = closing();
        let mut producer = producer(&sandbox, arguments, line);
        let follower = sandbox.asleep("get jobs -f -o got");
        assert_eq!(sandbox.stat("jobs", "closed"), false);
        drop(producer.child().stdin.take());
        producer.ends(0, "");
        follower.ends(0, "");
        assert_eq!(sandbox.stat("jobs", "closed"), true, "{arguments}");
        assert_eq!(std::fs::read_to_string(sandbox.path("got")).unwrap(), "x\n");
        assert_eq!(sandbox.run("put jobs y").code, 3);
        sandbox.is_sound("jobs");
    }
}

#[test]
fn the_queue_is_closed_when_its_producer_has_been_killed() {
    for (arguments, line) in PRODUCERS {
        let sandbox = closing();
        let mut producer = producer(&sandbox, arguments, line);
        let follower = sandbox.asleep("get jobs -f");
        let waiter = sandbox.asleep("get jobs");
        // Its command, which reads from the same pipe, is to end as well.
        let input = producer.child().stdin.take();
        producer.signal("KILL");
        let output = [(follower, 0), (waiter, 3)].map(|(running, code)| (running.end(), code));
        for (done, code) in &output {
            // One of the two has had the message.
            assert!(done.code == *code || done.text() == "x\n", "{arguments}: {done:?}");
        }
        drop(input);
        assert_eq!(producer.end().code, 137);
        assert_eq!(sandbox.stat("jobs", "closed"), true);
        sandbox.is_sound("jobs");
    }
}

#[test]
fn the_figures_say_so_without_anybody_asleep() {
    if differs("A process that died") {
        return;
    }
    let sandbox = closing();
    let mut producer = producer(&sandbox, "put jobs -l", "x\n");
    let input = producer.child().stdin.take();
    assert_eq!(sandbox.stat("jobs", "closed"), false);
    producer.signal("KILL");
    producer.end();
    drop(input);
    assert_eq!(sandbox.stat("jobs", "closed"), true);
    assert_eq!(sandbox.ok("get jobs -f"), "x\n");
}

#[test]
fn the_last_of_several_producers_closes_the_queue() {
    let sandbox = closing();
    let mut producers: Vec<_> =
        PRODUCERS.into_iter().map(|(arguments, line)| producer(&sandbox, arguments, line)).collect();
    let follower = sandbox.asleep("get jobs -f -o got");
    let mut last = producers.remove(1);
    for (index, mut producer) in producers.into_iter().enumerate() {
        let input = producer.child().stdin.take();
        if index == 0 {
            producer.signal("KILL");
        }
        drop(input);
        producer.end();
    }
    // Long enough for those who look for the dead.
    assert_eq!(sandbox.run("get jobs -t 500ms").code, 1);
    assert_eq!(sandbox.stat("jobs", "closed"), false);
    drop(last.child().stdin.take());
    last.ends(0, "");
    follower.ends(0, "");
    assert_eq!(std::fs::read_to_string(sandbox.path("got")).unwrap(), "x\n".repeat(4));
}

#[test]
fn a_queue_that_has_not_had_a_producer_is_not_closed() {
    let sandbox = closing();
    sandbox.ok("put jobs one two");
    assert_eq!(sandbox.run_with(["put", "jobs"], b"three\n").code, 0);
    assert_eq!(sandbox.ok("get jobs -a"), "one\ntwo\nthree\n");
    let follower = sandbox.asleep("get jobs -f");
    assert_eq!(sandbox.stat("jobs", "closed"), false);
    sandbox.ok("produce jobs -- true");
    follower.ends(0, "");
}

#[test]
fn without_auto_close_the_end_of_a_producer_means_nothing() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("produce jobs -- echo one");
    assert_eq!(sandbox.run_with(["put", "jobs", "-l"], b"two\n").code, 0);
    assert_eq!(sandbox.stat("jobs", "closed"), false);
    assert_eq!(sandbox.ok("get jobs -a"), "one\ntwo\n");
}

#[test]
fn produce_puts_what_the_command_prints_as_it_comes_and_passes_on_its_exit_code() {
    let sandbox = Sandbox::with_queues("jobs");
    let produce = |arguments: &[&str]| sandbox.run_with([&["produce", "jobs"], arguments].concat(), b"");
    for (script, code) in [("echo one; echo two >&2; exit 7", 7), ("printf three", 0), ("kill -TERM $$", 143)] {
        let done = produce(&["--", "sh", "-c", script]);
        assert_eq!((done.code, done.text()), (code, ""), "{script}: {done:?}");
    }
    assert_eq!(sandbox.ok("get jobs -a"), "one\nthree\n");
    assert_eq!(produce(&["-0", "--", "printf", "a\\nb\\0c"]).code, 0);
    assert_eq!(sandbox.run_with(["get", "jobs", "-a", "-0"], b"").out, b"a\nb\0c\0");
    let done = produce(&["--json", "--", "printf", "{ \"a\": 1 }\nno"]);
    assert!(done.refusal(2).contains("line 2 of the command's output is not valid JSON"), "{done:?}");
    assert_eq!(sandbox.ok("get jobs -a"), "{\"a\":1}\n");
    let mut child = sandbox.ipcq(["produce", "jobs", "--", "cat"]).stdin(Stdio::piped()).spawn().expect("ipcq starts");
    child.stdin.as_mut().unwrap().write_all(b"early\n").unwrap();
    assert_eq!(sandbox.ok("get jobs -t 10s"), "early\n");
    drop(child.stdin.take());
    Running::from(child).ends(0, "");
    assert_eq!(sandbox.run("produce fresh -c -- echo x").code, 0);
    assert_eq!(sandbox.ok("get fresh"), "x\n");
}

#[test]
fn a_command_that_cannot_be_run_is_126_or_127() {
    let sandbox = closing();
    assert!(sandbox.run("produce jobs -- no-such-command").refusal(127).contains("cannot run 'no-such-command'"));
    assert_eq!(sandbox.stat("jobs", "closed"), true, "it was a producer all the same");
    let sandbox = Sandbox::with_queues("jobs");
    std::fs::write(sandbox.path("file"), "x").unwrap();
    for command in ["./file", "/"] {
        assert!(sandbox.run(&format!("produce jobs -- {command}")).refusal(126).contains("cannot run"), "{command}");
    }
    for arguments in ["produce jobs", "produce jobs --", "produce jobs true", "produce"] {
        sandbox.run(arguments).refusal(2);
    }
    assert_eq!(sandbox.run("produce nothing -- touch ran").code, 4);
    assert!(!sandbox.path("ran").exists(), "the command of a queue that is not there is not run");
}

#[test]
fn a_closed_queue_ends_produce_and_its_command() {
    let sandbox = closing();
    sandbox.ok("produce jobs -- true");
    let done = sandbox.run("produce jobs -- touch ran");
    assert!(done.refusal(3).contains("is closed") && !sandbox.path("ran").exists());
    let sandbox = Sandbox::with_queues("jobs");
    let mut command = sandbox.ipcq(["produce", "jobs", "--", "sh", "-c", "echo $$ > pid; exec cat"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("ipcq starts");
    child.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    assert_eq!(sandbox.ok("get jobs -t 10s"), "one\n");
    sandbox.ok("close jobs");
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"two\n").unwrap();
    let done: Done = Running::from(child).end();
    assert!(done.refusal(3).contains("is closed"));
    let pid = std::fs::read_to_string(sandbox.path("pid")).unwrap();
    until("the command has ended", || !std::path::Path::new("/proc").join(pid.trim()).exists());
}

#[test]
fn a_full_queue_makes_produce_wait_and_the_command_with_it() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-items 2");
    let waiter = sandbox.asleep("produce jobs -- seq 5");
    assert_eq!(sandbox.ok("get jobs -n 5"), "1\n2\n3\n4\n5\n");
    waiter.ends(0, "");
    let done = sandbox.run("produce jobs -t 10ms -- seq 5");
    assert_eq!(done.refusal(1), "queue 'jobs' is full: only the first 2 messages were put");
}

#[test]
fn a_command_finds_signals_as_they_usually_are() {
    let sandbox = Sandbox::with_queues("jobs");
    // Numbers from 32 on belong to the C library.
    let ignored = |text: &str| {
        let hexadecimal = text.split_whitespace().nth(1).expect("a set of signals");
        u64::from_str_radix(hexadecimal, 16).expect("it is hexadecimal") & 0x7fff_ffff
    };
    let done = sandbox.sh("ipcq produce jobs -- grep SigIgn /proc/self/status");
    assert_eq!(done.code, 0, "{done:?}");
    let outside = sandbox.sh("exec grep SigIgn /proc/self/status");
    assert_eq!(ignored(&sandbox.ok("get jobs")), ignored(outside.text()));
}
