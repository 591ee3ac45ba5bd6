//! `ipcq rm`: removes queues and what is in them.

use super::Outcome;
use super::arguments::QueueArguments;
use super::exit::{Exit, report};
use crate::open;
use crate::place::Place;

/// Remove queues and every message in them; whoever waits on them ends with exit code 4
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq rm jobs results     with all that is in them
  ipcq rm --force jobs     succeeds if there is no such queue, too")]
pub(super) struct Rm {
    #[command(flatten)]
    queues: QueueArguments,
    /// Do not complain about queues that are not there
    #[arg(short, long)]
    force: bool,
}

impl Rm {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut exit = Exit::Done;
        for address in self.queues.addresses()? {
            if let Err(error) = open::remove(place, &address) {
                let failure = Exit::from_error(&error);
                if self.force && failure == Exit::NoSuchQueue {
                    continue;
                }
                // The others are removed all the same.
                report(&error);
                exit = exit.or_worse(failure);
            }
        }
        Ok(exit)
    }
}
