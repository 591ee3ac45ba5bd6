//! `ipcq put`: puts messages, from arguments or from standard input.

use super::arguments::{CreateIfMissing, Patience, QueueArgument};
use super::input::{self, Source};
use super::meter::Meter;
use super::progress::ProgressArgument;
use super::stream::{Putting, not_json, too_large};
use super::{Outcome, json};
use crate::message::{Framing, Run};
use crate::place::Place;
use crate::queue::Queue;
use crate::reserve::reserve;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// Put messages into a queue: each argument is one; without any, all of standard input is one
#[derive(clap::Args, Debug, Default)]
#[command(before_help = "Examples:
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
    progress: ProgressArgument,
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
        let start = Instant::now();
        let mut queue = self.create.open(place, &address, self.patience.deadline())?;
        let queue = queue.as_mut();
        if self.lines || self.null {
            let framing = if self.lines { Framing::Newline } else { Framing::Nul };
            let meter = Meter::new(&self.progress, place, vec![address]);
            return self.putting(&self.patience, &meter).stream(queue, Source::stdin()?, framing);
        }
        let patience = self.patience.after(start);
        if self.messages.is_empty() { self.put_whole(queue, &patience) } else { self.put_arguments(queue, &patience) }
    }

    fn putting<'a>(&self, patience: &'a Patience, meter: &'a Meter) -> Putting<'a> {
        Putting { json: self.json, together: !self.lines && !self.null, patience, meter }
    }

    fn put_arguments(&self, queue: &mut dyn Queue, patience: &Patience) -> Outcome {
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
        self.putting(patience, &Meter::none()).run(
            queue,
            &Run::delimited(&bytes, Framing::Nul).with_json(self.json),
            &mut 0,
        )
    }

    fn put_whole(&self, queue: &mut dyn Queue, patience: &Patience) -> Outcome {
        let capacity = queue.capacity();
        let Some(message) = input::read_all(capacity)? else {
            return Err(too_large(queue, "standard input".into(), format!("over {capacity}")));
        };
        if !self.json {
            return self.putting(patience, &Meter::none()).run(queue, &Run::whole(&message), &mut 0);
        }
        let mut compact = Vec::new();
        reserve(&mut compact, message.len() as u64 + 1)?;
        json::compact(&message, &mut compact).map_err(|reason| not_json("standard input", &reason))?;
        compact.push(b'\n');
        self.putting(patience, &Meter::none()).run(
            queue,
            &Run::delimited(&compact, Framing::Newline).with_json(true),
            &mut 0,
        )
    }
}
