//! POSIX message queues, through the system calls and nothing else.

use super::{Channel, Client, MESSAGE, Pair, Peer, Sample, between_threads};
use crate::tools::{Running, answering};
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_close, mq_getattr, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;

pub(crate) const PROMISE: &str = "whole messages of at most 8 KiB, 1,024 of them where that is allowed; at most once; \
     a loop of mq_send and one of mq_receive";

/// Messages that a queue holds: as many as are allowed, of these.
const DEPTHS: [i64; 2] = [1024, 10];

/// The longest message that all systems allow.
const LONGEST: usize = 8192;

/// An open queue.
struct Queue(Option<MqdT>);

impl Queue {
    fn create(name: &str, longest: usize) -> Self {
        let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_RDWR | MQ_OFlag::O_CLOEXEC;
        let create = |depth: &i64| {
            let attributes = MqAttr::new(0, *depth, longest as i64, 0);
            mq_open(name, flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attributes)).ok()
        };
        Queue(Some(DEPTHS.iter().find_map(create).expect("a message queue")))
    }

    fn open(name: &str) -> Self {
        Queue(Some(mq_open(name, MQ_OFlag::O_RDWR | MQ_OFlag::O_CLOEXEC, Mode::empty(), None).unwrap()))
    }

    fn descriptor(&self) -> &MqdT {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.take().map(mq_close);
    }
}

/// Removes the queues of that name in the end.
struct Named(String);

impl Named {
    fn new(what: &str) -> Self {
        Named(format!("/ipcq-bench-{}-{what}", std::process::id()))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = mq_unlink(self.0.as_str());
    }
}

/// The ends of a process: to receive from, and to send to.
pub(crate) struct Ends {
    from: Queue,
    to: Queue,
    _names: Vec<Named>,
}

impl Ends {
    pub(crate) fn open(from: &str, to: &str) -> Self {
        Ends { from: Queue::open(from), to: Queue::open(to), _names: Vec::new() }
    }
}

impl Channel for Ends {
    fn send(&mut self) {
        mq_send(self.to.descriptor(), &MESSAGE, 0).unwrap();
    }

    fn receive(&mut self) {
        let mut message = MESSAGE;
        assert_eq!(mq_receive(self.from.descriptor(), &mut message, &mut 0).unwrap(), MESSAGE.len());
    }
}

/// Processes that answer between two queues.
pub(crate) fn start(count: usize) -> Pair {
    let (there, back) = (Named::new("there"), Named::new("back"));
    let (to, from) = (Queue::create(&there.0, MESSAGE.len()), Queue::create(&back.0, MESSAGE.len()));
    let echo = |_| Running::start(answering().args(["posix-mq", &there.0, &back.0]));
    let echoes = (0..count).map(echo).collect();
    (Box::new(Ends { from, to, _names: vec![there, back] }), echoes)
}

/// A queue to stream through.
pub(crate) struct PosixMq;

impl Peer for PosixMq {
    fn name(&self) -> &'static str {
        "POSIX mq"
    }

    fn pace(&self) -> usize {
        300_000
    }

    fn longest(&self) -> usize {
        LONGEST
    }

    fn stream(&mut self, sample: &Sample, producers: usize, consumers: usize) -> f64 {
        let name = Named::new("stream");
        let longest = sample.messages().map(<[u8]>::len).max().unwrap_or(1).max(1);
        let _queue = Queue::create(&name.0, longest);
        between_threads(sample, producers, consumers, &|| Box::new(Queue::open(&name.0)))
    }
}

impl Client for Queue {
    fn put(&mut self, messages: &mut dyn Iterator<Item = &[u8]>) {
        messages.for_each(|message| mq_send(self.descriptor(), message, 0).unwrap());
    }

    fn get(&mut self, count: usize) {
        let mut message = vec![0; mq_getattr(self.descriptor()).unwrap().msgsize() as usize];
        for _ in 0..count {
            mq_receive(self.descriptor(), &mut message, &mut 0).unwrap();
        }
    }
}
