//! The record of a frame, in private memory: a run of messages that share one fate.

use super::super::format::{self, RECORD_WORDS};
use super::super::memory::{Pair, ReadMemory};
use super::below::{Below, WORDS};
use super::bits::bits;
use super::span::Span;
use super::{Result, damaged};
use crate::message::Framing;

/// `RECORD_KIND` of a frame; the only kind so far.
const KIND_FRAME: u8 = 1;
/// Bit of `RECORD_FLAGS`: each message is compact JSON.
const FLAG_JSON: u8 = 1;
/// Bit of `RECORD_FLAGS`: the lease outlives the call that took it, and is in the tree of those.
const FLAG_KEPT: u8 = 2;
/// Bit of `RECORD_FLAGS`: put, but not to be seen before a message of another queue is finished with.
const FLAG_PREPARED: u8 = 4;
/// Bits of `RECORD_FLAGS`: the number of the span of a kept lease.
const SPAN: u8 = 24;

const RECORD_BYTES: usize = RECORD_WORDS * 8;

/// What becomes of a frame next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Can be got; is in the list of ready frames, or in the tree of returned ones.
    Ready = 1,
    /// Given to a consumer; is in its owner's list, or in the tree of kept leases, or in both.
    Leased = 2,
    /// Becomes ready at a known time; is in the tree of delayed frames.
    Delayed = 3,
    /// Given up on; is in the tree of dead frames.
    Dead = 4,
    /// A message that is gone: what is left says that another queue has another one for it. Is in a tree of its own.
    HandedOn = 5,
}

const STATES: [State; 5] = [State::Ready, State::Leased, State::Delayed, State::Dead, State::HandedOn];

/// A copy of a record. Nothing in it has been believed before [`Record::read`] checked it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    bytes: [u8; RECORD_BYTES],
    /// A bit for each word that is not what it was when it was loaded.
    changed: u16,
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $field:ident $type:ty, $name:ident $setter:ident;)*) => {
        $(
            $(#[$doc])*
            // Some are only written so far: the commands that show them come later.
            #[allow(dead_code)]
            pub(crate) fn $name(&self) -> $type {
                <$type>::from_ne_bytes(self.field(format::$field))
            }
            pub(super) fn $setter(&mut self, value: $type) {
                self.set_field(format::$field, value.to_ne_bytes());
            }
        )*
    };
}

impl Record {
    accessors! {
        RECORD_KIND u8, kind set_kind;
        RECORD_STATE u8, state_number set_state_number;
        RECORD_FRAMING u8, framing_number set_framing_number;
        RECORD_FLAGS u8, flags set_flags;
        /// The id of the first message; the others follow.
        RECORD_FIRST_ID u64, first_id set_first_id;
        RECORD_COUNT u32, count set_count;
        /// How often the messages have been handed out: no two leases of a message have the same number.
        RECORD_ATTEMPTS u32, attempts set_attempts;
        /// How often that was when they were last retried, which made them as good as new.
        RECORD_FORGIVEN u32, forgiven set_forgiven;
        /// Where the payload starts, or 0: it is in the record itself.
        RECORD_FIRST_UNIT u32, first_unit set_first_unit;
        RECORD_LAST_UNIT u32, last_unit set_last_unit;
        /// Bytes of payload, delimiters included.
        RECORD_LENGTH u64, length set_length;
        /// Bytes before the payload in its first unit, or in the record.
        RECORD_SKIP u32, skip set_skip;
        /// That of the payload; see `checksum.rs`.
        RECORD_CHECKSUM u32, checksum set_checksum;
        RECORD_NEXT u32, next set_next;
        RECORD_PREVIOUS u32, previous set_previous;
        /// The owner's entry, counted from 1; 0 while nobody's death ends a lease of it.
        RECORD_OWNER u32, owner set_owner;
        /// Nanoseconds since the Unix epoch.
        RECORD_LEASED_AT u64, leased_at set_leased_at;
        /// When a kept lease runs out, a delayed frame becomes ready, or a dead one died, in nanoseconds since the Unix
        /// epoch; the largest number: never.
        RECORD_DUE u64, due set_due;
        /// Why a dead frame died: see `dead.rs`.
        RECORD_REASON u32, reason set_reason;
        /// The unit with the reason's text, or 0.
        RECORD_REASON_UNIT u32, reason_unit set_reason_unit;
        /// Nanoseconds since the Unix epoch.
        RECORD_PUT_AT u64, put_at set_put_at;
    }

    /// The frames below it in a tree, or 0; a change sets them apart from the record: see `branches.rs`.
    pub(super) fn below(&self) -> Below {
        Below(WORDS.map(|word| u64::from_ne_bytes(self.field(word))))
    }

    /// One that nothing is known of.
    pub(super) const EMPTY: Record = Record { bytes: [0; RECORD_BYTES], changed: 0 };

    /// Becomes that of a ready frame without payload.
    pub(super) fn begin(&mut self, framing: Framing, json: bool) {
        self.set_kind(KIND_FRAME);
        self.set_state(State::Ready);
        self.set_framing_number(framing as u8);
        self.set_flags(if json { FLAG_JSON } else { 0 });
    }

    /// Becomes what `other` is. Not as one piece: what was noted of changes just now would have to be waited for.
    pub(super) fn become_copy_of(&mut self, other: &Record) {
        self.bytes = other.bytes;
        self.changed = other.changed;
    }

    /// Reads the record in `unit`, a unit in use, and checks what can be checked on its own.
    pub(super) fn load<M: ReadMemory>(memory: &M, unit: u32) -> Result<Self> {
        let mut record = Record::EMPTY;
        record.read(memory, unit)?;
        Ok(record)
    }

    /// The same into a record that is there.
    pub(super) fn read<M: ReadMemory>(&mut self, memory: &M, unit: u32) -> Result<()> {
        let record = self;
        memory.read(format::unit_offset(unit), &mut record.bytes);
        record.changed = 0;
        if record.kind() != KIND_FRAME {
            return damaged("frame kind", format!("of unit {unit} is {}", record.kind()));
        }
        if record.state().is_none() {
            return damaged("frame state", format!("of unit {unit} is {}", record.state_number()));
        }
        let Some(framing) = Framing::from_number(record.framing_number()) else {
            return damaged("framing", format!("of unit {unit} is {}", record.framing_number()));
        };
        let (count, length, skip) = (u64::from(record.count()), record.length(), u64::from(record.skip()));
        if count == 0 || (framing == Framing::Whole && count != 1) || (framing != Framing::Whole && count > length) {
            return damaged("message count", format!("of unit {unit} is {count}"));
        }
        if record.first_id().checked_add(count).is_none() {
            return damaged("first id", format!("of unit {unit} is {}", record.first_id()));
        }
        let (forgiven, attempts) = (record.forgiven(), record.attempts());
        // Neither may be so large that no number of further attempts is enough.
        if forgiven > attempts || forgiven == u32::MAX {
            return damaged("forgiven attempts", format!("of unit {unit} are {forgiven}, and there were {attempts}"));
        }
        // Outside the record it is in units that have been handed out.
        let handed_out = || memory.load(format::FRESH).saturating_mul(format::UNIT);
        let room = if record.is_inline() { format::INLINE_BYTES } else { handed_out() };
        if skip.saturating_add(length) > room {
            return damaged("payload bytes", format!("of unit {unit} are {length}, more than it can have"));
        }
        if !record.is_inline() && (skip >= format::UNIT || length == 0) {
            return damaged("skipped bytes", format!("of unit {unit} are {skip}"));
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the record in `unit` says that it is one, of a frame in that state.
    pub(super) fn is_there<M: ReadMemory>(memory: &M, unit: u32, state: State) -> bool {
        // The two lead a half of a word.
        let [kind, is, ..] = memory.load32(format::unit_offset(unit) + format::RECORD_KIND).to_ne_bytes();
        [kind, is] == [KIND_FRAME, state as u8]
    }

    /// All words, with their offsets in the record.
    pub(super) fn words(&self) -> impl Iterator<Item = Pair> {
        (0..RECORD_WORDS as u64).map(|word| [word * 8, u64::from_ne_bytes(self.field(word * 8))])
    }

    /// Those that were changed since it was loaded.
    pub(super) fn changed_words(&self) -> impl Iterator<Item = Pair> {
        bits(self.changed.into()).map(|word| [word * 8, u64::from_ne_bytes(self.field(word * 8))])
    }

    /// How many those are.
    pub(super) fn changes(&self) -> usize {
        self.changed.count_ones() as usize
    }

    pub(super) fn state(&self) -> Option<State> {
        STATES.into_iter().find(|state| *state as u8 == self.state_number())
    }

    pub(super) fn set_state(&mut self, state: State) {
        self.set_state_number(state as u8);
    }

    /// How the messages are told apart. [`Record::read`] has refused any other number.
    pub(crate) fn framing(&self) -> Framing {
        Framing::from_number(self.framing_number()).unwrap_or(Framing::Whole)
    }

    /// How often the messages have been handed out since they were put or last retried.
    pub(crate) fn attempts_that_count(&self) -> u32 {
        self.attempts().saturating_sub(self.forgiven())
    }

    /// Whether each message is compact JSON.
    pub(crate) fn json(&self) -> bool {
        self.flags() & FLAG_JSON != 0
    }

    /// Whether the lease is a kept one.
    pub(crate) fn is_kept(&self) -> bool {
        self.flags() & FLAG_KEPT != 0
    }

    /// The span of the lease, if it is a kept one.
    pub(super) fn kept(&self) -> Option<Span> {
        self.is_kept().then(|| Span::ALL[usize::from((self.flags() & SPAN) >> SPAN.trailing_zeros())])
    }

    pub(super) fn set_kept(&mut self, kept: Option<Span>) {
        let kept = kept.map_or(0, |span| FLAG_KEPT | (span as u8) << SPAN.trailing_zeros());
        self.set_flags(self.flags() & !(FLAG_KEPT | SPAN) | kept);
    }

    /// Whether the messages wait until one of another queue is finished with: see `prepared.rs`.
    pub(crate) fn is_prepared(&self) -> bool {
        self.flags() & FLAG_PREPARED != 0
    }

    pub(super) fn set_prepared(&mut self, prepared: bool) {
        self.set_flags(if prepared { self.flags() | FLAG_PREPARED } else { self.flags() & !FLAG_PREPARED });
    }

    /// Whether the payload is in the record itself.
    pub(crate) fn is_inline(&self) -> bool {
        self.first_unit() == 0
    }

    /// Bytes that the messages count against the capacity: without their delimiters.
    pub(super) fn message_bytes(&self) -> u64 {
        match self.framing() {
            Framing::Whole => self.length(),
            _ => self.length() - u64::from(self.count()),
        }
    }

    /// Forgets the payload, which has been freed.
    pub(super) fn drop_payload(&mut self) {
        self.set_framing_number(Framing::Whole as u8);
        self.set_flags(0);
        self.set_length(0);
        self.set_skip(0);
        self.set_checksum(0);
        self.set_first_unit(0);
        self.set_last_unit(0);
    }

    /// Units of payload outside the record.
    pub(super) fn payload_units(&self) -> u64 {
        if self.is_inline() { 0 } else { (u64::from(self.skip()) + self.length()).div_ceil(format::UNIT) }
    }

    fn field<const N: usize>(&self, offset: u64) -> [u8; N] {
        let mut value = [0; N];
        value.copy_from_slice(&self.bytes[offset as usize..][..N]);
        value
    }

    fn set_field<const N: usize>(&mut self, offset: u64, value: [u8; N]) {
        // No field crosses the boundary between two words.
        let field = &mut self.bytes[offset as usize..][..N];
        if *field != value {
            field.copy_from_slice(&value);
            self.changed |= 1 << (offset / 8);
        }
    }
}
