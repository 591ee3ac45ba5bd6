//! Verifying notices every field that is not as it has to be.

use super::check::check;
use super::crash::worlds;
use super::memory::TestMemory;
use crate::local::format::{self, Field};
use crate::local::memory::{Memory, ReadMemory};
use crate::local::store::span::Span;
use crate::local::store::tree::{Tree, each_in_order};
use crate::local::store::verify;

/// Fields of which any value is possible on its own: figures that are kept for people, room for what comes
/// later, and ids, of which any that are in order will do.
const FREE: [&str; 12] = [
    "state",
    "owners 0-63",
    "returned in all",
    "expired in all",
    "dead in all",
    "purged in all",
    "last put",
    "last got",
    "high-water bytes",
    "next id",
    "first id",
    "attempts",
];

/// Fields of trees, which mean something only to frames in one.
const OF_TREES: [&str; 4] = ["branch 0", "branch 1", "branch 2", "branch 3"];

/// Fields in use that no value of another field has to fit.
fn is_bound(field: &Field) -> bool {
    let is_of_the_lease = ["leased at", "due"].contains(&field.name);
    let is_of_the_dead = ["reason", "reason unit"].contains(&field.name);
    let is_of_a_rate = ["since", "before", "rate"].iter().any(|end| field.name.ends_with(&format!("t {end}")));
    let is_of_the_message = ["frame flags", "priority", "expires", "put at", "forgiven attempts"].contains(&field.name);
    !(is_of_a_rate || is_of_the_lease || is_of_the_dead || is_of_the_message || FREE.contains(&field.name))
}

/// Adds 1 to each bound field in turn; returns the names of those that nobody notices.
fn unnoticed(sound: &TestMemory, base: u64, fields: &[Field]) -> Vec<&'static str> {
    let mut unnoticed = Vec::new();
    for field in fields.iter().filter(|field| is_bound(field)) {
        let mut memory = sound.copy();
        // The least significant byte on a little-endian machine, a large change on others.
        memory.bytes[(base + field.offset) as usize] ^= 1;
        if check(&memory).is_ok() {
            unnoticed.push(field.name);
        }
    }
    unnoticed
}

/// A world with several frames in each tree.
const WITH_TREES: usize = 12;

/// A world with a chain of payload, several frames, and leases of several owners.
const RICH: usize = 10;

#[test]
fn every_control_word_is_noticed() {
    assert_eq!(unnoticed(&worlds()[RICH].store.memory, 0, format::CONTROL_FIELDS), Vec::<&str>::new());
}

#[test]
fn what_is_lent_is_noticed() {
    let world = worlds().into_iter().rfind(|world| !world.loans.is_empty()).unwrap();
    let of_loans: Vec<_> = format::OWNER_FIELDS.iter().copied().filter(|field| field.name.contains("lent")).collect();
    assert_eq!(of_loans.len(), 2);
    for owner in 0..format::OWNER_ENTRIES {
        let unnoticed = unnoticed(&world.store.memory, format::owner_offset(owner), &of_loans);
        assert_eq!(unnoticed, Vec::<&str>::new(), "of owner {owner}");
    }
}

#[test]
fn every_field_of_a_record_is_noticed() {
    let memory = &worlds()[RICH].store.memory;
    let mut units = Vec::new();
    let mut stamp = [0; format::STAMP_BYTES];
    memory.read(0, &mut stamp);
    let stamp = format::Stamp::decode(&stamp).unwrap();
    let verdict = verify(memory, &stamp, |unit, _| units.push(unit));
    assert!(verdict.findings.is_empty() && units.len() > 3);
    for unit in units {
        let fields = unnoticed(memory, format::unit_offset(unit), format::RECORD_FIELDS);
        // Of a chain the rest of the unit is not used; of a payload in its record, what is behind it.
        let is_free = |name: &&str| *name == "short payload" || OF_TREES.contains(name);
        let fields: Vec<_> = fields.into_iter().filter(|name| !is_free(name)).collect();
        assert_eq!(fields, Vec::<&str>::new(), "of unit {unit}");
    }
}

#[test]
fn the_place_in_a_tree_is_noticed() {
    let memory = &worlds()[WITH_TREES].store.memory;
    let kept = [Span::Seconds, Span::Minutes, Span::Hours].map(Tree::Kept);
    for tree in [Tree::Returned, Tree::Delayed, Tree::Dead].into_iter().chain(kept) {
        let mut units = Vec::new();
        each_in_order(memory, [tree], |unit, _| {
            units.push(unit);
            Ok(true)
        })
        .unwrap();
        assert!(units.len() > 3, "{} frames in {tree:?}", units.len());
        for unit in units {
            let fields = unnoticed(memory, format::unit_offset(unit), format::RECORD_FIELDS);
            let fields: Vec<_> = fields.into_iter().filter(|name| OF_TREES.contains(name)).collect();
            assert_eq!(fields, Vec::<&str>::new(), "of unit {unit} in {tree:?}");
        }
    }
}

#[test]
fn a_flipped_bit_of_any_payload_is_noticed() {
    let sound = &worlds()[2].store.memory;
    let record_unit = sound.load(format::READY_FIRST);
    let first = sound.load32(record_unit * format::UNIT + format::RECORD_FIRST_UNIT);
    for offset in (0..3000).step_by(7) {
        let mut memory = sound.copy();
        memory.bytes[format::unit_offset(first) as usize + offset] ^= 4;
        let problem = check(&memory).unwrap_err();
        assert!(problem.contains("payload checksum"), "{problem}");
    }
}

#[test]
fn a_unit_that_is_lost_or_used_twice_is_noticed() {
    let sound = &worlds()[9].store.memory;
    let mut memory = sound.copy();
    let next = memory.load32(format::link_offset(memory.load(format::FREE_FIRST) as u32));
    memory.store(format::FREE_FIRST, next.into());
    memory.store(format::FREE_COUNT, memory.load(format::FREE_COUNT) - 1);
    let problem = check(&memory).unwrap_err();
    assert!(problem.contains("has 1 units before it that are neither free nor in use"), "{problem}");

    let mut memory = sound.copy();
    memory.store(format::FREE_FIRST, memory.load(format::READY_FIRST));
    let problem = check(&memory).unwrap_err();
    assert!(problem.contains("which something else uses as well"), "{problem}");
}
