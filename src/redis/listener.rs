//! Hearing that something has happened to a queue: a thread that listens on a channel of the server and changes a word,
//! on which others sleep.

use super::LOOK_AGAIN;
use super::link::Link;
use crate::queue::Deadline;
use crate::wait::{self, Watch};
use redis::{Connection, Msg};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long to wait for a listener that is just starting.
const PATIENCE_TO_START: Duration = Duration::from_secs(2);
/// How long silence lasts until the server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);
/// The time between two attempts to reach the server, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// What can be heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// There may be messages to get.
    Data,
    /// There may be room.
    Space,
    /// Messages may have been finished with.
    Finished,
    /// The queue has been created.
    Made,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Channel::Data => "data",
            Channel::Space => "space",
            Channel::Finished => "finished",
            Channel::Made => "made",
        }
    }
}

/// A thread that listens.
pub(super) struct Listener {
    channel: Channel,
    shared: Arc<Shared>,
}

struct Shared {
    /// Changes when something was heard, or may have been missed.
    word: AtomicU32,
    /// 1 while the server tells us.
    hears: AtomicU32,
    is_over: AtomicBool,
}

impl Listener {
    /// Starts to listen to what happens to the queue with this key and identity, which is empty as long as there is none.
    pub(super) fn start(link: &Link, key: &str, uuid: &str, channel: Channel) -> Self {
        let shared = Shared { word: AtomicU32::new(0), hears: AtomicU32::new(0), is_over: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let topic = [&key[..key.len() - "meta".len()], channel.name(), ":", uuid].concat();
        let (link, theirs) = (link.another(), Arc::clone(&shared));
        // Without a thread nothing is heard, and sleepers look often.
        let _ = std::thread::Builder::new().stack_size(256 << 10).spawn(move || theirs.listen(link, &topic));
        Listener { channel, shared }
    }

    pub(super) fn is_on(&self, channel: Channel) -> bool {
        self.channel == channel
    }

    /// Whether the server tells us what happens.
    pub(super) fn hears(&self) -> bool {
        self.shared.hears.load(Ordering::Acquire) == 1
    }

    /// Waits until it does, for a while.
    pub(super) fn until_it_hears(&self, deadline: Deadline) {
        let end = Instant::now() + PATIENCE_TO_START;
        let end = deadline.map_or(end, |deadline| deadline.min(end));
        while !self.hears() && Instant::now() < end {
            wait::sleep(&[Watch::new(&self.shared.hears, 0)], Some(end));
        }
    }

    /// What the word reads now.
    pub(super) fn now(&self) -> u32 {
        self.shared.word.load(Ordering::Acquire)
    }

    /// The word, and what it read when there was nothing to do.
    pub(super) fn watch(&self, seen: u32) -> Watch<'_> {
        Watch::new(&self.shared.word, seen)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It is noticed at the next word, or after a silence; nobody waits for that.
        self.shared.is_over.store(true, Ordering::Release);
    }
}

impl Shared {
    fn listen(&self, mut link: Link, topic: &str) {
        let mut pause = FIRST_PAUSE;
        while !self.is_over.load(Ordering::Acquire) {
            if let Ok(connection) = link.connected(None) {
                pause = FIRST_PAUSE;
                // Why it ended does not matter: it is begun again.
                let _ = self.hear(connection, topic);
                self.hears.store(0, Ordering::Release);
                self.tell();
            }
            link = link.another();
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK_AGAIN);
        }
    }

    /// Listens until the connection is lost.
    fn hear(&self, connection: &mut Connection, topic: &str) -> redis::RedisResult<()> {
        connection.send_packed_command(&redis::cmd("SUBSCRIBE").arg(topic).get_packed_command())?;
        connection.recv_response()?;
        connection.set_read_timeout(Some(SILENCE))?;
        self.hears.store(1, Ordering::Release);
        wait::wake(&self.hears, u32::MAX);
        // What happened before we listened may have been missed.
        self.tell();
        let mut was_silent = false;
        while !self.is_over.load(Ordering::Acquire) {
            match connection.recv_response() {
                Ok(value) => {
                    was_silent = false;
                    if Msg::from_value(&value).is_some() {
                        self.tell();
                    }
                }
                // The answer to what is sent now counts for that which did not come in time.
                Err(error) if error.is_timeout() && !was_silent => {
                    was_silent = true;
                    connection.send_packed_command(&redis::cmd("PING").get_packed_command())?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn tell(&self) {
        self.word.fetch_add(1, Ordering::AcqRel);
        wait::wake(&self.word, u32::MAX);
    }
}
