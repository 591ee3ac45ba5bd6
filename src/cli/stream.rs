//! Putting: one run, or a stream of records as they arrive; and saying how far it got.

use super::arguments::Patience;
use super::exit::{Exit, report};
use super::input::{Next, Records, Source};
use super::meter::Meter;
use super::{Outcome, json};
use crate::error::Error;
use crate::message::{Framing, Run};
use crate::queue::Queue;
use crate::reserve::reserve;
use std::time::Instant;

/// How messages are put.
#[derive(Clone, Copy)]
pub(super) struct Putting<'a> {
    /// Each must be valid JSON, and is stored compact.
    pub(super) json: bool,
    /// All at once or none, where that can ever be.
    pub(super) together: bool,
    /// How long each wait may be.
    pub(super) patience: &'a Patience,
    /// Counts what has been put.
    pub(super) meter: &'a Meter,
}

impl Putting<'_> {
    /// Counts as a producer of the queue from now on.
    pub(super) fn start(&self, queue: &mut dyn Queue) -> Outcome {
        match queue.produce(self.patience.deadline()) {
            Err(locked @ Error::LockTimeout { .. }) => Ok(stopped(&locked.to_string(), 0)),
            other => other.map(|()| Exit::Done),
        }
    }

    /// Puts all that comes from `source`, as a producer of the queue.
    pub(super) fn stream(&self, queue: &mut dyn Queue, source: Source, framing: Framing) -> Outcome {
        let started = self.start(queue)?;
        if started != Exit::Done {
            return Ok(started);
        }
        let unit = if framing == Framing::Newline { "line" } else { "message" };
        let source_name = source.name();
        let mut records = Records::new(source, framing, queue.capacity())?;
        let mut compacted = Vec::new();
        let takes_bulk = !self.json && !self.meter.shows() && queue.takes_bulk();
        let mut put = 0;
        loop {
            if takes_bulk && records.come_in_bulk() {
                put += records.hand_over(|input, rest| queue.put_from(input, rest))?;
            }
            let run = match records.next_run()? {
                Next::Run(run) => run,
                Next::End => return Ok(Exit::Done),
                Next::TooLong => {
                    let what = format!("{unit} {} of {source_name}", put + 1);
                    return Err(too_large(queue, what, format!("over {}", queue.capacity())));
                }
            };
            // What is good before what is bad is put, and nothing after it.
            let (run, failure) = self
                .acceptable(queue, run, &mut compacted, |index| format!("{unit} {} of {source_name}", put + index + 1));
            let exit = self.run(queue, &run, &mut put)?;
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
    pub(super) fn run(&self, queue: &mut dyn Queue, run: &Run<'_>, put: &mut u64) -> Outcome {
        if self.meter.shows() {
            return self.run_in_steps(queue, *run, put);
        }
        let why = match queue.put(run, self.together, self.patience.deadline()) {
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
        Ok(stopped(&why, *put))
    }

    /// The same, but for a full queue message by message, so that what is shown is right while we wait.
    fn run_in_steps(&self, queue: &mut dyn Queue, mut left: Run<'_>, put: &mut u64) -> Outcome {
        let unmetered = Putting { meter: &Meter::none(), ..*self };
        while left.count() > 0 {
            let fits = match queue.put(&left, self.together, Some(Instant::now())) {
                Err(Error::LockTimeout { .. }) => 0,
                fits => fits?,
            };
            let mut step = left.prefix(fits, u64::MAX);
            *put += fits;
            if fits == 0 {
                step = left.prefix(1, u64::MAX);
                let exit = unmetered.run(queue, &step, put)?;
                if exit != Exit::Done {
                    return Ok(exit);
                }
            }
            self.meter.add(step.count(), step.message_bytes());
            left = left.after(&step);
        }
        Ok(Exit::Done)
    }
}

/// Says why no more was put in time, and how much was.
fn stopped(why: &str, put: u64) -> Exit {
    match put {
        0 => report(format_args!("{why}: nothing was put")),
        1 => report(format_args!("{why}: only the first message was put")),
        count => report(format_args!("{why}: only the first {count} messages were put")),
    }
    Exit::TimedOut
}

/// That a message can never fit.
pub(super) fn too_large(queue: &dyn Queue, what: String, length: String) -> Error {
    Error::TooLarge { what, length, name: queue.name().to_owned(), capacity: queue.capacity() }
}

/// That a message is not JSON.
pub(super) fn not_json(what: &str, reason: &str) -> Error {
    Error::Other(format!("{what} is not valid JSON: {reason}"))
}
