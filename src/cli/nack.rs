//! `ipcq nack`: leased messages are given back, now or later.

use super::Outcome;
use super::arguments::{LeaseArguments, QueueArgument};
use super::exit::Exit;
use super::units::parse_duration;
use crate::lease::{Cause, End, Reason};
use crate::place::Place;
use std::time::Duration;

/// Give leased messages back, to be handed out again, in their old places
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq nack jobs \"$ipcq_id\"                ready again at once
  ipcq nack jobs \"$ipcq_id\" --delay 30s    ... or in half a minute")]
#[command(
    after_help = "Exit codes: 2 one of them is not leased by that id now (nothing was changed), 4 no such queue."
)]
pub(super) struct Nack {
    #[command(flatten)]
    queue: QueueArgument,
    #[command(flatten)]
    leases: LeaseArguments,
    /// Let them be ready again only after that time
    #[arg(long, value_name = "DUR", value_parser = parse_duration, allow_hyphen_values = true)]
    delay: Option<Duration>,
}

impl Nack {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let reason = Reason { cause: Cause::Returned, text: Vec::new() };
        let delay = self.delay.unwrap_or_default();
        self.leases.end(place, &self.queue, &End::Again { delay, max_attempts: None, reason })?;
        Ok(Exit::Done)
    }
}
