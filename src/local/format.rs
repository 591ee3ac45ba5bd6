//! The layout of a segment, byte by byte: the manual page ipcq-segment(5) in constants.
//!
//! A segment is an immutable stamp, hot words, control words, a redo log and a table of owners, all
//! in the first [`GROUP`] of units, then units of [`UNIT`] bytes in groups. Numbers are in
//! the byte order of the machine that made the segment; the stamp says which that is.

use super::checksum;
use std::fmt::Write as _;

/// First bytes of every segment.
pub(crate) const MAGIC: [u8; 8] = *b"ipcqseg\n";
/// The version of this layout. A segment of another version is refused.
pub(crate) const VERSION: u32 = 3;
/// Reads as itself only on a machine of the same byte order.
pub(crate) const BYTE_ORDER: u32 = 0x0102_0304;
/// Bits in a word of the machine that made the segment.
pub(crate) const WORD_BITS: u32 = usize::BITS;

/// Bytes in a unit, the piece in which space is handed out: a frame's record, or payload.
pub(crate) const UNIT: u64 = 256;
/// Units in a group. The first unit of each holds the links of all of them.
pub(crate) const UNITS_PER_GROUP: u32 = 64;
/// Bytes in a group; the file grows in multiples of it.
pub(crate) const GROUP: u64 = UNIT * UNITS_PER_GROUP as u64;
/// The first unit that can be handed out (group 0 is the header, the next unit is a link table).
pub(crate) const FIRST_UNIT: u32 = UNITS_PER_GROUP + 1;
/// The end of the largest segment in bytes: units are numbered in 32 bits.
pub(crate) const LARGEST_SEGMENT: u64 = UNIT << 32;
/// The largest capacity in bytes; leaves at least as much for records.
pub const LARGEST_CAPACITY: u64 = LARGEST_SEGMENT / 2;
/// `max_items` of a queue without a limit.
pub(crate) const NO_LIMIT: u64 = u64::MAX;

/// One field of the layout, as the manual page lists it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name used in the manual page and in errors.
    pub name: &'static str,
    /// Bytes from the start of the segment, or of the log, record or owner entry.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

macro_rules! fields {
    ($($(#[$meta:meta])* $table:ident { $($(#[$doc:meta])* $field:ident $name:literal $offset:expr, $bytes:expr;)* })*) => {
        $(
            $(
                $(#[$doc])*
                // The format has room for what later commands need.
                #[allow(dead_code)]
                pub(crate) const $field: u64 = $offset;
            )*
            $(#[$meta])*
            pub const $table: &[Field] = &[$(Field { name: $name, offset: $offset, bytes: $bytes }),*];
        )*
    };
}

/// Start of the control words.
pub(crate) const CONTROL: u64 = 512;
/// Number of control words.
pub(crate) const CONTROL_WORDS: usize = 64;
/// Bytes of those that mean something so far.
pub(crate) const CONTROL_BYTES_IN_USE: usize = CONTROL_FIELDS.len() * 8;
/// Start of the second redo log, which only durable segments use.
pub(crate) const SECOND_LOG: u64 = 1024;
/// Pairs that fit the second log.
pub(crate) const SECOND_LOG_PAIRS: usize = 191;
/// Start of the redo log.
pub(crate) const LOG: u64 = 4096;
/// Pairs that fit the log.
pub(crate) const LOG_PAIRS: usize = 255;
/// Start of the table of owners.
pub(crate) const OWNERS: u64 = 8192;
/// Bytes in an owner's entry.
pub(crate) const OWNER_BYTES: u64 = 64;
/// Entries in the table of owners.
pub(crate) const OWNER_ENTRIES: u32 = 128;
/// Words of a frame's record; the rest of its unit holds a short payload.
pub(crate) const RECORD_WORDS: usize = 16;
/// Where a short payload starts in its record.
pub(crate) const INLINE: u64 = RECORD_WORDS as u64 * 8;
/// The longest payload that is kept in the record, in bytes.
pub(crate) const INLINE_BYTES: u64 = UNIT - INLINE;

fields! {
    /// The stamp: written once, before the segment has a name.
    STAMP_FIELDS {
        STAMP_MAGIC "magic" 0, 8;
        STAMP_VERSION "version" 8, 4;
        STAMP_BYTE_ORDER "byte order" 12, 4;
        STAMP_WORD_BITS "word bits" 16, 4;
        STAMP_UNIT "unit bytes" 20, 4;
        STAMP_GROUP "units per group" 24, 4;
        STAMP_FLAGS "stamp flags" 28, 4;
        STAMP_CAPACITY "capacity" 32, 8;
        STAMP_MAX_ITEMS "max items" 40, 8;
        STAMP_CREATED "created" 48, 8;
        STAMP_UUID "uuid" 56, 16;
        STAMP_LEASE "default lease" 72, 8;
        STAMP_MAX_ATTEMPTS "max attempts" 80, 4;
        STAMP_CHECKSUM "stamp checksum" 124, 4;
    }
    /// Words that processes watch or that say how far a change has come; never in the redo log.
    HOT_FIELDS {
        COMMIT "commit" 128, 4;
        APPLIED "applied" 132, 4;
        DATA_WAKE "data wake" 192, 4;
        DATA_WAITERS "data waiters" 196, 4;
        SPINS_UNTIL "spins until" 200, 8;
        RECENT_WAKE "recent wake" 208, 4;
        RECENT_WAITERS "recent waiters" 212, 4;
        RECEIVER "receiver" 216, 4;
        RECEIVER_PROCESSOR "receiver processor" 220, 4;
        TAKEN_AT "taken at" 224, 8;
        SPACE_WAKE "space wake" 256, 4;
        SPACE_WAITERS "space waiters" 260, 4;
        FINISHED_WAKE "finished wake" 320, 4;
        FINISHED_WAITERS "finished waiters" 324, 4;
    }
    /// The state of the queue; changed only through the redo log.
    CONTROL_FIELDS {
        GROWN "grown" CONTROL, 8;
        FRESH "fresh unit" CONTROL + 8, 8;
        FREE_FIRST "first free unit" CONTROL + 16, 8;
        FREE_COUNT "free units" CONTROL + 24, 8;
        READY_FIRST "first ready" CONTROL + 32, 8;
        READY_LAST "last ready" CONTROL + 40, 8;
        READY "ready messages" CONTROL + 48, 8;
        LEASED "leased messages" CONTROL + 56, 8;
        DELAYED "delayed messages" CONTROL + 64, 8;
        DEAD "dead messages" CONTROL + 72, 8;
        MESSAGE_BYTES "message bytes" CONTROL + 80, 8;
        NEXT_ID "next id" CONTROL + 88, 8;
        STATE "state" CONTROL + 96, 8;
        OWNERS_LOW "owners 0-63" CONTROL + 104, 8;
        OWNERS_HIGH "owners 64-127" CONTROL + 112, 8;
        TOTAL_PUT "put in all" CONTROL + 120, 8;
        TOTAL_GOT "got in all" CONTROL + 128, 8;
        TOTAL_RETURNED "returned in all" CONTROL + 136, 8;
        TOTAL_EXPIRED "expired in all" CONTROL + 144, 8;
        TOTAL_DEAD "dead in all" CONTROL + 152, 8;
        TOTAL_PURGED "purged in all" CONTROL + 160, 8;
        LAST_PUT "last put" CONTROL + 168, 8;
        LAST_GOT "last got" CONTROL + 176, 8;
        HIGH_WATER "high-water bytes" CONTROL + 184, 8;
        RETURNED_ROOT "returned root" CONTROL + 192, 8;
        DELAYED_ROOT "delayed root" CONTROL + 200, 8;
        KEPT_SECONDS_ROOT "kept root, seconds" CONTROL + 208, 8;
        DEAD_ROOT "dead root" CONTROL + 216, 8;
        PRODUCERS "producers" CONTROL + 224, 8;
        PREPARED "prepared messages" CONTROL + 232, 8;
        PUT_SINCE "put since" CONTROL + 240, 8;
        PUT_BEFORE "put before" CONTROL + 248, 8;
        PUT_RATE "put rate" CONTROL + 256, 8;
        GOT_SINCE "got since" CONTROL + 264, 8;
        GOT_BEFORE "got before" CONTROL + 272, 8;
        GOT_RATE "got rate" CONTROL + 280, 8;
        HANDED_ON_ROOT "handed-on root" CONTROL + 288, 8;
        KEPT_MINUTES_ROOT "kept root, minutes" CONTROL + 296, 8;
        KEPT_HOURS_ROOT "kept root, hours" CONTROL + 304, 8;
        KEPT_DAYS_ROOT "kept root, days" CONTROL + 312, 8;
    }
    /// A redo log.
    LOG_FIELDS {
        REDO_COUNT "redo pairs" 0, 8;
        REDO_NUMBER "redo number" 8, 4;
        REDO_CHECKSUM "redo checksum" 12, 4;
        REDO_PAIRS "first redo pair" 16, 16;
    }
    /// An owner: a process that holds leases.
    OWNER_FIELDS {
        OWNER_LEASES "first lease" 0, 8;
        OWNER_PID "owner pid" 8, 8;
        OWNER_SINCE "owner since" 16, 8;
        OWNER_PRODUCES "owner produces" 24, 8;
        OWNER_STARTED "owner started" 32, 8;
        OWNER_NAMESPACE "owner namespace" 40, 8;
        OWNER_BOOT "owner boot" 48, 8;
        OWNER_LENT "first lent unit" 56, 4;
        OWNER_LENT_UNITS "lent units" 60, 4;
    }
    /// The record of a frame: a run of messages with consecutive ids that share one fate. What a way through a tree
    /// depends on is in one cache line, the second.
    RECORD_FIELDS {
        RECORD_PUT_AT "put at" 0, 8;
        RECORD_EXPIRES "expires" 8, 8;
        RECORD_COUNT "message count" 16, 4;
        RECORD_ATTEMPTS "attempts" 20, 4;
        RECORD_FIRST_UNIT "first payload unit" 24, 4;
        RECORD_LAST_UNIT "last payload unit" 28, 4;
        RECORD_LENGTH "payload bytes" 32, 8;
        RECORD_SKIP "skipped bytes" 40, 4;
        RECORD_CHECKSUM "payload checksum" 44, 4;
        RECORD_NEXT "next frame" 48, 4;
        RECORD_PREVIOUS "previous frame" 52, 4;
        RECORD_OWNER "lease owner" 56, 4;
        RECORD_REASON "reason" 60, 4;
        RECORD_LEASED_AT "leased at" 64, 8;
        RECORD_DUE "due" 72, 8;
        RECORD_KIND "frame kind" 80, 1;
        RECORD_STATE "frame state" 81, 1;
        RECORD_FRAMING "framing" 82, 1;
        RECORD_FLAGS "frame flags" 83, 1;
        RECORD_PRIORITY "priority" 84, 4;
        RECORD_BRANCH_0 "branch 0" 96, 4;
        RECORD_BRANCH_1 "branch 1" 100, 4;
        RECORD_BRANCH_2 "branch 2" 104, 4;
        RECORD_BRANCH_3 "branch 3" 108, 4;
        RECORD_REASON_UNIT "reason unit" 112, 4;
        RECORD_FORGIVEN "forgiven attempts" 116, 4;
        RECORD_FIRST_ID "first id" 120, 8;
        RECORD_PAYLOAD "short payload" INLINE, INLINE_BYTES;
    }
}

/// Where the redo logs are; an ordinary segment uses the first.
pub const REDO_LOGS: [u64; 2] = [LOG, SECOND_LOG];

/// Bits of the control word [`STATE`].
pub(crate) mod state {
    /// Puts are refused; gets go on.
    pub(crate) const CLOSED: u64 = 1;
    /// The queue has been removed; whoever still has it open must leave.
    pub(crate) const REMOVED: u64 = 2;
    /// Puts wait as if there were no room.
    pub(crate) const PUT_PAUSED: u64 = 4;
    /// Gets wait as if nothing were ready.
    pub(crate) const GET_PAUSED: u64 = 8;
}

/// What is fixed when a queue is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes that all messages may have together.
    pub(crate) capacity: u64,
    /// Messages that may wait, or [`NO_LIMIT`].
    pub(crate) max_items: u64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) created: u64,
    /// Different for every queue ever made.
    pub(crate) uuid: [u8; 16],
    /// Changes are on the disk before they are made.
    pub(crate) durable: bool,
    /// The queue closes itself when its last producer is gone.
    pub(crate) auto_close: bool,
    /// How long a lease runs unless it is said otherwise, in nanoseconds; 0: no such time.
    pub(crate) lease: u64,
    /// Attempts after which a message is dead; 0: never by itself.
    pub(crate) max_attempts: u32,
}

/// Bits of [`STAMP_FLAGS`].
mod flag {
    pub(super) const DURABLE: u32 = 1;
    pub(super) const AUTO_CLOSE: u32 = 2;
}

/// Bytes of the stamp, checksum included.
pub(crate) const STAMP_BYTES: usize = 128;

impl Stamp {
    /// The bytes that start a segment.
    pub(crate) fn encode(&self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        let mut set = |offset: u64, field: &[u8]| bytes[offset as usize..][..field.len()].copy_from_slice(field);
        set(STAMP_MAGIC, &MAGIC);
        set(STAMP_VERSION, &VERSION.to_ne_bytes());
        set(STAMP_BYTE_ORDER, &BYTE_ORDER.to_ne_bytes());
        set(STAMP_WORD_BITS, &WORD_BITS.to_ne_bytes());
        set(STAMP_UNIT, &(UNIT as u32).to_ne_bytes());
        set(STAMP_GROUP, &UNITS_PER_GROUP.to_ne_bytes());
        let flags = [(self.durable, flag::DURABLE), (self.auto_close, flag::AUTO_CLOSE)];
        let flags = flags.into_iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, bit)| flags | bit);
        set(STAMP_FLAGS, &flags.to_ne_bytes());
        set(STAMP_CAPACITY, &self.capacity.to_ne_bytes());
        set(STAMP_MAX_ITEMS, &self.max_items.to_ne_bytes());
        set(STAMP_CREATED, &self.created.to_ne_bytes());
        set(STAMP_UUID, &self.uuid);
        set(STAMP_LEASE, &self.lease.to_ne_bytes());
        set(STAMP_MAX_ATTEMPTS, &self.max_attempts.to_ne_bytes());
        let checksum = checksum::of(&bytes[..STAMP_CHECKSUM as usize]);
        bytes[STAMP_CHECKSUM as usize..].copy_from_slice(&checksum.to_ne_bytes());
        bytes
    }

    /// Reads a stamp, or says in words why the file is not a segment we can work on.
    pub(crate) fn decode(bytes: &[u8; STAMP_BYTES]) -> Result<Stamp, String> {
        let word32 = |offset: u64| u32::from_ne_bytes(field(bytes, offset));
        let word64 = |offset: u64| u64::from_ne_bytes(field(bytes, offset));
        if bytes[..8] != MAGIC {
            return Err("it is not an ipcq segment".into());
        }
        let order = word32(STAMP_BYTE_ORDER);
        if order == BYTE_ORDER.swap_bytes() {
            return Err("byte order: it was made on a machine of the other byte order".into());
        }
        if order != BYTE_ORDER {
            return Err(format!("byte order: {order:#x} is not one"));
        }
        let version = word32(STAMP_VERSION);
        if version != VERSION {
            let mut text = format!("version: its format is {version}, this ipcq reads {VERSION}");
            // Writing to a String cannot fail.
            let _ = match version > VERSION {
                true => write!(text, " (use a newer ipcq)"),
                false => write!(text, " (empty it with the ipcq that made it, or remove it with 'ipcq rm')"),
            };
            return Err(text);
        }
        if word32(STAMP_WORD_BITS) != WORD_BITS {
            return Err(format!(
                "word bits: it was made by a {}-bit program, this is a {WORD_BITS}-bit one",
                word32(STAMP_WORD_BITS)
            ));
        }
        if word32(STAMP_CHECKSUM) != checksum::of(&bytes[..STAMP_CHECKSUM as usize]) {
            return Err("stamp checksum: the stamp has been altered".into());
        }
        if u64::from(word32(STAMP_UNIT)) != UNIT || word32(STAMP_GROUP) != UNITS_PER_GROUP {
            return Err("unit bytes: a geometry this ipcq does not know".into());
        }
        if word32(STAMP_FLAGS) & !(flag::DURABLE | flag::AUTO_CLOSE) != 0 {
            return Err("stamp flags: it uses features of a newer ipcq".into());
        }
        let stamp = Stamp {
            capacity: word64(STAMP_CAPACITY),
            max_items: word64(STAMP_MAX_ITEMS),
            created: word64(STAMP_CREATED),
            uuid: field(bytes, STAMP_UUID),
            durable: word32(STAMP_FLAGS) & flag::DURABLE != 0,
            auto_close: word32(STAMP_FLAGS) & flag::AUTO_CLOSE != 0,
            lease: word64(STAMP_LEASE),
            max_attempts: word32(STAMP_MAX_ATTEMPTS),
        };
        if stamp.capacity == 0 || stamp.capacity > LARGEST_CAPACITY {
            return Err(format!("capacity: {} is out of range", stamp.capacity));
        }
        if stamp.max_items == 0 {
            return Err("max items: 0 is out of range".into());
        }
        Ok(stamp)
    }
}

fn field<const N: usize>(bytes: &[u8; STAMP_BYTES], offset: u64) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[offset as usize..][..N]);
    value
}

/// Where the link of `unit` is: in the table that starts its group.
pub(crate) fn link_offset(unit: u32) -> u64 {
    let table = link_table(unit);
    u64::from(table) * UNIT + u64::from(unit - table) * 4
}

/// The unit that holds the link of `unit`, and those of the others of its group.
pub(crate) fn link_table(unit: u32) -> u32 {
    unit & !(UNITS_PER_GROUP - 1)
}

/// Where `unit` starts.
pub(crate) fn unit_offset(unit: u32) -> u64 {
    u64::from(unit) * UNIT
}

/// Whether `unit` holds the links of its group and so is never handed out.
pub(crate) fn is_link_table(unit: u32) -> bool {
    link_table(unit) == unit
}

/// Where the entry of an owner is.
pub(crate) fn owner_offset(owner: u32) -> u64 {
    OWNERS + u64::from(owner) * OWNER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            capacity: 1 << 26,
            max_items: NO_LIMIT,
            created: 7,
            uuid: [9; 16],
            durable: true,
            auto_close: true,
            lease: 5,
            max_attempts: 3,
        }
    }

    #[test]
    fn a_stamp_reads_back() {
        assert_eq!(Stamp::decode(&stamp().encode()), Ok(stamp()));
    }

    #[test]
    fn every_flipped_bit_of_a_stamp_is_noticed() {
        for bit in 0..STAMP_BYTES * 8 {
            let mut bytes = stamp().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Stamp::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_stamp_of_another_machine_or_version_is_named() {
        let mut bytes = stamp().encode();
        for (version, advice) in [(2, "with the ipcq that made it"), (4, "use a newer ipcq")] {
            bytes[8] = version;
            let text = Stamp::decode(&bytes).unwrap_err();
            assert!(text.contains(&format!("format is {version}")) && text.contains(advice), "{text}");
        }
        let mut bytes = stamp().encode();
        bytes[12..16].reverse();
        assert!(Stamp::decode(&bytes).is_err_and(|text| text.contains("byte order")));
    }

    #[test]
    fn limits_that_admit_nothing_are_refused_even_with_the_right_checksum() {
        for (stamp, name) in [
            (Stamp { capacity: 0, ..stamp() }, "capacity"),
            (Stamp { capacity: LARGEST_CAPACITY + 1, ..stamp() }, "capacity"),
            (Stamp { max_items: 0, ..stamp() }, "max items"),
        ] {
            assert!(Stamp::decode(&stamp.encode()).is_err_and(|text| text.starts_with(name)));
        }
    }

    #[test]
    fn no_two_fields_overlap() {
        let tables = [
            [STAMP_FIELDS, HOT_FIELDS, CONTROL_FIELDS].concat(),
            LOG_FIELDS.to_vec(),
            OWNER_FIELDS.to_vec(),
            RECORD_FIELDS.to_vec(),
        ];
        for table in tables {
            for pair in table.windows(2) {
                assert!(pair[0].offset + pair[0].bytes <= pair[1].offset, "{pair:?}");
            }
            assert!(table.iter().all(|field| field.bytes > 8 || field.offset % field.bytes == 0));
        }
    }

    #[test]
    fn everything_before_the_units_fits_the_first_group() {
        assert!(CONTROL_FIELDS.iter().all(|field| field.offset + 8 <= CONTROL + CONTROL_WORDS as u64 * 8));
        assert!(CONTROL + CONTROL_WORDS as u64 * 8 <= SECOND_LOG);
        assert!(SECOND_LOG + REDO_PAIRS + SECOND_LOG_PAIRS as u64 * 16 <= LOG);
        assert!(LOG + REDO_PAIRS + LOG_PAIRS as u64 * 16 <= OWNERS);
        assert!(OWNERS + u64::from(OWNER_ENTRIES) * OWNER_BYTES <= GROUP);
    }
}
