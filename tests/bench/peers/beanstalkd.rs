//! beanstalkd over a Unix socket: put, reserve and delete, each pipelined.

use super::{Client, Peer, Sample, between_threads};
use crate::report::Report;
use crate::tools::{Bench, Running, have, until};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

pub(crate) const PROMISE: &str = "over a Unix socket, without its log on disk, up to 500 commands sent before the first \
     is answered; put, reserve, delete: at least once";

/// Commands that are sent before their answers are read.
const BATCH: usize = 500;

/// The longest message it is told to take, in bytes.
const LONGEST: usize = 2 << 20;

pub(crate) struct Beanstalkd {
    socket: String,
    _running: Running,
}

/// Unless it is not installed.
pub(crate) fn start(bench: &Bench, report: &mut Report) -> Option<Box<dyn Peer>> {
    if !have("beanstalkd", report) {
        return None;
    }
    let socket = bench.text_path("beanstalkd.sock");
    let _ = std::fs::remove_file(&socket);
    let options = ["-l", &format!("unix:{socket}"), "-z", &LONGEST.to_string()];
    let running = Running::start(bench.program("beanstalkd").args(options));
    until(|| UnixStream::connect(&socket).is_ok());
    Some(Box::new(Beanstalkd { socket, _running: running }))
}

impl Peer for Beanstalkd {
    fn name(&self) -> &'static str {
        "beanstalkd put, reserve, delete"
    }

    fn pace(&self) -> usize {
        100_000
    }

    fn longest(&self) -> usize {
        LONGEST
    }

    fn stream(&mut self, sample: &Sample, producers: usize, consumers: usize) -> f64 {
        between_threads(sample, producers, consumers, &|| Box::new(Connection::new(&self.socket)))
    }
}

struct Connection {
    input: BufReader<UnixStream>,
    output: UnixStream,
    /// Commands that have not been sent.
    commands: Vec<u8>,
    line: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    fn new(socket: &str) -> Self {
        let output = UnixStream::connect(socket).unwrap();
        let input = BufReader::with_capacity(256 << 10, output.try_clone().unwrap());
        Connection { input, output, commands: Vec::new(), line: Vec::new(), received: Vec::new() }
    }

    fn send(&mut self) {
        self.output.write_all(&self.commands).unwrap();
        self.commands.clear();
    }

    /// Reads a line that begins with `expected`, and returns the words after that.
    fn answer(&mut self, expected: &str) -> &str {
        self.line.clear();
        self.input.read_until(b'\n', &mut self.line).unwrap();
        let line = std::str::from_utf8(&self.line).unwrap();
        line.strip_prefix(expected).unwrap_or_else(|| panic!("{line}")).trim()
    }
}

impl Client for Connection {
    fn put(&mut self, messages: &mut dyn Iterator<Item = &[u8]>) {
        loop {
            let mut sent = 0;
            while sent < BATCH && self.commands.len() < LONGEST {
                let Some(message) = messages.next() else { break };
                write!(self.commands, "put 0 0 60 {}\r\n", message.len()).unwrap();
                self.commands.extend_from_slice(message);
                self.commands.extend_from_slice(b"\r\n");
                sent += 1;
            }
            if sent == 0 {
                return;
            }
            self.send();
            for _ in 0..sent {
                self.answer("INSERTED");
            }
        }
    }

    fn get(&mut self, count: usize) {
        let (mut left, mut to_delete) = (count, 0);
        while left + to_delete > 0 {
            // What has been reserved is deleted with the command that reserves more.
            let batch = left.min(BATCH);
            (0..batch).for_each(|_| self.commands.extend_from_slice(b"reserve\r\n"));
            self.send();
            for _ in 0..to_delete {
                self.answer("DELETED");
            }
            for _ in 0..batch {
                let reserved = self.answer("RESERVED");
                let (id, length) = reserved.split_once(' ').unwrap();
                let (id, length): (u64, usize) = (id.parse().unwrap(), length.parse().unwrap());
                self.received.resize(length + 2, 0);
                self.input.read_exact(&mut self.received).unwrap();
                write!(self.commands, "delete {id}\r\n").unwrap();
            }
            (left, to_delete) = (left - batch, batch);
        }
    }
}
