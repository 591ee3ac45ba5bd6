//! Changing a segment: fields of every table of ipcq-segment(5), links, payload, and the length of the file.

use super::bases::Base;
use crate::harness::Random;
use ipcq::local::{
    CONTROL_FIELDS, Field, HOT_FIELDS, LOG_FIELDS, OWNER_FIELDS, RECORD_FIELDS, REDO_LOGS, STAMP_FIELDS,
};
use std::fmt;
use twox_hash::XxHash3_64;

/// Bytes in a unit; see ipcq-segment(5), as for all numbers here.
pub(super) const UNIT: u64 = 256;
pub(super) const UNITS_PER_GROUP: u64 = 64;
pub(super) const FIRST_UNIT: u64 = 65;
pub(super) const CONTROL: u64 = 512;
pub(super) const APPLIED: u64 = 132;
pub(super) const STAMP_BYTES: usize = 128;
const GROUP: u64 = UNIT * UNITS_PER_GROUP;
const COMMIT: u64 = 128;
const STAMP_CHECKSUM: u64 = 124;
const LOG_COUNT: u64 = 4096;
const LOG_FIRST: u64 = 4112;
const OWNERS: u64 = 8192;
const OWNER_BYTES: u64 = 64;
const LARGEST_SEGMENT: u64 = UNIT << 32;

/// What is changed.
#[derive(Clone, Copy)]
pub(super) enum Site {
    Stamp(Field),
    /// A hot word, a control word, or one of the redo log.
    Word(Field),
    Owner(Field),
    Record(Field),
    /// The offset or the value of any pair in the redo log.
    Pair,
    Link,
    Payload,
    /// Any byte after the stamp.
    Byte,
    FileLength,
}

impl fmt::Display for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Site::Stamp(field) | Site::Word(field) | Site::Owner(field) | Site::Record(field) => {
                formatter.write_str(field.name)
            }
            Site::Pair => formatter.write_str("a redo pair"),
            Site::Link => formatter.write_str("the link of a unit"),
            Site::Payload => formatter.write_str("payload"),
            Site::Byte => formatter.write_str("any byte"),
            Site::FileLength => formatter.write_str("the length of the file"),
        }
    }
}

/// Everything that can be changed: each field of each table once.
pub(super) fn sites() -> Vec<Site> {
    let mut sites = vec![Site::Pair, Site::Link, Site::Payload, Site::Byte, Site::FileLength];
    sites.extend(STAMP_FIELDS.iter().copied().map(Site::Stamp));
    sites.extend([HOT_FIELDS, CONTROL_FIELDS].concat().into_iter().map(Site::Word));
    for log in REDO_LOGS {
        sites.extend(LOG_FIELDS.iter().map(|field| Site::Word(Field { offset: log + field.offset, ..*field })));
    }
    sites.extend(OWNER_FIELDS.iter().copied().map(Site::Owner));
    sites.extend(RECORD_FIELDS.iter().copied().map(Site::Record));
    sites
}

/// A segment that was changed.
pub(super) struct Mutated {
    pub(super) bytes: Vec<u8>,
    /// Bytes that the file is to have.
    pub(super) length: u64,
    /// What was changed, for people.
    pub(super) changes: String,
}

impl Mutated {
    /// `base` as it is.
    pub(super) fn none(base: &Base) -> Self {
        Mutated { bytes: base.bytes.clone(), length: base.bytes.len() as u64, changes: String::new() }
    }

    /// `base` with `first` changed, and often something else.
    pub(super) fn new(base: &Base, first: Site, random: &mut Random) -> Self {
        let mut mutated = Mutated::none(base);
        if random.below(6) == 0 {
            // So that what is in the redo log is looked at.
            let applied = word32(&mutated.bytes, APPLIED);
            mutated.change(COMMIT, &applied.wrapping_add(1).to_ne_bytes(), "commit");
        }
        mutated.mutate(first, base, random);
        for _ in 0..random.below(4) {
            let sites = sites();
            // Mostly those that operations depend on.
            let site = match random.below(3) {
                0 => sites[random.below(sites.len() as u64) as usize],
                1 => Site::Word(CONTROL_FIELDS[random.below(14) as usize]),
                _ => Site::Record(RECORD_FIELDS[random.below(16) as usize]),
            };
            mutated.mutate(site, base, random);
        }
        mutated
    }

    /// Changes a value at `site`. Returns where it is in the file and how many bytes it has.
    pub(super) fn mutate(&mut self, site: Site, base: &Base, random: &mut Random) -> Option<(usize, usize)> {
        let name = site.to_string();
        let record = match base.records.as_slice() {
            [] => FIRST_UNIT,
            records => records[random.below(records.len() as u64) as usize],
        };
        let (offset, bytes) = match site {
            Site::Stamp(field) | Site::Word(field) => (field.offset, field.bytes),
            Site::Owner(field) => {
                let owner = if random.below(3) > 0 { random.below(2) } else { random.below(128) };
                (OWNERS + owner * OWNER_BYTES + field.offset, field.bytes)
            }
            Site::Record(field) => (record * UNIT + field.offset, field.bytes),
            Site::Pair => {
                let pairs = word(&self.bytes, LOG_COUNT).clamp(1, 255);
                (LOG_FIRST + random.below(pairs) * 16 + random.below(2) * 8, 8)
            }
            Site::Link => {
                let unit = if random.below(2) == 0 { record } else { self.any_unit(random) };
                (unit / UNITS_PER_GROUP * GROUP + unit % UNITS_PER_GROUP * 4, 4)
            }
            Site::Payload => (record * UNIT + 128 + random.below(128), 1),
            Site::Byte => (STAMP_BYTES as u64 + random.below(self.bytes.len() as u64 - STAMP_BYTES as u64), 1),
            Site::FileLength => {
                self.change_length(random);
                return None;
            }
        };
        // A field of many bytes is changed in one word of it.
        let words = bytes.div_ceil(8);
        let (offset, bytes) = (offset + random.below(words) * 8, bytes.min(8) as usize);
        let mut old = [0; 8];
        old[..bytes].copy_from_slice(self.bytes.get(offset as usize..offset as usize + bytes)?);
        let mut new = self.value(u64::from_ne_bytes(old), base, random).to_ne_bytes();
        if new[..bytes] == old[..bytes] {
            new[random.below(bytes as u64) as usize] ^= 1 << random.below(8);
        }
        self.change(offset, &new[..bytes], &name);
        if matches!(site, Site::Stamp(field) if field.offset != STAMP_CHECKSUM) && random.below(2) == 0 {
            let checksum = XxHash3_64::oneshot(&self.bytes[..STAMP_CHECKSUM as usize]) as u32;
            self.change(STAMP_CHECKSUM, &checksum.to_ne_bytes(), "stamp checksum");
        }
        Some((offset as usize, bytes))
    }

    /// Something that nearly means something where `old` was.
    fn value(&self, old: u64, base: &Base, random: &mut Random) -> u64 {
        match random.below(14) {
            0 => 0,
            1 => 1,
            2 => [u64::MAX, u64::MAX - 1, i64::MAX as u64, u64::from(u32::MAX), 1 << 32][random.below(5) as usize],
            3 => old.wrapping_add(1),
            4 => old.wrapping_sub(1),
            5 => self.any_unit(random),
            6 if !base.records.is_empty() => base.records[random.below(base.records.len() as u64) as usize],
            7 => random.below(8) * GROUP,
            8 => [LARGEST_SEGMENT, LARGEST_SEGMENT - GROUP, LARGEST_SEGMENT / 2, 1 << 32][random.below(4) as usize],
            9 => random.below(5),
            10 => random.below(400),
            11 => random.number(),
            12 => old.swap_bytes(),
            _ => old ^ (1 << random.below(64)),
        }
    }

    /// One that is in use, or nearly.
    fn any_unit(&self, random: &mut Random) -> u64 {
        let units = self.bytes.len() as u64 / UNIT;
        FIRST_UNIT - 2 + random.below(units.saturating_sub(FIRST_UNIT) + 4)
    }

    fn change_length(&mut self, random: &mut Random) {
        let length = self.length;
        let new = match random.below(9) {
            0 => random.below(length + 1),
            1 => random.below(200),
            2 => length - 1,
            3 => length - length.min(random.below(4) * 4096),
            4 => length / GROUP * GROUP / 2,
            5 => length + 1,
            6 => length + GROUP * random.below(5),
            7 => 1 << random.below(42),
            _ => LARGEST_SEGMENT + random.below(3) * GROUP,
        };
        self.length = new;
        self.changes += &format!("the file's length {length} -> {new}; ");
        if random.below(2) == 0 {
            // As far as the file goes, so that there is room for more that is wrong.
            let grown = (new / GROUP * GROUP).clamp(GROUP, LARGEST_SEGMENT);
            self.change(CONTROL, &grown.to_ne_bytes(), "grown");
            if random.below(2) == 0 {
                self.change(CONTROL + 8, &(grown / UNIT).to_ne_bytes(), "fresh unit");
            }
        }
    }

    fn change(&mut self, offset: u64, new: &[u8], name: &str) {
        let old = &self.bytes[offset as usize..offset as usize + new.len()];
        self.changes += &format!("{name} at {offset} {} -> {}; ", number(old), number(new));
        set(&mut self.bytes, offset, new);
    }
}

fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(word)
}

/// The word of 8 bytes at `offset`.
pub(super) fn word(bytes: &[u8], offset: u64) -> u64 {
    number(&bytes[offset as usize..offset as usize + 8])
}

/// The word of 4 bytes at `offset`.
pub(super) fn word32(bytes: &[u8], offset: u64) -> u32 {
    number(&bytes[offset as usize..offset as usize + 4]) as u32
}

/// Stores `new` at `offset`.
pub(super) fn set(bytes: &mut [u8], offset: u64, new: &[u8]) {
    bytes[offset as usize..offset as usize + new.len()].copy_from_slice(new);
}
