//! Frames in trees: found by the id of their first message, and the one that is due first is the root.
//!
//! Each tree is a radix priority search tree (McCreight's priority search tree on the bits of a hashed key, as the
//! Linux kernel once had in lib/prio_tree.c): a heap by priority, in which a step down goes one of four ways by the next
//! two bits of the key. So no branch is longer than the key has such pairs, however frames come and go, and a change
//! touches two words of each node on one branch: it fits the redo log without any balancing. A step of a long walk is a
//! cache miss; four ways make half as many of them as two would, and what is looked at of a node is in one line.

use super::super::format::{self, DEAD_ROOT, DELAYED_ROOT, HANDED_ON_ROOT, KEPT_ROOT, RETURNED_ROOT};
use super::super::memory::{Memory, ReadMemory};
use super::branches::{Below, WAYS};
use super::frame::{Record, State};
use super::transaction::Transaction;
use super::{Result, damaged};

/// Bits of a key that a step down takes.
pub(super) const STEP_BITS: u32 = WAYS.ilog2();
/// Steps that a key leads: no branch is longer.
pub(super) const DEPTH: u32 = u64::BITS / STEP_BITS;

/// Which tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Ready messages that came back, older than others that are ready; the oldest first.
    Returned,
    /// Messages that become ready at a known time; the first to do so first.
    Delayed,
    /// Leases that outlive the call that took them; the first to run out first.
    Kept,
    /// Messages given up on; the first to die first.
    Dead,
    /// Messages that are gone, and whose successors in another queue may not be published yet; by their ids.
    HandedOn,
}

impl Tree {
    /// The control word with the root's unit, or 0.
    pub(super) fn root(self) -> u64 {
        match self {
            Tree::Returned => RETURNED_ROOT,
            Tree::Delayed => DELAYED_ROOT,
            Tree::Kept => KEPT_ROOT,
            Tree::Dead => DEAD_ROOT,
            Tree::HandedOn => HANDED_ON_ROOT,
        }
    }

    /// The state of the frames in it.
    pub(super) fn state(self) -> State {
        match self {
            Tree::Returned => State::Ready,
            Tree::Delayed => State::Delayed,
            Tree::Kept => State::Leased,
            Tree::Dead => State::Dead,
            Tree::HandedOn => State::HandedOn,
        }
    }

    /// The name of that word, for errors.
    pub(super) fn field(self) -> &'static str {
        match self {
            Tree::Returned => "returned root",
            Tree::Delayed => "delayed root",
            Tree::Kept => "kept root",
            Tree::Dead => "dead root",
            Tree::HandedOn => "handed-on root",
        }
    }

    /// What decides which of two comes first.
    pub(super) fn priority(self, record: &Record) -> (u64, u64) {
        let first = match self {
            Tree::Returned | Tree::HandedOn => record.first_id(),
            Tree::Delayed | Tree::Kept | Tree::Dead => record.due(),
        };
        (first, record.first_id())
    }

    /// Where in a record the first of that is: a time, or the id.
    fn priority_field(self) -> u64 {
        match self {
            Tree::Returned | Tree::HandedOn => format::RECORD_FIRST_ID,
            Tree::Delayed | Tree::Kept | Tree::Dead => format::RECORD_DUE,
        }
    }
}

/// The step at `depth` on the way to the key `id`. Multiplying by 2^64 divided by the golden ratio spreads ids, which
/// follow each other, evenly over the upper bits (Knuth, TAOCP 6.4).
fn step_to(id: u64, depth: u32) -> usize {
    way_to(id, depth + 1) as usize % WAYS
}

/// The first `length` steps on the way to the key `id` as a number to the base of [`WAYS`], the last one lowest.
pub(super) fn way_to(id: u64, length: u32) -> u64 {
    id.wrapping_mul(0x9E37_79B9_7F4A_7C15).checked_shr(u64::BITS - length * STEP_BITS).unwrap_or(0)
}

/// What the way through a tree depends on.
#[derive(Clone, Copy)]
struct Node {
    /// The second of the two is the id.
    priority: (u64, u64),
    below: Below,
}

impl Node {
    /// Where there is none: behind all others.
    const NONE: Node = Node { priority: (u64::MAX, u64::MAX), below: [0; WAYS] };

    fn id(&self) -> u64 {
        self.priority.1
    }
}

#[cold]
#[inline(never)]
fn not_a_node<T>(tree: Tree, unit: u32) -> Result<T> {
    damaged(tree.field(), format!("leads to unit {unit}, which is not in that tree"))
}

/// Where a node hangs: the unit above, or `None` for the root, its branches, and which of them.
#[derive(Clone, Copy)]
struct Place {
    above: Option<u32>,
    branches: Below,
    way: usize,
}

const ROOT: Place = Place { above: None, branches: [0; WAYS], way: 0 };

impl Place {
    /// The place on the way to the key `id` below `unit`, which is `depth` deep and has these branches.
    fn below(unit: u32, branches: Below, id: u64, depth: u32) -> Self {
        Place { above: Some(unit), branches, way: step_to(id, depth) }
    }

    /// What is there.
    fn unit(&self) -> u32 {
        self.branches[self.way]
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// The unit of the first of `tree`, or 0.
    pub(super) fn tree_first(&self, tree: Tree) -> Result<u32> {
        self.get_unit(tree.root())
    }

    /// Adds the frame in `unit`, which is in no tree.
    pub(super) fn tree_insert(&mut self, tree: Tree, unit: u32) -> Result<()> {
        let (mut carried, mut place) = (unit, ROOT);
        self.branches().start_walk();
        let (mut what, mut here) = (self.node(tree, unit)?, self.tree_first(tree)?);
        for depth in 0..DEPTH {
            if here == 0 {
                self.hang(tree, place, carried)?;
                self.branches().set(carried, [0; WAYS]);
                return Ok(());
            }
            if here == carried {
                return damaged(tree.field(), format!("leads to unit {here} twice"));
            }
            let there = self.node(tree, here)?;
            let mut above = here;
            if what.priority < there.priority {
                self.hang(tree, place, carried)?;
                (above, carried, what) = (carried, here, there);
            }
            // Whichever of the two is above now, what is below is the same.
            place = Place::below(above, there.below, what.id(), depth);
            here = place.unit();
        }
        damaged(tree.field(), "leads deeper than a tree can be")
    }

    /// Takes the frame in `unit` out of `tree`.
    pub(super) fn tree_remove(&mut self, tree: Tree, unit: u32) -> Result<()> {
        self.branches().start_walk();
        let removed = self.node(tree, unit)?;
        let (mut place, mut here, mut depth) = (ROOT, self.tree_first(tree)?, 0);
        while here != unit {
            if here == 0 || depth == DEPTH {
                return damaged(tree.field(), format!("does not lead to unit {unit}"));
            }
            place = Place::below(here, self.node(tree, here)?.below, removed.id(), depth);
            here = place.unit();
            depth += 1;
        }
        // The hole moves down: of its children the first takes its place.
        let mut hole = removed.below;
        for _ in depth..=DEPTH {
            let (mut way, mut first) = (0, self.node(tree, hole[0])?);
            for (other, unit) in hole.into_iter().enumerate().skip(1) {
                let node = self.node(tree, unit)?;
                if node.priority < first.priority {
                    (way, first) = (other, node);
                }
            }
            self.hang(tree, place, hole[way])?;
            if hole[way] == 0 {
                return Ok(());
            }
            place = Place { above: Some(hole[way]), branches: hole, way };
            hole = first.below;
        }
        damaged(tree.field(), "leads deeper than a tree can be")
    }

    /// The unit of the frame whose first message has this id.
    pub(super) fn tree_find(&mut self, tree: Tree, id: u64) -> Result<Option<u32>> {
        self.branches().start_walk();
        let mut here = self.tree_first(tree)?;
        for depth in 0..=DEPTH {
            if here == 0 {
                return Ok(None);
            }
            let node = self.node(tree, here)?;
            if node.id() == id {
                return Ok(Some(here));
            }
            here = if depth < DEPTH { node.below[step_to(id, depth)] } else { 0 };
        }
        damaged(tree.field(), "leads deeper than a tree can be")
    }

    /// The node in `unit`, if it is not 0. Where nothing of it has been changed yet it is read where it is, without the
    /// rest of the record: a way leads past many of which nothing else matters.
    #[inline(always)]
    fn node(&self, tree: Tree, unit: u32) -> Result<Node> {
        if unit == 0 {
            return Ok(Node::NONE);
        }
        let at = format::unit_offset(self.check_unit(tree.field(), unit)?);
        let below = self.below(unit);
        let priority = match self.touched(unit) {
            Some(record) => tree.priority(record),
            None => (self.memory.load(at + tree.priority_field()), self.memory.load(at + format::RECORD_FIRST_ID)),
        };
        Ok(Node { priority, below })
    }

    // Like `node` part of every step of a walk, of which it would be a third as a call.
    #[inline(always)]
    fn hang(&mut self, tree: Tree, place: Place, unit: u32) -> Result<()> {
        let Place { above, mut branches, way } = place;
        branches[way] = unit;
        match above {
            None => self.set(tree.root(), u64::from(unit)),
            Some(above) if self.touched(above).is_none() && !Record::is_there(self.memory, above, tree.state()) => {
                return not_a_node(tree, above);
            }
            Some(above) => self.branches().set(above, branches),
        }
        Ok(())
    }
}

/// Calls `visit` with the unit and record of each frame of `tree`, in the order of their priorities, as long as
/// it returns true.
pub(super) fn each_in_order<M: ReadMemory>(
    memory: &M,
    tree: Tree,
    mut visit: impl FnMut(u32, &Record) -> Result<bool>,
) -> Result<()> {
    use std::cmp::Reverse;
    let fresh = memory.load(format::FRESH);
    let load = |unit: u64| {
        if unit < u64::from(format::FIRST_UNIT) || unit >= fresh || format::is_link_table(unit as u32) {
            return damaged(tree.field(), format!("leads to unit {unit}, which is not in use"));
        }
        Record::load(memory, unit as u32)
    };
    let mut open = std::collections::BinaryHeap::new();
    // Never more than there are units: what is in a circle is not gone round for ever.
    let mut left = fresh;
    let push = |open: &mut std::collections::BinaryHeap<_>, unit: u64| -> Result<()> {
        if unit != 0 {
            open.push(Reverse((tree.priority(&load(unit)?), unit)));
        }
        Ok(())
    };
    push(&mut open, memory.load(tree.root()))?;
    while let Some(Reverse((_, unit))) = open.pop() {
        if left == 0 {
            return damaged(tree.field(), "leads in a circle");
        }
        left -= 1;
        let record = load(unit)?;
        if !visit(unit as u32, &record)? {
            break;
        }
        for unit in record.below() {
            push(&mut open, unit.into())?;
        }
    }
    Ok(())
}
