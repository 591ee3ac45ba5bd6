//! Putting in bulk: input is read into a cache and copied into the segment from there, as long as nothing is in the way.
//!
//! What is not as simple as it mostly is (a full queue, input that trickles, a lock that is not to be had) is left to
//! an ordinary put, and so are its waits and its errors.

use super::LocalQueue;
use super::store::{Filled, Loan, Put};
use crate::error::{Error, Result};
use crate::queue::{BULK, Input};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;
use std::io;
use std::time::Instant;

/// The most bytes that are read at once: they fit a processor's cache.
const MOST: u64 = 256 << 10;
/// The least: less space than this is not worth asking for.
const LEAST: u64 = 2 * BULK;
/// The most bytes of an unfinished message before what is read; there is space for a read in bulk behind them.
const LONGEST_REST: u64 = LEAST - BULK;
/// A queue of so many times this is not filled by what is on its way into it.
const SMALL: u64 = 16;

impl LocalQueue {
    /// Whether space is lent at all, to be filled in bulk.
    pub(super) fn lends_space(&self) -> bool {
        let stamp = self.store.stamp();
        !stamp.durable && stamp.capacity >= SMALL * MOST
    }

    pub(super) fn put_in_bulk(&mut self, input: Input<'_>, rest: &mut Vec<u8>) -> Result<u64> {
        let mut put = 0;
        if !self.lends_space() {
            return Ok(put);
        }
        let mut borrowed = self.borrow()?;
        while let Some(loan) = borrowed {
            if rest.len() as u64 > LONGEST_REST {
                self.give_back(&loan)?;
                break;
            }
            let got = match self.read_behind(rest, loan.space().min(MOST) as usize, input) {
                Ok(got) => got,
                Err(error) => {
                    self.give_back(&loan)?;
                    return Err(error);
                }
            };
            let end = rest.len() + got;
            let is_enough = got as u64 >= BULK;
            let filled = is_enough.then(|| self.store.fill(&loan, &self.intake[..end], input.framing)).flatten();
            let next = (2 * got as u64).clamp(LEAST, MOST);
            let done = filled.map(|filled| self.put_filled(&loan, &filled, next)).transpose()?.flatten();
            let length = done.as_ref().and(filled).map_or(0, |filled| filled.length);
            rest.clear();
            rest.extend_from_slice(&self.intake[length as usize..end]);
            let (Some(filled), Some(next)) = (filled, done) else {
                self.give_back(&loan)?;
                break;
            };
            put += filled.count;
            self.let_consumers_keep_up(length);
            borrowed = next;
        }
        Ok(put)
    }

    /// Copies `rest` into the intake and reads what there is to behind it, without waiting, so that all fits `space`
    /// bytes. Returns how many bytes were read.
    fn read_behind(&mut self, rest: &[u8], space: usize, input: Input<'_>) -> Result<usize> {
        self.intake.resize(MOST as usize, 0);
        self.intake[..rest.len()].copy_from_slice(rest);
        loop {
            // What blocks is waited for without anything lent.
            let more = poll(&mut [PollFd::new(input.descriptor, PollFlags::POLLIN)], PollTimeout::ZERO);
            if more.is_ok_and(|ready| ready == 0) {
                return Ok(0);
            }
            match unistd::read(input.descriptor, &mut self.intake[rest.len()..space]) {
                Ok(got) => return Ok(got),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(0),
                Err(errno) => return Err(Error::io(format!("read {}", input.name), io::Error::from(errno))),
            }
        }
    }

    /// Space to fill, if it can be had.
    fn borrow(&mut self) -> Result<Option<Loan>> {
        let lent = self.locked(Some(Instant::now()), |queue| {
            let Some(owner) = queue.claim_owner()? else { return Ok(None) };
            let lent = queue.store.lend(owner, queue.pid, MOST, queue.clock).map_err(|fault| queue.fault(fault))?;
            if lent.is_none() {
                queue.forget_entry();
            }
            Ok(lent)
        });
        unless_locked(lent, None)
    }

    /// Puts what fills the start of `loan`, and borrows again. `None` if that is not possible now.
    fn put_filled(&mut self, loan: &Loan, filled: &Filled, next: u64) -> Result<Option<Option<Loan>>> {
        let put = self.locked(Some(Instant::now()), |queue| {
            let put = queue.store.put_lent(loan, filled, next, queue.clock);
            match put.map_err(|fault| queue.fault(fault))? {
                (Put::Done(_), next) => Ok(Some(next)),
                _ => Ok(None),
            }
        });
        unless_locked(put, None)
    }

    /// Ends a loan. If it cannot be ended now, it is when this process does.
    fn give_back(&mut self, loan: &Loan) -> Result<()> {
        let ended = self.locked(Some(Instant::now()), |queue| {
            queue.store.end_loan(loan).map_err(|fault| queue.fault(fault))?;
            queue.forget_entry();
            Ok(())
        });
        unless_locked(ended, ())
    }
}

/// What came of something, or `otherwise` if the lock was not to be had.
fn unless_locked<T>(result: Result<T>, otherwise: T) -> Result<T> {
    match result {
        Err(Error::LockTimeout { .. }) => Ok(otherwise),
        other => other,
    }
}
