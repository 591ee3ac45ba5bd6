//! Taking: the first ready messages are leased to an owner. They stay in the queue, invisible to
//! others, until the lease is settled.

use super::super::format::{self, state};
use super::super::memory::Memory;
use super::frame::{Record, State};
use super::owners::Identity;
use super::payload::{self, checksum_of_first, checksum_of_rest, copy_payload, is_as_put, length_of_first};
use super::sleepers::Wake;
use super::transaction::Transaction;
use super::tree::Tree;
use super::units::Chain;
use super::{Fault, Result, Store, damaged};
use std::io;

/// How much to take, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    /// At most this many messages; at least 1.
    pub(crate) messages: u64,
    /// No further frame once this many bytes of payload have been taken.
    pub(crate) bytes: u64,
    /// Each message in a frame of its own.
    pub(crate) singly: bool,
    /// The owner's entry; it is in use by us or free.
    pub(crate) owner: u32,
    /// The process behind the owner.
    pub(crate) pid: u32,
    /// Nanoseconds since the Unix epoch.
    pub(crate) now: u64,
}

/// One leased frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    /// Where its record is.
    pub(crate) unit: u32,
    /// A copy of its record as it was when it was taken, this attempt counted.
    pub(crate) record: Record,
}

/// What there was to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Leases have been added.
    Leases,
    /// Nothing is ready now.
    Nothing,
    /// Nothing is ready and nothing will be: closed and drained.
    Drained,
    /// The queue has been removed.
    Removed,
}

impl<M: Memory> Store<M> {
    /// Why there is nothing to take now, if so. Needs no owner.
    pub(crate) fn nothing_to_take(&self) -> Option<Taken> {
        let flags = self.memory.load(format::STATE);
        if flags & state::REMOVED != 0 {
            Some(Taken::Removed)
        } else if self.memory.load(format::READY) > 0 {
            if flags & state::GET_PAUSED != 0 { Some(Taken::Nothing) } else { None }
        } else if flags & state::CLOSED != 0
            && self.memory.load(format::LEASED) == 0
            && self.memory.load(format::DELAYED) == 0
        {
            Some(Taken::Drained)
        } else {
            Some(Taken::Nothing)
        }
    }

    /// Leases the first ready messages, adding them to `leases` in order. If a run cannot be split because
    /// the file system is full, the first lease holds more messages than are wanted.
    pub(crate) fn take(&mut self, want: &Want, leases: &mut Vec<Lease>) -> Result<Taken> {
        if let Some(nothing) = self.nothing_to_take() {
            return Ok(nothing);
        }
        let already = leases.len();
        let rules = self.rules();
        let taken = self.begin().and_then(|mut transaction| {
            transaction.take(want, &rules, leases)?;
            transaction.commit()
        });
        if taken.is_err() {
            // Of a change that was not made, nothing is leased.
            leases.truncate(already);
        }
        taken.map(|()| Taken::Leases)
    }

    /// Does that where something is ready, and settles `before`, a lease of the same owner all of which was delivered, in
    /// the same change: who takes one message after the other needs one change for each, not two.
    pub(crate) fn take_and_settle(&mut self, want: &Want, before: &Lease, leases: &mut Vec<Lease>) -> Result<()> {
        let already = leases.len();
        let mut rules = self.rules();
        rules.frames_at_once -= 1;
        let delivered = u64::from(before.record.count());
        let taken = self.begin().and_then(|mut transaction| {
            // First, for it may allocate units, and of those that settling frees the payload is still needed
            // if the change is never made.
            transaction.take(want, &rules, leases)?;
            transaction.settle_one(want.owner, before, delivered, want.now)?;
            transaction.settled(delivered, 0, want.now)
        });
        if taken.is_err() {
            leases.truncate(already);
        }
        taken
    }

    /// Appends the payload of a lease to `buffer`, checked against its checksum and the count of messages. Needs no
    /// lock: what is leased does not change.
    pub(crate) fn read(&self, lease: &Lease, buffer: &mut Vec<u8>) -> Result<()> {
        payload::read(&self.memory, lease.unit, &lease.record, buffer)
    }

    fn rules(&self) -> Rules {
        Rules {
            capacity: self.stamp.capacity,
            limits_items: self.stamp.max_items != format::NO_LIMIT,
            frames_at_once: self.frames_at_once(),
        }
    }
}

/// What a queue says about takes.
struct Rules {
    /// Bytes that all messages have together at most.
    capacity: u64,
    /// A message that is taken makes room for another one.
    limits_items: bool,
    /// Frames that one change takes at most.
    frames_at_once: usize,
}

impl<M: Memory> Transaction<'_, M> {
    fn take(&mut self, want: &Want, rules: &Rules, leases: &mut Vec<Lease>) -> Result<()> {
        let already = leases.len();
        self.use_owner(want.owner, &Identity::resident(want.pid), want.now);
        let (mut messages, mut bytes) = (0, 0);
        while messages < want.messages && bytes < want.bytes && leases.len() - already < rules.frames_at_once {
            // What came back is in a tree, of which every change counts.
            if (want.singly || self.tree_first(Tree::Returned)? != 0) && messages > 0 && !self.has_room() {
                break;
            }
            let Some(first) = self.first_ready()? else { break };
            let unit = first.unit;
            let record = self.record("first ready", unit)?;
            if record.state() != Some(State::Ready) {
                return damaged("frame state", format!("of the ready unit {unit} is {}", record.state_number()));
            }
            if record.message_bytes() > rules.capacity {
                return damaged(
                    "payload bytes",
                    format!("of unit {unit} are {}, more than the capacity", record.length()),
                );
            }
            let count = u64::from(record.count());
            let wanted = if want.singly { 1 } else { want.messages - messages };
            let taken = if count <= wanted {
                self.remove_first_ready(first)?;
                unit
            } else {
                match self.change_first_ready(first, |transaction| transaction.split_first(unit, wanted))? {
                    Some(part) => part,
                    // No unit to be had on a full file system. Leasing the whole frame needs none; what
                    // was not wanted goes back when it is settled.
                    None if messages == 0 && !want.singly => {
                        self.remove_first_ready(first)?;
                        unit
                    }
                    None if messages == 0 => return Err(Fault::Storage(io::ErrorKind::StorageFull.into()).into()),
                    None => break,
                }
            };
            // Copied before it is changed: a wide copy waits for stores that have just been made.
            let place = leases.len();
            leases.push(Lease { unit: taken, record: Record::EMPTY });
            leases[place].record.become_copy_of(self.record("first ready", taken)?);
            let record = self.hand_out(taken, want.owner, want.now)?;
            leases[place].record.set_attempts(record.attempts());
            messages += u64::from(record.count());
            bytes += record.length();
            if want.singly && taken != unit {
                // A second part of the same run has to find the links that the first has changed.
                break;
            }
        }
        if messages == 0 {
            return damaged("ready messages", "counts messages where the list has none");
        }
        self.subtract(format::READY, messages)?;
        self.add(format::LEASED, messages);
        if self.get(format::READY) > 0 {
            // Those who were woken for what is left may have died on the way.
            self.wake_data(Wake::Messages(1));
        }
        if self.get(format::READY) == 0 && self.get(format::DELAYED) == 0 {
            // Somebody may wait for that.
            self.wake_finished();
        }
        if rules.limits_items {
            self.wake_space();
        }
        Ok(())
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Leases the frame in `unit`, which is in no list, to `owner`.
    #[inline(always)]
    pub(super) fn hand_out(&mut self, unit: u32, owner: u32, now: u64) -> Result<&mut Record> {
        self.add_lease(owner, unit)?;
        let record = self.record("first lease", unit)?;
        record.set_state(State::Leased);
        record.set_leased_at(now);
        record.set_attempts(record.attempts().saturating_add(1));
        Ok(record)
    }

    /// Splits the first `count` messages off the frame in `unit`, fewer than it has, into a frame that
    /// is in no list. Nothing of the payload moves but the unit that both need. `None` if
    /// there is no unit to be had.
    fn split_first(&mut self, unit: u32, count: u64) -> Result<Option<u32>> {
        let whole = *self.record("first ready", unit)?;
        // The part gets a checksum of its own from what its payload is now, which must be what was put.
        if !is_as_put(self.memory, unit, &whole)? {
            return damaged("payload checksum", format!("of unit {unit} does not fit the payload"));
        }
        let length = length_of_first(self.memory, unit, &whole, count)?;
        let rest_checksum = checksum_of_rest(self.memory, unit, &whole, length)?;
        let boundary_offset = u64::from(whole.skip()) + length;
        let fits_inline = length <= format::INLINE_BYTES;
        let shares_unit = !fits_inline && boundary_offset % format::UNIT != 0;
        if self.make_room(1 + u64::from(shares_unit)).is_err() {
            return Ok(None);
        }
        let part_unit = self.allocate(1)?.first;
        let mut part = whole;
        part.set_count(count as u32);
        part.set_length(length);
        part.set_checksum(checksum_of_first(self.memory, unit, &whole, length)?);

        if fits_inline {
            let mut payload = [0; format::INLINE_BYTES as usize];
            copy_payload(self.memory, unit, &whole, &mut payload[..length as usize])?;
            self.memory.write(format::unit_offset(part_unit) + format::INLINE, &payload[..length as usize]);
            part.set_first_unit(0);
            part.set_last_unit(0);
            part.set_skip(0);
            self.advance(unit, count, length, rest_checksum)?;
        } else {
            // The part keeps the leading units, the shared one included; the rest gets a copy of that.
            let mut last = 0;
            let mut next = whole.first_unit();
            for _ in 0..boundary_offset.div_ceil(format::UNIT) {
                last = next;
                next = if last == whole.last_unit() { 0 } else { self.link(last)? };
            }
            part.set_last_unit(last);
            let mut rest_last = whole.last_unit();
            let rest_first = if shares_unit {
                let copy = self.allocate(1)?.first;
                let mut bytes = [0; format::UNIT as usize];
                self.memory.read(format::unit_offset(last), &mut bytes);
                self.memory.write(format::unit_offset(copy), &bytes);
                if next == 0 {
                    rest_last = copy;
                } else {
                    // Not before the commit: until then the copy's unit may be in the middle of the free
                    // list, whose links must stay.
                    self.set_link(copy, next);
                }
                copy
            } else {
                next
            };
            let rest = self.record("first ready", unit)?;
            rest.set_first_unit(rest_first);
            rest.set_last_unit(rest_last);
            rest.set_skip((boundary_offset % format::UNIT) as u32);
            rest.drop_messages(count, length, rest_checksum);
            self.note_payload(unit);
        }
        *self.new_record(part_unit) = part;
        Ok(Some(part_unit))
    }

    /// Drops the first `count` messages, `length` bytes, from the frame in `unit`, the rest of which has that checksum,
    /// and frees the units that held nothing else.
    pub(super) fn advance(&mut self, unit: u32, count: u64, length: u64, rest_checksum: u32) -> Result<()> {
        let mut record = *self.record("first ready", unit)?;
        let skip = u64::from(record.skip()) + length;
        if record.is_inline() {
            record.set_skip(skip as u32);
        } else {
            let emptied = skip / format::UNIT;
            if emptied > 0 {
                let first = record.first_unit();
                let mut last = first;
                for _ in 1..emptied {
                    last = self.link(last)?;
                }
                record.set_first_unit(self.link(last)?);
                self.free(Chain { first, last, units: emptied })?;
            }
            record.set_skip((skip % format::UNIT) as u32);
        }
        record.drop_messages(count, length, rest_checksum);
        *self.record("first ready", unit)? = record;
        Ok(())
    }
}

impl Record {
    fn drop_messages(&mut self, count: u64, length: u64, rest_checksum: u32) {
        self.set_first_id(self.first_id() + count);
        self.set_count(self.count() - count as u32);
        self.set_length(self.length() - length);
        self.set_checksum(rest_checksum);
    }
}
