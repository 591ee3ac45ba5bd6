//! `ipcq close`: no more puts; gets go on until the queue is drained.

use super::Outcome;
use super::arguments::QueueArgument;
use super::exit::Exit;
use crate::place::Place;
use crate::queue;

/// Refuse further puts; consumers get what is left and then learn that it was all
#[derive(clap::Args, Debug)]
pub(super) struct Close {
    #[command(flatten)]
    queue: QueueArgument,
}

impl Close {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        queue::open(place, &self.queue.address()?)?.close(None)?;
        Ok(Exit::Done)
    }
}
