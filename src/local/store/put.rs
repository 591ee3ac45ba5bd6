//! Putting: a run of messages becomes one ready frame at the end of the order.

use super::super::checksum;
use super::super::format::{self, state};
use super::super::memory::Memory;
use super::destination::Destination;
use super::sleepers::{self, Wake};
use super::transaction::Transaction;
use super::{Fault, RESERVED_UNITS, Result, Store, damaged};
use crate::message::Run;

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// This many messages of the run, from its start, are in the queue.
    Done(u64),
    /// Nothing was put: there is no room now.
    Full,
    /// Nothing was put: the queue is closed.
    Closed,
    /// Nothing was put: the queue has been removed.
    Removed,
}

/// What a queue admits at once.
pub(super) struct Room {
    pub(super) messages: u64,
    /// Bytes of messages, without their delimiters.
    pub(super) bytes: u64,
    /// Messages that others could take out or end, which makes room.
    live: u64,
}

impl<M: Memory> Store<M> {
    /// Puts as many messages of `run` as there is room for, or, with `together`, all of them or none.
    /// `now` is in nanoseconds since the Unix epoch.
    pub(crate) fn put(&mut self, run: &Run<'_>, together: bool, now: u64) -> Result<Put> {
        self.put_to(Destination::Ready, run, together, now)
    }

    /// Puts a single message without waking anybody: the caller sees to it that somebody takes it.
    pub(crate) fn put_awaited(&mut self, run: &Run<'_>, now: u64) -> Result<Put> {
        self.put_to(Destination::Awaited, run, true, now)
    }

    /// Puts messages as they are to be found then, all of them or, unless `together`, as many as there is room for.
    pub(super) fn put_to(
        &mut self,
        destination: Destination<'_>,
        run: &Run<'_>,
        together: bool,
        now: u64,
    ) -> Result<Put> {
        let (capacity, max_items) = (self.stamp.capacity, self.stamp.max_items);
        let mut transaction = self.begin()?;
        let room = match transaction.room(capacity, max_items) {
            Ok(room) => room,
            Err(put) => return Ok(put),
        };
        let mut fits = run.prefix(room.messages, room.bytes);
        if fits.count() == 0 || (together && fits.count() < run.count()) {
            return Ok(if run.count() == 0 { Put::Done(0) } else { Put::Full });
        }

        let units_of_source = u64::from(matches!(destination, Destination::Prepared(_)));
        while let Err(error) = transaction.make_room(1 + payload_units(&fits) + units_of_source + RESERVED_UNITS) {
            // On a file system that is nearly full, fewer messages may still find room.
            fits = fits.prefix(fits.count() / 2, u64::MAX);
            if together || fits.count() == 0 {
                // What others take out makes room; in an empty queue nobody will.
                return if room.live > 0 { Ok(Put::Full) } else { Err(Fault::Storage(error).into()) };
            }
        }
        let payload_units = payload_units(&fits);
        let chain = transaction.allocate(1 + payload_units)?;
        let unit = chain.first;
        let (first, last) = if payload_units == 0 { (0, 0) } else { (transaction.link(unit)?, chain.last) };
        if payload_units == 0 {
            transaction.memory.write(format::unit_offset(unit) + format::INLINE, fits.bytes());
        } else {
            transaction.write_chain(first, 0, fits.bytes())?;
        }
        let record = transaction.new_record(unit);
        record.begin(fits.framing(), fits.json);
        record.set_first_unit(first);
        record.set_last_unit(last);
        record.set_count(fits.count() as u32);
        record.set_length(fits.bytes().len() as u64);
        record.set_checksum(checksum::of(fits.bytes()));
        transaction.append_new(unit, destination, now)?;
        transaction.commit()?;
        Ok(Put::Done(fits.count()))
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// What can be put now; or why nothing can.
    pub(super) fn room(&self, capacity: u64, max_items: u64) -> std::result::Result<Room, Put> {
        let flags = self.get(format::STATE);
        if flags & state::REMOVED != 0 {
            return Err(Put::Removed);
        }
        if flags & state::CLOSED != 0 {
            return Err(Put::Closed);
        }
        if flags & state::PUT_PAUSED != 0 {
            return Err(Put::Full);
        }
        let waiting = self.get(format::READY).saturating_add(self.get(format::DELAYED));
        let others = self.get(format::LEASED).saturating_add(self.get(format::DEAD));
        let live = waiting.saturating_add(others);
        Ok(Room {
            // Empty messages have no bytes for the capacity to bound, so it bounds their number.
            messages: max_items.saturating_sub(waiting).min(capacity.saturating_sub(live)).min(u64::from(u32::MAX)),
            bytes: capacity.saturating_sub(self.get(format::MESSAGE_BYTES)),
            live,
        })
    }

    /// Makes the new frame in `unit`, which is nowhere, the last of all that are put. Its messages have no ids yet.
    #[inline(always)]
    pub(super) fn append_new(&mut self, unit: u32, destination: Destination<'_>, now: u64) -> Result<()> {
        let first_id = self.get(format::NEXT_ID);
        let record = self.record("next frame", unit)?;
        let (count, bytes) = (u64::from(record.count()), record.message_bytes());
        record.set_first_id(first_id);
        record.set_put_at(now);
        let Some(next_id) = first_id.checked_add(count) else { return damaged("next id", "has no successor") };
        self.set(format::NEXT_ID, next_id);
        match destination {
            Destination::Ready | Destination::Awaited => {
                self.append_ready(unit)?;
                self.add(format::READY, count);
                if matches!(destination, Destination::Ready) {
                    let taken_by_itself = u64::from(sleepers::is_watched(self.memory, now));
                    self.wake_data(Wake::Messages(count - taken_by_itself));
                }
            }
            Destination::Prepared(prepare) => self.prepare(unit, prepare, now)?,
            Destination::Leased(owner) => self.lease_new(unit, owner, now)?,
        }
        self.add(format::MESSAGE_BYTES, bytes);
        self.count_put(count, now);
        let high_water = self.get(format::HIGH_WATER).max(self.get(format::MESSAGE_BYTES));
        self.set(format::HIGH_WATER, high_water);
        Ok(())
    }
}

/// Units that the messages of `run` need outside their record.
fn payload_units(run: &Run<'_>) -> u64 {
    let length = run.bytes().len() as u64;
    if length <= format::INLINE_BYTES { 0 } else { length.div_ceil(format::UNIT) }
}
