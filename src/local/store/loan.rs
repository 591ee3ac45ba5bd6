//! Units lent to a producer: it fills them without the lock, and when they hold messages they become a frame.
//!
//! So nobody is kept out while bulk input is copied, and its checksum is made on the way. The entry of the owner says
//! which units it has; if it dies they are free again.

use super::super::format::{self, OWNER_LENT, Stamp, UNIT};
use super::super::memory::{CACHE_LINE, Memory, Piece};
use super::blocks::Blocks;
use super::destination::Destination;
use super::frame::Record;
use super::halves::{join, split};
use super::owners::Identity;
use super::put::Put;
use super::transaction::Transaction;
use super::units::Chain;
use super::{RESERVED_UNITS, Result, Store, damaged};
use crate::delimiter;
use crate::message::Framing;

/// Space to be filled.
#[derive(Clone)]
pub(crate) struct Loan {
    owner: u32,
    /// The first unit is to be the record, the others hold the payload.
    chain: Chain,
    /// Where those lie.
    parts: Vec<Part>,
}

/// Bytes of a loan that lie together in the segment.
#[derive(Clone, Copy)]
struct Part {
    /// The first one's place in the loan.
    position: u64,
    /// The same in the segment.
    offset: u64,
    length: u64,
}

/// Whole messages in a loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    framing: Framing,
    /// Where the first one starts, in bytes: less than a unit.
    start: u64,
    pub(crate) count: u64,
    /// Bytes, delimiters included.
    pub(crate) length: u64,
    checksum: u32,
}

impl Loan {
    /// How many bytes of messages fit it, wherever in a line of the cache they start.
    pub(crate) fn space(&self) -> u64 {
        (self.chain.units - 1) * UNIT - CACHE_LINE
    }

    /// Where its bytes lie, but for the first `from` bytes and those from `to` on.
    fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = Piece> {
        self.parts.iter().filter_map(move |&Part { position, offset, length }| {
            let within = |place: u64| place.saturating_sub(position).min(length);
            let (start, end) = (within(from), within(to));
            (start < end).then_some((offset + start, end - start))
        })
    }

    /// The unit that has the byte at `position`.
    fn unit_of(&self, position: u64) -> u32 {
        self.pieces(position, position + 1).next().map_or(0, |(offset, _)| (offset / UNIT) as u32)
    }
}

impl<M: Memory> Store<M> {
    /// Lends `owner` space for so many bytes; `None` if nothing can be put now, or there is no such space. A durable
    /// queue lends none: without messages there is no checksum that would tell after a power failure whether the
    /// links of the units had reached the disk.
    pub(crate) fn lend(&mut self, owner: u32, pid: u32, bytes: u64, now: u64) -> Result<Option<Loan>> {
        let Stamp { capacity, max_items, durable, .. } = self.stamp;
        let mut transaction = self.begin()?;
        if durable || transaction.room(capacity, max_items).is_err() {
            return Ok(None);
        }
        let Some(loan) = transaction.allocate_loan(owner, bytes)? else { return Ok(None) };
        // What could not be given back before, when the queue was locked for long.
        transaction.free_loan(owner)?;
        transaction.use_owner(owner, &Identity::resident(pid), now);
        transaction.note_loan(owner, Some(loan.chain));
        transaction.commit()?;
        Ok(Some(loan))
    }

    /// Puts the messages in `loan`, all or none, and lends space for `next` bytes in its place, if there is any. Nothing
    /// is lent, or taken back, if they are not put. `now` is in nanoseconds since the Unix epoch.
    pub(crate) fn put_lent(
        &mut self,
        loan: &Loan,
        filled: &Filled,
        next: u64,
        now: u64,
    ) -> Result<(Put, Option<Loan>)> {
        let Loan { owner, chain, .. } = *loan;
        let mut record = Record::EMPTY;
        record.begin(filled.framing, false);
        record.set_count(u32::try_from(filled.count).unwrap_or(u32::MAX));
        record.set_skip(filled.start as u32);
        record.set_length(filled.length);
        record.set_checksum(filled.checksum);
        let (capacity, max_items) = (self.stamp.capacity, self.stamp.max_items);
        let mut transaction = self.begin()?;
        let room = match transaction.room(capacity, max_items) {
            Ok(room) => room,
            Err(put) => return Ok((put, None)),
        };
        if filled.count > room.messages || record.message_bytes() > room.bytes {
            return Ok((Put::Full, None));
        }
        if transaction.loan_of(owner) != (chain.first, chain.units) {
            return damaged("first lent unit", format!("of owner {owner} is not what it was lent"));
        }
        // First, while the links of free units are as they were.
        let next = transaction.allocate_loan(owner, next)?;
        record.set_first_unit(transaction.link(chain.first)?);
        record.set_last_unit(loan.unit_of(filled.start + filled.length - 1));
        let surplus = (chain.units - 1).saturating_sub(record.payload_units());
        if surplus > 0 {
            let first = transaction.link(record.last_unit())?;
            transaction.free(Chain { first, last: chain.last, units: surplus })?;
        }
        *transaction.new_record(chain.first) = record;
        transaction.append_new(chain.first, Destination::Ready, now)?;
        transaction.note_loan(owner, next.as_ref().map(|loan| loan.chain));
        transaction.commit()?;
        Ok((Put::Done(filled.count), next))
    }

    /// Takes the space back.
    pub(crate) fn end_loan(&mut self, loan: &Loan) -> Result<()> {
        let mut transaction = self.begin()?;
        if transaction.loan_of(loan.owner) == (loan.chain.first, loan.chain.units) {
            transaction.note_loan(loan.owner, None);
            transaction.free(loan.chain)?;
            transaction.clear_idle_owner(loan.owner)?;
        }
        transaction.commit()
    }

    /// Copies the whole messages that `bytes` starts with into `loan`, as many as fit, if there is one.
    pub(crate) fn fill(&mut self, loan: &Loan, bytes: &[u8], framing: Framing) -> Option<Filled> {
        let delimiter = framing.delimiter()?;
        let fitting = &bytes[..bytes.len().min(loan.space() as usize)];
        let mut left = &bytes[..delimiter::last(fitting, delimiter)? + 1];
        let length = left.len() as u64;
        // Blocks are counted from the end: so each starts where a line does.
        let start = length.wrapping_neg() % CACHE_LINE;
        let mut blocks = Blocks::of_length(length);
        for piece in loan.pieces(start, start + length) {
            blocks.add(piece, |pieces| {
                let length: u64 = pieces.iter().map(|(_, length)| length).sum();
                let (block, rest) = left.split_at(length as usize);
                left = rest;
                self.memory.write_block(pieces, Some(delimiter), block)
            });
        }
        // Once: waiting for memory after each block would take as long as copying it.
        self.memory.order_blocks();
        let (checksum, count) = blocks.finish();
        Some(Filled { framing, start, count, length, checksum })
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Lends units for a record and so many bytes, if there are any.
    fn allocate_loan(&mut self, owner: u32, bytes: u64) -> Result<Option<Loan>> {
        let units = 1 + (bytes + CACHE_LINE).div_ceil(UNIT);
        if self.make_room(units + RESERVED_UNITS).is_err() {
            return Ok(None);
        }
        // Those of a group lie together, where nothing is fragmented.
        let mut parts = Vec::<Part>::with_capacity((units / u64::from(format::UNITS_PER_GROUP)) as usize + 2);
        let chain = self.allocate_runs(units, |first, units| {
            let (offset, length) = (format::unit_offset(first), units * UNIT);
            match parts.last_mut() {
                // Before the payload comes the record.
                None => parts.push(Part { position: 0, offset: offset + UNIT, length: length - UNIT }),
                Some(last) if last.offset + last.length == offset => last.length += length,
                Some(last) => {
                    let position = last.position + last.length;
                    parts.push(Part { position, offset, length });
                }
            }
        })?;
        self.link(chain.first)?;
        Ok(Some(Loan { owner, chain, parts }))
    }

    /// The first of the units that `owner` has been lent, and how many; or zeros.
    pub(super) fn loan_of(&self, owner: u32) -> (u32, u64) {
        let [first, units] = split(self.word(format::owner_offset(owner) + OWNER_LENT));
        (first, units.into())
    }

    /// Notes what `owner`, whose entry is in use, has been lent.
    fn note_loan(&mut self, owner: u32, loan: Option<Chain>) {
        let loan = loan.map_or(0, |chain| join([chain.first, u32::try_from(chain.units).unwrap_or(u32::MAX)]));
        self.set_word(format::owner_offset(owner) + OWNER_LENT, loan);
    }

    /// Takes back what `owner` was lent, if anything.
    pub(super) fn free_loan(&mut self, owner: u32) -> Result<()> {
        let (first, units) = self.loan_of(owner);
        if units == 0 {
            return Ok(());
        }
        if units > self.get(format::FRESH) {
            return damaged("lent units", format!("of owner {owner} are {units}, more than there are"));
        }
        self.check_unit("first lent unit", first)?;
        let last = self.last_of(first, units)?;
        self.note_loan(owner, None);
        self.free(Chain { first, last, units })
    }
}
