//! Leases that outlive the call that took them: kept under an id, ended by it, and ended by the clock.

use super::super::format;
use super::super::memory::Memory;
use super::dead::StoredReason;
use super::ending::{After, Given};
use super::frame::State;
use super::owners::Identity;
use super::sleepers::Wake;
use super::span::Span;
use super::transaction::Transaction;
use super::tree::Tree;
use super::{Lease, Result, Store, damaged};
use crate::lease::{Ended, LeaseId, Reason};

/// The deadline of a lease that never runs out.
pub(crate) const NEVER: u64 = u64::MAX;

/// Sleepers look again by themselves after this time at most, in nanoseconds: what is due later they need not be told.
pub(crate) const LOOK_AGAIN: u64 = 200_000_000;

/// Messages that one look at the clock makes ready at most; the next look goes on.
const READY_AT_ONCE: u64 = 1024;

/// Whose death ends a kept lease.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keeper {
    /// The owner's who took it.
    Taker,
    /// That of the process behind another entry, which is in use by it or free.
    Other(u32, Identity),
    /// Nobody's.
    Nobody,
}

/// How kept leases are ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<'a> {
    /// Done with.
    Done,
    /// Ready again, not before a time; dead after this many attempts, 0 for none.
    Again { not_before: u64, max_attempts: u32, reason: &'a Reason },
    /// Dead.
    Dead { reason: &'a Reason },
    /// Done with; that is noted until the message that was prepared for it has been published.
    HandedOn,
}

impl<M: Memory> Store<M> {
    /// Keeps the leases of `owner`, which were taken singly, until a time. `last`: the owner wants no more, and
    /// its entry can be cleared if it holds nothing.
    pub(crate) fn keep(
        &mut self,
        owner: u32,
        leases: &[Lease],
        until: u64,
        keeper: Keeper,
        last: bool,
        now: u64,
    ) -> Result<()> {
        let mut left = leases.iter().peekable();
        loop {
            let mut transaction = self.begin()?;
            while let Some(lease) = left.next_if(|_| transaction.has_room()) {
                transaction.keep_one(owner, lease, until, keeper, now)?;
            }
            transaction.tell_if_soon(until, now);
            let is_last = left.peek().is_none();
            if last && is_last {
                transaction.clear_idle_owner(owner)?;
            }
            transaction.commit()?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Ends kept leases. Returns what became of them, or the first that is no lease now; then nothing has changed.
    pub(crate) fn end(
        &mut self,
        leases: &[LeaseId],
        verdict: Verdict<'_>,
        now: u64,
    ) -> Result<std::result::Result<Ended, LeaseId>> {
        let units = match self.find_kept(leases, now)? {
            Ok(units) => units,
            Err(missing) => return Ok(Err(missing)),
        };
        let (mut ended, mut left) = (Ended::default(), units.into_iter().peekable());
        loop {
            let mut transaction = self.begin()?;
            let (mut given, mut done) = (Given::default(), 0);
            while let Some(unit) = left.next_if(|_| transaction.has_room()) {
                let owner = transaction.record("first lease", unit)?.owner();
                match verdict {
                    Verdict::Done => {
                        transaction.finish(unit)?;
                        done += 1;
                    }
                    Verdict::HandedOn => {
                        transaction.let_go(unit)?;
                        transaction.leave_handed_on(unit)?;
                        done += 1;
                    }
                    Verdict::Again { not_before, max_attempts, reason } => {
                        let reason = StoredReason::of(reason);
                        given += transaction.give_back(unit, &After { max_attempts, not_before, reason, now })?;
                    }
                    Verdict::Dead { reason } => {
                        transaction.let_go(unit)?;
                        transaction.bury(unit, &StoredReason::of(reason), now)?;
                        given.dead += 1;
                    }
                }
                transaction.clear_idle_script(owner)?;
            }
            if done > 0 {
                transaction.count_got(done, now);
                transaction.wake_space();
            }
            if given.ready + given.delayed > 0 {
                // Sleepers have to know when to look again.
                transaction.wake_data(Wake::Messages(given.ready + given.delayed));
            }
            transaction.note_if_drained();
            transaction.commit()?;
            ended.done += done;
            ended.again += given.ready + given.delayed;
            ended.dead += given.dead;
            if left.peek().is_none() {
                return Ok(Ok(ended));
            }
        }
    }

    /// Lets kept leases run until a time. Returns the first that is no lease now; then nothing has changed.
    pub(crate) fn extend(
        &mut self,
        leases: &[LeaseId],
        until: u64,
        now: u64,
    ) -> Result<std::result::Result<(), LeaseId>> {
        let units = match self.find_kept(leases, now)? {
            Ok(units) => units,
            Err(missing) => return Ok(Err(missing)),
        };
        let mut left = units.into_iter().peekable();
        while left.peek().is_some() {
            let mut transaction = self.begin()?;
            while let Some(unit) = left.next_if(|_| transaction.has_room()) {
                transaction.unkeep(unit)?;
                transaction.keep_until(unit, until, now)?;
            }
            transaction.tell_if_soon(until, now);
            transaction.commit()?;
        }
        Ok(Ok(()))
    }

    /// The units of kept leases, each once, or the first that is none.
    fn find_kept(&mut self, leases: &[LeaseId], now: u64) -> Result<std::result::Result<Vec<u32>, LeaseId>> {
        let mut transaction = self.begin()?;
        let mut units = Vec::with_capacity(leases.len().min(1024));
        for lease in leases {
            let Some(unit) = transaction.kept_find(lease.message)? else { return Ok(Err(*lease)) };
            let record = *transaction.record("first lease", unit)?;
            transaction.drop_untouched(unit);
            if record.attempts() != lease.attempt || record.due() <= now {
                return Ok(Err(*lease));
            }
            units.push(unit);
        }
        units.sort_unstable();
        units.dedup();
        Ok(Ok(units))
    }

    /// Does what is due by now: leases that have run out come back, delayed messages become ready.
    pub(crate) fn look_at_clock(&mut self, now: u64) -> Result<()> {
        let max_attempts = self.stamp.max_attempts;
        let mut moved = 0;
        while moved < READY_AT_ONCE && self.next_event().is_some_and(|next| next <= now) {
            let mut transaction = self.begin()?;
            let mut given = Given::default();
            while transaction.has_room() {
                if let Some(unit) = transaction.first_kept_due(now)? {
                    let owner = transaction.record("first lease", unit)?.owner();
                    let some = transaction.give_back(unit, &After::expired(max_attempts, now))?;
                    transaction.clear_idle_script(owner)?;
                    transaction.add(format::TOTAL_EXPIRED, some.ready + some.dead);
                    given += some;
                } else if let Some(unit) = transaction.first_due(Tree::Delayed, now)? {
                    given.ready += transaction.promote(unit)?;
                } else {
                    break;
                }
            }
            if given.ready > 0 {
                transaction.wake_data(Wake::Messages(given.ready));
            }
            transaction.note_if_drained();
            transaction.commit()?;
            moved += given.ready + given.dead;
        }
        Ok(())
    }

    /// When something is due next, if ever, in nanoseconds since the Unix epoch.
    #[inline(always)]
    pub(crate) fn next_event(&self) -> Option<u64> {
        let due = |tree: Tree| {
            let unit = self.memory.load(tree.root());
            let in_use = unit >= u64::from(format::FIRST_UNIT) && unit < self.memory.load(format::FRESH);
            in_use.then(|| self.memory.load(format::unit_offset(unit as u32) + format::RECORD_DUE))
        };
        let [seconds, minutes, hours, days] = Tree::KEPT.map(due);
        let all = [due(Tree::Delayed), seconds, minutes, hours, days];
        all.into_iter().flatten().min().filter(|time| *time != NEVER)
    }
}

impl<M: Memory> Transaction<'_, M> {
    fn keep_one(&mut self, owner: u32, lease: &Lease, until: u64, keeper: Keeper, now: u64) -> Result<()> {
        let record = *self.record("first lease", lease.unit)?;
        if record.first_id() != lease.record.first_id() || record.count() != 1 || record.is_kept() {
            return damaged("first id", format!("of the leased unit {} has changed", lease.unit));
        }
        match keeper {
            Keeper::Taker => {}
            Keeper::Nobody => self.remove_lease(owner, lease.unit)?,
            Keeper::Other(entry, identity) => {
                self.remove_lease(owner, lease.unit)?;
                self.use_owner(entry, &identity, now);
                self.add_lease(entry, lease.unit)?;
            }
        }
        self.keep_until(lease.unit, until, now)
    }

    /// Puts the leased frame in `unit`, which is in no tree, where those are that run about as long.
    fn keep_until(&mut self, unit: u32, until: u64, now: u64) -> Result<()> {
        let span = Span::of(until.saturating_sub(now));
        let record = self.record("first lease", unit)?;
        record.set_kept(Some(span));
        record.set_due(until);
        self.tree_insert(Tree::Kept(span), unit)
    }

    /// Takes the kept lease in `unit` out of the tree that it is in.
    #[inline(always)]
    pub(super) fn unkeep(&mut self, unit: u32) -> Result<()> {
        let record = self.record("first lease", unit)?;
        let Some(span) = record.kept() else {
            return damaged("frame flags", format!("of unit {unit} are {}, which is no kept lease", record.flags()));
        };
        record.set_kept(None);
        self.tree_remove(Tree::Kept(span), unit)
    }

    /// The unit of the kept lease of the message with this id.
    fn kept_find(&mut self, id: u64) -> Result<Option<u32>> {
        for tree in Tree::KEPT {
            if self.get(tree.root()) != 0
                && let Some(unit) = self.tree_find(tree, id)?
            {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }

    /// Wakes sleepers who would look too late otherwise, so that they know when to.
    fn tell_if_soon(&mut self, until: u64, now: u64) {
        if until.saturating_sub(now) < LOOK_AGAIN {
            self.wake_data(Wake::Messages(1));
        }
    }

    /// The unit of a kept lease that is due, if there is one.
    fn first_kept_due(&mut self, now: u64) -> Result<Option<u32>> {
        for tree in Tree::KEPT {
            if let Some(unit) = self.first_due(tree, now)? {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }

    /// The unit of the first of `tree` if it is due.
    fn first_due(&mut self, tree: Tree, now: u64) -> Result<Option<u32>> {
        let unit = self.tree_first(tree)?;
        if unit == 0 {
            return Ok(None);
        }
        let due = self.record(tree.field(), unit)?.due();
        Ok(Some(unit).filter(|_| due <= now && due != NEVER))
    }

    /// Makes the delayed frame in `unit` ready. Returns its number of messages.
    fn promote(&mut self, unit: u32) -> Result<u64> {
        self.tree_remove(Tree::Delayed, unit)?;
        let record = self.record("delayed root", unit)?;
        if record.state() != Some(State::Delayed) {
            let state = record.state_number();
            return damaged("frame state", format!("of the delayed unit {unit} is {state}"));
        }
        let count = u64::from(record.count());
        self.subtract(format::DELAYED, count)?;
        self.make_ready(unit)?;
        Ok(count)
    }

    /// Clears the entry, counted from 1, of a script that holds nothing any more. A process that holds a lock on
    /// its entry gives it up itself.
    fn clear_idle_script(&mut self, owner: u32) -> Result<()> {
        match owner.checked_sub(1) {
            Some(owner) if self.word(format::owner_offset(owner) + format::OWNER_STARTED) != 0 => {
                self.clear_idle_owner(owner)
            }
            _ => Ok(()),
        }
    }
}
