//! `ipcq ls`: the queues there are.

use super::Outcome;
use super::exit::{Exit, report};
use super::{output, stat};
use crate::error::{Error, Result};
use crate::name::{Address, QueueName};
use crate::open;
use crate::place::Place;
use crate::queue::{Deadline, Status};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How long to wait for the locks of the queues, all together, before saying which are locked.
const PATIENCE: Duration = Duration::from_secs(1);

/// List the queues and how full they are
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ipcq ls                                              a line for each queue
  ipcq ls --json | jq -r 'select(.ready > 0).name'     those that have a message")]
pub(super) struct Ls {
    /// Print one JSON object a line for each queue
    #[arg(long)]
    json: bool,
}

impl Ls {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let (mut text, mut rows) = (Vec::new(), Vec::new());
        if !self.json && std::io::stdout().is_terminal() {
            rows.push(["NAME", "READY", "LEASED", "DELAYED", "DEAD", "BYTES", "CAPACITY", "STATE"].map(str::to_owned));
        }
        let mut unreadable = Vec::new();
        let deadline = Some(Instant::now() + PATIENCE);
        for name in open::list(place)? {
            match look(place, &name, deadline) {
                Ok(status) if self.json => stat::object(name.as_str(), &status, None, &mut text),
                Ok(status) => rows.push(row(&name, &status)),
                // Removed since the listing.
                Err(Error::NoSuchQueue { .. } | Error::Removed { .. }) => {}
                Err(error) => unreadable.push(error),
            }
        }
        text.extend_from_slice(align(&rows).as_bytes());
        let exit = output::print(&text)?;
        match unreadable.as_slice() {
            [] => {}
            [only] => report(format_args!("1 queue could not be read: {only}")),
            [first, ..] => report(format_args!("{} queues could not be read; the first: {first}", unreadable.len())),
        }
        Ok(if exit == Exit::Done && !unreadable.is_empty() { Exit::Failed } else { exit })
    }
}

fn look(place: &Place, name: &QueueName, deadline: Deadline) -> Result<Status> {
    open::open(place, &Address::Named(name.clone()))?.status(deadline)
}

fn row(name: &QueueName, status: &Status) -> [String; 8] {
    let numbers = [status.ready, status.leased, status.delayed, status.dead, status.bytes, status.capacity];
    let [ready, leased, delayed, dead, bytes, capacity] = numbers.map(|number| number.to_string());
    [name.to_string(), ready, leased, delayed, dead, bytes, capacity, stat::state(status).to_owned()]
}

/// The rows with their columns under each other: words to the left, numbers to the right.
fn align(rows: &[[String; 8]]) -> String {
    let mut widths = [0; 8];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => text.push_str(&format!("{cell:<width$}")),
                7 => text.push_str(&format!("  {cell}")),
                _ => text.push_str(&format!("  {cell:>width$}")),
            }
        }
        text.push('\n');
    }
    text
}
