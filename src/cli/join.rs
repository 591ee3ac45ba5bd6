//! `ipcq join`: waits until all that was put so far has been finished with.

use super::Outcome;
use super::arguments::{Patience, QueueArgument};
use super::exit::{Exit, report};
use super::progress::{Progress, ProgressArgument};
use crate::error::Error;
use crate::open;
use crate::place::Place;

/// Wait until every message put so far has been finished with: got, acknowledged, or given up on
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq join jobs               when it returns, the work put so far is done
  ipcq join jobs -t 1h         ... or an hour is over: exit 1")]
#[command(after_help = "Exit codes: 1 time ran out, 4 no such queue, 5 finished, but some messages are dead.")]
pub(super) struct Join {
    #[command(flatten)]
    queue: QueueArgument,
    #[command(flatten)]
    progress: ProgressArgument,
    #[command(flatten)]
    patience: Patience,
}

impl Join {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let address = self.queue.address()?;
        let deadline = self.patience.deadline();
        let mut queue = open::open_until(place, &address, deadline)?;
        let (mut dead, mut progress, mut start) = (0, Progress::new(&self.progress), None);
        let joined = queue.join(deadline, &mut |status| {
            dead = status.dead;
            let finished = status.got.saturating_add(status.died).saturating_add(status.purged);
            let unfinished = status.ready.saturating_add(status.leased).saturating_add(status.delayed);
            let (before, all) = *start.get_or_insert((finished, unfinished));
            // What others put meanwhile is not waited for, and who finishes with what cannot be told.
            progress.show_of(finished.saturating_sub(before).min(all), all);
        });
        progress.end();
        match joined {
            Ok(false) => return Ok(Exit::TimedOut),
            Err(locked @ Error::LockTimeout { .. }) => {
                report(locked);
                return Ok(Exit::TimedOut);
            }
            finished => finished?,
        };
        if dead == 0 {
            return Ok(Exit::Done);
        }
        let are = if dead == 1 { "1 message is" } else { &format!("{dead} messages are") };
        report(format_args!("queue '{address}' is finished, but {are} dead (see 'ipcq peek {address} --dead')"));
        Ok(Exit::SomeDead)
    }
}
