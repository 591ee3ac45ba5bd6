//! Those who put and get: each runs one process after the other, of a kind chosen at random, and writes down
//! what became of it.

use super::books::{Books, Get, Outcome, Put};
use super::messages::{Form, Key, Kind, message, parse};
use super::processes::{Ended, Process, Processes};
use crate::harness::{Random, Sandbox};
use nix::fcntl::{FcntlArg, fcntl};
use std::ffi::OsString;
use std::io::{PipeReader, Read, Write};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::process::{ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The queues and the options with which they are created. The first three are all that most use; the last is
/// one before which a crowd sleeps.
pub(super) const QUEUES: [(&str, &str); 4] =
    [("jobs", ""), ("small", "--capacity 320K"), ("few", "--max-items 4"), ("crowd", "")];
pub(super) const CROWD: usize = 3;
/// The longest payload: with its header it fits the small queue.
const LONGEST: u64 = 300_000;

/// One who runs processes.
pub(super) struct Actor<'a> {
    pub(super) sandbox: &'a Sandbox,
    pub(super) processes: &'a Processes,
    /// Its number among its kind.
    pub(super) index: usize,
    /// Whether its processes may be killed.
    pub(super) mortal: bool,
    pub(super) random: Random,
    pub(super) books: Books,
}

impl Actor<'_> {
    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.below(choices.len() as u64) as usize]
    }

    fn in_one_of(&mut self, cases: u64) -> bool {
        self.random.below(cases) == 0
    }

    fn pause(&mut self, most: Duration) {
        std::thread::sleep(Duration::from_micros(self.random.below(most.as_micros() as u64 + 1)));
    }

    /// Starts `ipcq` with the words of `command` and further arguments. Some processes are killed as soon as
    /// they have started.
    fn start(&mut self, command: &str, arguments: &[OsString], stdin: Stdio, stdout: Stdio) -> Arc<Process> {
        let words = command.split_whitespace().map(OsString::from).chain(arguments.iter().cloned());
        let mut ipcq = self.sandbox.ipcq(words);
        let role = if command.starts_with("put") { "put" } else { "get" };
        let process = self.processes.start(ipcq.stdin(stdin).stdout(stdout), role, self.mortal);
        if self.mortal && !self.processes.is_over() && self.in_one_of(16) {
            self.pause(Duration::from_micros(700));
            self.processes.kill(&process, "just started");
        }
        process
    }

    fn failed(&mut self, command: &str, end: &Ended) {
        self.books.failures.push(format!("ipcq {command}: exit {}, {:?}", end.code, end.err));
    }
}

/// A producer and the number of its next message for each queue.
pub(super) struct Producer<'a> {
    pub(super) actor: Actor<'a>,
    next: [u32; QUEUES.len()],
}

impl<'a> Producer<'a> {
    pub(super) fn new(actor: Actor<'a>) -> Self {
        Producer { actor, next: [0; QUEUES.len()] }
    }

    /// Puts until the storm is over.
    pub(super) fn run(mut self) -> Books {
        while !self.actor.processes.is_over() {
            let queue = if self.actor.in_one_of(12) { CROWD } else { self.actor.random.below(3) as usize };
            let kind = if queue == CROWD { 0 } else { self.actor.random.below(8) };
            // A put that waits for ever, or one that gives up.
            let patience = self.actor.one_of(&["", "", "-t 0.05", "-t 0"]);
            let put = |form: &str| format!("put {} {form} {patience}", QUEUES[queue].0);
            match kind {
                0 | 1 => self.put_arguments(queue, &put(""), 1),
                2 | 3 => {
                    let count = 2 + self.actor.random.below(3) as u32;
                    self.put_arguments(queue, &put(""), count);
                }
                4 => self.put_whole(queue, &put("")),
                5 => self.put_stream(queue, &put("-l"), b'\n', true),
                6 => self.put_stream(queue, &put("-0"), 0, self.actor.index.is_multiple_of(2)),
                _ => self.put_stream(queue, &put("-l"), b'\n', false),
            }
            // Sometimes consumers are to be faster than everyone else together.
            if self.actor.in_one_of(8) {
                self.actor.pause(Duration::from_millis(40));
            }
        }
        self.actor.books
    }

    /// The numbers of the next `count` messages.
    fn numbers(&mut self, queue: usize, count: u32) -> Range<u32> {
        let first = self.next[queue];
        self.next[queue] += count;
        first..self.next[queue]
    }

    fn key(&self, queue: usize, number: u32) -> Key {
        Key { queue, producer: self.actor.index, number }
    }

    pub(super) fn put_arguments(&mut self, queue: usize, command: &str, count: u32) {
        let numbers = self.numbers(queue, count);
        let longest = self.actor.one_of(&[1, 100, 100, 5_000, 40_000]);
        let mut arguments = vec![OsString::from("--")];
        for number in numbers.clone() {
            let length = self.actor.random.below(longest) as usize;
            arguments.push(OsString::from_vec(message(self.key(queue, number), Kind::Argument, length)));
        }
        let process = self.actor.start(command, &arguments, Stdio::null(), Stdio::null());
        let end = self.actor.processes.end(&process);
        self.write_down(queue, numbers, command, &end, Outcome::AllOrNone);
    }

    fn put_whole(&mut self, queue: usize, command: &str) {
        let numbers = self.numbers(queue, 1);
        let longest = self.actor.one_of(&[200, 3_000, 70_000, LONGEST]);
        let length = self.actor.random.below(longest) as usize;
        let bytes = message(self.key(queue, numbers.start), Kind::Whole, length);
        let process = self.actor.start(command, &[], Stdio::piped(), Stdio::null());
        let mut stdin = process.stdin();
        // If that fails it was killed, or the queue was closed.
        let written = stdin.write_all(&bytes);
        drop(stdin);
        let end = self.actor.processes.end(&process);
        assert!(written.is_ok() || end.code != 0, "{command} did not read its input");
        self.write_down(queue, numbers, command, &end, Outcome::AllOrNone);
    }

    /// Puts a stream of messages that is written fast, or a few messages that are written slowly.
    fn put_stream(&mut self, queue: usize, command: &str, delimiter: u8, fast: bool) {
        let process = self.actor.start(command, &[], Stdio::piped(), Stdio::null());
        let mut stdin = process.stdin();
        let first = self.next[queue];
        let count = if fast { 20 + self.actor.random.below(500) } else { 2 + self.actor.random.below(12) };
        // The last of these comes in bulk.
        let rapids = self.actor.one_of(&[(120, 20_000), (120, 20_000), (4_000, 300_000)]);
        let (longest, at_once) = if fast { rapids } else { (2_000, 20_000) };
        let mut batch = Vec::new();
        for number in self.numbers(queue, count as u32) {
            let length = self.actor.random.below(longest) as usize;
            batch.extend(message(self.key(queue, number), Kind::Record, length));
            batch.push(delimiter);
            let is_last = number + 1 == self.next[queue];
            if batch.len() < at_once && fast && !is_last {
                continue;
            }
            if write_slowly(&mut stdin, &batch, !fast && number % 3 == 0).is_err() || self.actor.processes.is_over() {
                // Of what has not been written nothing was meant to be put.
                self.next[queue] = number + 1;
                break;
            }
            batch.clear();
            if !fast {
                self.actor.pause(Duration::from_millis(6));
            }
        }
        drop(stdin);
        let end = self.actor.processes.end(&process);
        self.write_down(queue, first..self.next[queue], command, &end, Outcome::Prefix);
    }

    /// Writes down what became of a put; `otherwise` is what is known if it did not return.
    fn write_down(&mut self, queue: usize, numbers: Range<u32>, command: &str, end: &Ended, otherwise: Outcome) {
        let all = numbers.len() as u32;
        let outcome = match end.code {
            _ if end.killed => otherwise,
            0 => Outcome::Put(all),
            1 => said_it_put(&end.err).map_or(otherwise, Outcome::Put),
            // Of a stream some may have been put before the queue was closed.
            3 if otherwise == Outcome::Prefix => otherwise,
            3 => Outcome::Put(0),
            _ => {
                self.actor.failed(command, end);
                otherwise
            }
        };
        let producer = self.actor.index;
        self.actor.books.puts.push(Put { queue, producer, numbers, outcome });
    }
}

/// How many messages a put that ran out of time says it has put.
fn said_it_put(err: &str) -> Option<u32> {
    let (_, what) = err.trim_end().split_once(" is full: ")?;
    match what {
        "nothing was put" => Some(0),
        "only the first message was put" => Some(1),
        _ => what.strip_prefix("only the first ")?.strip_suffix(" messages were put")?.parse().ok(),
    }
}

/// Writes all at once, or in two parts, so that a read ends in the middle.
fn write_slowly(stdin: &mut ChildStdin, bytes: &[u8], slowly: bool) -> std::io::Result<()> {
    let (one, other) = bytes.split_at(if slowly { bytes.len() / 2 } else { 0 });
    stdin.write_all(one)?;
    if slowly {
        std::thread::sleep(Duration::from_millis(1));
    }
    stdin.write_all(other)
}

/// Who a consumer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consumer {
    /// Gets in all ways there are from the queues that most use.
    Any,
    /// Gets from that queue one message at a time, so that it mostly sleeps there.
    Waiter(usize),
}

impl Actor<'_> {
    /// Gets until the storm is over, and then until the last get has come to its end. `running` always names the
    /// process that runs now.
    pub(super) fn consume(mut self, consumer: Consumer, running: &AtomicU32) -> Books {
        while !self.processes.is_over() {
            let (queues, options) = match consumer {
                Consumer::Waiter(queue) => (vec![queue], self.one_of(&["", "", "--json"])),
                Consumer::Any => self.any_get(),
            };
            let to_file = consumer == Consumer::Any && self.in_one_of(3);
            self.get(&queues, options, to_file, running);
            if self.in_one_of(4) {
                self.pause(Duration::from_millis(5));
            }
        }
        self.books
    }

    /// Gets from `queues` with some options, and writes down what came.
    pub(super) fn get(&mut self, queues: &[usize], options: &str, to_file: bool, running: &AtomicU32) {
        let form = match options {
            _ if options.contains("-0") => Form::Nul,
            _ if options.contains("--raw") => Form::Raw,
            _ if options.contains("--json") => Form::Json,
            _ => Form::AsPut,
        };
        let names: Vec<_> = queues.iter().map(|queue| QUEUES[*queue].0).collect();
        let mut command = format!("get {} {options}", names.join(" "));
        // Two consumers never have the same index.
        let file = format!("out.{}.{}", self.index, self.books.gets.len());
        if to_file {
            command.push_str(&format!(" -o {file}"));
        }
        let started = Instant::now();
        let slowly = self.mortal && self.in_one_of(4);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        if slowly {
            fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).expect("a pipe may hold one page");
        }
        let process = self.start(&command, &[], Stdio::null(), writer.into());
        running.store(process.pid, Ordering::Relaxed);
        let mut output = self.read(reader, slowly);
        let end = self.processes.end(&process);
        if to_file {
            let path = self.sandbox.path(&file);
            output = std::fs::read(&path).unwrap_or_default();
            // It is not there if there was nothing to write.
            let _ = std::fs::remove_file(&path);
        }
        let may_find_nothing = options.contains("-t") || options.contains("-a");
        match end.code {
            _ if end.killed => {}
            0 | 3 => {}
            1 if may_find_nothing => {}
            _ => self.failed(&command, &end),
        }
        let (messages, rest) = parse(&output, form);
        let (queues, killed, ended) = (queues.to_vec(), end.killed, end.at);
        self.books.gets.push(Get { command, queues, started, ended, killed, messages, rest });
    }

    /// Some of the queues that most use, and options.
    fn any_get(&mut self) -> (Vec<usize>, &'static str) {
        let options = [
            "",
            "--json",
            "-t 0.03",
            "--json -t 0",
            "-n 3",
            "-n 17 -0",
            "-n 40 --json",
            "-a --raw",
            "-a --json",
            "-f",
            "-f -0",
            "-f --json",
        ];
        let mut queues = vec![0, 1, 2];
        for place in [0, 1] {
            queues.swap(place, place + self.random.below(3 - place as u64) as usize);
        }
        queues.truncate(self.one_of(&[1, 1, 2, 3]));
        (queues, self.one_of(&options))
    }

    /// What a process writes to its standard output, up to the end; slowly at first, if wanted, so that it is
    /// kept waiting in the middle of a write.
    fn read(&mut self, mut stdout: PipeReader, slowly: bool) -> Vec<u8> {
        let mut output = Vec::new();
        let mut left = if slowly { 30 } else { 0 };
        while left > 0 && !self.processes.is_over() {
            left -= 1;
            let mut some = [0; 2_000];
            match stdout.read(&mut some).expect("a pipe can be read") {
                0 => return output,
                length => output.extend(&some[..length]),
            }
            self.pause(Duration::from_millis(3));
        }
        stdout.read_to_end(&mut output).expect("a pipe can be read");
        output
    }
}
