//! Waiting for something to be so, without taking or putting anything.

use super::link::Link;
use super::listener::{Channel, Listener};
use super::{RedisQueue, script};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::queue::{Condition, Deadline, Status};
use crate::remote::Remote;
use crate::wait;
use std::time::{Duration, Instant};

impl RedisQueue {
    pub(super) fn wait_until(&mut self, condition: Condition, deadline: Deadline) -> Result<bool> {
        let channel = if condition == Condition::Empty { Channel::Finished } else { Channel::Data };
        self.sleep_until(channel, deadline, |queue| {
            let (status, _) = queue.look_and_do(deadline)?;
            Ok(match condition {
                Condition::Ready => status.ready > 0 && !status.gets_paused,
                Condition::Empty => status.ready == 0 && status.delayed == 0,
                Condition::Closed => status.closed,
            })
        })
    }

    pub(super) fn wait_until_finished(&mut self, deadline: Deadline, look: &mut dyn FnMut(&Status)) -> Result<bool> {
        let mut mark = None;
        self.sleep_until(Channel::Finished, deadline, |queue| {
            let (status, next_id) = queue.look_and_do(deadline)?;
            look(&status);
            let mark = mark.get_or_insert_with(|| next_id.to_string());
            let reply = queue.call(&script::UNFINISHED, &[mark.as_bytes()], deadline)?;
            match reply.word() {
                "finished" => Ok(true),
                _ => queue.expect(&reply, "unfinished").map(|()| false),
            }
        })
    }

    /// Looks whenever something happens, until it is so, or the deadline has passed.
    fn sleep_until(
        &mut self,
        channel: Channel,
        deadline: Deadline,
        mut is_so: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<bool> {
        loop {
            self.seen = self.listener.as_ref().map_or(0, Listener::now);
            if is_so(self)? {
                return Ok(true);
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(false);
            }
            if !self.listen(channel, deadline) {
                continue;
            }
            let wake_up = now + self.until_next_look();
            let wake_up = deadline.map_or(wake_up, |deadline| deadline.min(wake_up));
            let watch = self.listener.as_ref().map(|listener| listener.watch(self.seen));
            wait::sleep(watch.as_slice(), Some(wake_up));
        }
    }
}

/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// Waits until there is a queue `remote`. Returns false if the deadline passes before that.
///
/// # Errors
/// What prevents opening it, but for that it is not there.
pub fn wait_until_it_exists(place: &Place, address: &Address, remote: &Remote, deadline: Deadline) -> Result<bool> {
    let mut listener: Option<Listener> = None;
    let mut until = deadline;
    loop {
        let seen = listener.as_ref().map_or(0, Listener::now);
        match RedisQueue::open(place, address, remote, until) {
            Ok(_) => return Ok(true),
            Err(Error::NoSuchQueue { .. }) => {}
            Err(error) => return Err(error),
        }
        // The address is right: should the server be lost, it will be back.
        until = until.or_else(|| Instant::now().checked_add(FOR_EVER));
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(false);
        }
        let Some(listener) = &listener else {
            let link = Link::new(&remote.server, place.access());
            let key = super::key_of(remote);
            listener.insert(Listener::start(&link, &key, "", Channel::Made)).until_it_hears(deadline);
            continue;
        };
        let wake_up = now + if listener.hears() { super::LOOK_AGAIN } else { super::LOOK_AGAIN / 10 };
        wait::sleep(&[listener.watch(seen)], Some(deadline.map_or(wake_up, |deadline| deadline.min(wake_up))));
    }
}
