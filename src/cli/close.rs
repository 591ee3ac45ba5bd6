//! `ipcq close`: no more puts; gets go on until the queue is drained.

use super::Outcome;
use super::arguments::{PATIENCE, QueueArgument};
use super::exit::Exit;
use crate::open;
use crate::place::Place;
use std::time::Instant;

/// Refuse further puts; consumers get what is left and then learn that it was all
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq close jobs                                     when the last producer is done
  seq 9 | ipcq put jobs --lines && ipcq close jobs    for 'get --follow', the end")]
pub(super) struct Close {
    #[command(flatten)]
    queue: QueueArgument,
}

impl Close {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        open::open(place, &self.queue.address()?)?.close(Some(Instant::now() + PATIENCE))?;
        Ok(Exit::Done)
    }
}
