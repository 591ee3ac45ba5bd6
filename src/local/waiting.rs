//! Waiting for something to be so, without taking or putting anything.

use super::{LocalQueue, format, now};
use crate::error::{Error, Result};
use crate::queue::{Condition, Deadline};
use crate::wait::{self, Watch};
use std::time::Instant;

impl LocalQueue {
    pub(super) fn wait_until(&mut self, condition: Condition, deadline: Deadline) -> Result<bool> {
        let mut counted = None;
        loop {
            let (holds, seen) = self.locked(deadline, |queue| queue.look(condition, counted))?;
            if holds {
                return Ok(true);
            }
            counted = Some(seen);
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(false);
            }
            let wake_up = now + self.until_next_look();
            let wake_up = deadline.map_or(wake_up, |deadline| deadline.min(wake_up));
            let word = self.store.memory().atomic32(wake_word(condition)).map(|word| Watch::new(word, seen));
            wait::sleep(word.as_slice(), Some(wake_up));
        }
    }

    /// Whether it is so; if not, we are among those who are woken, and this is what the wake word reads.
    fn look(&mut self, condition: Condition, counted: Option<u32>) -> Result<(bool, u32)> {
        self.return_leases_of_the_dead()?;
        self.store.look_at_clock(now()).map_err(|fault| self.fault(fault))?;
        let counts = self.counts()?;
        if counts.removed {
            return Err(Error::Removed { name: self.name.clone() });
        }
        let holds = match condition {
            Condition::Ready => counts.ready > 0 && !counts.gets_paused,
            Condition::Empty => counts.ready == 0 && counts.delayed == 0,
            Condition::Closed => counts.closed,
        };
        // We may have been woken in the place of somebody who wants a message.
        if counted.is_some() && counts.ready > 0 && condition != Condition::Empty {
            self.store.pass_on();
        }
        Ok(match (holds, condition) {
            (true, _) => (true, 0),
            (false, Condition::Empty) => (false, self.store.register_finished_waiter(counted)),
            (false, _) => (false, self.store.register_data_waiter(counted)),
        })
    }
}

/// What wakes those who wait for this.
fn wake_word(condition: Condition) -> u64 {
    match condition {
        Condition::Empty => format::FINISHED_WAKE,
        Condition::Ready | Condition::Closed => format::DATA_WAKE,
    }
}
