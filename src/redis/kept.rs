//! Leases that outlive the call that took them, and what else is done to messages by their ids.

use super::reply::Reply;
use super::{RedisQueue, microseconds, script};
use crate::error::{Error, Result};
use crate::lease::{Cause, End, Ended, Holder, LeaseId, Reason, Shelf, Terms};
use crate::queue::Deadline;
use std::time::SystemTime;

impl RedisQueue {
    pub(super) fn keep_leases(&mut self, kept: u64, terms: Terms, stay: bool, deadline: Deadline) -> Result<()> {
        self.payloads.clear();
        let frames = std::mem::take(&mut self.frames);
        if frames.is_empty() {
            return Ok(());
        }
        let ours = terms.holder == Holder::This;
        let runs = terms.until.map_or("-1".to_owned(), |until| {
            microseconds(until.duration_since(SystemTime::now()).unwrap_or_default()).to_string()
        });
        let (yes, no): (&[u8], &[u8]) = (b"1", b"0");
        let kept = kept.to_string();
        let leases = ids(frames.iter().map(|frame| LeaseId { message: frame.first_id, attempt: frame.handed_out }));
        let mut arguments =
            vec![runs.as_bytes(), if ours { yes } else { no }, if stay { yes } else { no }, kept.as_bytes()];
        arguments.extend(leases.iter().map(String::as_bytes));
        // Of a lease that was lost meanwhile, its end says so.
        let mut reply = self.call(&script::KEEP, &arguments, deadline)?;
        self.expect(&reply, "kept")?;
        self.is_known = reply.flag();
        self.presence.show(self.is_known);
        Ok(())
    }

    pub(super) fn end_leases(&mut self, leases: &[LeaseId], end: &End, deadline: Deadline) -> Result<Ended> {
        let sequence = self.next_sequence();
        let (how, delay, attempts, reason) = match end {
            End::Done => ("done", 0, -1, Vec::new()),
            End::HandedOn => ("handed on", 0, -1, Vec::new()),
            End::Dead(reason) => ("dead", 0, -1, encode(reason)),
            End::Again { delay, max_attempts, reason } => {
                ("again", microseconds(*delay), max_attempts.map_or(-1, i64::from), encode(reason))
            }
        };
        let (delay, attempts) = (delay.to_string(), attempts.to_string());
        let ids = ids(leases.iter().copied());
        let mut arguments = vec![sequence.as_bytes(), how.as_bytes(), delay.as_bytes(), attempts.as_bytes(), &reason];
        arguments.extend(ids.iter().map(String::as_bytes));
        let mut reply = self.call(&script::END, &arguments, deadline)?;
        self.is_leased(&mut reply)?;
        self.expect(&reply, "ended")?;
        Ok(Ended { done: reply.number(), again: reply.number(), dead: reply.number() })
    }

    pub(super) fn extend_leases(
        &mut self,
        leases: &[LeaseId],
        by: std::time::Duration,
        deadline: Deadline,
    ) -> Result<()> {
        let by = microseconds(by).to_string();
        let ids = ids(leases.iter().copied());
        let mut arguments = vec![by.as_bytes()];
        arguments.extend(ids.iter().map(String::as_bytes));
        let mut reply = self.call(&script::EXTEND, &arguments, deadline)?;
        self.is_leased(&mut reply)?;
        self.expect(&reply, "extended")
    }

    fn is_leased(&self, reply: &mut Reply) -> Result<()> {
        if reply.word() != "not leased" {
            return Ok(());
        }
        let (message, attempt) = (reply.number(), u32::try_from(reply.number()).unwrap_or(u32::MAX));
        Err(Error::NotLeased { id: LeaseId { message, attempt }, name: self.name.clone() })
    }

    fn is_dead(&self, reply: &mut Reply) -> Result<()> {
        if reply.word() != "not dead" {
            return Ok(());
        }
        Err(Error::NotDead { id: reply.number(), name: self.name.clone() })
    }

    pub(super) fn retry_dead(&mut self, ids: Option<&[u64]>, deadline: Deadline) -> Result<u64> {
        let sequence = self.next_sequence();
        let all: &[u8] = if ids.is_none() { b"1" } else { b"0" };
        let ids: Vec<String> = ids.unwrap_or_default().iter().map(u64::to_string).collect();
        let mut arguments = vec![sequence.as_bytes(), all];
        arguments.extend(ids.iter().map(String::as_bytes));
        let mut reply = self.call(&script::RETRY, &arguments, deadline)?;
        self.is_dead(&mut reply)?;
        self.expect(&reply, "retried")?;
        Ok(reply.number())
    }

    pub(super) fn hand_on_dead_message(&mut self, dead: LeaseId, deadline: Deadline) -> Result<()> {
        let sequence = self.next_sequence();
        let (id, attempt) = (dead.message.to_string(), dead.attempt.to_string());
        let arguments = [sequence.as_bytes(), id.as_bytes(), attempt.as_bytes()];
        let mut reply = self.call(&script::HAND_ON_DEAD, &arguments, deadline)?;
        self.is_dead(&mut reply)?;
        self.expect(&reply, "handed")
    }

    pub(super) fn purge_shelf(&mut self, shelf: Shelf, deadline: Deadline) -> Result<u64> {
        let sequence = self.next_sequence();
        let mut reply = self.call(&script::PURGE, &[sequence.as_bytes(), shelf_name(shelf)], deadline)?;
        self.expect(&reply, "purged")?;
        Ok(reply.number())
    }
}

/// The name of a shelf's key.
pub(super) fn shelf_name(shelf: Shelf) -> &'static [u8] {
    match shelf {
        Shelf::Ready => b"ready",
        Shelf::Leased => b"leased",
        Shelf::Delayed => b"delayed",
        Shelf::Dead => b"dead",
    }
}

/// Leases as scripts want them: id and attempt of each, in turn.
fn ids(leases: impl Iterator<Item = LeaseId>) -> Vec<String> {
    leases.flat_map(|lease| [lease.message.to_string(), lease.attempt.to_string()]).collect()
}

/// A reason as it is stored: the kind of the cause, a number, and the text.
fn encode(reason: &Reason) -> Vec<u8> {
    let [kind, number] = reason.cause.numbers();
    let text = &reason.text[..reason.text.len().min(Reason::MOST_TEXT)];
    [format!("{kind}:{number}:").as_bytes(), text].concat()
}

/// What [`encode`] has made.
pub(super) fn decode(bytes: &[u8]) -> Option<Reason> {
    let mut parts = bytes.splitn(3, |byte| *byte == b':');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u8>().ok();
    let cause = Cause::from_numbers([number()?, number()?])?;
    Some(Reason { cause, text: parts.next()?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_as_they_are_written() {
        let causes = [Cause::Returned, Cause::Exit(7), Cause::Signal(9), Cause::Expired, Cause::HolderDied];
        for cause in causes {
            for text in [&b""[..], b"a:b:\xff\n", b":"] {
                let reason = Reason { cause, text: text.to_vec() };
                assert_eq!(decode(&encode(&reason)), Some(reason));
            }
        }
        for bytes in [&b""[..], b"1", b"1:2", b"9:0:", b"x:0:"] {
            assert_eq!(decode(bytes), None);
        }
    }
}
