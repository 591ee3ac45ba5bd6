//! `ipcq resume`: lets puts or gets that were paused go on.

use super::Outcome;
use super::arguments::QueueArgument;
use super::exit::Exit;
use super::steer::{PATIENCE, Side};
use crate::open;
use crate::place::Place;
use std::time::Instant;

/// Let puts and gets go on that were paused
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq resume jobs           whatever was paused
  ipcq resume jobs --get     only gets")]
pub(super) struct Resume {
    #[command(flatten)]
    queue: QueueArgument,
    #[command(flatten)]
    side: Side,
}

impl Resume {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut queue = open::open(place, &self.queue.address()?)?;
        queue.resume(self.side.puts(), self.side.gets(), Instant::now().checked_add(PATIENCE))?;
        Ok(Exit::Done)
    }
}
