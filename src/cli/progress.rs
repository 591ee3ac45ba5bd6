//! The bar of `--progress`: how much is done, how much there is, how fast it goes and how long it will take.

use crate::queue::Queue;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// How often the queue is asked at most how much there is.
const EVERY: Duration = Duration::from_millis(100);

/// A bar on standard error, if that is a terminal and one is wanted.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    shown: Option<Instant>,
}

impl Progress {
    pub(super) fn new(wanted: bool) -> Self {
        let bar = wanted.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()));
        let bar = bar.filter(|bar| !bar.is_hidden());
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {per_sec}  ETA {eta}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        Progress { bar, shown: None }
    }

    /// Shows that we have finished with so many messages, now and then.
    pub(super) fn show(&mut self, finished: u64, queue: &mut dyn Queue) {
        let Some(bar) = &self.bar else { return };
        if self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        // A bar that cannot be moved on is no reason not to work.
        if let Ok(status) = queue.status(Some(Instant::now())) {
            let left = status.ready.saturating_add(status.delayed).saturating_add(status.leased);
            bar.set_length(finished.saturating_add(left));
        }
        bar.set_position(finished);
        self.shown = Some(Instant::now());
    }

    /// Shows that so many of a number of messages are finished with.
    pub(super) fn show_of(&mut self, finished: u64, all: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(finished);
        }
    }

    /// Does what writes to a terminal while there is no bar on it.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
