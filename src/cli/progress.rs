//! `--progress`: whether it is wanted and where, and the bar of work: how much is done, how much there is, how fast it
//! goes and how long it will take.

use super::exit::report;
use crate::queue::Queue;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often what a terminal shows is renewed, and the queue is asked for it.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// How often a line is written where there is no terminal.
const EVERY_LINE: Duration = Duration::from_secs(1);

/// Whether to show progress.
#[derive(clap::Args, Debug, Default)]
pub(super) struct ProgressArgument {
    /// Show progress on a terminal; with =always elsewhere, too, as a line a second
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "terminal")]
    progress: Option<When>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Terminal,
    Always,
}

impl ProgressArgument {
    /// Where progress is to be shown, with a bar of this style.
    pub(super) fn surface(&self, template: &str) -> Surface {
        let Some(when) = self.progress else { return Surface::Nowhere };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if !bar.is_hidden() {
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            return Surface::Terminal(bar);
        }
        if when == When::Always { Surface::Lines(Lines::default()) } else { Surface::Nowhere }
    }
}

/// Where progress is shown: always on standard error.
pub(super) enum Surface {
    Nowhere,
    Terminal(ProgressBar),
    Lines(Lines),
}

/// Lines, of which there are not too many.
#[derive(Default)]
pub(super) struct Lines {
    written: Option<Instant>,
    waiting: Option<String>,
}

impl Lines {
    /// Writes a line, or keeps it until it is time for one.
    pub(super) fn show(&mut self, line: impl Display) {
        if self.written.is_some_and(|written| written.elapsed() < EVERY_LINE) {
            self.waiting = Some(line.to_string());
        } else {
            report(line);
            *self = Lines { written: Some(Instant::now()), waiting: None };
        }
    }

    /// Writes how it ended.
    pub(super) fn end(&mut self) {
        if let Some(line) = self.waiting.take() {
            report(line);
        }
    }
}

/// How much of some work is done.
pub(super) struct Progress {
    surface: Surface,
    asked: Option<Instant>,
}

impl Progress {
    pub(super) fn new(wanted: &ProgressArgument) -> Self {
        Progress { surface: wanted.surface("{wide_bar} {pos}/{len}  {per_sec:1}  ETA {eta}"), asked: None }
    }

    /// Shows that we have finished with so many messages, now and then.
    pub(super) fn show(&mut self, finished: u64, queue: &mut dyn Queue) {
        if matches!(self.surface, Surface::Nowhere) || self.asked.is_some_and(|asked| asked.elapsed() < EVERY) {
            return;
        }
        // A bar that cannot be moved on is no reason not to work.
        if let Ok(status) = queue.status(Some(Instant::now())) {
            let left = status.ready.saturating_add(status.delayed).saturating_add(status.leased);
            self.show_of(finished, finished.saturating_add(left));
        }
        self.asked = Some(Instant::now());
    }

    /// Shows that so many of a number of messages are finished with.
    pub(super) fn show_of(&mut self, finished: u64, all: u64) {
        match &mut self.surface {
            Surface::Nowhere => {}
            Surface::Terminal(bar) => {
                bar.set_length(all);
                bar.set_position(finished);
            }
            Surface::Lines(lines) => lines.show(format_args!("{finished} of {all} messages finished with")),
        }
    }

    /// Whether it is a bar on a terminal.
    pub(super) fn is_bar(&self) -> bool {
        matches!(self.surface, Surface::Terminal(_))
    }

    /// Does what writes to a terminal while there is no bar on it.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.surface {
            Surface::Terminal(bar) => bar.suspend(write),
            _ => write(),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        match std::mem::replace(&mut self.surface, Surface::Nowhere) {
            Surface::Nowhere => {}
            Surface::Terminal(bar) => bar.finish_and_clear(),
            Surface::Lines(mut lines) => lines.end(),
        }
    }
}
