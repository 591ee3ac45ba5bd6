//! Leases that outlive the call that took them: their ids, what ends them, and how the work ended.

use crate::message::Framing;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// Which lease of a message: the id of the message, and for all but its first how often it had been handed out, as in
/// `17` and `17.2`. So whoever comes back late with an id cannot end the lease of another who has the message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId {
    /// The id of the message.
    pub message: u64,
    /// How often the message had been handed out then, this time included and also before it was retried; from 1.
    pub attempt: u32,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempt {
            1 => write!(f, "{}", self.message),
            attempt => write!(f, "{}.{attempt}", self.message),
        }
    }
}

impl FromStr for LeaseId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (message, attempt) = match text.split_once('.') {
            Some((message, attempt)) => (number(message), number(attempt).and_then(|number| number.try_into().ok())),
            None => (number(text), Some(1)),
        };
        match (message, attempt) {
            (Some(message @ 1..), Some(attempt @ 1..)) => Ok(LeaseId { message, attempt }),
            _ => Err("an id is what 'ipcq get --lease' printed, as 17 or 17.2".into()),
        }
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whose death ends a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// That of this process; closing the queue is the same.
    This,
    /// That of another process, which lives now.
    Process(u32),
    /// Nobody's.
    Nobody,
}

/// What ends a lease, besides [`End`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When it runs out, if it does.
    pub until: Option<SystemTime>,
    /// Whose death ends it.
    pub holder: Holder,
}

/// Why a message has come back or is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was given back.
    Returned,
    /// The command ended with this exit status.
    Exit(u8),
    /// The command was killed by this signal.
    Signal(u8),
    /// Its lease ran out.
    Expired,
    /// Whoever had it died.
    HolderDied,
}

impl Cause {
    /// As it is stored, whatever the queue is kept in: its kind, and a number that belongs to it.
    pub(crate) fn numbers(self) -> [u8; 2] {
        match self {
            Cause::Returned => [0, 0],
            Cause::Exit(status) => [1, status],
            Cause::Signal(signal) => [2, signal],
            Cause::Expired => [3, 0],
            Cause::HolderDied => [4, 0],
        }
    }

    /// The cause of that kind, if there is one.
    pub(crate) fn from_numbers([kind, number]: [u8; 2]) -> Option<Self> {
        match kind {
            0 => Some(Cause::Returned),
            1 => Some(Cause::Exit(number)),
            2 => Some(Cause::Signal(number)),
            3 => Some(Cause::Expired),
            4 => Some(Cause::HolderDied),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Returned => write!(f, "given back"),
            Cause::Exit(status) => write!(f, "exit status {status}"),
            Cause::Signal(signal) => match nix::sys::signal::Signal::try_from(i32::from(*signal)) {
                Ok(name) => write!(f, "killed by {name}"),
                Err(_) => write!(f, "killed by signal {signal}"),
            },
            Cause::Expired => write!(f, "lease ran out"),
            Cause::HolderDied => write!(f, "consumer died"),
        }
    }
}

/// Why, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Why.
    pub cause: Cause,
    /// A line for a person, perhaps empty; kept up to [`Reason::MOST_TEXT`] bytes.
    pub text: Vec<u8>,
}

impl Reason {
    /// Bytes of text that are kept.
    pub const MOST_TEXT: usize = 256;
}

/// How a lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The message is done with and leaves the queue.
    Done,
    /// The message is ready again in its old place, after a delay; or dead, if it has had all its attempts.
    Again {
        /// Not before that.
        delay: Duration,
        /// The attempts that it has; `None`: as many as the queue says.
        max_attempts: Option<u32>,
        /// Why, if it is dead then.
        reason: Reason,
    },
    /// The message is dead: kept aside.
    Dead(Reason),
    /// The message is done with, and that is noted until [`crate::queue::Queue::forget_handed_on`]: so somebody else
    /// can tell that a message of another queue, which was prepared for this one, is to be published.
    HandedOn,
}

/// What became of messages whose leases ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Done with.
    pub done: u64,
    /// Ready again, now or later.
    pub again: u64,
    /// Dead.
    pub dead: u64,
}

/// A message that has to be finished with before another one, of another queue, can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The identity of its queue.
    pub uuid: [u8; 16],
    /// Its lease.
    pub lease: LeaseId,
    /// Where the queue is: an absolute path of at most [`Source::LONGEST_PATH`] bytes.
    pub path: Vec<u8>,
}

impl Source {
    /// The longest path that can be noted, in bytes: with the rest it fills 256 bytes.
    pub const LONGEST_PATH: usize = 256 - 28;

    /// Its bytes: identity, id, attempt, path.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.uuid[..], &self.lease.message.to_ne_bytes(), &self.lease.attempt.to_ne_bytes(), &self.path].concat()
    }

    /// What [`Source::encode`] has made.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Source> {
        let (uuid, rest) = bytes.split_first_chunk()?;
        let (message, rest) = rest.split_first_chunk()?;
        let (attempt, path) = rest.split_first_chunk()?;
        let lease = LeaseId { message: u64::from_ne_bytes(*message), attempt: u32::from_ne_bytes(*attempt) };
        Some(Source { uuid: *uuid, lease, path: path.to_vec() })
    }
}

/// The messages that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// Those that can be got.
    Ready,
    /// Those that consumers have.
    Leased,
    /// Those that will be ready at a known time.
    Delayed,
    /// Those that were given up on.
    Dead,
}

/// A message that was looked at and not taken.
#[derive(Clone, Debug)]
pub struct Peeked {
    /// Its id.
    pub id: u64,
    /// How often it has been handed out since it was put or last retried.
    pub attempts: u32,
    /// How often it has been handed out in all: names its lease.
    pub handed_out: u32,
    /// How it was put.
    pub framing: Framing,
    /// Whether it is compact JSON.
    pub json: bool,
    /// Its bytes, without a delimiter.
    pub body: Vec<u8>,
    /// When its lease runs out, it becomes ready, or it died; `None`: a lease that ends with its holder only, or a
    /// message that is ready.
    pub at: Option<SystemTime>,
    /// The process that holds its lease.
    pub holder: Option<u32>,
    /// Why it is dead.
    pub reason: Option<Reason>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for (message, attempt, text) in
            [(17, 1, "17"), (17, 2, "17.2"), (u64::MAX, u32::MAX, "18446744073709551615.4294967295")]
        {
            let id = LeaseId { message, attempt };
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
        }
        assert_eq!("17.1".parse(), Ok(LeaseId { message: 17, attempt: 1 }));
        for text in ["", "x", "-1", "+1", "0", "1.", "1.0", ".1", "1.2.3", " 1", "18446744073709551616", "1.4294967296"]
        {
            assert!(text.parse::<LeaseId>().is_err(), "{text}");
        }
    }
}
