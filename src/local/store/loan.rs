//! Units lent to a producer: it fills them without the lock, and when they hold messages they become a frame.
//!
//! So bulk input is read straight into the segment, and nobody is kept out while it is copied and checksummed. The
//! entry of the owner says which units it has; if it dies they are free again.

use super::super::checksum::Checksum;
use super::super::format::{self, OWNER_LENT, Stamp, UNIT};
use super::super::memory::Memory;
use super::chunks::Chunks;
use super::destination::Destination;
use super::frame::Record;
use super::halves::{join, split};
use super::owners::Identity;
use super::put::Put;
use super::transaction::Transaction;
use super::units::Chain;
use super::{RESERVED_UNITS, Result, Store, damaged};
use crate::message::{Framing, count_delimiters};

/// Space to be filled.
#[derive(Clone)]
pub(crate) struct Loan {
    owner: u32,
    /// The first unit is to be the record, the others hold the payload.
    chain: Chain,
    /// Where those lie.
    pieces: Vec<Piece>,
}

/// Bytes of a loan that lie together in the segment.
#[derive(Clone, Copy)]
struct Piece {
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
    length: u64,
    checksum: u32,
}

impl Filled {
    /// Where they end, in bytes from the start of the loan.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.length
    }
}

impl Loan {
    /// How large it is, in bytes.
    pub(crate) fn space(&self) -> u64 {
        (self.chain.units - 1) * UNIT
    }

    /// Its pieces, offsets and lengths in bytes, but for the first `from` bytes and those from `to` on.
    pub(crate) fn pieces(&self, from: u64, to: u64) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        self.pieces.iter().filter_map(move |&Piece { position, offset, length }| {
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
        record.set_last_unit(loan.unit_of(filled.end() - 1));
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

    /// Copies `bytes` into `loan`, from its byte `start` on.
    pub(crate) fn fill(&mut self, loan: &Loan, start: u64, bytes: &[u8]) {
        let mut left = bytes;
        for (offset, length) in loan.pieces(start, start + bytes.len() as u64) {
            let (piece, rest) = left.split_at(length as usize);
            self.memory.write(offset, piece);
            left = rest;
        }
    }

    /// Appends the bytes `from` to `to` of `loan` to `buffer`.
    pub(crate) fn copy_lent(&self, loan: &Loan, from: u64, to: u64, buffer: &mut Vec<u8>) {
        for (offset, length) in loan.pieces(from, to) {
            self.memory.append(offset, length, buffer);
        }
    }

    /// The whole messages in the bytes from `start`, which is in the first unit, to `end` of `loan`, if there is one.
    pub(crate) fn examine(&self, loan: &Loan, start: u64, end: u64, framing: Framing) -> Option<Filled> {
        let delimiter = framing.delimiter()?;
        let end = end - self.after_last(loan, start, end, delimiter)?;
        let (mut count, mut checksum) = (0, Checksum::of_length(end - start));
        let mut chunks = Chunks::new();
        for (offset, length) in loan.pieces(start, end) {
            chunks.each(&self.memory, offset, length, |chunk| {
                count += count_delimiters(chunk, delimiter);
                checksum.add(chunk);
            });
        }
        // Somebody may scribble over it meanwhile.
        (count > 0).then(|| Filled { framing, start, count, length: end - start, checksum: checksum.finish() })
    }

    /// Bytes after the last delimiter in those from `start` to `end` of `loan`.
    fn after_last(&self, loan: &Loan, start: u64, end: u64, delimiter: u8) -> Option<u64> {
        let (mut after, mut chunks) = (0, Chunks::new());
        for (offset, length) in loan.pieces(start, end).rev() {
            let mut left = length;
            while left > 0 {
                let chunk = chunks.copy_end(&self.memory, offset, left);
                left -= chunk.len() as u64;
                match memchr::memrchr(delimiter, chunk) {
                    Some(place) => return Some(after + (chunk.len() - 1 - place) as u64),
                    None => after += chunk.len() as u64,
                }
            }
        }
        None
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Lends units for a record and so many bytes, if there are any.
    fn allocate_loan(&mut self, owner: u32, bytes: u64) -> Result<Option<Loan>> {
        let units = 1 + bytes.div_ceil(UNIT).max(1);
        if self.make_room(units + RESERVED_UNITS).is_err() {
            return Ok(None);
        }
        let mut pieces = Vec::<Piece>::new();
        let chain = self.allocate_runs(units, |first, units| {
            let (offset, length) = (format::unit_offset(first), units * UNIT);
            match pieces.last_mut() {
                // Before the payload comes the record.
                None => pieces.push(Piece { position: 0, offset: offset + UNIT, length: length - UNIT }),
                Some(last) if last.offset + last.length == offset => last.length += length,
                Some(last) => {
                    let position = last.position + last.length;
                    pieces.push(Piece { position, offset, length });
                }
            }
        })?;
        self.link(chain.first)?;
        Ok(Some(Loan { owner, chain, pieces }))
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
