//! `ipcq mv`: moves messages from one queue to another.

use super::Outcome;
use super::arguments::Patience;
use super::completions;
use super::exit::{Exit, report};
use super::units::parse_count;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::lease::{Holder, LeaseId, Shelf, Terms};
use crate::message::Run;
use crate::open;
use crate::place::Place;
use crate::queue::{self, Otherwise, Queue, Taken, Want};
use clap_complete::engine::ArgValueCompleter;
use std::ffi::OsString;
use std::time::Instant;

/// Messages that are leased at once.
const BATCH: u64 = 32;

/// Move messages from one queue to another, each exactly once
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq mv jobs later            all that are ready now
  ipcq mv jobs urgent -n 1      the next one
  ipcq mv jobs again --dead     those that were given up on, to be tried again there")]
#[command(after_help = "Whenever ipcq is killed, a message is in one of the two queues and not in both.")]
pub(super) struct Mv {
    /// The queue to take from
    #[arg(value_name = "QUEUE", add = ArgValueCompleter::new(completions::queues))]
    from: OsString,
    /// The queue to put into
    #[arg(value_name = "QUEUE2", add = ArgValueCompleter::new(completions::queues))]
    to: OsString,
    /// Move at most N messages
    #[arg(short = 'n', value_name = "N", value_parser = parse_count, allow_hyphen_values = true)]
    count: Option<u64>,
    /// Move dead messages instead of ready ones
    #[arg(long)]
    dead: bool,
    #[command(flatten)]
    patience: Patience,
}

impl Mv {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let (from, to) = (Address::parse(&self.from)?, Address::parse(&self.to)?);
        let deadline = self.patience.deadline();
        let mut from = open::open_until(place, &from, deadline)?;
        let mut to = open::open_until(place, &to, deadline)?;
        if from.status(None)?.path == to.status(None)?.path {
            return Err(Error::Other(format!("'{}' and '{}' are the same queue", from.name(), to.name())));
        }
        let mut left = self.count.unwrap_or(u64::MAX);
        if !self.dead {
            // What is put from now on was not there now.
            left = left.min(from.status(None)?.ready);
        }
        while left > 0 {
            let moved = match self.dead {
                true => self.move_dead(from.as_mut(), to.as_mut(), left)?,
                false => self.move_ready(from.as_mut(), to.as_mut(), left)?,
            };
            match moved {
                Moved::Some(count) => left = left.saturating_sub(count),
                Moved::Nothing => break,
                Moved::NoRoom => {
                    report(format_args!("queue '{}' is full: some messages were not moved", to.name()));
                    return Ok(Exit::TimedOut);
                }
            }
        }
        Ok(Exit::Done)
    }

    fn move_ready(&self, from: &mut dyn Queue, to: &mut dyn Queue, most: u64) -> Result<Moved> {
        let want = Want { messages: most.min(BATCH), bytes: u64::MAX, singly: true };
        if from.take(want, Otherwise::Leave, Some(Instant::now()))? != Taken::Messages {
            return Ok(Moved::Nothing);
        }
        let frames = from.frames().to_vec();
        let mut payloads = Vec::new();
        for index in 0..frames.len() {
            let mut payload = Vec::new();
            from.read(index, &mut payload)?;
            payloads.push(payload);
        }
        // Should we die, those that are not moved are ready again.
        from.keep(frames.len() as u64, Terms { until: None, holder: Holder::This }, true, None)?;
        for (frame, payload) in frames.iter().zip(&payloads) {
            let lease = LeaseId { message: frame.first_id, attempt: frame.handed_out };
            if !queue::hand_on(from, lease, to, &frame.run(payload), self.patience.deadline())? {
                return Ok(Moved::NoRoom);
            }
        }
        Ok(Moved::Some(frames.len() as u64))
    }

    fn move_dead(&self, from: &mut dyn Queue, to: &mut dyn Queue, most: u64) -> Result<Moved> {
        let dead = from.peek(Shelf::Dead, most.min(BATCH) as usize, None)?;
        for message in &dead {
            let delimiter = message.framing.delimiter();
            let payload: Vec<u8> = message.body.iter().copied().chain(delimiter).collect();
            let run = Run::stored(&payload, message.framing, 1, message.json);
            let lease = LeaseId { message: message.id, attempt: message.handed_out };
            if !queue::hand_on_dead(from, lease, to, &run, self.patience.deadline())? {
                return Ok(Moved::NoRoom);
            }
        }
        Ok(if dead.is_empty() { Moved::Nothing } else { Moved::Some(dead.len() as u64) })
    }
}

/// What came of moving some.
enum Moved {
    Some(u64),
    Nothing,
    NoRoom,
}
