//! What can go wrong, as sentences: what failed, why, and what to do next.

use crate::lease::LeaseId;
use nix::errno::Errno;
use std::io;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure a caller can meet. The text of each is a whole sentence for a person,
/// without the leading `ipcq: `.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing has that name.
    #[error("no queue '{name}' ({}create it with 'ipcq create {name}' or 'ipcq put --create')", or_else(meant))]
    NoSuchQueue {
        /// The name as it was given.
        name: String,
        /// The name of a queue that is there, and that may have been meant.
        meant: Option<String>,
    },
    /// The queue was there when we opened it and has been removed since.
    #[error("queue '{name}' has been removed")]
    Removed {
        /// The name as it was given.
        name: String,
    },
    /// `create` of a name that is taken.
    #[error("queue '{name}' exists already (use it as it is, or add --exist-ok)")]
    AlreadyExists {
        /// The name as it was given.
        name: String,
    },
    /// The queue refuses puts, or is closed and has nothing more to give.
    #[error("queue '{name}' is closed")]
    Closed {
        /// The name as it was given.
        name: String,
    },
    /// The text is not a queue name.
    #[error("'{name}' is not a queue name: {reason}")]
    BadName {
        /// The name as it was given, escaped for a terminal.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A message that can never fit.
    #[error(
        "{what} is {length} bytes, more than the capacity of queue '{name}' ({capacity} bytes): \
         create the queue with a larger --capacity"
    )]
    TooLarge {
        /// Which message: `the message`, `line 7 of the input`.
        what: String,
        /// The message's length in bytes, or what is known of it, as `over 4096`.
        length: String,
        /// The name of the queue.
        name: String,
        /// The queue's capacity in bytes.
        capacity: u64,
    },
    /// The file is not a segment this program can work on.
    #[error("'{path}' is not a usable queue: {reason}")]
    Unusable {
        /// The segment file.
        path: String,
        /// What is wrong: foreign, another version, truncated.
        reason: String,
    },
    /// The file is a segment, and a field in it holds what it never may.
    #[error("queue '{path}' is damaged: {field} {problem} ({})", way_out(field))]
    Damaged {
        /// The segment file.
        path: String,
        /// The field's name as in ipcq-segment(5).
        field: &'static str,
        /// What the field says.
        problem: String,
    },
    /// A file or directory that is not safe to trust.
    #[error("{path}: {reason}")]
    Untrusted {
        /// The file or directory.
        path: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The lock was not to be had in the time given.
    #[error("queue '{name}' is locked by {holder}")]
    LockTimeout {
        /// The name of the queue.
        name: String,
        /// Who has locked it, as the end of the sentence.
        holder: String,
    },
    /// What was to be ended is no lease.
    #[error(
        "{id} is not leased from queue '{name}' now: it was finished with, ran out, or never was; nothing was changed"
    )]
    NotLeased {
        /// The lease as it was named.
        id: LeaseId,
        /// The name of the queue.
        name: String,
    },
    /// What we were done with has been given to others as well: we live, and were taken for dead.
    #[error("server {server} has not heard of us for so long that {} given to others as well", were(*messages))]
    GivenToOthers {
        /// The server's URL.
        server: String,
        /// How many messages.
        messages: u64,
    },
    /// What was to be tried again is not dead.
    #[error("message {id} of queue '{name}' is not dead; nothing was changed")]
    NotDead {
        /// The message's id.
        id: u64,
        /// The name of the queue.
        name: String,
    },
    /// A system call failed.
    #[error("cannot {doing}: {source}{}", advice(source))]
    Io {
        /// What was being done, as `open /dev/shm/x`.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else that a caller must be told in a sentence of its own.
    #[error("{0}")]
    Other(String),
}

/// So many messages, as the beginning of what was done to them.
fn were(messages: u64) -> String {
    if messages == 1 { "1 message was".into() } else { format!("{messages} messages were") }
}

/// What can be done about damage.
fn way_out(field: &str) -> &'static str {
    match field {
        // The others can still be got.
        "payload checksum" => "'ipcq purge --damaged' removes the messages concerned from its front",
        _ => "remove it with 'ipcq rm', or restore it",
    }
}

/// The question that comes before what else can be done.
fn or_else(meant: &Option<String>) -> String {
    meant.as_ref().map(|meant| format!("did you mean '{meant}'? else ")).unwrap_or_default()
}

/// What to do about a failure of the system, where a limit of this process is behind it: the end of its sentence.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        Errno::EMFILE => "; raise the limit on open files (see 'ulimit -n')",
        Errno::EFBIG => "; raise the limit on the size of files (see 'ulimit -f')",
        Errno::ENOMEM => "; raise the limit on memory (see 'ulimit -v'), or free some",
        _ => "",
    }
}

impl Error {
    /// An I/O failure while `doing` something.
    #[cold]
    pub fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Error::Io { doing: doing.into(), source: source.into() }
    }
}
