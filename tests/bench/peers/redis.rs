//! Redis over a Unix socket: lists, and a stream with a group. The client speaks its protocol without anything in between.

use super::{Channel, Client, MESSAGE, Pair, Peer, Sample, between_threads};
use crate::report::Report;
use crate::tools::{Bench, Running, answering, have, until};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;

pub(crate) const PROMISE: &str = "over a Unix socket, without saving to disk, many commands sent before the first is \
     answered; a message popped from a list is gone (at most once), one read from a stream by a group is acknowledged (at \
     least once)";

/// Messages that are taken at once, or put at once where they are.
const BATCH: usize = 1000;

/// Bytes of commands that are sent at once, and of messages in one command.
const SENT_AT_ONCE: usize = 64 << 10;

/// Commands that are sent before the first answer is read.
const AHEAD: usize = 2000;

/// A server of our own.
pub(crate) struct Server {
    pub(crate) socket: String,
    _running: Running,
}

impl Server {
    /// Unless it is not installed.
    pub(crate) fn start(bench: &Bench, report: &mut Report) -> Option<Self> {
        if !have("redis-server", report) {
            return None;
        }
        let socket = bench.text_path("redis.sock");
        let _ = std::fs::remove_file(&socket);
        let options = ["--port", "0", "--unixsocket", &socket, "--save", "", "--appendonly", "no"];
        let running = Running::start(bench.program("redis-server").args(options));
        until(|| UnixStream::connect(&socket).is_ok());
        Some(Server { socket, _running: running })
    }

    /// Bytes that its data takes.
    pub(crate) fn memory(&self) -> f64 {
        let mut connection = Connection::new(&self.socket);
        connection.command(&[b"INFO", b"memory"]);
        connection.send();
        let mut text = Vec::new();
        connection.reply(&mut text);
        let text = String::from_utf8(text).unwrap();
        text.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok()).unwrap()
    }

    /// Pushes so many messages, each by itself.
    pub(crate) fn push(&self, list: &str, message: &[u8], count: usize) {
        let mut connection = Connection::new(&self.socket);
        for _ in 0..count {
            connection.command(&[b"RPUSH", list.as_bytes(), message]);
            connection.send();
            connection.reply(&mut Vec::new());
        }
    }

    /// Processes that answer between two lists.
    pub(crate) fn start_echo(&self, count: usize) -> Pair {
        let mut connection = Connection::new(&self.socket);
        connection.command(&[b"DEL", b"there", b"back"]);
        connection.send();
        connection.reply(&mut Vec::new());
        let echo = |_| Running::start(answering().args(["redis", &self.socket]));
        let echoes = (0..count).map(echo).collect();
        (Box::new(Lists::connect(&self.socket, "back", "there")), echoes)
    }
}

/// What the server has answered.
enum Reply {
    Nil,
    Number,
    /// So many parts follow.
    Parts(usize),
    /// Its bytes have been appended.
    Bytes,
}

struct Connection {
    input: BufReader<UnixStream>,
    output: UnixStream,
    /// Commands that have not been sent.
    commands: Vec<u8>,
}

impl Connection {
    fn new(socket: impl AsRef<Path>) -> Self {
        let output = UnixStream::connect(socket).unwrap();
        let input = BufReader::with_capacity(256 << 10, output.try_clone().unwrap());
        Connection { input, output, commands: Vec::with_capacity(2 * SENT_AT_ONCE) }
    }

    fn begin(&mut self, parts: usize) {
        write!(self.commands, "*{parts}\r\n").unwrap();
    }

    fn part(&mut self, part: &[u8]) {
        write!(self.commands, "${}\r\n", part.len()).unwrap();
        self.commands.extend_from_slice(part);
        self.commands.extend_from_slice(b"\r\n");
    }

    fn command(&mut self, parts: &[&[u8]]) {
        self.begin(parts.len());
        parts.iter().for_each(|part| self.part(part));
    }

    fn send(&mut self) {
        self.output.write_all(&self.commands).unwrap();
        self.commands.clear();
    }

    /// The next answer, or part of one; bytes are appended to `bytes`.
    fn reply(&mut self, bytes: &mut Vec<u8>) -> Reply {
        let mut line = [0; 256];
        let mut length = 0;
        loop {
            let there = self.input.fill_buf().unwrap();
            let end = memchr::memchr(b'\n', there).map(|end| end + 1);
            let taken = end.unwrap_or(there.len());
            assert!(taken > 0, "the server has gone");
            line[length..length + taken].copy_from_slice(&there[..taken]);
            length += taken;
            self.input.consume(taken);
            if end.is_some() {
                break;
            }
        }
        let line = &line[..length - 2];
        let number = || std::str::from_utf8(&line[1..]).unwrap().parse::<i64>().unwrap();
        match line[0] {
            b':' => Reply::Number,
            b'+' => Reply::Bytes,
            b'*' if number() >= 0 => Reply::Parts(number() as usize),
            b'$' if number() >= 0 => {
                let (start, length) = (bytes.len(), number() as usize);
                bytes.resize(start + length + 2, 0);
                self.input.read_exact(&mut bytes[start..]).unwrap();
                bytes.truncate(start + length);
                Reply::Bytes
            }
            b'*' | b'$' => Reply::Nil,
            _ => panic!("{}", String::from_utf8_lossy(line)),
        }
    }

    /// Reads so many answers that do not matter.
    fn skip(&mut self, answers: usize, received: &mut Vec<u8>) {
        for _ in 0..answers {
            self.reply(received);
        }
    }

    /// How many parts come; none for nil.
    fn parts(&mut self) -> usize {
        match self.reply(&mut Vec::new()) {
            Reply::Parts(parts) => parts,
            _ => 0,
        }
    }
}

/// A list to take from and one to put into.
pub(crate) struct Lists {
    connection: Connection,
    from: String,
    to: String,
    received: Vec<u8>,
}

impl Lists {
    pub(crate) fn connect(socket: &str, from: &str, to: &str) -> Self {
        Lists { connection: Connection::new(socket), from: from.into(), to: to.into(), received: Vec::new() }
    }
}

impl Channel for Lists {
    fn send(&mut self) {
        self.connection.command(&[b"RPUSH", self.to.as_bytes(), &MESSAGE]);
        self.connection.send();
        assert!(matches!(self.connection.reply(&mut Vec::new()), Reply::Number));
    }

    fn receive(&mut self) {
        self.connection.command(&[b"BLPOP", self.from.as_bytes(), b"0"]);
        self.connection.send();
        assert_eq!(self.connection.parts(), 2);
        self.connection.reply(&mut Vec::new());
        self.received.clear();
        self.connection.reply(&mut self.received);
        assert_eq!(self.received, MESSAGE);
    }
}

/// How messages are streamed.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// A command for each message, without waiting for the answer to the last.
    ListOneByOne,
    /// A command for many messages.
    ListBatched,
    /// A stream with a group, each message acknowledged.
    Stream,
}

struct Redis {
    server: Rc<Server>,
    way: Way,
}

/// Unless it is not installed.
pub(crate) fn start(bench: &Bench, report: &mut Report) -> Vec<Box<dyn Peer>> {
    let Some(server) = Server::start(bench, report) else { return Vec::new() };
    let server = Rc::new(server);
    let redis = |way| Box::new(Redis { server: server.clone(), way }) as Box<dyn Peer>;
    [Way::ListOneByOne, Way::ListBatched, Way::Stream].map(redis).into()
}

impl Peer for Redis {
    fn name(&self) -> &'static str {
        match self.way {
            Way::ListOneByOne => "Redis list, RPUSH pipelined, LPOP 1000",
            Way::ListBatched => "Redis list, RPUSH of 1000, LPOP 1000",
            Way::Stream => "Redis stream, group, acks",
        }
    }

    fn pace(&self) -> usize {
        match self.way {
            Way::ListOneByOne => 600_000,
            Way::ListBatched => 1_000_000,
            Way::Stream => 200_000,
        }
    }

    fn stream(&mut self, sample: &Sample, producers: usize, consumers: usize) -> f64 {
        let mut connection = Connection::new(&self.server.socket);
        connection.command(&[b"FLUSHALL"]);
        connection.command(&[b"XGROUP", b"CREATE", b"stream", b"group", b"0", b"MKSTREAM"]);
        connection.send();
        connection.skip(2, &mut Vec::new());
        let client = || Streaming { connection: Connection::new(&self.server.socket), way: self.way };
        between_threads(sample, producers, consumers, &|| Box::new(client()))
    }
}

struct Streaming {
    connection: Connection,
    way: Way,
}

impl Client for Streaming {
    fn put(&mut self, messages: &mut dyn Iterator<Item = &[u8]>) {
        let connection = &mut self.connection;
        let mut unanswered = 0;
        let mut batch = Vec::new();
        loop {
            batch.clear();
            let most = if self.way == Way::ListBatched { BATCH } else { 1 };
            let mut bytes = 0;
            while batch.len() < most && bytes < SENT_AT_ONCE {
                let Some(message) = messages.next() else { break };
                bytes += message.len();
                batch.push(message);
            }
            if batch.is_empty() {
                break;
            }
            match self.way {
                Way::Stream => connection.command(&[b"XADD", b"stream", b"*", b"m", batch[0]]),
                Way::ListOneByOne | Way::ListBatched => {
                    connection.begin(2 + batch.len());
                    connection.part(b"RPUSH");
                    connection.part(b"list");
                    batch.iter().for_each(|message| connection.part(message));
                }
            }
            unanswered += 1;
            if connection.commands.len() >= SENT_AT_ONCE {
                connection.send();
                while unanswered > AHEAD {
                    connection.reply(&mut Vec::new());
                    unanswered -= 1;
                }
            }
        }
        connection.send();
        connection.skip(unanswered, &mut Vec::new());
    }

    fn get(&mut self, count: usize) {
        let mut left = count;
        let mut received = Vec::new();
        while left > 0 {
            received.clear();
            left -= match self.way {
                Way::Stream => self.read_stream(left.min(BATCH), &mut received),
                Way::ListOneByOne | Way::ListBatched => self.pop(left.min(BATCH), &mut received),
            };
        }
    }
}

impl Streaming {
    /// Pops what there is; waits for the first.
    fn pop(&mut self, most: usize, received: &mut Vec<u8>) -> usize {
        let connection = &mut self.connection;
        let most = most.to_string();
        connection.command(&[b"LPOP", b"list", most.as_bytes()]);
        connection.send();
        let mut parts = connection.parts();
        if parts == 0 {
            connection.command(&[b"BLMPOP", b"0", b"1", b"list", b"LEFT", b"COUNT", most.as_bytes()]);
            connection.send();
            assert_eq!(connection.parts(), 2);
            connection.reply(&mut Vec::new());
            parts = connection.parts();
        }
        connection.skip(parts, received);
        parts
    }

    /// Reads what there is, waiting for the first, and acknowledges it.
    fn read_stream(&mut self, most: usize, received: &mut Vec<u8>) -> usize {
        let connection = &mut self.connection;
        let most = most.to_string();
        connection.command(&[
            b"XREADGROUP",
            b"GROUP",
            b"group",
            b"one",
            b"COUNT",
            most.as_bytes(),
            b"BLOCK",
            b"0",
            b"STREAMS",
            b"stream",
            b">",
        ]);
        connection.send();
        // One stream: its name, and its messages, each an id and two fields.
        assert_eq!((connection.parts(), connection.parts()), (1, 2));
        connection.reply(&mut Vec::new());
        let messages = connection.parts();
        connection.begin(3 + messages);
        [&b"XACK"[..], b"stream", b"group"].into_iter().for_each(|part| connection.part(part));
        let mut id = Vec::new();
        for _ in 0..messages {
            connection.parts();
            id.clear();
            connection.reply(&mut id);
            connection.part(&id);
            let fields = connection.parts();
            connection.skip(fields, received);
        }
        connection.send();
        connection.reply(&mut Vec::new());
        messages
    }
}
