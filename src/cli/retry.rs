//! `ipcq retry`: dead messages get another chance.

use super::Outcome;
use super::arguments::{PATIENCE, QueueArgument};
use super::exit::Exit;
use crate::lease::LeaseId;
use crate::open;
use crate::place::Place;
use std::time::Instant;

/// Make dead messages ready again, in their old places and as if they had never been handed out
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq retry jobs 17       the message that 'ipcq peek jobs --dead' calls 17
  ipcq retry jobs --all    all that are dead")]
#[command(after_help = "Exit codes: 2 one of them is not dead (nothing was changed), 4 no such queue.")]
pub(super) struct Retry {
    #[command(flatten)]
    queue: QueueArgument,
    /// The ids of the messages; those of their leases will do
    #[arg(value_name = "ID", required_unless_present = "all", allow_negative_numbers = true)]
    ids: Vec<LeaseId>,
    /// All messages that are dead
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

impl Retry {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut queue = open::open(place, &self.queue.address()?)?;
        let ids: Vec<u64> = self.ids.iter().map(|id| id.message).collect();
        queue.retry(Some(&*ids).filter(|_| !self.all), Some(Instant::now() + PATIENCE))?;
        Ok(Exit::Done)
    }
}
