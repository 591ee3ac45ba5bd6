//! Putting: a run of messages becomes one ready frame at the end of the order.

use super::super::format::{self, state};
use super::super::memory::Memory;
use super::frame::Record;
use super::prepared::Prepare;
use super::sleepers::{self, Wake};
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

impl<M: Memory> Store<M> {
    /// Puts as many messages of `run` as there is room for, or, with `together`, all of them or none.
    /// `now` is in nanoseconds since the Unix epoch.
    pub(crate) fn put(&mut self, run: &Run<'_>, together: bool, now: u64) -> Result<Put> {
        self.put_or_prepare(run, together, None, now)
    }

    /// The same; with a `source`, what is put is not to be seen yet.
    pub(super) fn put_or_prepare(
        &mut self,
        run: &Run<'_>,
        together: bool,
        source: Option<&Prepare<'_>>,
        now: u64,
    ) -> Result<Put> {
        let Store { stamp, .. } = self;
        let (capacity, max_items) = (stamp.capacity, stamp.max_items);
        let mut transaction = self.begin()?;
        let flags = transaction.get(format::STATE);
        if flags & state::REMOVED != 0 {
            return Ok(Put::Removed);
        }
        if flags & state::CLOSED != 0 {
            return Ok(Put::Closed);
        }
        if flags & state::PUT_PAUSED != 0 {
            return Ok(Put::Full);
        }
        let waiting = transaction.get(format::READY).saturating_add(transaction.get(format::DELAYED));
        let others = transaction.get(format::LEASED).saturating_add(transaction.get(format::DEAD));
        let live = waiting.saturating_add(others);
        // Empty messages have no bytes for the capacity to bound, so it bounds their number.
        let items = max_items.saturating_sub(waiting).min(capacity.saturating_sub(live)).min(u64::from(u32::MAX));
        let mut fits = run.prefix(items, capacity.saturating_sub(transaction.get(format::MESSAGE_BYTES)));
        if fits.count() == 0 || (together && fits.count() < run.count()) {
            return Ok(if run.count() == 0 { Put::Done(0) } else { Put::Full });
        }

        let units_of_source = u64::from(source.is_some());
        while let Err(error) = transaction.make_room(1 + payload_units(&fits) + units_of_source + RESERVED_UNITS) {
            // On a file system that is nearly full, fewer messages may still find room.
            fits = fits.prefix(fits.count() / 2, u64::MAX);
            if together || fits.count() == 0 {
                // What others take out makes room; in an empty queue nobody will.
                return if live > 0 { Ok(Put::Full) } else { Err(Fault::Storage(error)) };
            }
        }
        let (length, payload_units) = (fits.bytes().len() as u64, payload_units(&fits));
        let chain = transaction.allocate(1 + payload_units)?;
        let unit = chain.first;
        let mut record = Record::new(fits.framing(), fits.json);
        if payload_units == 0 {
            transaction.memory.write(format::unit_offset(unit) + format::INLINE, fits.bytes());
        } else {
            record.set_first_unit(transaction.link(unit)?);
            record.set_last_unit(chain.last);
            transaction.write_chain(record.first_unit(), 0, fits.bytes())?;
        }
        let first_id = transaction.get(format::NEXT_ID);
        let Some(next_id) = first_id.checked_add(fits.count()) else { return damaged("next id", "has no successor") };
        record.set_first_id(first_id);
        record.set_count(fits.count() as u32);
        record.set_length(length);
        record.set_checksum(crc32fast::hash(fits.bytes()));
        record.set_put_at(now);
        transaction.new_record(unit, record);
        transaction.set(format::NEXT_ID, next_id);
        match source {
            None => {
                transaction.append_ready(unit)?;
                transaction.add(format::READY, fits.count());
                let taken_by_itself = u64::from(sleepers::is_watched(transaction.memory, now));
                transaction.wake_data(Wake::Messages(fits.count() - taken_by_itself));
            }
            Some(prepare) => transaction.prepare(unit, prepare, now)?,
        }
        transaction.add(format::MESSAGE_BYTES, fits.message_bytes());
        transaction.count_put(fits.count(), now);
        let high_water = transaction.get(format::HIGH_WATER).max(transaction.get(format::MESSAGE_BYTES));
        transaction.set(format::HIGH_WATER, high_water);
        transaction.commit()?;
        Ok(Put::Done(fits.count()))
    }
}

/// Units that the messages of `run` need outside their record.
fn payload_units(run: &Run<'_>) -> u64 {
    let length = run.bytes().len() as u64;
    if length <= format::INLINE_BYTES { 0 } else { length.div_ceil(format::UNIT) }
}
