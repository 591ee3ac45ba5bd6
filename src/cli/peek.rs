//! `ipcq peek`: shows messages and takes none.

use super::Outcome;
use super::arguments::{PATIENCE, QueueArgument};
use super::units::parse_count;
use super::{json, output};
use crate::error::Result;
use crate::lease::{LeaseId, Peeked, Reason, Shelf};
use crate::message::Framing;
use crate::name::printable;
use crate::open;
use crate::place::Place;
use crate::reserve::reserve;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many messages are shown unless another number is given.
const MOST: u64 = 10;
/// How much of a message a line for people shows, in characters.
const LONGEST_BODY: usize = 60;

/// Look at messages without taking them
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq peek jobs                         the next ten, as 'get' would print them
  ipcq peek jobs -n 1                    what 'get' would get now
  ipcq peek jobs --dead                  what was given up on, and why
  ipcq peek jobs --leased --json         what consumers have, for programs")]
pub(super) struct Peek {
    #[command(flatten)]
    queue: QueueArgument,
    /// Show at most N messages
    #[arg(short = 'n', value_name = "N", value_parser = parse_count, allow_hyphen_values = true, default_value_t = MOST)]
    count: u64,
    /// Show messages that were given up on, the first that died first
    #[arg(long, conflicts_with_all = ["leased", "delayed"])]
    dead: bool,
    /// Show messages that consumers have, the first that comes back by itself first
    #[arg(long, conflicts_with = "delayed")]
    leased: bool,
    /// Show messages that become ready later, the first to do so first
    #[arg(long)]
    delayed: bool,
    /// Print one JSON object a line for each message
    #[arg(long)]
    json: bool,
}

impl Peek {
    /// A look at what comes next, as without options.
    pub(super) fn of(queue: QueueArgument) -> Self {
        Peek { queue, count: MOST, dead: false, leased: false, delayed: false, json: false }
    }

    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut queue = open::open_to_look(place, &self.queue.address()?)?;
        let shelf = self.shelf();
        let most = usize::try_from(self.count).unwrap_or(usize::MAX);
        let messages = queue.peek(shelf, most, Some(Instant::now() + PATIENCE))?;
        let (mut text, now) = (Vec::new(), SystemTime::now());
        for message in &messages {
            match shelf {
                _ if self.json => object(shelf, message, &mut text)?,
                Shelf::Ready => as_got(message, &mut text)?,
                _ => text.extend_from_slice(format!("{}\n", describe(shelf, message, now)).as_bytes()),
            }
        }
        output::print(&text)
    }

    fn shelf(&self) -> Shelf {
        match self {
            Peek { dead: true, .. } => Shelf::Dead,
            Peek { leased: true, .. } => Shelf::Leased,
            Peek { delayed: true, .. } => Shelf::Delayed,
            _ => Shelf::Ready,
        }
    }
}

/// By what a message is named on its shelf: a leased one by its lease, which can be ended by that.
fn id(shelf: Shelf, message: &Peeked) -> LeaseId {
    let attempt = if shelf == Shelf::Leased { message.handed_out.max(1) } else { 1 };
    LeaseId { message: message.id, attempt }
}

/// Appends a message as a get would print it.
fn as_got(message: &Peeked, into: &mut Vec<u8>) -> Result<()> {
    reserve(into, message.body.len() as u64 + 1)?;
    into.extend_from_slice(&message.body);
    if message.framing != Framing::Whole {
        into.push(b'\n');
    }
    Ok(())
}

/// A message in a line for people.
pub(super) fn describe(shelf: Shelf, message: &Peeked, now: SystemTime) -> String {
    let away = message.at.map(|at| about(at.duration_since(now).unwrap_or_default()));
    let what = match (shelf, away) {
        (Shelf::Ready, _) => "ready".to_owned(),
        (Shelf::Delayed, away) => format!("ready in {}", away.unwrap_or_default()),
        (Shelf::Dead, _) => {
            let ago = message.at.and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
            let reason = message.reason.as_ref().map(sentence).unwrap_or_default();
            format!("died {} ago  {reason}", about(ago))
        }
        (Shelf::Leased, away) => {
            let away = away.map(|away| format!("comes back in {away}"));
            let holder = message.holder.map(|pid| format!("held by process {pid}"));
            let both: Vec<_> = away.into_iter().chain(holder).collect();
            both.join(", ")
        }
    };
    format!("{}  attempt {}  {what}  {}", id(shelf, message), message.attempts, start(&message.body))
}

/// A reason in the words that were kept.
fn sentence(reason: &Reason) -> String {
    match reason.text.as_slice() {
        [] => reason.cause.to_string(),
        text => format!("{}: {}", reason.cause, printable(OsStr::from_bytes(text))),
    }
}

/// A time for people, in at most two units.
fn about(time: Duration) -> String {
    let rounded = match time.as_secs() {
        0 => Duration::from_millis(time.as_millis() as u64),
        seconds @ 0..3600 => Duration::from_secs(seconds),
        seconds @ 3600..86400 => Duration::from_secs(seconds / 60 * 60),
        seconds => Duration::from_secs(seconds / 3600 * 3600),
    };
    humantime::format_duration(rounded).to_string()
}

/// As much of a message as fits a line, and nothing that would disturb a terminal.
fn start(body: &[u8]) -> String {
    // No character has more than four bytes.
    let some = String::from_utf8_lossy(&body[..body.len().min(4 * LONGEST_BODY + 4)]);
    let mut shown: String = some.chars().take(LONGEST_BODY).collect();
    let is_all = shown.len() == some.len() && body.len() <= 4 * LONGEST_BODY + 4;
    shown = printable(&shown);
    if !is_all {
        shown.push('…');
    }
    shown
}

/// Appends a message as a JSON object on a line.
fn object(shelf: Shelf, message: &Peeked, into: &mut Vec<u8>) -> Result<()> {
    let (state, at) = match shelf {
        Shelf::Ready => ("ready", ""),
        Shelf::Leased => ("leased", "until"),
        Shelf::Delayed => ("delayed", "ready_at"),
        Shelf::Dead => ("dead", "died_at"),
    };
    let start = format!("{{\"id\":\"{}\",\"state\":\"{state}\",\"attempt\":{},", id(shelf, message), message.attempts);
    into.extend_from_slice(start.as_bytes());
    json::body(&message.body, message.json, into)?;
    if shelf != Shelf::Ready {
        let at_text = message.at.map_or("null".to_owned(), seconds);
        into.extend_from_slice(format!(",\"{at}\":{at_text}").as_bytes());
    }
    if shelf == Shelf::Leased {
        let holder = message.holder.map_or("null".to_owned(), |pid| pid.to_string());
        into.extend_from_slice(format!(",\"holder\":{holder}").as_bytes());
    }
    if let Some(reason) = &message.reason {
        into.extend_from_slice(b",\"reason\":{\"cause\":");
        json::string(&reason.cause.to_string(), into);
        into.extend_from_slice(b",\"text\":");
        json::string(&String::from_utf8_lossy(&reason.text), into);
        into.push(b'}');
    }
    into.extend_from_slice(b"}\n");
    Ok(())
}

/// A moment in seconds since the Unix epoch, to the millisecond.
fn seconds(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:03}", since.as_secs(), since.subsec_millis())
}
