//! Looking at messages without taking them.

use super::kept::{decode, shelf_name};
use super::reply::Reply;
use super::status::{Clock, known};
use super::take::framing;
use super::{RedisQueue, script};
use crate::error::Result;
use crate::lease::{Peeked, Shelf};
use crate::message::Run;
use crate::queue::Deadline;

impl RedisQueue {
    pub(super) fn peek_at(&mut self, shelf: Shelf, most: usize, deadline: Deadline) -> Result<Vec<Peeked>> {
        let most = super::take::most(most as u64);
        let mut reply = self.call(&script::PEEK, &[shelf_name(shelf), most.as_bytes()], deadline)?;
        self.expect(&reply, "shown")?;
        let clock = Clock::new(reply.number());
        frames(reply.list(), &clock)
    }
}

/// The messages of the frames in an answer.
fn frames(mut frames: Reply, clock: &Clock) -> Result<Vec<Peeked>> {
    let mut shown = Vec::new();
    while !frames.is_over() {
        let (first_id, count) = (frames.number(), frames.number());
        let [attempts, handed_out] = [frames.number(), frames.number()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let framing = framing(frames.number())?;
        let json = frames.flag();
        let at = u64::try_from(frames.signed()).ok().map(|at| clock.ours(at));
        let reason = decode(&frames.bytes());
        let holder = Some(frames.text()).filter(|text| !text.is_empty()).map(|text| known(&text).1);
        let payload = frames.bytes();
        let run = Run::stored(&payload, framing, count, json);
        for (body, id) in run.messages().zip(first_id..) {
            let (body, reason) = (body.to_vec(), reason.clone());
            shown.push(Peeked { id, attempts, handed_out, framing, json, body, at, holder, reason });
        }
    }
    Ok(shown)
}
