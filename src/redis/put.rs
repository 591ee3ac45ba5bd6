//! Putting: a run of messages, or as many of them as there is room for.

use super::listener::Channel;
use super::{RedisQueue, prepared, presence, script};
use crate::error::Result;
use crate::lease::Source;
use crate::message::Run;
use crate::queue::Deadline;
use crate::wait;
use std::time::Instant;

/// What came of a put.
enum Put {
    /// This many messages of the run are in the queue, the first with this id.
    Done { count: u64, first_id: u64 },
    /// There is no room.
    Full,
}

impl RedisQueue {
    pub(super) fn put_run(&mut self, run: &Run<'_>, together: bool, deadline: Deadline) -> Result<u64> {
        // Empty messages take no bytes: the capacity bounds their number.
        let together = together
            && run.message_bytes() <= self.capacity
            && run.count() <= self.max_items.unwrap_or(u64::MAX).min(self.capacity);
        let mut left = *run;
        while left.count() > 0 {
            match self.put_or_wait(&left, together, None, deadline)? {
                Some((count, _)) => left = left.after(&left.prefix(count, u64::MAX)),
                None => break,
            }
        }
        Ok(run.count() - left.count())
    }

    pub(super) fn prepare_run(&mut self, run: &Run<'_>, source: &Source, deadline: Deadline) -> Result<Option<u64>> {
        Ok(self.put_or_wait(run, true, Some(source), deadline)?.map(|(_, first_id)| first_id))
    }

    /// Puts some of `run`, and returns how many and the first's id, or waits for room until the deadline.
    fn put_or_wait(
        &mut self,
        run: &Run<'_>,
        together: bool,
        source: Option<&Source>,
        deadline: Deadline,
    ) -> Result<Option<(u64, u64)>> {
        loop {
            let in_time = deadline.is_none_or(|deadline| deadline > Instant::now());
            self.seen = self.listener.as_ref().map_or(0, super::Listener::now);
            match self.put_once(run, together, source, deadline)? {
                Put::Done { count, first_id } => return Ok(Some((count, first_id))),
                Put::Full if !in_time => return Ok(None),
                Put::Full if !self.listen(Channel::Space, deadline) => {}
                Put::Full => {
                    let wake_up = Instant::now() + self.until_next_look();
                    let wake_up = deadline.map_or(wake_up, |deadline| deadline.min(wake_up));
                    let watch = self.listener.as_ref().map(|listener| listener.watch(self.seen));
                    wait::sleep(watch.as_slice(), Some(wake_up));
                }
            }
        }
    }

    fn put_once(&mut self, run: &Run<'_>, together: bool, source: Option<&Source>, deadline: Deadline) -> Result<Put> {
        let sequence = self.next_sequence();
        let count = run.count().to_string();
        let framing = (run.framing() as u8).to_string();
        let (yes, no): (&[u8], &[u8]) = (b"1", b"0");
        let mut arguments = vec![
            sequence.as_bytes(),
            framing.as_bytes(),
            if run.json { yes } else { no },
            count.as_bytes(),
            if together { yes } else { no },
            run.bytes(),
        ];
        let (presence, known) = (self.presence.microseconds(), presence::what_is_known_of_us());
        let source = source.map(prepared::encode);
        if let Some(source) = &source {
            arguments.extend([presence.as_bytes(), known.as_bytes(), source]);
        }
        let mut reply = self.call(&script::PUT, &arguments, deadline)?;
        if reply.word() == "full" {
            let undecided = reply.list();
            let next = reply.signed();
            self.note_next_event(next);
            self.decide(undecided)?;
            return Ok(Put::Full);
        }
        self.expect(&reply, "put")?;
        if source.is_some() {
            self.is_known = true;
            self.presence.show(true);
        }
        Ok(Put::Done { count: reply.number(), first_id: reply.number() })
    }
}
