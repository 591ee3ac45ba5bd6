//! Many producers and many consumers: every message arrives once, whole, and in its producer's order.

use crate::harness::{Random, Running, Sandbox};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::time::Instant;

const PRODUCERS: usize = 8;

/// Messages of each producer: few, so that the test is quick; IPCQ_MANY says how many otherwise.
fn messages_of_each() -> usize {
    std::env::var("IPCQ_MANY").map_or(300, |number| number.parse().expect("IPCQ_MANY is a number"))
}

/// The shortest message that says who put it: producer, number, checksum.
const HEADER: usize = 18;

/// The message `number` of a producer, of 1 to 4,000 bytes, any but NUL and newline. One that is too short
/// to say which one it is consists of its producer's letter.
fn message(producer: usize, number: usize) -> Vec<u8> {
    let mut random = Random::new((producer * 1_000_003 + number) as u64);
    let longest = [30, 300, 4_000][random.below(3) as usize];
    let length = 1 + random.below(longest) as usize;
    if length < HEADER {
        return vec![letter(producer); length];
    }
    let mut payload = random.bytes(length - HEADER);
    payload.iter_mut().filter(|byte| matches!(**byte, 0 | b'\n')).for_each(|byte| *byte = b'x');
    let mut message = format!("{producer}:{number:06}:{:08x}:", checksum(&payload)).into_bytes();
    assert_eq!(message.len(), HEADER);
    message.append(&mut payload);
    message
}

fn letter(producer: usize) -> u8 {
    b'A' + producer as u8
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Producer and number of a message that is whole and long enough to say so.
fn origin(message: &[u8]) -> Option<(usize, usize)> {
    let header = std::str::from_utf8(message.get(..HEADER)?).expect("the header is text");
    let parts: Vec<_> = header.split(':').collect();
    let sum = u32::from_str_radix(parts[2], 16).expect("the checksum is a number");
    assert_eq!(sum, checksum(&message[HEADER..]), "{header} is not whole");
    Some((parts[0].parse().expect("a number"), parts[1].parse().expect("a number")))
}

/// Puts every message of `producer` in the way that is its own.
fn produce(sandbox: &Sandbox, producer: usize, count: usize) {
    let (stream, delimiter) = match producer % 4 {
        0 => ("-l", b"\n"),
        1 => ("-0", b"\0"),
        _ => {
            for number in 0..count {
                put_one(sandbox, &message(producer, number), number % 4 == 3);
            }
            return;
        }
    };
    let mut command = sandbox.ipcq(["put", "jobs", stream]);
    let mut running = Running::from(command.stdin(Stdio::piped()).spawn().expect("ipcq starts"));
    let mut stdin = running.child().stdin.take().expect("stdin is a pipe");
    for number in 0..count {
        let bytes = [&message(producer, number), &delimiter[..]].concat();
        // Some of them in two parts, so that a read ends in the middle.
        let (one, other) = bytes.split_at(bytes.len() / (1 + number % 2));
        stdin.write_all(one).and_then(|()| stdin.write_all(other)).expect("it is read");
    }
    drop(stdin);
    let done = running.end();
    assert_eq!((done.code, done.err.as_str()), (0, ""));
}

/// Puts one message as an argument, or as the whole of standard input.
fn put_one(sandbox: &Sandbox, message: &[u8], as_input: bool) {
    let done = match as_input {
        true => sandbox.run_with(["put", "jobs"], message),
        false => {
            sandbox.run_with(["put", "jobs", "--"].map(OsStr::new).into_iter().chain([OsStr::from_bytes(message)]), b"")
        }
    };
    assert_eq!((done.code, done.err.as_str()), (0, ""));
}

/// A consumer that writes NUL-terminated messages to `file`, in the way that is its own.
fn consumer(sandbox: &Sandbox, index: usize, file: &str) -> Running {
    let gets = |option: &str| {
        let get = format!("ipcq get jobs {option} -0 >> {file}; code=$?");
        format!("while {get}; test $code -eq 0; do :; done; test $code -eq 3")
    };
    let script = match index % 4 {
        0 => format!("exec ipcq get jobs --follow -0 --output {file}"),
        1 => format!("ipcq get jobs --follow -0 | cat > {file}"),
        2 => gets("-n 1"),
        _ => gets("-n 17"),
    };
    Running::from(sandbox.program("sh").args(["-c", &script]).spawn().expect("sh starts"))
}

/// The messages in a file that a consumer wrote.
fn received(sandbox: &Sandbox, file: &str) -> Vec<Vec<u8>> {
    let mut bytes = std::fs::read(sandbox.path(file)).unwrap_or_default();
    assert!(bytes.pop().is_none_or(|last| last == 0), "the last message is whole");
    if bytes.is_empty() { Vec::new() } else { bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect() }
}

/// Checks that the messages of all consumers together are those that all producers put, each once, and
/// that each consumer saw those of each producer in order.
fn assert_complete(consumers: &[Vec<Vec<u8>>], count: usize) {
    let mut missing = HashMap::<Vec<u8>, i64>::new();
    for producer in 0..PRODUCERS {
        (0..count).for_each(|number| *missing.entry(message(producer, number)).or_default() += 1);
    }
    for messages in consumers {
        let mut next = [0; PRODUCERS];
        for message in messages {
            if let Some((producer, number)) = origin(message) {
                assert!(number >= next[producer], "{number} of producer {producer} came after {}", next[producer] - 1);
                next[producer] = number + 1;
            }
            *missing.entry(message.clone()).or_default() -= 1;
        }
    }
    missing.retain(|_, left| *left != 0);
    let some: Vec<_> = missing.iter().take(3).map(|(bytes, left)| (String::from_utf8_lossy(bytes), left)).collect();
    assert!(missing.is_empty(), "{} were lost (1) or came twice (-1), as {some:?}", missing.len());
}

/// Lets all producers and `consumers` consumers loose on one queue; returns what each consumer got.
fn run(options: &str, consumers: usize, count: usize) -> Vec<Vec<Vec<u8>>> {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create jobs {options}"));
    let running: Vec<_> = (0..consumers).map(|index| consumer(&sandbox, index, &format!("out.{index}"))).collect();
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let sandbox = &sandbox;
            scope.spawn(move || produce(sandbox, producer, count));
        }
    });
    sandbox.ok("close jobs");
    for (index, consumer) in running.into_iter().enumerate() {
        let done = consumer.end();
        assert_eq!((done.code, done.err.as_str()), (0, ""), "consumer {index}");
    }
    assert_eq!(sandbox.stat("jobs", "put"), PRODUCERS * count);
    assert_eq!(sandbox.stat("jobs", "got"), PRODUCERS * count);
    assert_eq!(sandbox.stat("jobs", "bytes"), 0);
    (0..consumers).map(|index| received(&sandbox, &format!("out.{index}"))).collect()
}

#[test]
fn everything_arrives_once_and_whole_and_in_order() {
    let count = messages_of_each();
    assert_complete(&run("", 8, count), count);
}

#[test]
fn everything_arrives_through_a_queue_that_is_full_most_of_the_time() {
    for options in ["--capacity 16K", "--max-items 3"] {
        let count = messages_of_each().min(150);
        assert_complete(&run(options, 8, count), count);
    }
}

#[test]
fn one_consumer_sees_everything_in_each_producers_order() {
    let count = messages_of_each();
    assert_complete(&run("", 1, count), count);
}

#[test]
fn one_consumer_sees_messages_in_the_order_in_which_their_puts_completed() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let count = messages_of_each().min(1_000);
    let consumer = consumer(&sandbox, 0, "out");
    let times: Vec<_> = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let sandbox = &sandbox;
                scope.spawn(move || {
                    let put = |number| {
                        let start = Instant::now();
                        put_one(sandbox, format!("{producer}:{number}").as_bytes(), number % 2 == 0);
                        (format!("{producer}:{number}").into_bytes(), (start, Instant::now()))
                    };
                    (0..count).map(put).collect::<Vec<_>>()
                })
            })
            .collect();
        producers.into_iter().flat_map(|producer| producer.join().expect("it has put everything")).collect()
    });
    sandbox.ok("close jobs");
    assert_eq!(consumer.end().code, 0);
    let times: HashMap<_, _> = times.into_iter().collect();
    let order = received(&sandbox, "out");
    assert_eq!(order.len(), times.len());
    // A put that had ended before another began comes before it.
    let mut latest_start = None;
    for message in order {
        let (start, end) = times[&message];
        assert!(latest_start.is_none_or(|latest| latest <= end), "{:?}", String::from_utf8_lossy(&message));
        latest_start = latest_start.max(Some(start));
    }
}
