//! Counting as a producer of a queue that closes itself.

use super::store::Identity;
use super::{LocalQueue, now};
use crate::error::{Error, Result};
use crate::queue::Deadline;
use std::time::Instant;

impl LocalQueue {
    pub(super) fn become_producer(&mut self, deadline: Deadline) -> Result<()> {
        if !self.store.stamp().auto_close || self.produces {
            return Ok(());
        }
        self.locked(deadline, |queue| {
            queue.return_leases_of_the_dead()?;
            let Some(owner) = queue.claim_owner()? else {
                return Err(Error::Other(format!(
                    "too many processes hold leases of queue '{}' or produce for it: let one of them finish",
                    queue.name
                )));
            };
            let started = queue.store.start_producing(owner, &Identity::resident(std::process::id()), now());
            match started.map_err(|fault| queue.fault(fault))? {
                true => {
                    queue.produces = true;
                    Ok(())
                }
                false if queue.counts()?.removed => Err(Error::Removed { name: queue.name.clone() }),
                false => Err(Error::Closed { name: queue.name.clone() }),
            }
        })
    }

    /// The end of a producer is news at once, if it is an orderly one. Of any other, those who wait hear
    /// when they look again.
    pub(super) fn cease_to_produce(&mut self) {
        if let (true, Some(owner)) = (self.produces, self.owner) {
            // A queue that is gone or damaged has no end to hear of.
            let _ = self.locked(Some(Instant::now()), |queue| {
                queue.store.stop_producing(owner).map_err(|fault| queue.fault(fault))
            });
        }
    }
}
