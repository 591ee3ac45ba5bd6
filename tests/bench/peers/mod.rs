//! What a user would pick instead of ipcq. Each peer knows how to start itself, and how to do a task as well as it can.

pub(crate) mod beanstalkd;
pub(crate) mod lock_and_futex;
pub(crate) mod multiprocessing_queue;
pub(crate) mod pipe;
pub(crate) mod posix_mq;
pub(crate) mod redis;
pub(crate) mod simplebroker;
pub(crate) mod sqlite;
mod streaming;
pub(crate) mod unix_socket;

use crate::report::Report;
use crate::tools::{Bench, Running};
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::Instant;

/// What goes there and back.
pub(crate) const MESSAGE: [u8; 64] = [b'x'; 64];

/// One end of a way there and a way back.
pub(crate) trait Channel {
    /// Sends a message.
    fn send(&mut self);

    /// Waits for a message and takes it.
    fn receive(&mut self);
}

/// This process's end, and the processes that answer at the other.
pub(crate) type Pair = (Box<dyn Channel>, Vec<Running>);

/// Messages to stream: in a file, and in memory.
pub(crate) struct Sample {
    /// Each message in it is followed by the delimiter.
    pub(crate) path: PathBuf,
    pub(crate) delimiter: u8,
    pub(crate) count: usize,
    bytes: Vec<u8>,
}

impl Sample {
    /// The first `count` of `bytes`' messages, written to a file of their own.
    pub(crate) fn new(path: PathBuf, mut bytes: Vec<u8>, delimiter: u8, count: usize) -> Self {
        let end = memchr::memchr_iter(delimiter, &bytes).nth(count - 1).unwrap() + 1;
        bytes.truncate(end);
        std::fs::write(&path, &bytes).unwrap();
        Sample { path, delimiter, count, bytes }
    }

    /// Each message, without its delimiter.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        cut(&self.bytes, self.delimiter)
    }

    /// What each of so many producers puts: about the same number of bytes.
    fn shares(&self, producers: usize) -> Vec<&[u8]> {
        let mut rest = self.bytes.as_slice();
        let share = |left: usize| {
            let about = rest.len() / left;
            let end = if left == 1 {
                rest.len()
            } else {
                memchr::memchr(self.delimiter, &rest[about..]).unwrap() + about + 1
            };
            let share;
            (share, rest) = rest.split_at(end);
            share
        };
        (1..=producers).rev().map(share).collect()
    }
}

fn cut(bytes: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(delimiter, bytes).map(move |end| {
        let message = &bytes[start..end];
        start = end + 1;
        message
    })
}

/// Something that messages can be streamed through.
pub(crate) trait Peer {
    fn name(&self) -> &'static str;

    /// About how many short messages it takes in a second.
    fn pace(&self) -> usize;

    /// The longest message that it takes, in bytes.
    fn longest(&self) -> usize {
        usize::MAX
    }

    /// Seconds that all of `sample` takes from so many producers to so many consumers, which are there already.
    fn stream(&mut self, sample: &Sample, producers: usize, consumers: usize) -> f64;
}

/// One who puts or gets.
pub(crate) trait Client: Send {
    fn put(&mut self, messages: &mut dyn Iterator<Item = &[u8]>);

    fn get(&mut self, count: usize);
}

/// Seconds that all of `sample` takes between clients in threads of this process: a little less than between processes.
fn between_threads(sample: &Sample, producers: usize, consumers: usize, connect: &dyn Fn() -> Box<dyn Client>) -> f64 {
    let start = &Barrier::new(producers + consumers + 1);
    let mut began = Instant::now();
    std::thread::scope(|threads| {
        for share in sample.shares(producers) {
            let mut client = connect();
            threads.spawn(move || {
                start.wait();
                client.put(&mut cut(share, sample.delimiter));
            });
        }
        for consumer in 0..consumers {
            let mut client = connect();
            let count = sample.count / consumers + usize::from(consumer < sample.count % consumers);
            threads.spawn(move || {
                start.wait();
                client.get(count);
            });
        }
        start.wait();
        began = Instant::now();
    });
    began.elapsed().as_secs_f64()
}

/// Every peer that messages can be streamed through and that is there.
pub(crate) fn start(bench: &Bench, report: &mut Report) -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(posix_mq::PosixMq)];
    peers.extend(multiprocessing_queue::start(bench, report));
    peers.extend(redis::start(bench, report));
    peers.extend(beanstalkd::start(bench, report));
    peers.extend(sqlite::start(bench, report));
    peers.extend(simplebroker::start(bench, report));
    peers
}

/// What they do and what they promise, for those who read the table.
const PROMISES: [(&str, &str); 9] = [
    (
        "ipcq",
        "messages have boundaries and an order; each is delivered at least once, whoever is killed when: a get commits after \
         it has written, in a segment in memory. In streams: `ipcq put -l < file` and `ipcq get -f > /dev/null`, their start \
         included",
    ),
    ("fifo, pipe, unix socket", pipe::PROMISE),
    ("POSIX mq", posix_mq::PROMISE),
    ("flock and futex alone", lock_and_futex::PROMISE),
    ("multiprocessing.Queue, SimpleQueue", multiprocessing_queue::PROMISE),
    ("Redis", redis::PROMISE),
    ("beanstalkd", beanstalkd::PROMISE),
    ("SQLite", sqlite::PROMISE),
    ("SimpleBroker", simplebroker::PROMISE),
];

/// The same as a list in Markdown.
pub(crate) fn promises() -> String {
    PROMISES.iter().map(|(name, promise)| format!("- **{name}**: {promise}.\n")).collect()
}
