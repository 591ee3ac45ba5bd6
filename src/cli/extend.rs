//! `ipcq extend`: more time for leased messages.

use super::Outcome;
use super::arguments::{LeaseArguments, PATIENCE, QueueArgument};
use super::exit::Exit;
use super::units::parse_lease;
use crate::open;
use crate::place::Place;
use std::time::{Duration, Instant};

/// Let leases run for a time from now on, whatever they were to run before
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq extend jobs \"$ipcq_id\" 5m    the message comes back in five minutes, not before")]
#[command(
    after_help = "Exit codes: 2 one of them is not leased by that id now (nothing was changed), 4 no such queue."
)]
pub(super) struct Extend {
    #[command(flatten)]
    queue: QueueArgument,
    #[command(flatten)]
    leases: LeaseArguments,
    /// How long they run from now on
    #[arg(value_name = "DUR", required = true, value_parser = parse_lease, allow_hyphen_values = true)]
    time: Duration,
}

impl Extend {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut queue = open::open(place, &self.queue.address()?)?;
        queue.extend(self.leases.ids(), self.time, Some(Instant::now() + PATIENCE))?;
        Ok(Exit::Done)
    }
}
