//! Input that comes in bulk is read straight into the queue, and it is as if it were not: every line is there, whole
//! and in order, whatever its length, and wherever the stream stops.

use crate::harness::{Random, Running, Sandbox, differs, until};
use std::fs::File;
use std::io::{Seek, Write};
use std::process::{ChildStdin, Stdio};

const MEBIBYTE: usize = 1 << 20;

/// Lengths around which those of messages are.
const LENGTHS: [u64; 11] = [0, 1, 16, 16, 60, 256, 3_000, 32 << 10, 64 << 10, 256 << 10, 600 << 10];

fn queue(options: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create jobs {options}"));
    sandbox
}

/// Pieces of lengths around those in which bulk input moves, in all about `length` bytes, each ended by `delimiter`.
fn pieces(seed: u64, length: usize, delimiter: u8) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let around = LENGTHS[random.below(LENGTHS.len() as u64) as usize];
        let few = if around < 1_000 { 1_000 } else { 1 };
        for _ in 0..few {
            let start = bytes.len();
            let length = random.below(around + 2) as usize;
            bytes.extend(random.bytes(length));
            bytes[start..].iter_mut().filter(|byte| **byte == delimiter).for_each(|byte| *byte = b'.');
            bytes.push(delimiter);
        }
    }
    bytes
}

/// Starts `put jobs` with these options and a file as its input.
fn put_file(sandbox: &Sandbox, options: &str, input: &[u8]) -> Running {
    let mut stdin = tempfile::tempfile().expect("a file can be made");
    stdin.write_all(input).and_then(|()| stdin.rewind()).expect("it can be written");
    let mut command = sandbox.ipcq(["put", "jobs"]);
    Running::from(command.args(options.split(' ')).stdin(stdin).spawn().expect("ipcq starts"))
}

/// Starts `put jobs --lines` with a pipe to write to.
fn put_piped(sandbox: &Sandbox) -> (Running, ChildStdin) {
    let mut command = sandbox.ipcq(["put", "jobs", "--lines"]);
    let mut running = Running::from(command.stdin(Stdio::piped()).spawn().expect("ipcq starts"));
    let stdin = running.child().stdin.take().expect("stdin is a pipe");
    (running, stdin)
}

fn got(sandbox: &Sandbox, options: &str) -> Vec<u8> {
    let done = sandbox.run(&format!("get jobs {options}"));
    assert!([0, 1].contains(&done.code), "{done:?}");
    done.out
}

/// Asserts that `output` is the start of `input`, up to the end of a line.
fn is_start_of_whole_lines(output: &[u8], input: &[u8]) {
    assert!(input.starts_with(output), "{} bytes are not the start of what was put", output.len());
    assert!(output.is_empty() || output.ends_with(b"\n"));
}

#[test]
fn pieces_of_any_length_come_out_as_they_went_in() {
    for (seed, options, delimiter) in [(1, "-l", b'\n'), (2, "-0", 0), (3, "-l", b'\n'), (4, "-0", 0)] {
        let sandbox = queue("");
        let mut input = pieces(seed, 12 * MEBIBYTE, delimiter);
        let consumer = sandbox.start(&format!("get jobs -f -o out {}", if options == "-0" { "-0" } else { "" }));
        // The last one counts without its end, too.
        let producer = put_file(&sandbox, options, &[&input[..], b"the end"].concat());
        let done = producer.end();
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        sandbox.ok("close jobs");
        assert_eq!(consumer.end().code, 0);
        input.extend([&b"the end"[..], &[delimiter]].concat());
        let output = std::fs::read(sandbox.path("out")).expect("it is there");
        assert!(output == input, "{} bytes and not {}", output.len(), input.len());
        sandbox.is_sound("jobs");
    }
}

#[test]
fn what_does_not_fit_waits_and_nothing_is_lent_meanwhile() {
    let sandbox = queue("--capacity 5M");
    let input = pieces(5, 12 * MEBIBYTE, b'\n');
    let producer = put_file(&sandbox, "-l", &input);
    producer.until_asleep();
    let bytes = sandbox.stat("jobs", "bytes").as_u64().expect("a number");
    assert!((4 << 20..=5 << 20).contains(&bytes), "full is full: {bytes}");
    sandbox.is_sound("jobs");
    let mut output = got(&sandbox, "-n 5");
    let consumer = sandbox.start("get jobs -f -o out");
    assert_eq!(producer.end().code, 0);
    sandbox.ok("close jobs");
    assert_eq!(consumer.end().code, 0);
    output.extend(std::fs::read(sandbox.path("out")).expect("it is there"));
    assert!(output == input);
}

#[test]
fn a_put_that_gives_up_says_how_many_lines_were_put() {
    let sandbox = queue("--capacity 5M");
    let input = b"a line of twenty-six bytes\n".repeat(400_000);
    let done = put_file(&sandbox, "-l -t 100ms", &input).end();
    let count = sandbox.stat("jobs", "ready");
    assert_eq!(
        (done.code, done.err.as_str()),
        (1, format!("ipcq: queue 'jobs' is full: only the first {count} messages were put\n").as_str())
    );
    assert_eq!(count, (5 << 20) / 26);
}

#[test]
fn a_queue_that_is_closed_in_the_middle_has_whole_lines_up_to_there() {
    let sandbox = queue("");
    let (producer, mut stdin) = put_piped(&sandbox);
    let input = b"some line or other, which is not short\n".repeat(40_000);
    stdin.write_all(&input[..input.len() - 9]).expect("the producer reads");
    until("all that is whole is there", || sandbox.stat("jobs", "ready") == 39_999);
    sandbox.ok("close jobs");
    // The producer ends before it has read it all.
    let _ = stdin.write_all(&input);
    drop(stdin);
    let done = producer.end();
    assert_eq!((done.code, done.err.as_str()), (3, "ipcq: queue 'jobs' is closed\n"));
    let output = got(&sandbox, "-a");
    is_start_of_whole_lines(&output, &input);
    assert_eq!(output.len(), input.len() - 39, "all that had come before it was closed");
    sandbox.is_sound("jobs");
}

#[test]
fn a_paused_queue_has_everything_when_it_goes_on() {
    let sandbox = queue("");
    let (producer, mut stdin) = put_piped(&sandbox);
    let input = b"some line or other, which is not short\n".repeat(40_000);
    stdin.write_all(&input).expect("the producer reads");
    until("all is there", || sandbox.stat("jobs", "ready") == 40_000);
    sandbox.ok("pause jobs --put");
    let writer = std::thread::spawn({
        let input = input.clone();
        move || stdin.write_all(&input)
    });
    producer.until_asleep();
    assert!(got(&sandbox, "-a") == input);
    sandbox.ok("resume jobs");
    writer.join().expect("it does not panic").expect("the producer reads");
    assert_eq!(producer.end().code, 0);
    assert!(got(&sandbox, "-a") == input);
}

#[test]
fn a_line_is_visible_though_bulk_came_before_it() {
    let sandbox = queue("");
    let (producer, mut stdin) = put_piped(&sandbox);
    let input = b"one of many lines\n".repeat(60_000);
    for last in ["one\n", "two\n", "three\n"] {
        stdin.write_all(&input).expect("the producer reads");
        stdin.write_all(last.as_bytes()).expect("the producer reads");
        until("all is there", || sandbox.stat("jobs", "ready") == 60_001);
        assert!(got(&sandbox, "-a").ends_with(format!("many lines\n{last}").as_bytes()));
    }
    drop(stdin);
    assert_eq!(producer.end().code, 0);
}

#[test]
fn a_producer_that_is_killed_leaves_whole_lines_and_no_space_in_use() {
    let mut random = Random::new(7);
    let input = pieces(8, 30 * MEBIBYTE, b'\n');
    for _ in 0..15 {
        let sandbox = queue("");
        let mut producer = put_file(&sandbox, "-l", &input);
        let after = random.below(20_000_000);
        until("some has been put", || {
            producer.child().try_wait().expect("it can be waited for").is_some()
                || sandbox.stat("jobs", "bytes").as_u64().expect("a number") > after
        });
        producer.child().kill().expect("it can be killed");
        producer.end();
        sandbox.is_sound("jobs");
        is_start_of_whole_lines(&got(&sandbox, "-a"), &input);
        // A drained queue starts afresh, which verify sees to.
        sandbox.still_works("jobs");
    }
}

#[test]
fn several_producers_and_consumers_in_bulk_lose_and_mix_up_nothing() {
    let sandbox = queue("--capacity 8M");
    let lines = |producer: usize| {
        let line =
            |number: usize| format!("{producer} {number} {}\n", &"...............".repeat(9)[..number * 7 % 130]);
        (0..150_000).map(line).collect::<String>()
    };
    let consumers: Vec<_> = (0..3).map(|number| sandbox.start(&format!("get jobs -f -o out{number}"))).collect();
    let inputs: Vec<_> = (0..3).map(lines).collect();
    let producers: Vec<_> = inputs.iter().map(|input| put_file(&sandbox, "-l", input.as_bytes())).collect();
    producers.into_iter().for_each(|producer| assert_eq!(producer.end().code, 0));
    sandbox.ok("close jobs");
    consumers.into_iter().for_each(|consumer| assert_eq!(consumer.end().code, 0));
    let output = |number| std::fs::read_to_string(sandbox.path(&format!("out{number}"))).expect("it is there");
    let outputs: Vec<String> = (0..3).map(output).collect();
    let mut all: Vec<&str> = outputs.iter().flat_map(|output| output.split_inclusive('\n')).collect();
    let mut expected: Vec<&str> = inputs.iter().flat_map(|input| input.split_inclusive('\n')).collect();
    all.sort_unstable();
    expected.sort_unstable();
    assert!(all == expected, "{} lines and not {}", all.len(), expected.len());
}

#[test]
fn a_queue_that_is_truncated_under_a_producer_in_bulk_is_an_error() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = queue("");
    let (producer, mut stdin) = put_piped(&sandbox);
    let input = b"one of many lines\n".repeat(60_000);
    stdin.write_all(&input).expect("the producer reads");
    until("all is there", || sandbox.stat("jobs", "ready") == 60_000);
    File::options()
        .write(true)
        .open(sandbox.queues().join("jobs"))
        .and_then(|file| file.set_len(16_384))
        .expect("it is ours");
    // It may be gone before all is written.
    let _ = stdin.write_all(&input);
    drop(stdin);
    let done = producer.end();
    assert!(done.code == 2 && done.err.contains("truncated"), "{done:?}");
}
