//! Being an owner of leases, and noticing owners that are dead.

use super::{LocalQueue, lock};
use crate::error::{Error, Result};
use std::time::{Duration, Instant};

/// How often to look while others hold leases: nothing wakes anyone when one of them is killed.
const LOOK_FOR_DEAD_OWNERS: Duration = Duration::from_millis(200);

impl LocalQueue {
    /// Gives back what dead owners hold. Once on our first look, and then every now and then: a
    /// consumer that always finds something must notice as well.
    pub(super) fn return_leases_of_the_dead(&mut self) -> Result<()> {
        let others: Vec<u32> = self.store.owners_in_use().others(self.owner).collect();
        if others.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        if self.owners_checked.is_some_and(|checked| now - checked < LOOK_FOR_DEAD_OWNERS) {
            return Ok(());
        }
        self.owners_checked = Some(now);
        for owner in others {
            let lives = lock::owner_lives(self.store.memory().file(), owner);
            if !lives.map_err(|error| Error::io(format!("look for the owners of leases in '{}'", self.name), error))? {
                self.store.return_all_of(owner).map_err(|fault| self.fault(fault))?;
            }
        }
        Ok(())
    }

    /// How long it may be until dead owners are looked for, if there are others at all.
    pub(super) fn until_next_look_for_the_dead(&self) -> Option<Duration> {
        self.store.owners_in_use().others(self.owner).next()?;
        let since = self.owners_checked.map_or(LOOK_FOR_DEAD_OWNERS, |checked| checked.elapsed());
        Some(LOOK_FOR_DEAD_OWNERS.saturating_sub(since))
    }

    /// Makes us an owner. `None`: all entries are taken by living processes.
    pub(super) fn claim_owner(&mut self) -> Result<Option<u32>> {
        if self.owner.is_none() {
            for owner in self.store.owners_in_use().free() {
                let claimed = lock::claim_owner(self.store.memory().file(), owner);
                if claimed.map_err(|error| Error::io(format!("become an owner of leases in '{}'", self.name), error))? {
                    self.owner = Some(owner);
                    break;
                }
            }
        }
        Ok(self.owner)
    }

    /// Gives up our entry in the table of owners; others may need it while we sleep.
    pub(super) fn disclaim_owner(&mut self) -> Result<()> {
        if let Some(owner) = self.owner.take() {
            let cleared = self.store.clear_owner(owner).map_err(|fault| self.fault(fault));
            lock::disclaim_owner(self.store.memory().file(), owner);
            cleared?;
        }
        Ok(())
    }
}
