//! Waiting until everything put so far has been finished with.

use super::participants::WaitsFor;
use super::{LOOK_AGAIN, LocalQueue, format};
use crate::error::{Error, Result};
use crate::queue::{Deadline, Status};
use crate::wait::{self, Watch};
use std::time::Instant;

impl LocalQueue {
    pub(super) fn wait_until_finished(&mut self, deadline: Deadline, look: &mut dyn FnMut(&Status)) -> Result<bool> {
        let (mut mark, mut counted) = (None, None);
        loop {
            let (finished, seen, status) = self.locked(deadline, |queue| {
                if queue.counts()?.removed {
                    return Err(Error::Removed { name: queue.name.clone() });
                }
                queue.return_leases_of_the_dead()?;
                queue.look_at_clock()?;
                let mark = *mark.get_or_insert(queue.store.next_id());
                let finished = queue.store.is_finished_before(mark).map_err(|fault| queue.fault(fault))?;
                let seen = if finished { 0 } else { queue.store.register_finished_waiter(counted) };
                queue.show_waiting(Some(WaitsFor::Finished).filter(|_| !finished));
                Ok((finished, seen, queue.status_now()?))
            })?;
            look(&status);
            if finished {
                return Ok(true);
            }
            counted = Some(seen);
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(false);
            }
            // Others may put all the time, and then nobody tells us when what was put before is finished with.
            let wake_up = now + self.until_next_event().min(LOOK_AGAIN);
            let wake_up = deadline.map_or(wake_up, |deadline| deadline.min(wake_up));
            let watch = self.store.memory().atomic32(format::FINISHED_WAKE).map(|word| Watch::new(word, seen));
            wait::sleep(watch.as_slice(), Some(wake_up));
        }
    }
}
