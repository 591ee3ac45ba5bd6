//! `--progress` of what streams through: how many messages and bytes so far, how fast, and how full the queue is.
//!
//! A thread of its own draws it, also while the stream waits, and looks at the queue through a handle of its own, so that
//! the stream itself only counts.

use super::progress::{EVERY, ProgressArgument, Surface};
use crate::address::Address;
use crate::open;
use crate::place::Place;
use crate::queue::{Queue, Status};
use indicatif::{HumanBytes, HumanCount, ProgressBar};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// The time that a rate is the mean of, at least.
const RATE: Duration = Duration::from_secs(1);

/// Counts what goes through, and shows it if that is wanted.
pub(super) struct Meter {
    display: Option<Display>,
}

struct Display {
    count: Arc<Count>,
    /// The bar, if standard output is a terminal as well, and writes to it have to go round the bar.
    bar: Option<ProgressBar>,
    /// Dropped when there is no more to show.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Count {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    /// Shows nothing.
    pub(super) fn none() -> Self {
        Meter { display: None }
    }

    /// Shows, if that is `wanted`, what goes through the queues at `addresses`, which are there.
    pub(super) fn new(wanted: &ProgressArgument, place: &Place, addresses: Vec<Address>) -> Self {
        let surface = wanted.surface("{msg}");
        let bar = match &surface {
            Surface::Nowhere => return Meter::none(),
            Surface::Terminal(bar) => std::io::stdout().is_terminal().then(|| bar.clone()),
            Surface::Lines(_) => None,
        };
        let count = Arc::new(Count::default());
        let (end, ended) = channel();
        let (opened, is_open) = channel::<()>();
        let drawer = {
            let (count, place) = (Arc::clone(&count), place.clone());
            move || {
                let queues = addresses.iter().filter_map(|address| open::open_to_look(&place, address).ok()).collect();
                drop(opened);
                draw(surface, &count, queues, &ended);
            }
        };
        // Without a thread there is no display, and all else goes on.
        let Ok(thread) = Builder::new().spawn(drawer) else { return Meter::none() };
        // Opening a file and closing it again would take away the locks by which this process shows itself as waiting.
        let _ = is_open.recv();
        Meter { display: Some(Display { count, bar, end: Some(end), thread: Some(thread) }) }
    }

    /// Whether there is anybody to count for.
    pub(super) fn shows(&self) -> bool {
        self.display.is_some()
    }

    /// Counts messages that went through.
    pub(super) fn add(&self, messages: u64, bytes: u64) {
        if let Some(Display { count, .. }) = &self.display {
            count.messages.fetch_add(messages, Ordering::Relaxed);
            count.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Does what writes to standard output, while there is nothing of ours on a terminal that it goes to.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.display {
            Some(Display { bar: Some(bar), .. }) => bar.suspend(write),
            _ => write(),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(display) = &mut self.display {
            display.end = None;
            let _ = display.thread.take().map(JoinHandle::join);
        }
    }
}

/// Shows the count until the end.
fn draw(mut surface: Surface, count: &Count, mut queues: Vec<Box<dyn Queue>>, ended: &Receiver<()>) {
    let mut rate = Rate::new();
    loop {
        let is_over = ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
        let messages = count.messages.load(Ordering::Relaxed);
        let bytes = HumanBytes(count.bytes.load(Ordering::Relaxed));
        let rate = rate.of(messages);
        let statuses = queues.iter_mut().filter_map(|queue| queue.status(Some(Instant::now())).ok());
        let fullness = statuses.map(|status| percent(&status)).max();
        let fullness = fullness.map_or(String::new(), |percent| format!(", queue {percent}% full"));
        let noun = if messages == 1 { "message" } else { "messages" };
        let line = format!("{} {noun}, {bytes}, {}/s{fullness}", HumanCount(messages), HumanCount(rate));
        match &mut surface {
            Surface::Terminal(bar) if is_over => bar.finish_and_clear(),
            Surface::Terminal(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            Surface::Lines(lines) => {
                lines.show(line);
                if is_over {
                    lines.end();
                }
            }
            Surface::Nowhere => {}
        }
        if is_over {
            return;
        }
    }
}

/// How full a queue is, of 100: by its bytes or by the number of its messages, whichever is nearer to its limit.
fn percent(status: &Status) -> u64 {
    let of = |part: u64, whole: u64| (u128::from(part) * 100 / u128::from(whole.max(1))).min(100) as u64;
    let waiting = status.ready.saturating_add(status.delayed);
    of(status.bytes, status.capacity).max(status.max_items.map_or(0, |most| of(waiting, most)))
}

/// Messages a second, as of late.
struct Rate {
    since: Instant,
    before: u64,
    last: Option<u64>,
}

impl Rate {
    fn new() -> Self {
        Rate { since: Instant::now(), before: 0, last: None }
    }

    /// The rate, now that so many have gone through in all.
    fn of(&mut self, messages: u64) -> u64 {
        let (time, more) = (self.since.elapsed(), messages.saturating_sub(self.before));
        let now = (more as f64 / time.as_secs_f64().max(1e-3)) as u64;
        if time < RATE {
            return self.last.unwrap_or(now);
        }
        *self = Rate { since: Instant::now(), before: messages, last: Some(now) };
        now
    }
}
