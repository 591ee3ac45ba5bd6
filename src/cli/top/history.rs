//! How deep a queue was, and how fast messages came and went, at the last looks at it.

use crate::queue::Status;
use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

/// Looks that are remembered: more than a wide screen shows.
const LOOKS: usize = 400;

/// One figure, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Series {
    values: VecDeque<f64>,
}

impl Series {
    fn push(&mut self, value: f64) {
        if self.values.len() == LOOKS {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// The last `most` values, the oldest first.
    pub(super) fn last(&self, most: usize) -> impl Iterator<Item = f64> {
        self.values.iter().skip(self.values.len().saturating_sub(most)).copied()
    }

    /// The value now, if there is one.
    pub(super) fn now(&self) -> Option<f64> {
        self.values.back().copied()
    }
}

/// The figures of a queue at the last looks.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Messages that wait: ready or delayed.
    pub(super) depth: Series,
    /// Messages put a second, between two looks.
    pub(super) put: Series,
    /// Messages finished with a second, between two looks.
    pub(super) got: Series,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    put: u64,
    got: u64,
    created: SystemTime,
}

impl History {
    /// Notes what was seen at that time.
    pub(super) fn note(&mut self, at: Instant, status: &Status) {
        if self.last.as_ref().is_some_and(|last| last.created != status.created) {
            // Another queue of the same name.
            *self = History::default();
        }
        self.depth.push(status.ready.saturating_add(status.delayed) as f64);
        if let Some(last) = &self.last {
            let seconds = at.saturating_duration_since(last.at).as_secs_f64();
            if seconds > 0.0 {
                self.put.push(status.put.saturating_sub(last.put) as f64 / seconds);
                self.got.push(status.got.saturating_sub(last.got) as f64 / seconds);
            }
        }
        self.last = Some(Last { at, put: status.put, got: status.got, created: status.created });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::status;
    use super::*;
    use std::time::Duration;

    #[test]
    fn rates_are_what_has_happened_between_two_looks() {
        let (mut history, start) = (History::default(), Instant::now());
        for (second, put, got) in [(0, 100, 10), (2, 110, 14), (3, 110, 15)] {
            history.note(start + Duration::from_secs(second), &Status { put, got, ready: put, ..status() });
        }
        assert_eq!(history.depth.last(9).collect::<Vec<_>>(), [100.0, 110.0, 110.0]);
        assert_eq!(history.put.last(9).collect::<Vec<_>>(), [5.0, 0.0]);
        assert_eq!(history.got.last(1).collect::<Vec<_>>(), [1.0]);
    }

    #[test]
    fn a_queue_that_was_made_anew_has_no_past() {
        let (mut history, start) = (History::default(), Instant::now());
        history.note(start, &Status { put: 9, ready: 9, ..status() });
        let created = status().created + Duration::from_secs(1);
        history.note(start + Duration::from_secs(1), &Status { put: 2, ready: 2, created, ..status() });
        assert_eq!(history.depth.last(9).collect::<Vec<_>>(), [2.0]);
        assert_eq!(history.put.now(), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut history, start) = (History::default(), Instant::now());
        for second in 0..2 * LOOKS as u64 {
            history.note(start + Duration::from_secs(second), &Status { ready: second, ..status() });
        }
        assert_eq!(history.depth.last(usize::MAX).count(), LOOKS);
        assert_eq!(history.depth.now(), Some((2 * LOOKS - 1) as f64));
    }
}
