//! `ipcq wait`: sleeps until something is so.

use super::Outcome;
use super::arguments::{Patience, QueueArgument};
use super::exit::Exit;
use crate::open;
use crate::place::Place;
use crate::queue::Condition;

/// Wait until a queue has a message, is empty, is closed, or exists
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq wait jobs --exists && ipcq put jobs hello
                                  for a queue that another script creates
  ipcq wait jobs --ready -t 5s    until there is something to get; exit code 1 after 5 s
  ipcq wait jobs --empty          until nothing waits to be got")]
#[command(after_help = "Nothing is taken: whoever is faster may get the message that was ready. Until
everything has been finished with, 'ipcq join' waits.

Exit codes: 1 it was not so in time, 4 no such queue.")]
#[command(group = clap::ArgGroup::new("condition").required(true))]
pub(super) struct Wait {
    #[command(flatten)]
    queue: QueueArgument,
    /// Until a message can be got
    #[arg(long, group = "condition")]
    ready: bool,
    /// Until no message is ready or delayed
    #[arg(long, group = "condition")]
    empty: bool,
    /// Until the queue is closed
    #[arg(long, group = "condition")]
    closed: bool,
    /// Until there is a queue of that name
    #[arg(long, group = "condition")]
    exists: bool,
    #[command(flatten)]
    patience: Patience,
}

impl Wait {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let (address, deadline) = (self.queue.address()?, self.patience.deadline());
        let is_so = match self {
            Wait { ready: true, .. } => {
                open::open_until(place, &address, deadline)?.wait(Condition::Ready, deadline)?
            }
            Wait { empty: true, .. } => {
                open::open_until(place, &address, deadline)?.wait(Condition::Empty, deadline)?
            }
            Wait { closed: true, .. } => {
                open::open_until(place, &address, deadline)?.wait(Condition::Closed, deadline)?
            }
            _ => open::wait_until_it_exists(place, &address, deadline)?,
        };
        Ok(if is_so { Exit::Done } else { Exit::TimedOut })
    }
}
