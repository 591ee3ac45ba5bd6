//! Pieces: where the units of a chain lie together in the segment, one after the other.

use super::super::format::{self, FIRST_UNIT, UNIT, UNITS_PER_GROUP};
use super::super::memory::ReadMemory;
use super::frame::Record;
use super::{Result, damaged};

/// So short a way is walked unit by unit: for a long one it pays to look at the links of a group together.
pub(super) const SHORT_WAY: u64 = 16;

/// Units that lie one after the other, and what comes after them in their chain.
pub(super) struct Neighbours {
    /// How many there are, the one asked for included.
    pub(super) units: u64,
    /// What the link of the last of them names.
    pub(super) next: u32,
}

const LINKS: usize = UNITS_PER_GROUP as usize;

/// The links of one group of units, copied out of the segment together: a long chain is walked in leaps, from one
/// unit whose successor lies elsewhere to the next.
pub(super) struct Links {
    table: u32,
    next: [u32; LINKS],
    /// A bit for each unit of the group whose link names something else than its neighbour.
    leaps: u64,
}

impl Default for Links {
    fn default() -> Self {
        // No table has this number.
        Links { table: u32::MAX, next: [0; LINKS], leaps: 0 }
    }
}

impl Links {
    /// Units from `unit` on that lie side by side in its chain, of which `way` units are of interest.
    pub(super) fn neighbours<M: ReadMemory>(&mut self, unit: u32, way: u64, memory: &M) -> Neighbours {
        if way <= SHORT_WAY {
            return Neighbours { units: 1, next: memory.load32(format::link_offset(unit)) };
        }
        let table = format::link_table(unit);
        if self.table != table {
            self.read(table, memory);
        }
        let start = (unit - table) as usize;
        // The unit after the group is a table and in no chain: a link that names it is caught by whoever follows it.
        let end = (start + (self.leaps >> start).trailing_zeros() as usize).min(LINKS - 1);
        Neighbours { units: (end - start + 1) as u64, next: self.next[end] }
    }

    fn read<M: ReadMemory>(&mut self, table: u32, memory: &M) {
        let mut bytes = [0; UNIT as usize];
        memory.read(format::unit_offset(table), &mut bytes);
        let mut leaps = [0; LINKS];
        for (at, bytes) in bytes.as_chunks().0.iter().enumerate() {
            self.next[at] = u32::from_ne_bytes(*bytes);
            leaps[at] = u8::from(self.next[at] != table.wrapping_add(at as u32 + 1));
        }
        self.leaps =
            leaps.as_chunks().0.iter().rev().fold(0, |mask, leaps| mask << 8 | lowest_bits(u64::from_le_bytes(*leaps)));
        self.table = table;
    }
}

/// The lowest bits of eight bytes, side by side: the multiplication moves each to a place of its own in the highest byte.
fn lowest_bits(bytes: u64) -> u64 {
    bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Notices that links go round in a circle, which could make a payload of any length out of a small file.
pub(super) struct Circle {
    steps: u32,
    /// A unit that was met on the way.
    met: u32,
}

impl Circle {
    /// A way that starts at `unit`.
    pub(super) fn new(unit: u32) -> Self {
        Circle { steps: 0, met: unit }
    }

    /// The way leads from `last` to `unit`.
    pub(super) fn step(&mut self, last: u64, unit: u32) -> Result<()> {
        if unit == self.met {
            return damaged("link of a unit", format!("of unit {last} leads back to {unit}"));
        }
        // Any circle is shorter than the way from one of these units to the next, in the end.
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_power_of_two() {
            self.met = unit;
        }
        Ok(())
    }
}

/// The pieces of a chain that lie together in the segment, in order.
pub(crate) struct Pieces {
    unit: u32,
    skip: u64,
    left: u64,
    links: Links,
    circle: Circle,
}

impl Pieces {
    /// The pieces of `length` bytes that start `skip` bytes (less than a unit) into `unit`.
    pub(crate) fn new(unit: u32, skip: u64, length: u64) -> Self {
        Pieces { unit, skip, left: length, links: Links::default(), circle: Circle::new(unit) }
    }

    /// The next piece as offset and length, both in bytes.
    pub(crate) fn next<M: ReadMemory>(&mut self, memory: &M) -> Result<Option<(u64, u64)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let start = format::unit_offset(self.unit) + self.skip;
        let neighbours = self.links.neighbours(self.unit, self.left / UNIT, memory);
        let length = (neighbours.units * UNIT - self.skip).min(self.left);
        self.skip = 0;
        self.left -= length;
        if self.left > 0 {
            let last = u64::from(self.unit) + neighbours.units - 1;
            if neighbours.next < FIRST_UNIT || format::is_link_table(neighbours.next) {
                return damaged("link of a unit", format!("of unit {last} is {}", neighbours.next));
            }
            self.circle.step(last, neighbours.next)?;
            self.unit = neighbours.next;
        }
        Ok(Some((start, length)))
    }
}

/// Calls `piece` with each piece of the payload of `record`, which is in `unit`, as offset and length.
pub(crate) fn each_piece<M: ReadMemory>(
    memory: &M,
    unit: u32,
    record: &Record,
    mut piece: impl FnMut(u64, u64) -> Result<bool>,
) -> Result<()> {
    if record.is_inline() {
        if record.length() > 0 {
            piece(format::unit_offset(unit) + format::INLINE + u64::from(record.skip()), record.length())?;
        }
        return Ok(());
    }
    let mut pieces = Pieces::new(record.first_unit(), u64::from(record.skip()), record.length());
    while let Some((offset, length)) = pieces.next(memory)? {
        if !piece(offset, length)? {
            break;
        }
    }
    Ok(())
}
