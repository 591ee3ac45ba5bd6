//! `ipcq work`: runs a command once for each message.

mod collected;
mod engine;
mod events;
mod job;
mod make;
mod sinks;
mod slots;
mod template;
mod verdict;

use super::arguments::{CreateIfMissing, Patience, QueueArgument};
use super::exit::{Exit, report};
use super::progress::{Progress, ProgressArgument};
use super::units::{parse_attempts, parse_count, parse_duration};
use super::{Outcome, completions, process};
use crate::address::Address;
use crate::error::Result;
use crate::name::printable;
use crate::place::Place;
use crate::queue::Queue;
use clap_complete::engine::ArgValueCompleter;
use engine::{Engine, Stop, Tally};
use job::Starter;
use jobserver::Client;
use nix::errno::Errno;
use sinks::Sinks;
use slots::Slots;
use std::ffi::OsString;
use std::time::Duration;
use template::Template;
use verdict::Retries;

/// The attempts that a message has if neither the command line nor the queue says it.
const MAX_ATTEMPTS: u32 = 3;
/// How long a message waits for its second attempt if the command line does not say it.
const BACKOFF: Duration = Duration::from_secs(1);

/// Run a command once for each message: the message is its input, and '{}' in an argument
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq work pictures -- convert {} {}.png       two arguments made of the message, on all CPUs
  ipcq work mails -j 1 -- ./send-mail.sh        the message is the input of the script
  ipcq work jobs -t 5s --tag -- make -C {}      ends after 5 s without work; tags each line of output
  ipcq work jobs -- sh -c 'cat > \"out/$IPCQ_ID\"'
                                                the id is in the environment
  ipcq work pages --out words -- wc -w          each result is a message in the queue 'words'")]
#[command(after_help = "In a recipe of make, '+ipcq work …' runs as many jobs as make -j allows.

Exit codes: 4 no such queue, 5 some messages are dead, 126/127 the command cannot be run.")]
pub(super) struct Work {
    #[command(flatten)]
    queue: QueueArgument,
    /// Run N at a time; the default is the number of CPUs
    #[arg(short, long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true)]
    jobs: Option<u64>,
    /// Make a message dead that has failed N times; the default is what the queue says, or 3
    #[arg(long, value_name = "N", value_parser = parse_attempts, allow_hyphen_values = true)]
    max_attempts: Option<u32>,
    /// Wait this long before a second attempt, then twice as long before each further one; the default is 1s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    backoff: Option<Duration>,
    /// Write each line of output as it comes, after the message's id and a tab
    #[arg(long)]
    tag: bool,
    /// Put what a job writes to standard output into QUEUE2, as one message, together with the end of its message
    #[arg(long, value_name = "QUEUE2", add = ArgValueCompleter::new(completions::queues), conflicts_with = "tag")]
    out: Option<OsString>,
    #[command(flatten)]
    progress: ProgressArgument,
    #[command(flatten)]
    create: CreateIfMissing,
    #[command(flatten)]
    patience: Patience,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true, num_args = 1..)]
    command: Vec<OsString>,
}

impl Work {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        if make::only_looks() {
            report("make only shows or checks what there is to do, so nothing is done");
            return Ok(Exit::Done);
        }
        let (most, client) = make::parallelism(self.jobs.map(|jobs| usize::try_from(jobs).unwrap_or(usize::MAX)));
        let address = self.queue.address()?;
        let deadline = self.patience.deadline();
        let mut queue = self.create.open(place, &address, deadline)?;
        let out = self.out.as_ref().map(|out| self.create.open(place, &Address::parse(out)?, deadline)).transpose()?;
        let (stop, tally) = self.work(queue.as_mut(), out, most, client)?;
        // Before we may die of a signal.
        drop(queue);
        let Tally { done, retried, dead, returned } = tally;
        let returned = if returned == 0 { String::new() } else { format!(", {returned} given back") };
        report(format_args!("{done} done, {retried} retried, {dead} dead{returned}"));
        match stop {
            Stop::Drained | Stop::Idle if dead > 0 => Ok(Exit::SomeDead),
            Stop::Drained | Stop::Idle => Ok(Exit::Done),
            Stop::BrokenPipe => Ok(Exit::BrokenPipe),
            Stop::Program(errno) => Ok(self.cannot_run(errno)),
            Stop::Failed(error) => Err(error),
            Stop::Signal(signal) => {
                process::die_of(signal);
                Ok(Exit::Failed)
            }
        }
    }

    fn work(
        &self,
        queue: &mut dyn Queue,
        out: Option<Box<dyn Queue>>,
        most: usize,
        client: Option<Client>,
    ) -> Result<(Stop, Tally)> {
        let starter = Starter::new(Template::new(&self.command, queue.name()), self.tag, out.is_some())?;
        let slots = Slots::new(most, client)?;
        let sinks = Sinks::new(Progress::new(&self.progress))?;
        let retries = Retries {
            max_attempts: self.max_attempts.or(queue.max_attempts()).unwrap_or(MAX_ATTEMPTS),
            backoff: self.backoff.unwrap_or(BACKOFF),
        };
        let engine = Engine::new(queue, (starter, slots, sinks), retries, out, self.patience.limit())?;
        Ok(engine.run())
    }

    fn cannot_run(&self, errno: Errno) -> Exit {
        let program = self.command.first().map(printable).unwrap_or_default();
        report(format_args!(
            "cannot run '{program}': {}; the message was given back (is it installed, executable and in $PATH?)",
            std::io::Error::from(errno)
        ));
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => Exit::NotFound,
            _ => Exit::CannotRun,
        }
    }
}
