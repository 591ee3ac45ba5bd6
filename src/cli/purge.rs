//! `ipcq purge`: removes messages and leaves the queue.

use super::Outcome;
use super::arguments::{PATIENCE, QueueArgument};
use super::exit::Exit;
use crate::lease::Shelf;
use crate::open;
use crate::place::Place;
use std::time::Instant;

/// The messages that wait, in this order, so that none becomes ready between the two and is left.
pub(super) const WAITING: [Shelf; 2] = [Shelf::Delayed, Shelf::Ready];

/// Remove the messages that wait, or those that are dead; the queue stays
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq purge jobs              all that wait, ready or delayed; not what consumers have, nor what is dead
  ipcq purge jobs --dead       all that were given up on
  ipcq purge jobs --damaged    what stands in the way of all gets because its bytes have changed")]
pub(super) struct Purge {
    #[command(flatten)]
    queue: QueueArgument,
    /// Remove dead messages instead
    #[arg(long, conflicts_with = "delayed")]
    dead: bool,
    /// Remove only delayed messages
    #[arg(long)]
    delayed: bool,
    /// Remove only ready messages whose bytes are not those that were put, up to the first that can be got
    #[arg(long, conflicts_with_all = ["dead", "delayed"])]
    damaged: bool,
}

impl Purge {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut queue = open::open(place, &self.queue.address()?)?;
        let deadline = || Some(Instant::now() + PATIENCE);
        if self.damaged {
            queue.purge_damaged(deadline())?;
            return Ok(Exit::Done);
        }
        let shelves: &[Shelf] = match self {
            Purge { dead: true, .. } => &[Shelf::Dead],
            Purge { delayed: true, .. } => &[Shelf::Delayed],
            _ => &WAITING,
        };
        for shelf in shelves {
            queue.purge(*shelf, deadline())?;
        }
        Ok(Exit::Done)
    }
}
