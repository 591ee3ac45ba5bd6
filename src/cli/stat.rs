//! `ipcq stat`: the figures of queues.

use super::Outcome;
use super::arguments::QueueArguments;
use super::exit::{Exit, report};
use super::{json, output};
use crate::name::printable;
use crate::open;
use crate::place::Place;
use crate::queue::Status;
use std::time::{Duration, Instant};

/// How long to wait for the locks of the queues, all together, before saying which are locked.
const PATIENCE: Duration = Duration::from_secs(1);

/// Show the figures of queues
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ipcq stat jobs                       for people
  ipcq stat --json jobs | jq .ready    for programs: how many can be got now")]
pub(super) struct Stat {
    #[command(flatten)]
    queues: QueueArguments,
    /// Print one JSON object a line for each queue
    #[arg(long)]
    json: bool,
}

impl Stat {
    /// The figures for people.
    pub(super) fn of(queues: QueueArguments) -> Self {
        Stat { queues, json: false }
    }

    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut text = Vec::new();
        let mut exit = Exit::Done;
        let deadline = Some(Instant::now() + PATIENCE);
        for address in self.queues.addresses()? {
            match open::open(place, &address).and_then(|mut queue| queue.status(deadline)) {
                Ok(status) if self.json => object(&address.as_os_str().to_string_lossy(), &status, &mut text),
                Ok(status) => text.extend_from_slice(describe(&address.to_string(), &status).as_bytes()),
                Err(error) => {
                    // The figures of the others are worth having all the same.
                    report(&error);
                    exit = exit.or_worse(Exit::from_error(&error));
                }
            }
        }
        let written = output::print(&text)?;
        Ok(if written == Exit::Done { exit } else { written })
    }
}

/// Appends the figures as a JSON object on a line.
pub(super) fn object(name: &str, status: &Status, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"name\":");
    json::string(name, into);
    into.extend_from_slice(b",\"path\":");
    json::string(&status.path.to_string_lossy(), into);
    let max_items = status.max_items.map_or("null".to_owned(), |items| items.to_string());
    let figures = format!(
        ",\"ready\":{},\"leased\":{},\"delayed\":{},\"dead\":{},\"bytes\":{},\"capacity\":{},\"max_items\":{max_items},\
         \"durable\":{},\"closed\":{},\"paused\":{},\"put\":{},\"got\":{},\"returned\":{}}}\n",
        status.ready,
        status.leased,
        status.delayed,
        status.dead,
        status.bytes,
        status.capacity,
        status.durable,
        status.closed,
        (status.puts_paused || status.gets_paused),
        status.put,
        status.got,
        status.returned,
    );
    into.extend_from_slice(figures.as_bytes());
}

/// What state a queue is in, in a word.
pub(super) fn state(status: &Status) -> &'static str {
    match status {
        Status { closed: true, ready: 0, leased: 0, delayed: 0, .. } => "drained",
        Status { closed: true, .. } => "closed",
        Status { puts_paused: true, gets_paused: true, .. } => "paused",
        Status { puts_paused: true, .. } => "put-paused",
        Status { gets_paused: true, .. } => "get-paused",
        _ => "open",
    }
}

fn describe(name: &str, status: &Status) -> String {
    let max_items = status.max_items.map_or("no limit".to_owned(), |items| items.to_string());
    format!(
        "{name}\n  path      {}\n  state     {}\n  ready     {}\n  leased    {}\n  delayed   {}\n  dead      {}\n  \
         bytes     {} of {}\n  max items {max_items}\n  put       {}\n  got       {}\n  returned  {}\n",
        printable(&status.path),
        state(status),
        status.ready,
        status.leased,
        status.delayed,
        status.dead,
        status.bytes,
        status.capacity,
        status.put,
        status.got,
        status.returned,
    )
}
