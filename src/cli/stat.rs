//! `ipcq stat`: the figures of queues, and who takes part.

use super::Outcome;
use super::arguments::QueueArguments;
use super::exit::{Exit, report};
pub(super) use super::prometheus::age;
use super::prometheus::{self, Sample};
use super::units::parse_lease;
use super::{json, output};
use crate::address::Address;
use crate::name::printable;
use crate::open;
use crate::place::Place;
use crate::queue::{Holding, Participants, Status};
use std::ffi::OsStr;
use std::fmt::Write;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How long to wait for the locks of the queues, all together, before saying which are locked.
const PATIENCE: Duration = Duration::from_secs(1);
/// Characters of a command that are shown.
const LONGEST_COMMAND: usize = 60;
/// What brings a terminal to an empty screen (ECMA-48).
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Show the figures of queues, and who waits and who holds messages
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq stat jobs                       for people
  ipcq stat --json jobs | jq .ready    for programs: how many can be got now
  ipcq stat jobs --prometheus          for a monitoring system
  ipcq stat jobs --watch 2s            again and again")]
pub(super) struct Stat {
    #[command(flatten)]
    queues: QueueArguments,
    /// Print one JSON object a line for each queue
    #[arg(long, conflicts_with = "prometheus")]
    json: bool,
    /// Print the text format of Prometheus
    #[arg(long)]
    prometheus: bool,
    /// Show them again every DURATION, or every second, until interrupted
    #[arg(long, value_name = "DURATION", value_parser = parse_lease, num_args = 0..=1, default_missing_value = "1s")]
    watch: Option<Duration>,
}

impl Stat {
    /// The figures for people.
    pub(super) fn of(queues: QueueArguments) -> Self {
        Stat { queues, json: false, prometheus: false, watch: None }
    }

    pub(super) fn run(&self, place: &Place) -> Outcome {
        let addresses = self.queues.addresses()?;
        let Some(every) = self.watch else { return self.show(place, &addresses, false) };
        let clears = std::io::stdout().is_terminal();
        loop {
            let exit = self.show(place, &addresses, clears)?;
            if exit != Exit::Done {
                return Ok(exit);
            }
            std::thread::sleep(every);
        }
    }

    fn show(&self, place: &Place, addresses: &[Address], clear: bool) -> Outcome {
        let mut text = if clear { CLEAR.to_vec() } else { Vec::new() };
        let (mut samples, mut exit) = (Vec::new(), Exit::Done);
        let deadline = Some(Instant::now() + PATIENCE);
        for address in addresses {
            let looked =
                open::open_to_look(place, address).and_then(|mut queue| queue.status_and_participants(deadline));
            match looked {
                Ok((status, participants)) if self.prometheus => {
                    let name = address.as_os_str().to_string_lossy().into_owned();
                    samples.push(Sample { name, status, participants });
                }
                Ok((status, participants)) if self.json => {
                    object(&address.as_os_str().to_string_lossy(), &status, Some(&participants), &mut text);
                }
                Ok((status, participants)) => {
                    text.extend_from_slice(describe(&address.to_string(), &status, &participants).as_bytes());
                }
                Err(error) => {
                    // The figures of the others are worth having all the same.
                    report(&error);
                    exit = exit.or_worse(Exit::from_error(&error));
                }
            }
        }
        if self.prometheus {
            prometheus::expose(&samples, &mut text);
        }
        let written = output::print(&text)?;
        Ok(if written == Exit::Done { exit } else { written })
    }
}

/// Appends the figures as a JSON object on a line.
pub(super) fn object(name: &str, status: &Status, participants: Option<&Participants>, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"name\":");
    json::string(name, into);
    into.extend_from_slice(b",\"path\":");
    json::string(&status.path.to_string_lossy(), into);
    let max_items = status.max_items.map_or("null".to_owned(), |items| items.to_string());
    let oldest = status.oldest.map_or("null".to_owned(), |oldest| format!("{:.3}", age(oldest).as_secs_f64()));
    let created = status.created.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let figures = format!(
        ",\"ready\":{},\"leased\":{},\"delayed\":{},\"dead\":{},\"bytes\":{},\"capacity\":{},\"max_items\":{max_items},\
         \"durable\":{},\"closed\":{},\"paused\":{},\"puts_paused\":{},\"gets_paused\":{},\"put\":{},\"got\":{},\
         \"returned\":{},\"expired\":{},\"died\":{},\"purged\":{},\"put_rate\":{},\"got_rate\":{},\"high_water\":{},\
         \"oldest\":{oldest},\"created\":{created:.3},\"producers\":{}",
        status.ready,
        status.leased,
        status.delayed,
        status.dead,
        status.bytes,
        status.capacity,
        status.durable,
        status.closed,
        status.puts_paused || status.gets_paused,
        status.puts_paused,
        status.gets_paused,
        status.put,
        status.got,
        status.returned,
        status.expired,
        status.died,
        status.purged,
        status.put_rate,
        status.got_rate,
        status.high_water,
        status.producers,
    );
    into.extend_from_slice(figures.as_bytes());
    if let Some(participants) = participants {
        let Participants { waiting_consumers, waiting_producers, waiting_joiners, holders, .. } = participants;
        for (key, pids) in [
            ("waiting_consumers", waiting_consumers),
            ("waiting_producers", waiting_producers),
            ("waiting_joiners", waiting_joiners),
        ] {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            into.extend_from_slice(format!(",\"{key}\":[{}]", pids.join(",")).as_bytes());
        }
        into.extend_from_slice(b",\"holders\":[");
        for (index, holder) in holders.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let (pid, messages, lives) = (holder.pid, holder.messages, holder.lives);
            let seconds = age(holder.since).as_secs_f64();
            let start = format!(
                "{separator}{{\"pid\":{pid},\"messages\":{messages},\"lives\":{lives},\"seconds\":{seconds:.3},\"command\":"
            );
            into.extend_from_slice(start.as_bytes());
            json::string(&command(pid), into);
            into.push(b'}');
        }
        into.push(b']');
    }
    into.extend_from_slice(b"}\n");
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

/// What a process runs, as far as it can be seen, without the program's directory and cut to a sensible length.
pub(super) fn command(pid: u32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
    if let Some(program) = words.first_mut() {
        *program = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    }
    let text = words.iter().map(|word| printable(OsStr::from_bytes(word))).collect::<Vec<_>>().join(" ");
    text.trim_end().chars().take(LONGEST_COMMAND).collect()
}

/// A line for each process that waits, or counts as a producer.
pub(super) fn waiting(participants: &Participants) -> impl Iterator<Item = String> {
    let Participants { waiting_consumers, waiting_producers, waiting_joiners, producers, .. } = participants;
    let waiting = [("get", waiting_consumers), ("put", waiting_producers), ("join", waiting_joiners)];
    let line = |what, pid| format!("  waiting   {what}: process {pid}  {}", command(pid));
    let waiting = waiting.into_iter().flat_map(move |(what, pids)| pids.iter().map(move |pid| line(what, *pid)));
    waiting.chain(producers.iter().map(|pid| format!("  producer  process {pid}  {}", command(*pid))))
}

/// A line for each process that holds messages, and one for those that are leased to nobody in particular.
pub(super) fn holders(status: &Status, participants: &Participants) -> Vec<String> {
    let line = |holder: &Holding| {
        let dead = if holder.lives { "" } else { " (dead: the next get gives them back)" };
        let (count, seconds, pid) = (messages(holder.messages), age(holder.since).as_secs(), holder.pid);
        format!("  held by   {count} for {seconds} s by process {pid}{dead}  {}", command(pid))
    };
    let mut lines: Vec<String> = participants.holders.iter().map(line).collect();
    let held = participants.holders.iter().fold(0, |sum: u64, holder| sum.saturating_add(holder.messages));
    let others = status.leased.saturating_sub(held);
    if others > 0 {
        let back = if others == 1 { "comes back when its time is up" } else { "come back when their time is up" };
        lines.push(format!("  held by   no process: {}, which {back}", messages(others)));
    }
    lines
}

fn messages(count: u64) -> String {
    format!("{count} {}", if count == 1 { "message" } else { "messages" })
}

fn describe(name: &str, status: &Status, participants: &Participants) -> String {
    let max_items = status.max_items.map_or("no limit".to_owned(), |items| items.to_string());
    let mut text = format!(
        "{name}\n  path      {}\n  state     {}\n  ready     {}\n  leased    {}\n  delayed   {}\n  dead      {}\n  \
         bytes     {} of {}, at most {} so far\n  max items {max_items}\n  put       {}\n  got       {}\n  returned  {}\n  \
         expired   {}\n  died      {}\n  purged    {}\n  rates     {:.1} put/s, {:.1} got/s\n",
        printable(&status.path),
        state(status),
        status.ready,
        status.leased,
        status.delayed,
        status.dead,
        status.bytes,
        status.capacity,
        status.high_water,
        status.put,
        status.got,
        status.returned,
        status.expired,
        status.died,
        status.purged,
        status.put_rate,
        status.got_rate,
    );
    if let Some(oldest) = status.oldest {
        let _ = writeln!(text, "  oldest    {:.1} s", age(oldest).as_secs_f64());
    }
    for line in waiting(participants).chain(holders(status, participants)) {
        let _ = writeln!(text, "{line}");
    }
    text
}
