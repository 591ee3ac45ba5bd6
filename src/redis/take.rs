//! Taking: the first ready messages are leased to us, until they are settled or kept.

use super::listener::Channel;
use super::reply::Reply;
use super::{RedisQueue, presence, script};
use crate::error::{Error, Result};
use crate::message::Framing;
use crate::queue::{Deadline, Frame, Otherwise, Taken, Want};
use crate::reserve::reserve;

impl RedisQueue {
    pub(super) fn take_messages(&mut self, want: Want, otherwise: Otherwise, deadline: Deadline) -> Result<Taken> {
        self.frames.clear();
        self.payloads.clear();
        loop {
            self.seen = self.listener.as_ref().map_or(0, super::Listener::now);
            let taken = self.take_once(want, deadline)?;
            // Whoever is about to sleep has to hear of what happens from before the last look on.
            if taken != Taken::Nothing || otherwise != Otherwise::Sleep || self.listen(Channel::Data, deadline) {
                return Ok(taken);
            }
        }
    }

    fn take_once(&mut self, want: Want, deadline: Deadline) -> Result<Taken> {
        let (messages, bytes) = (most(want.messages), most(want.bytes));
        let (presence, known) = (self.presence.microseconds(), presence::what_is_known_of_us());
        let singly: &[u8] = if want.singly { b"1" } else { b"0" };
        let arguments =
            [messages.as_bytes(), bytes.as_bytes(), singly, presence.as_bytes(), known.as_bytes(), b"0".as_slice()];
        let mut reply = self.call_again(&script::TAKE, &arguments, Some(5), deadline)?;
        let (undecided, taken) = match reply.word() {
            "taken" => {
                self.is_known = true;
                self.presence.show(true);
                let undecided = reply.list();
                self.note_frames(reply.list())?;
                (undecided, Taken::Messages)
            }
            "nothing" | "drained" => {
                let taken = if reply.word() == "drained" { Taken::Drained } else { Taken::Nothing };
                let undecided = reply.list();
                let next = reply.signed();
                self.note_next_event(next);
                (undecided, taken)
            }
            _ => {
                self.expect(&reply, "taken")?;
                (Reply::default(), Taken::Nothing)
            }
        };
        self.decide(undecided)?;
        Ok(taken)
    }

    fn note_frames(&mut self, mut frames: Reply) -> Result<()> {
        while !frames.is_over() {
            let (first_id, count) = (frames.number(), frames.number());
            let [attempt, handed_out] =
                [frames.number(), frames.number()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            let framing = framing(frames.number())?;
            let json = frames.flag();
            self.frames.push(Frame { first_id, count, attempt, handed_out, framing, json });
            self.payloads.push(frames.bytes());
        }
        Ok(())
    }

    pub(super) fn read_payload(&mut self, index: usize, buffer: &mut Vec<u8>) -> Result<()> {
        let Some(payload) = self.payloads.get(index) else { return Ok(()) };
        if buffer.is_empty() && buffer.capacity() < payload.len() {
            // It is read once.
            *buffer = std::mem::take(&mut self.payloads[index]);
            return Ok(());
        }
        reserve(buffer, payload.len() as u64)?;
        buffer.extend_from_slice(payload);
        Ok(())
    }

    pub(super) fn settle_leases(&mut self, delivered: u64, stay: bool, deadline: Deadline) -> Result<()> {
        self.payloads.clear();
        if self.frames.is_empty() {
            return Ok(());
        }
        let (yes, no): (&[u8], &[u8]) = (b"1", b"0");
        let (sequence, delivered) = (self.next_sequence(), delivered.to_string());
        let frames: Vec<String> = std::mem::take(&mut self.frames)
            .iter()
            .flat_map(|frame| [frame.first_id.to_string(), frame.count.to_string(), frame.handed_out.to_string()])
            .collect();
        let mut arguments = vec![sequence.as_bytes(), delivered.as_bytes(), if stay { yes } else { no }];
        arguments.extend(frames.iter().map(String::as_bytes));
        let mut reply = self.call(&script::SETTLE, &arguments, deadline)?;
        self.expect(&reply, "settled")?;
        let lost = reply.number();
        self.is_known = reply.flag();
        self.presence.show(self.is_known);
        match lost {
            0 => Ok(()),
            messages => Err(Error::GivenToOthers { server: self.remote.server.shown().to_owned(), messages }),
        }
    }
}

/// A limit in numbers that scripts can count with.
pub(super) fn most(number: u64) -> String {
    number.min(1 << 52).to_string()
}

/// The framing that a stored number stands for.
pub(super) fn framing(number: u64) -> Result<Framing> {
    let framing = u8::try_from(number).ok().and_then(Framing::from_number);
    framing.ok_or_else(|| Error::Other(format!("a message on the server is framed in a way that is none: {number}")))
}
