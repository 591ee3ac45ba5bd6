//! `ipcq ack`: leased messages are done with.

use super::Outcome;
use super::arguments::{LeaseArguments, QueueArgument};
use super::exit::Exit;
use crate::lease::End;
use crate::place::Place;

/// Say that leased messages are done with: they leave the queue
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq ack jobs 17                     done with what 'ipcq get jobs --lease' called 17
  ipcq ack jobs \"$ipcq_id\"             ... or with --shell, $ipcq_id")]
#[command(
    after_help = "Exit codes: 2 one of them is not leased by that id now (nothing was changed), 4 no such queue."
)]
pub(super) struct Ack {
    #[command(flatten)]
    queue: QueueArgument,
    #[command(flatten)]
    leases: LeaseArguments,
}

impl Ack {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        self.leases.end(place, &self.queue, &End::Done)?;
        Ok(Exit::Done)
    }
}
