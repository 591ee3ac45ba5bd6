//! The figures of a queue, all of one instant.

use super::{LocalQueue, format, store};
use crate::error::Result;
use crate::queue::{Deadline, Status};
use std::time::{Duration, UNIX_EPOCH};

impl LocalQueue {
    pub(super) fn look_at_figures(&mut self, deadline: Deadline) -> Result<Status> {
        self.locked(deadline, |queue| {
            queue.bring_back()?;
            queue.status_now()
        })
    }

    pub(super) fn status_now(&mut self) -> Result<Status> {
        let counts = self.counts()?;
        let stamp = self.store.stamp();
        Ok(Status {
            path: self.segment.path().to_owned(),
            ready: counts.ready,
            leased: counts.leased,
            delayed: counts.delayed,
            dead: counts.dead,
            bytes: counts.bytes,
            capacity: stamp.capacity,
            max_items: Some(stamp.max_items).filter(|items| *items != format::NO_LIMIT),
            durable: stamp.durable,
            closed: counts.closed,
            puts_paused: counts.puts_paused,
            gets_paused: counts.gets_paused,
            put: counts.put,
            got: counts.got,
            returned: counts.returned,
            expired: counts.expired,
            died: counts.died,
            purged: counts.purged,
            put_rate: counts.put_rate,
            got_rate: counts.got_rate,
            oldest: counts.oldest.map(|put_at| UNIX_EPOCH + Duration::from_nanos(put_at)),
            high_water: counts.high_water,
            created: UNIX_EPOCH + Duration::from_nanos(stamp.created),
            producers: counts.producers,
        })
    }

    pub(super) fn counts(&mut self) -> Result<store::Counts> {
        self.store.counts(self.clock).map_err(|fault| self.fault(fault))
    }
}
