//! `ipcq ls`: the queues there are.

use super::Outcome;
use super::exit::{Exit, report};
use super::table::{self, Cell, Table, for_people};
use super::{output, stat};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::name::QueueName;
use crate::open;
use crate::place::Place;
use crate::queue::{Deadline, Participants, Status};
use console::Term;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How long to wait for the locks of the queues, all together, before saying which are locked.
const PATIENCE: Duration = Duration::from_secs(1);
/// Characters of the bar that shows how full a queue is.
const BAR: u64 = 5;
/// Names of unreadable queues that are told.
const TOLD: usize = 5;
/// Columns that a narrow terminal lacks: the bar, the rates, the age of the oldest, what is used, and what is delayed.
const EXPENDABLE: [usize; 6] = [6, 7, 8, 9, 5, 3];

/// List the queues and how full they are
#[derive(clap::Args, Debug, Default)]
#[command(before_help = "Examples:
  ipcq ls                                              a line for each queue
  ipcq ls --leases                                     ... and for each process that holds messages
  ipcq ls --json | jq -r 'select(.ready > 0).name'     those that have a message")]
#[command(after_help = "What a process holds is ready again when it ends: 'kill' one that is stuck.
'ipcq peek QUEUE --leased' shows messages by the ids with which 'ipcq nack' gives
them back.")]
pub(super) struct Ls {
    /// Print one JSON object a line for each queue
    #[arg(long)]
    json: bool,
    /// Show who holds messages, since when
    #[arg(long)]
    leases: bool,
}

/// A queue that was looked at.
struct Seen {
    name: QueueName,
    status: Status,
    participants: Option<Participants>,
}

impl Ls {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let (mut seen, mut unreadable) = (Vec::new(), Vec::new());
        let deadline = Some(Instant::now() + PATIENCE);
        for name in open::list(place)? {
            match self.look(place, &name, deadline) {
                Ok((status, participants)) => seen.push(Seen { name, status, participants }),
                // Removed since the listing.
                Err(Error::NoSuchQueue { .. } | Error::Removed { .. }) => {}
                Err(error) => unreadable.push((name, error)),
            }
        }
        let exit = output::print(&self.text(&seen))?;
        match unreadable.as_slice() {
            [] => {}
            [(_, why)] => report(format_args!("1 queue could not be read: {why}")),
            [(_, why), ..] => {
                let names: Vec<&str> = unreadable.iter().take(TOLD).map(|(name, _)| name.as_str()).collect();
                let more = if unreadable.len() > TOLD { ", …" } else { "" };
                let (count, names) = (unreadable.len(), names.join(", "));
                report(format_args!("{count} queues could not be read ({names}{more}); the first: {why}"));
            }
        }
        Ok(if exit == Exit::Done && !unreadable.is_empty() { Exit::Failed } else { exit })
    }

    fn look(&self, place: &Place, name: &QueueName, deadline: Deadline) -> Result<(Status, Option<Participants>)> {
        let mut queue = open::open_to_look(place, &Address::Named(name.clone()))?;
        Ok(match self.leases {
            true => {
                queue.status_and_participants(deadline).map(|(status, participants)| (status, Some(participants)))?
            }
            false => (queue.status(deadline)?, None),
        })
    }

    fn text(&self, seen: &[Seen]) -> Vec<u8> {
        let mut text = Vec::new();
        if self.json {
            for Seen { name, status, participants } in seen {
                stat::object(name.as_str(), status, participants.as_ref(), &mut text);
            }
            return text;
        }
        let for_people = std::io::stdout().is_terminal();
        let mut table = Table::new(for_people && table::may_colour());
        if let (true, Some((_, width))) = (for_people, Term::stdout().size_checked()) {
            table = table.fit(width.into(), &EXPENDABLE);
        }
        if for_people && !seen.is_empty() {
            let heads = ["NAME", "READY", "LEASED", "DELAYED", "DEAD", "USED", "", "PUT/S", "GOT/S", "OLDEST", "STATE"];
            table.row(heads.map(Cell::word).to_vec());
        }
        for queue in seen {
            table.row(if for_people { row_for_people(queue) } else { row(queue) });
            if let Some(participants) = &queue.participants {
                stat::holders(&queue.status, participants).into_iter().for_each(|line| table.line(line));
            }
        }
        text.extend_from_slice(table.to_string().as_bytes());
        text
    }
}

/// The figures of a queue as programs can read them: the columns stay what they are.
fn row(Seen { name, status, .. }: &Seen) -> Vec<Cell> {
    let numbers = [status.ready, status.leased, status.delayed, status.dead, status.bytes, status.capacity];
    let numbers = numbers.map(|number| Cell::number(number.to_string()));
    let name = Cell::word(name.as_str());
    [&[name][..], &numbers, &[Cell::word(stat::state(status))]].concat()
}

fn row_for_people(Seen { name, status, .. }: &Seen) -> Vec<Cell> {
    let count = |number: u64| Cell::number(number.to_string());
    let filled = (u128::from(status.bytes) * u128::from(BAR)).div_ceil(u128::from(status.capacity.max(1))) as u64;
    let bar = (0..BAR).map(|place| if place < filled { '#' } else { '.' }).collect::<String>();
    let dead = count(status.dead);
    let oldest = status.oldest.map_or(String::new(), |oldest| for_people::duration(stat::age(oldest)));
    let state = Cell::word(stat::state(status));
    vec![
        Cell::word(name.as_str()),
        count(status.ready),
        count(status.leased),
        count(status.delayed),
        if status.dead > 0 { dead.alarming() } else { dead },
        Cell::number(format!("{}/{}", for_people::bytes(status.bytes), for_people::bytes(status.capacity))),
        Cell::word(&bar),
        Cell::number(for_people::rate(status.put_rate)),
        Cell::number(for_people::rate(status.got_rate)),
        Cell::number(oldest),
        if stat::state(status) == "open" { state } else { state.notable() },
    ]
}
