//! Segments as commands leave them, to be changed: empty and full, whole and half taken, with leases of the dead.

use super::mutate::{self, CONTROL};
use crate::harness::{Random, Sandbox, until};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::sync::LazyLock;

/// A segment that is as it should be.
pub(super) struct Base {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// Units that hold the record of a frame.
    pub(super) records: Vec<u64>,
    /// The messages that were put, without the newlines and NULs at their ends.
    pub(super) messages: BTreeSet<Vec<u8>>,
}

impl Base {
    fn new(name: &'static str, bytes: Vec<u8>, messages: BTreeSet<Vec<u8>>) -> Self {
        let fresh = mutate::word(&bytes, CONTROL + 8);
        let is_record = |unit: &u64| {
            let start = (unit * mutate::UNIT) as usize;
            !unit.is_multiple_of(mutate::UNITS_PER_GROUP) && bytes[start] == 1 && matches!(bytes[start + 1], 1..=5)
        };
        let records = (mutate::FIRST_UNIT..fresh).filter(is_record).collect();
        Base { name, bytes, records, messages }
    }
}

/// A queue that is being prepared.
struct Preparation {
    name: &'static str,
    sandbox: Sandbox,
    messages: BTreeSet<Vec<u8>>,
}

impl Preparation {
    fn new(name: &'static str, options: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.ok(&format!("create q {options}"));
        Preparation { name, sandbox, messages: BTreeSet::new() }
    }

    /// Puts messages that are arguments.
    fn put(mut self, messages: &str) -> Self {
        self.messages.extend(messages.split(' ').map(|message| message.as_bytes().to_vec()));
        self.sandbox.ok(&format!("put q {messages}"));
        self
    }

    /// Puts what is on standard input.
    fn put_input(mut self, options: &str, input: &[u8]) -> Self {
        let is_end = |byte: &u8| options.contains("-l") && *byte == b'\n' || options.contains("-0") && *byte == 0;
        self.messages.extend(input.split(is_end).map(|message| trimmed(message).to_vec()));
        let arguments = ["put", "q"].into_iter().chain(options.split_whitespace());
        assert_eq!(self.sandbox.run_with(arguments, input).code, 0);
        self
    }

    fn run(self, arguments: &str) -> Self {
        self.run_with(0, arguments)
    }

    /// Runs a command that ends with this exit code.
    fn run_with(self, code: i32, arguments: &str) -> Self {
        assert_eq!(self.sandbox.run(arguments).code, code, "{arguments}");
        self
    }

    /// Lets a producer put a line and be killed before the next.
    fn kill_producer(mut self, line: &str) -> Self {
        self.messages.insert(line.as_bytes().to_vec());
        let mut put = self.sandbox.ipcq(["put", "q", "-l"]);
        let mut producer = put.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = producer.stdin.take().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
        until("it is there", || self.sandbox.stat("q", "ready") == 1);
        producer.kill().unwrap();
        producer.wait().unwrap();
        drop(input);
        self
    }

    /// Lets a consumer take messages and be killed before it can write them.
    fn kill(self, arguments: &str) -> Self {
        let (consumer, reader) = self.sandbox.stuck(arguments);
        consumer.signal("KILL");
        assert_eq!(consumer.end().code, 137);
        drop(reader);
        self
    }

    fn base(self) -> Base {
        let bytes = std::fs::read(self.sandbox.queues().join("q")).unwrap();
        Base::new(self.name, bytes, self.messages)
    }
}

/// A message without newlines and NULs at its end, which may come or go with its framing.
pub(super) fn trimmed(message: &[u8]) -> &[u8] {
    let end = message.iter().rposition(|byte| !matches!(byte, b'\n' | 0)).map_or(0, |last| last + 1);
    &message[..end]
}

fn lines(count: u64, longest: u64) -> Vec<u8> {
    let mut random = Random::new(count);
    let line = |number| format!("{number}:{}\n", "x".repeat(random.below(longest) as usize));
    (0..count).map(line).collect::<String>().into_bytes()
}

/// A message of that many bytes, any but newlines and NULs.
fn long(length: usize) -> Vec<u8> {
    let mut bytes = Random::new(length as u64).bytes(length);
    bytes.iter_mut().filter(|byte| matches!(**byte, 0 | b'\n')).for_each(|byte| *byte = b'.');
    bytes
}

/// Makes the last change of a segment one that is committed and, as far as anybody knows, not applied.
fn unapplied(name: &'static str, base: &Base) -> Base {
    let mut bytes = base.bytes.clone();
    let applied = mutate::word32(&bytes, mutate::APPLIED);
    mutate::set(&mut bytes, mutate::APPLIED, &applied.wrapping_sub(1).to_ne_bytes());
    Base::new(name, bytes, base.messages.clone())
}

/// All of them.
pub(super) fn all() -> &'static [Base] {
    static BASES: LazyLock<Vec<Base>> = LazyLock::new(make);
    &BASES
}

fn make() -> Vec<Base> {
    let mixed = |name| {
        Preparation::new(name, "")
            .put("one two three")
            .put_input("", &long(3_000))
            .put_input("-l", &lines(40, 60))
            .put_input("-0", b"first\0second\0\0")
            .put_input("--json", b"{\"key\":[1,2,\"three\"]}")
            .put_input("", b"")
            .put_input("", b"a line\nand a half")
    };
    let kept = |name| {
        let leases = ["get q -n 5 --lease 1h", "nack q 3 --delay 1h", "nack q 4 --delay 2h", "nack q 5"];
        let leases = leases.into_iter().chain(["get q -n 3 --lease --owner 1", "get q -n 2 --lease 1ms"]);
        leases.fold(mixed(name), Preparation::run).put("late later")
    };
    let mut bases = vec![
        Preparation::new("empty", "").base(),
        mixed("mixed").base(),
        Preparation::new("half taken", "").put_input("-l", &lines(100, 90)).run("get q -n 31").base(),
        mixed("scattered").run("get q -n 4").put("four five six").put_input("", &long(700)).run("get q -n 30").base(),
        mixed("leased by the dead").kill("get q -n 20").put("seven eight").kill("get q -n 5").base(),
        mixed("closed").run("close q").base(),
        Preparation::new("drained", "").put("one two").run("close q").run("get q --all").base(),
        kept("kept and delayed").base(),
        Preparation::new("given up on", "--max-attempts 1")
            .put("one two three four five")
            .run_with(5, "work q -j 1 -t 0 -- /bin/sh -c read")
            .put("six seven eight nine")
            .run("get q -n 3 --lease 1h")
            .run("nack q 6 7")
            .base(),
        kept("paused").run("pause q").base(),
        Preparation::new("left by a producer", "--auto-close").kill_producer("a line").base(),
        Preparation::new("full", "--max-items 4 --capacity 900").put("a b c").put_input("", &long(800)).base(),
        Preparation::new("long", "").put_input("", &long(70_000)).put_input("-l", &lines(300, 100)).base(),
    ];
    for (name, of) in [
        ("put and not applied", "mixed"),
        ("got and not applied", "half taken"),
        ("leased and not applied", "leased by the dead"),
        ("put aside and not applied", "given up on"),
    ] {
        let of = bases.iter().position(|base| base.name == of).unwrap();
        bases.push(unapplied(name, &bases[of]));
    }
    bases
}
