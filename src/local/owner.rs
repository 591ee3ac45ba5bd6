//! Being an owner of leases, and noticing owners that are dead.

use super::store::{self, Identity};
use super::{LocalQueue, lock, process};
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
            if !self.lives(owner)? && self.resolve_prepared_of(owner)? {
                self.store.return_all_of(owner, super::now()).map_err(|fault| self.fault(fault))?;
            }
        }
        Ok(())
    }

    /// Whether the process behind the entry `owner` lives.
    pub(super) fn lives(&self, owner: u32) -> Result<bool> {
        let identity = store::identity(self.store.memory(), owner);
        if !identity.is_resident() {
            return Ok(process::lives(&identity));
        }
        let lives = lock::owner_lives(self.store.memory().file(), owner);
        lives.map_err(|error| Error::io(format!("look for the owners of leases in '{}'", self.name), error))
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
            self.owner = self.claim_free_entry()?;
        }
        Ok(self.owner)
    }

    /// An entry whose lock is ours now. `None`: all are taken.
    fn claim_free_entry(&self) -> Result<Option<u32>> {
        for owner in self.store.owners_in_use().free() {
            let claimed = lock::claim_owner(self.store.memory().file(), owner);
            if claimed.map_err(|error| Error::io(format!("become an owner of leases in '{}'", self.name), error))? {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// The entry of a process that takes no part itself: the one that it has, or a free one.
    ///
    /// # Errors
    /// When all are taken by living processes.
    pub(super) fn entry_of(&mut self, identity: &Identity) -> Result<u32> {
        let in_use = self.store.owners_in_use().others(None);
        let own = in_use.into_iter().find(|owner| store::identity(self.store.memory(), *owner) == *identity);
        if let Some(owner) = own {
            return Ok(owner);
        }
        let Some(owner) = self.claim_free_entry()? else {
            return Err(Error::Other(format!(
                "too many processes hold leases of queue '{}': let one of them finish, or use a lease without --owner",
                self.name
            )));
        };
        // Nobody else looks before the entry is in use: the queue is locked.
        lock::disclaim_owner(self.store.memory().file(), owner);
        Ok(owner)
    }

    /// Gives up our entry in the table of owners, if we hold and produce nothing; others may need it while we sleep.
    pub(super) fn disclaim_owner(&mut self) -> Result<()> {
        if let Some(owner) = self.owner {
            let cleared = self.store.clear_owner(owner).map_err(|fault| self.fault(fault));
            self.forget_entry();
            cleared?;
        }
        Ok(())
    }

    /// Gives up the lock on our entry if the entry is not in use.
    pub(super) fn forget_entry(&mut self) {
        if let Some(owner) = self.owner.filter(|owner| !self.store.owners_in_use().contains(*owner)) {
            lock::disclaim_owner(self.store.memory().file(), owner);
            self.owner = None;
        }
    }
}
