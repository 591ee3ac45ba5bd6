//! How fast messages come and go, as of late: kept in a few words that change every few seconds.
//!
//! A window begins with the first put, or get, after the last one has run for [`WINDOW`]. What it was to the last
//! window stays until the next begins.

use super::super::format::{
    self, GOT_BEFORE, GOT_RATE, GOT_SINCE, PUT_BEFORE, PUT_RATE, PUT_SINCE, TOTAL_GOT, TOTAL_PUT,
};
use super::super::memory::Memory;
use super::transaction::Transaction;

/// Nanoseconds that a window runs at least.
const WINDOW: u64 = 5_000_000_000;
/// Units of a stored rate in a message a second.
const SCALE: u128 = 1000;

/// The words of one rate: the total, when the window began, what the total was then, and the rate before.
#[derive(Clone, Copy)]
struct Words {
    total: u64,
    since: u64,
    before: u64,
    rate: u64,
}

const PUT: Words = Words { total: TOTAL_PUT, since: PUT_SINCE, before: PUT_BEFORE, rate: PUT_RATE };
const GOT: Words = Words { total: TOTAL_GOT, since: GOT_SINCE, before: GOT_BEFORE, rate: GOT_RATE };

impl<M: Memory> Transaction<'_, M> {
    /// Counts messages that are put.
    pub(super) fn count_put(&mut self, count: u64, now: u64) {
        self.count(PUT, count, now);
        self.set(format::LAST_PUT, now);
    }

    /// Counts messages that are finished with.
    pub(super) fn count_got(&mut self, count: u64, now: u64) {
        self.count(GOT, count, now);
        self.set(format::LAST_GOT, now);
    }

    fn count(&mut self, words: Words, count: u64, now: u64) {
        let elapsed = now.checked_sub(self.get(words.since));
        // A clock that was set back begins anew.
        if elapsed.is_none_or(|elapsed| elapsed >= WINDOW) {
            self.set(words.rate, elapsed.map_or(0, |elapsed| self.in_window(words, elapsed)));
            self.set(words.since, now);
            self.set(words.before, self.get(words.total));
        }
        self.add(words.total, count);
    }

    /// The rate so far in the window that has run for `elapsed` nanoseconds.
    fn in_window(&self, words: Words, elapsed: u64) -> u64 {
        let count = self.get(words.total).saturating_sub(self.get(words.before));
        let rate = u128::from(count) * SCALE * 1_000_000_000 / u128::from(elapsed.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn rate(&self, words: Words, now: u64) -> f64 {
        let rate = match now.checked_sub(self.get(words.since)) {
            // Of the first window not much can be told in its first second.
            Some(elapsed) if elapsed >= WINDOW || self.get(words.rate) == 0 => {
                self.in_window(words, elapsed.max(1_000_000_000))
            }
            _ => self.get(words.rate),
        };
        rate as f64 / SCALE as f64
    }

    /// Messages that were put and got a second, as of late.
    pub(super) fn rates(&self, now: u64) -> (f64, f64) {
        (self.rate(PUT, now), self.rate(GOT, now))
    }
}
