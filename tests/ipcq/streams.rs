//! Big input flows through a queue unchanged, through little memory, and leaves nothing behind.

use crate::harness::{Random, Running, Sandbox, differs, until};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

/// A sandbox with a queue `jobs` made with `options`.
fn queue(options: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create jobs {options}"));
    sandbox
}

/// Lines of any bytes, each of at most `longest`, some empty, in all about `length` bytes.
fn random_lines(seed: u64, length: usize, longest: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = random.bytes(length);
    let mut since = 0;
    for byte in &mut bytes {
        // A newline by chance is one of 256, which alone would make short lines only.
        since += 1;
        if since > longest {
            *byte = b'\n';
        } else if *byte == b'\n' && longest > 300 && since % 16 != 0 {
            *byte = b'x';
        }
        if *byte == b'\n' {
            since = 0;
        }
    }
    bytes
}

/// Sends `input` through the queue with `put options` and `get --follow options`, at once.
fn through(sandbox: &Sandbox, options: &[&str], input: &[u8]) -> Vec<u8> {
    let consumer =
        sandbox.ipcq(["get", "jobs", "--follow", "-o", "out"]).args(options.iter().filter(|o| **o != "-l")).spawn();
    let consumer = Running::from(consumer.expect("ipcq starts"));
    let done = sandbox.run_with([&["put", "jobs"], options].concat(), input);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    sandbox.ok("close jobs");
    let done = consumer.end();
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    std::fs::read(sandbox.path("out")).expect("it is there")
}

/// Starts `put jobs --lines` with a pipe to write to.
fn producer(sandbox: &Sandbox) -> (Running, std::process::ChildStdin) {
    let mut command = sandbox.ipcq(["put", "jobs", "--lines"]);
    let mut running = Running::from(command.stdin(Stdio::piped()).spawn().expect("ipcq starts"));
    let stdin = running.child().stdin.take().expect("stdin is a pipe");
    (running, stdin)
}

/// The bytes that the queue's file takes on the disk.
fn taken_on_disk(sandbox: &Sandbox) -> u64 {
    std::fs::metadata(sandbox.queues().join("jobs")).expect("it is there").blocks() * 512
}

#[test]
fn lines_and_pieces_of_any_bytes_come_out_as_they_went_in() {
    for (seed, length, longest) in [(1, 3_000_000, 30), (2, 5_000_000, 4_000), (3, 8_000_000, 900_000)] {
        for (options, delimiter) in [("-l", b'\n'), ("-0", 0)] {
            let mut input = random_lines(seed, length, longest);
            input.push(b'\n');
            if delimiter == 0 {
                input.iter_mut().for_each(|byte| *byte = if *byte == b'\n' { 0 } else { (*byte).max(1) });
            }
            assert!(through(&queue(""), &[options], &input) == input, "{options} {longest}");
        }
    }
}

#[test]
fn all_of_standard_input_is_one_message_however_large() {
    let sandbox = queue("");
    let input = Random::new(5).bytes(20_000_000);
    assert_eq!(sandbox.run_with(["put", "jobs"], &input).code, 0);
    assert_eq!(sandbox.stat("jobs", "ready"), 1);
    assert_eq!(sandbox.stat("jobs", "bytes"), input.len());
    assert!(sandbox.run("get jobs").out == input);
    assert_eq!(sandbox.stat("jobs", "bytes"), 0);
}

#[test]
fn the_ends_of_lines_are_what_they_seem() {
    for (input, messages) in [
        ("one\ntwo\n", vec!["one", "two"]),
        ("one\ntwo", vec!["one", "two"]),
        ("\n\n\n", vec!["", "", ""]),
        ("\n\nlast", vec!["", "", "last"]),
        ("dos\r\nmixed\n\r\n", vec!["dos\r", "mixed", "\r"]),
        ("\0nul\0\n", vec!["\0nul\0"]),
        ("", vec![]),
    ] {
        let sandbox = queue("");
        assert_eq!(sandbox.run_with(["put", "jobs", "-l"], input.as_bytes()).code, 0);
        assert_eq!(sandbox.stat("jobs", "ready"), messages.len(), "{input:?}");
        for message in messages {
            assert_eq!(sandbox.ok("get jobs --raw"), message, "{input:?}");
        }
    }
    let sandbox = queue("");
    assert_eq!(sandbox.run_with(["put", "jobs", "-0"], b"a\nb\0\0last").code, 0);
    assert_eq!(sandbox.ok("get jobs -a -0"), "a\nb\0\0last\0");
}

#[test]
fn a_line_is_visible_as_soon_as_it_has_been_written() {
    let sandbox = queue("");
    let (running, mut stdin) = producer(&sandbox);
    for part in ["one\n", "two\nthree\n", "fo", "ur\nfi"] {
        stdin.write_all(part.as_bytes()).expect("it is read");
        for _ in part.matches('\n') {
            sandbox.ok("get jobs -o out");
        }
    }
    assert_eq!(std::fs::read_to_string(sandbox.path("out")).expect("it is there"), "four\n");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1, "half a line is no message");
    drop(stdin);
    assert_eq!(running.end().code, 0);
    assert_eq!(sandbox.ok("get jobs -t 0"), "fi\n");
}

#[test]
fn a_producer_sleeps_while_the_queue_is_full_and_then_goes_on() {
    for options in ["--capacity 1M", "--max-items 1000"] {
        let sandbox = queue(options);
        let input = random_lines(6, 10_000_000, 2_000);
        std::fs::write(sandbox.path("in"), &input).expect("a file can be written");
        let stdin = std::fs::File::open(sandbox.path("in")).expect("it is there");
        let running = Running::from(sandbox.ipcq(["put", "jobs", "-l"]).stdin(stdin).spawn().expect("ipcq starts"));
        running.until_asleep();
        let (ready, bytes) = (sandbox.stat("jobs", "ready"), sandbox.stat("jobs", "bytes"));
        match options {
            "--max-items 1000" => assert_eq!(ready, 1000),
            _ => {
                assert!((1 << 20) - 2_001 <= bytes.as_u64().unwrap_or(0) && bytes.as_u64() <= Some(1 << 20), "{bytes}")
            }
        }
        let consumer = sandbox.start("get jobs -f -o out");
        assert_eq!(running.end().code, 0);
        sandbox.ok("close jobs");
        assert_eq!(consumer.end().code, 0);
        let output = std::fs::read(sandbox.path("out")).expect("it is there");
        assert!(output[..input.len()] == input && output.len() <= input.len() + 1);
    }
}

#[test]
fn a_stream_flows_through_the_smallest_of_queues() {
    let input: Vec<u8> =
        (0..2_000).flat_map(|number| format!("{}\n", "abcdefghij".split_at(number % 11).0).into_bytes()).collect();
    for options in ["--max-items 1", "--capacity 10", "--capacity 10 --max-items 2"] {
        assert!(through(&queue(options), &["-l"], &input) == input, "{options}");
    }
    // A capacity of 1 has room for one message of one byte, or an empty one.
    let input = b"a\n\nb\n\n\nc\n".repeat(50);
    assert!(through(&queue("--capacity 1"), &["-l"], &input) == input);
}

#[test]
fn a_line_that_can_never_fit_is_named_and_ends_the_stream_there() {
    for length in [101, 5_000, 400_000] {
        for (option, unit, delimiter) in [("-l", "line", "\n"), ("-0", "message", "\0")] {
            let sandbox = queue("--capacity 100");
            let input = ["one", "two", &"x".repeat(length), "four", ""].join(delimiter);
            let done = sandbox.run_with(["put", "jobs", option], input.as_bytes());
            assert_eq!((done.code, done.err.lines().count()), (2, 1), "{}", done.err);
            for part in [&format!("{unit} 3"), "'jobs'", "100 bytes", "--capacity"] {
                assert!(done.err.contains(part), "{part} in {}", done.err);
            }
            assert_eq!(
                sandbox.ok("get jobs -a"),
                "one\ntwo\n".replace('\n', if option == "-0" { "\n" } else { delimiter })
            );
        }
    }
    // Exactly the capacity is no more than the capacity.
    let input = format!("{}\n{}\n", "x".repeat(100), "y".repeat(100));
    assert_eq!(through(&queue("--capacity 100"), &["-l"], input.as_bytes()), input.into_bytes());
}

#[test]
fn memory_does_not_grow_with_the_stream() {
    let sandbox = queue("");
    let (producer, mut stdin) = producer(&sandbox);
    let consumer = sandbox.ipcq(["get", "jobs", "-f"]).stdout(Stdio::null()).spawn();
    let consumer = Running::from(consumer.expect("ipcq starts"));
    let mut lines = random_lines(7, 1 << 20, 200);
    lines.push(b'\n');
    let mut most = 0;
    for _ in 0..200 {
        stdin.write_all(&lines).expect("it is read");
        for pid in [producer.pid(), consumer.pid()] {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5 or later");
            let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
            most = most.max(kibibytes);
        }
    }
    assert!(most < 16 << 10, "{most} KiB");
    drop(stdin);
    assert_eq!(producer.end().code, 0);
    sandbox.ok("close jobs");
    assert_eq!(consumer.end().code, 0);
}

#[test]
fn the_file_grows_in_steps_and_gives_the_space_back_when_drained() {
    if differs("Storage") {
        return;
    }
    let input = random_lines(8, 1 << 20, 2_000);
    for drain in ["get jobs -a -o out", "get jobs -f -o out"] {
        let sandbox = queue("--capacity 64M");
        assert!(taken_on_disk(&sandbox) <= 64 << 10, "{} when empty", taken_on_disk(&sandbox));
        for megabytes in 1..=30 {
            assert_eq!(sandbox.run_with(["put", "jobs", "-l"], &input).code, 0);
            let taken = taken_on_disk(&sandbox);
            assert!(taken <= megabytes * (3 << 19) + (4 << 20), "{taken} for {megabytes} MiB");
        }
        assert!(taken_on_disk(&sandbox) > 30 << 20);
        let consumer = sandbox.start(drain);
        until("the space has been given back", || taken_on_disk(&sandbox) <= 2 << 20);
        sandbox.ok("close jobs");
        assert_eq!(consumer.end().code, 0);
    }
    // One by one, too: the last get finds that nothing is left.
    let sandbox = queue("");
    for _ in 0..5 {
        assert_eq!(sandbox.run_with(["put", "jobs"], &input).code, 0);
    }
    for _ in 0..5 {
        assert!(sandbox.run("get jobs").out == input);
    }
    assert!(taken_on_disk(&sandbox) <= 2 << 20);
}

#[test]
fn freed_space_is_used_again() {
    if differs("Storage") {
        return;
    }
    let sandbox = queue("--capacity 1M");
    let input = random_lines(9, 500_000, 1_000);
    for _ in 0..40 {
        assert_eq!(sandbox.run_with(["put", "jobs", "-l", "-t", "0"], &input).code, 0);
        assert_eq!(sandbox.run_with(["put", "jobs", "-t", "0"], &input).code, 0);
        assert_eq!(sandbox.run("get jobs -a").code, 0);
    }
    let length = std::fs::metadata(sandbox.queues().join("jobs")).expect("it is there").len();
    assert!(length <= 4 << 20, "{length}");
}

#[test]
fn a_message_that_is_held_does_not_stop_the_space_of_others_from_being_used_again() {
    if differs("Storage") {
        return;
    }
    for held in ["get jobs", "get jobs -n 40"] {
        let sandbox = queue("--capacity 1M");
        let input = random_lines(10, 500_000, 1_000);
        for _ in 0..2 {
            assert_eq!(sandbox.run_with(["put", "jobs", "-l"], &input).code, 0);
        }
        let (holder, _reader) = sandbox.stuck(held);
        let bytes = sandbox.stat("jobs", "bytes");
        sandbox.run("get jobs -a");
        assert!(sandbox.stat("jobs", "bytes").as_u64() < Some(60_000), "of {bytes}");
        for _ in 0..40 {
            for _ in 0..2 {
                assert_eq!(sandbox.run_with(["put", "jobs", "-l", "-t", "0"], &input[..480_000]).code, 0);
            }
            assert_eq!(sandbox.run("get jobs -a").code, 0);
        }
        let length = std::fs::metadata(sandbox.queues().join("jobs")).expect("it is there").len();
        assert!(length <= 5 << 20, "{length}");
        holder.signal("KILL");
        holder.end();
        let first = input.split_inclusive(|byte| *byte == b'\n').next().expect("a line");
        assert!(sandbox.run("get jobs").out == first, "what was held is the first again");
    }
}
