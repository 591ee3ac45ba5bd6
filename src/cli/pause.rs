//! `ipcq pause`: lets puts or gets wait.

use super::Outcome;
use super::arguments::QueueArgument;
use super::exit::Exit;
use super::steer::{PATIENCE, Side};
use crate::open;
use crate::place::Place;
use std::time::Instant;

/// Let puts and gets wait until they are resumed
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq pause jobs            nobody gets or puts anything; who tries, waits
  ipcq pause jobs --get      consumers wait, and producers go on until the queue is full")]
pub(super) struct Pause {
    #[command(flatten)]
    queue: QueueArgument,
    #[command(flatten)]
    side: Side,
}

impl Pause {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut queue = open::open(place, &self.queue.address()?)?;
        queue.pause(self.side.puts(), self.side.gets(), Instant::now().checked_add(PATIENCE))?;
        Ok(Exit::Done)
    }
}
