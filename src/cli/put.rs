//! `ipcq put`: puts messages, from arguments or from standard input.

use super::arguments::{CreateIfMissing, Patience, QueueArgument};
use super::exit::{Exit, report};
use super::input::{self, Next, Records};
use super::{Outcome, json};
use crate::error::Error;
use crate::message::{Framing, Run, reserve};
use crate::place::Place;
use crate::queue::Queue;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Put messages into a queue: each argument is one; without any, all of standard input is one
#[derive(clap::Args, Debug, Default)]
#[command(after_help = "Examples:
  ipcq put jobs 'hello world'           one message
  ipcq put jobs *.png                   one message for each file name
  tar c dir | ipcq put backups          all of standard input is one message
  find . -type f | ipcq put jobs -l     each line is a message, put as it arrives")]
pub(super) struct Put {
    #[command(flatten)]
    queue: QueueArgument,
    /// The messages
    #[arg(value_name = "MESSAGE")]
    messages: Vec<OsString>,
    /// Each line of standard input is a message
    #[arg(short, long, conflicts_with_all = ["messages", "null"])]
    lines: bool,
    /// Each NUL-terminated piece of standard input is a message
    #[arg(short = '0', long, conflicts_with = "messages")]
    null: bool,
    /// Each message must be valid JSON; it is stored without white space between its tokens
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    create: CreateIfMissing,
    #[command(flatten)]
    patience: Patience,
}

impl Put {
    /// A put of `messages` without any option.
    pub(super) fn of(queue: QueueArgument, messages: Vec<OsString>) -> Self {
        Put { queue, messages, ..Put::default() }
    }

    pub(super) fn run(&self, place: &Place) -> Outcome {
        let address = self.queue.address()?;
        let mut queue = self.create.open(place, &address)?;
        let queue = queue.as_mut();
        if self.lines || self.null {
            self.put_stream(queue, if self.lines { Framing::Newline } else { Framing::Nul })
        } else if self.messages.is_empty() {
            self.put_whole(queue)
        } else {
            self.put_arguments(queue)
        }
    }

    fn put_arguments(&self, queue: &mut dyn Queue) -> Outcome {
        let mut bytes = Vec::new();
        for (index, message) in self.messages.iter().enumerate() {
            let message = message.as_bytes();
            let what = || match self.messages.len() {
                1 => "the message".to_owned(),
                _ => format!("message {}", index + 1),
            };
            let start = bytes.len();
            if self.json {
                json::compact(message, &mut bytes).map_err(|reason| not_json(&what(), &reason))?;
            } else {
                bytes.extend_from_slice(message);
            }
            let length = bytes.len() - start;
            if length as u64 > queue.capacity() {
                return Err(too_large(queue, what(), length.to_string()));
            }
            // An argument cannot hold a NUL.
            bytes.push(0);
        }
        self.put_run(queue, &Run::delimited(&bytes, Framing::Nul).with_json(self.json), &mut 0)
    }

    fn put_whole(&self, queue: &mut dyn Queue) -> Outcome {
        let capacity = queue.capacity();
        let Some(message) = input::read_all(capacity)? else {
            return Err(too_large(queue, "standard input".into(), format!("over {capacity}")));
        };
        if !self.json {
            return self.put_run(queue, &Run::whole(&message), &mut 0);
        }
        let mut compact = Vec::new();
        reserve(&mut compact, message.len() as u64 + 1)?;
        json::compact(&message, &mut compact).map_err(|reason| not_json("standard input", &reason))?;
        compact.push(b'\n');
        self.put_run(queue, &Run::delimited(&compact, Framing::Newline).with_json(true), &mut 0)
    }

    fn put_stream(&self, queue: &mut dyn Queue, framing: Framing) -> Outcome {
        let unit = if framing == Framing::Newline { "line" } else { "message" };
        let mut records = Records::new(framing, queue.capacity())?;
        let mut compacted = Vec::new();
        let mut put = 0;
        loop {
            let run = match records.next_run()? {
                Next::Run(run) => run,
                Next::End => return Ok(Exit::Done),
                Next::TooLong => {
                    let what = format!("{unit} {} of standard input", put + 1);
                    return Err(too_large(queue, what, format!("over {}", queue.capacity())));
                }
            };
            // What is good before what is bad is put, and nothing after it.
            let (run, failure) = self.acceptable(queue, run, &mut compacted, |index| {
                format!("{unit} {} of standard input", put + index + 1)
            });
            let exit = self.put_run(queue, &run, &mut put)?;
            if exit != Exit::Done {
                return Ok(exit);
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
    }

    /// The part of `run` before the first message that cannot be put, and why that one cannot.
    fn acceptable<'a>(
        &self,
        queue: &dyn Queue,
        run: Run<'a>,
        compacted: &'a mut Vec<u8>,
        what: impl Fn(u64) -> String,
    ) -> (Run<'a>, Option<Error>) {
        let capacity = queue.capacity();
        let too_large = |message: &[u8]| message.len() as u64 > capacity;
        if !self.json {
            if run.message_bytes() <= capacity {
                return (run, None);
            }
            return match run.messages().position(too_large) {
                None => (run, None),
                Some(index) => {
                    let length = run.messages().nth(index).map_or(0, <[u8]>::len);
                    let error = self::too_large(queue, what(index as u64), length.to_string());
                    (run.prefix(index as u64, u64::MAX), Some(error))
                }
            };
        }
        compacted.clear();
        if let Err(failure) = reserve(compacted, run.bytes().len() as u64) {
            return (run.prefix(0, 0), Some(failure));
        }
        let mut failure = None;
        for (index, message) in run.messages().enumerate() {
            let start = compacted.len();
            failure = match json::compact(message, compacted) {
                Err(reason) => Some(not_json(&what(index as u64), &reason)),
                Ok(()) if too_large(&compacted[start..]) => {
                    Some(self::too_large(queue, what(index as u64), (compacted.len() - start).to_string()))
                }
                Ok(()) => None,
            };
            if failure.is_some() {
                compacted.truncate(start);
                break;
            }
            // Compact JSON holds neither a newline nor a NUL.
            compacted.push(b'\n');
        }
        (Run::delimited(compacted, Framing::Newline).with_json(true), failure)
    }

    /// Puts all of `run`; `put` counts the messages that this process has put.
    fn put_run(&self, queue: &mut dyn Queue, run: &Run<'_>, put: &mut u64) -> Outcome {
        let together = !self.lines && !self.null;
        let why = match queue.put(run, together, self.patience.deadline()) {
            Ok(done) => {
                *put += done;
                if done == run.count() {
                    return Ok(Exit::Done);
                }
                format!("queue '{}' is full", queue.name())
            }
            Err(locked @ Error::LockTimeout { .. }) => locked.to_string(),
            Err(error) => return Err(error),
        };
        match *put {
            0 => report(format_args!("{why}: nothing was put")),
            1 => report(format_args!("{why}: only the first message was put")),
            count => report(format_args!("{why}: only the first {count} messages were put")),
        }
        Ok(Exit::TimedOut)
    }
}

fn too_large(queue: &dyn Queue, what: String, length: String) -> Error {
    Error::TooLarge { what, length, name: queue.name().to_owned(), capacity: queue.capacity() }
}

fn not_json(what: &str, reason: &str) -> Error {
    Error::Other(format!("{what} is not valid JSON: {reason}"))
}
