//! The figures, and who takes part.

use super::reply::Reply;
use super::{RedisQueue, script};
use crate::error::Result;
use crate::queue::{Deadline, Holding, Participants, Status};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl RedisQueue {
    /// The figures and who takes part. Nothing is changed: what is due is shown as if it had been done.
    pub(super) fn look(&mut self, deadline: Deadline) -> Result<(Status, Participants)> {
        let (status, _, participants) = self.figures(true, true, deadline)?;
        Ok((status, participants))
    }

    /// The figures and the id of the next message that is put, after what is due has been done.
    pub(super) fn look_and_do(&mut self, deadline: Deadline) -> Result<(Status, u64)> {
        let (status, next_id, _) = self.figures(false, false, deadline)?;
        Ok((status, next_id))
    }

    fn figures(
        &mut self,
        participants: bool,
        only_look: bool,
        deadline: Deadline,
    ) -> Result<(Status, u64, Participants)> {
        let flag = |is_so: bool| -> &[u8] { if is_so { b"1" } else { b"0" } };
        let mut reply = self.call(&script::STATUS, &[flag(participants), flag(only_look)], deadline)?;
        self.expect(&reply, "status")?;
        let undecided = reply.list();
        let next = reply.signed();
        self.note_next_event(next);
        let mut status = Status {
            path: PathBuf::from(self.remote.shown()),
            ready: reply.number(),
            leased: reply.number(),
            delayed: reply.number(),
            dead: reply.number(),
            bytes: reply.number(),
            capacity: reply.number(),
            max_items: Some(reply.number()).filter(|most| *most > 0),
            durable: false,
            closed: reply.flag(),
            puts_paused: reply.flag(),
            gets_paused: reply.flag(),
            put: reply.number(),
            got: reply.number(),
            returned: reply.number(),
            expired: reply.number(),
            died: reply.number(),
            purged: reply.number(),
            high_water: reply.number(),
            producers: reply.number(),
            put_rate: reply.number() as f64 / 1000.0,
            got_rate: reply.number() as f64 / 1000.0,
            oldest: None,
            created: UNIX_EPOCH,
        };
        let oldest = reply.signed();
        status.created = UNIX_EPOCH + Duration::from_micros(reply.number());
        let next_id = reply.number();
        let clock = Clock::new(reply.number());
        status.oldest = u64::try_from(oldest).ok().map(|put_at| clock.ours(put_at));
        let participants = participants_in(reply.list());
        if !only_look {
            self.decide(undecided)?;
        }
        Ok((status, next_id, participants))
    }
}

/// Who takes part, as an answer lists them: what is known of each, messages, and for how long they have been held.
fn participants_in(mut owners: Reply) -> Participants {
    let mut participants = Participants::default();
    while !owners.is_over() {
        let (produces, pid) = known(&owners.text());
        let (messages, held_for) = (owners.number(), Duration::from_micros(owners.number()));
        let since = SystemTime::now().checked_sub(held_for).unwrap_or(UNIX_EPOCH);
        if messages > 0 {
            participants.holders.push(Holding { pid, lives: true, messages, since });
        }
        if produces {
            participants.producers.push(pid);
        }
    }
    participants
}

/// What is known of an owner, as [`super::presence::what_is_known_of_us`] says it: whether it produces, and its number.
pub(super) fn known(text: &str) -> (bool, u32) {
    let pid = text.get(1..).and_then(|rest| rest.split(' ').next()?.parse().ok());
    (text.starts_with('1'), pid.unwrap_or(0))
}

/// From the server's clock to ours.
pub(super) struct Clock {
    server_now: u64,
    /// When the server's clock read that, by ours.
    our_now: SystemTime,
}

/// Clocks that differ by less are taken for equal: the time that an answer takes to come here would otherwise show
/// the same moment differently at every look.
const EQUAL: Duration = Duration::from_secs(1);

impl Clock {
    /// `server_now`: what the server's clock has just read, in microseconds since the epoch.
    pub(super) fn new(server_now: u64) -> Self {
        let (ours, servers) = (SystemTime::now(), UNIX_EPOCH + Duration::from_micros(server_now));
        let apart = ours.duration_since(servers).unwrap_or_else(|error| error.duration());
        Clock { server_now, our_now: if apart < EQUAL { servers } else { ours } }
    }

    /// When that is, or was, by our clock.
    pub(super) fn ours(&self, time: u64) -> SystemTime {
        let at = match time.checked_sub(self.server_now) {
            Some(ahead) => self.our_now.checked_add(Duration::from_micros(ahead)),
            None => self.our_now.checked_sub(Duration::from_micros(self.server_now - time)),
        };
        at.unwrap_or(self.our_now)
    }
}
