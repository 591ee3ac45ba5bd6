//! Answering: what the other process of a ping-pong does, through queues or through a peer.

use crate::peers::{Channel, MESSAGE, lock_and_futex, pipe, posix_mq, redis};
use crate::tools::{address, place};
use ipcq::message::Run;
use ipcq::open;
use ipcq::queue::{Found, Queue, SPIN, Want, take_from_first};
use std::path::Path;

/// Answers every message, until it is killed. The words say how.
pub(crate) fn answer(words: &[String]) {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut channel: Box<dyn Channel> = match words.as_slice() {
        ["ipcq", directory, there, back, spins] => {
            Box::new(Queues::open(directory.as_ref(), there, back, *spins == "spins"))
        }
        ["descriptors", spins] => Box::new(pipe::Ends::standard(*spins == "spins")),
        ["posix-mq", there, back] => Box::new(posix_mq::Ends::open(there, back)),
        ["lock-and-futex", there, back] => Box::new(lock_and_futex::Ends::open(there.as_ref(), back.as_ref())),
        ["redis", socket] => Box::new(redis::Lists::connect(socket, "there", "back")),
        other => panic!("unknown way to answer: {other:?}"),
    };
    loop {
        channel.receive();
        channel.send();
    }
}

/// A queue to take from and one to put into.
pub(crate) struct Queues {
    from: Vec<Box<dyn Queue>>,
    to: Box<dyn Queue>,
    /// Watch for a moment before sleeping.
    spins: bool,
    buffer: Vec<u8>,
}

impl Queues {
    pub(crate) fn open(directory: &Path, from: &str, to: &str, spins: bool) -> Self {
        let open = |name| open::open(&place(directory), &address(name)).unwrap();
        Queues { from: vec![open(from)], to: open(to), spins, buffer: Vec::new() }
    }
}

impl Channel for Queues {
    fn send(&mut self) {
        assert_eq!(self.to.put(&Run::whole(&MESSAGE), false, None).unwrap(), 1);
    }

    fn receive(&mut self) {
        let want = Want { messages: 1, bytes: u64::MAX, singly: false };
        assert_eq!(
            take_from_first(&mut self.from, want, self.spins.then_some(SPIN), None).unwrap(),
            Found::Messages(0)
        );
        self.buffer.clear();
        self.from[0].read(0, &mut self.buffer).unwrap();
        assert_eq!(self.buffer, MESSAGE);
        // As a `get --follow` does.
        self.from[0].settle_at_next_take(1, None).unwrap();
    }
}
