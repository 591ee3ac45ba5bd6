//! Frames in trees: found by the id of their first message, and the one that is due first is the root.
//!
//! Each tree is a radix priority search tree (McCreight's priority search tree on the bits of a hashed key, as the
//! Linux kernel once had in lib/prio_tree.c): a heap by priority, in which a step down goes one of four ways by the next
//! two bits of the key. So no branch is longer than the key has such pairs, however frames come and go, and a change
//! touches two words of each node on one branch: it fits the redo log without any balancing. A step of a long walk is a
//! cache miss; four ways make half as many of them as two would, and what is looked at of a node is in one line.

use super::super::format::{self, DEAD_ROOT, DELAYED_ROOT, HANDED_ON_ROOT, RETURNED_ROOT};
use super::super::format::{KEPT_DAYS_ROOT, KEPT_HOURS_ROOT, KEPT_MINUTES_ROOT, KEPT_SECONDS_ROOT};
use super::super::memory::{Memory, ReadMemory};
use super::below::{Below, WAYS};
use super::frame::{Record, State};
use super::span::Span;
use super::transaction::Transaction;
use super::{Result, damaged};
use std::hint::select_unpredictable;

/// Bits of a key that a step down takes.
pub(super) const STEP_BITS: u32 = WAYS.ilog2();
/// Steps that a key leads: no branch is longer.
pub(super) const DEPTH: u32 = u64::BITS / STEP_BITS;

/// Which tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tree {
    /// Ready messages that came back, older than others that are ready; the oldest first.
    Returned,
    /// Messages that become ready at a known time; the first to do so first.
    Delayed,
    /// Leases that outlive the call that took them, and run about as long; the first to run out first.
    Kept(Span),
    /// Messages given up on; the first to die first.
    Dead,
    /// Messages that are gone, and whose successors in another queue may not be published yet; by their ids.
    HandedOn,
}

impl Tree {
    /// Those of kept leases.
    pub(super) const KEPT: [Tree; 4] = {
        let [seconds, minutes, hours, days] = Span::ALL;
        [Tree::Kept(seconds), Tree::Kept(minutes), Tree::Kept(hours), Tree::Kept(days)]
    };

    /// The control word with the root's unit, or 0.
    pub(super) fn root(self) -> u64 {
        match self {
            Tree::Returned => RETURNED_ROOT,
            Tree::Delayed => DELAYED_ROOT,
            Tree::Kept(Span::Seconds) => KEPT_SECONDS_ROOT,
            Tree::Kept(Span::Minutes) => KEPT_MINUTES_ROOT,
            Tree::Kept(Span::Hours) => KEPT_HOURS_ROOT,
            Tree::Kept(Span::Days) => KEPT_DAYS_ROOT,
            Tree::Dead => DEAD_ROOT,
            Tree::HandedOn => HANDED_ON_ROOT,
        }
    }

    /// The state of the frames in it.
    pub(super) fn state(self) -> State {
        match self {
            Tree::Returned => State::Ready,
            Tree::Delayed => State::Delayed,
            Tree::Kept(_) => State::Leased,
            Tree::Dead => State::Dead,
            Tree::HandedOn => State::HandedOn,
        }
    }

    /// The name of that word, for errors.
    pub(super) fn field(self) -> &'static str {
        match self {
            Tree::Returned => "returned root",
            Tree::Delayed => "delayed root",
            Tree::Kept(Span::Seconds) => "kept root, seconds",
            Tree::Kept(Span::Minutes) => "kept root, minutes",
            Tree::Kept(Span::Hours) => "kept root, hours",
            Tree::Kept(Span::Days) => "kept root, days",
            Tree::Dead => "dead root",
            Tree::HandedOn => "handed-on root",
        }
    }

    /// What decides which of two comes first.
    pub(super) fn priority(self, record: &Record) -> Priority {
        let first = match self {
            Tree::Returned | Tree::HandedOn => record.first_id(),
            Tree::Delayed | Tree::Kept(_) | Tree::Dead => record.due(),
        };
        priority(first, record.first_id())
    }

    /// Where in a record the first of that is: a time, or the id.
    fn priority_field(self) -> u64 {
        match self {
            Tree::Returned | Tree::HandedOn => format::RECORD_FIRST_ID,
            Tree::Delayed | Tree::Kept(_) | Tree::Dead => format::RECORD_DUE,
        }
    }
}

/// What decides which of two nodes comes first, the one with the smaller number: a time or the id, and below it the id. As
/// one number, which is compared without a branch: which of several is the first nobody can predict.
type Priority = u128;

fn priority(first: u64, id: u64) -> Priority {
    Priority::from(first) << u64::BITS | Priority::from(id)
}

/// The id in it.
fn id(priority: Priority) -> u64 {
    priority as u64
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
    priority: Priority,
    below: Below,
}

#[cold]
#[inline(never)]
fn not_a_node<T>(tree: Tree, unit: u32) -> Result<T> {
    damaged(tree.field(), format!("leads to unit {unit}, which is not in that tree"))
}

/// Where a node hangs: the unit above, or 0 for the root, what is below that, and which of those it is.
#[derive(Clone, Copy)]
struct Place {
    above: u32,
    branches: Below,
    way: usize,
}

impl Place {
    fn root() -> Self {
        Place { above: 0, branches: Below::default(), way: 0 }
    }

    /// The place on the way to the key `id` below `unit`, which is `depth` deep and has these branches.
    fn below(unit: u32, branches: Below, id: u64, depth: u32) -> Self {
        Place { above: unit, branches, way: step_to(id, depth) }
    }

    /// What is there.
    fn unit(&self) -> u32 {
        self.branches.at(self.way)
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// The unit of the first of `tree`, or 0.
    pub(super) fn tree_first(&self, tree: Tree) -> Result<u32> {
        self.get_unit(tree.root())
    }

    /// Adds the frame in `unit`, which is in no tree.
    pub(super) fn tree_insert(&mut self, tree: Tree, unit: u32) -> Result<()> {
        let (mut carried, mut place) = (unit, Place::root());
        self.branches().start_walk();
        let (mut what, mut here) = (tree.priority(self.record(tree.field(), unit)?), self.tree_first(tree)?);
        for depth in 0..DEPTH {
            if here == 0 {
                self.hang(tree, place, carried)?;
                self.branches().set(carried, Below::default());
                return Ok(());
            }
            if here == carried {
                return damaged(tree.field(), format!("leads to unit {here} twice"));
            }
            let there = self.node(tree, here)?;
            let mut above = here;
            if what < there.priority {
                self.hang(tree, place, carried)?;
                (above, carried, what) = (carried, here, there.priority);
            }
            // Whichever of the two is above now, what is below is the same.
            place = Place::below(above, there.below, id(what), depth);
            here = place.unit();
        }
        damaged(tree.field(), "leads deeper than a tree can be")
    }

    /// Takes the frame in `unit` out of `tree`.
    pub(super) fn tree_remove(&mut self, tree: Tree, unit: u32) -> Result<()> {
        self.branches().start_walk();
        let Node { priority: removed, below: mut hole } = self.node(tree, unit)?;
        let (mut place, mut here, mut depth) = (Place::root(), self.tree_first(tree)?, 0);
        while here != unit {
            if here == 0 || depth == DEPTH {
                return damaged(tree.field(), format!("does not lead to unit {unit}"));
            }
            place = Place::below(here, self.node(tree, here)?.below, id(removed), depth);
            here = place.unit();
            depth += 1;
        }
        // The hole moves down: of its children the first takes its place.
        for _ in depth..DEPTH + 1 {
            let way = self.first_of(tree, hole);
            let first = hole.at(way);
            self.hang(tree, place, first)?;
            if first == 0 {
                return Ok(());
            }
            place = Place { above: first, branches: hole, way };
            hole = self.below(tree, first)?;
        }
        damaged(tree.field(), "leads deeper than a tree can be")
    }

    /// The unit of the frame whose first message has this id.
    pub(super) fn tree_find(&mut self, tree: Tree, wanted: u64) -> Result<Option<u32>> {
        self.branches().start_walk();
        let mut here = self.tree_first(tree)?;
        for depth in 0..=DEPTH {
            if here == 0 {
                return Ok(None);
            }
            let node = self.node(tree, here)?;
            if id(node.priority) == wanted {
                return Ok(Some(here));
            }
            here = if depth < DEPTH { node.below.at(step_to(wanted, depth)) } else { 0 };
        }
        damaged(tree.field(), "leads deeper than a tree can be")
    }

    /// Which of these nodes comes first; any that is 0, if all are.
    #[inline(always)]
    fn first_of(&self, tree: Tree, nodes: Below) -> usize {
        let all = nodes.units().map(|unit| if unit == 0 { Priority::MAX } else { self.priority(tree, unit) });
        let first = |one: (usize, Priority), other: (usize, Priority)| {
            let other_is = other.1 < one.1;
            (select_unpredictable(other_is, other.0, one.0), select_unpredictable(other_is, other.1, one.1))
        };
        first(first((0, all[0]), (1, all[1])), first((2, all[2]), (3, all[3]))).0
    }

    /// The node in `unit`.
    #[inline(always)]
    fn node(&self, tree: Tree, unit: u32) -> Result<Node> {
        Ok(Node { below: self.below(tree, unit)?, priority: self.priority(tree, unit) })
    }

    /// What is below the node in `unit`, as this transaction has it.
    #[inline(always)]
    fn below(&self, tree: Tree, unit: u32) -> Result<Below> {
        self.check_unit(tree.field(), unit)?;
        Ok(self.branches_of(unit))
    }

    /// The priority of the node in `unit`; of a unit that is not in use, any. As long as a frame is in a tree nothing changes
    /// it, so it is read where it is, without the rest of the record: a way leads past many of which nothing else matters.
    #[inline(always)]
    fn priority(&self, tree: Tree, unit: u32) -> Priority {
        if self.may_have_moved(unit)
            && let Some(priority) = self.priority_here(tree, unit)
        {
            return priority;
        }
        let fields = [tree.priority_field(), format::RECORD_FIRST_ID];
        let [first, id] = self.memory.load_each(format::unit_offset(unit), fields);
        priority(first, id)
    }

    /// The same where this transaction has looked at the frame: it may have put it there, and not yet in the segment.
    #[cold]
    #[inline(never)]
    fn priority_here(&self, tree: Tree, unit: u32) -> Option<Priority> {
        self.touched(unit).map(|record| tree.priority(record))
    }

    // Like `node` part of every step of a walk, of which it would be a third as a call.
    #[inline(always)]
    fn hang(&mut self, tree: Tree, place: Place, unit: u32) -> Result<()> {
        let Place { above, branches, way } = place;
        if above == 0 {
            self.set(tree.root(), u64::from(unit));
        } else if Record::is_there(self.memory, above, tree.state()) || self.touched(above).is_some() {
            self.branches().set(above, branches.with(way, unit));
        } else {
            return not_a_node(tree, above);
        }
        Ok(())
    }
}

/// Calls `visit` with the unit and record of each frame of `trees`, in the order of their priorities, as long as
/// it returns true.
pub(super) fn each_in_order<M: ReadMemory, const TREES: usize>(
    memory: &M,
    trees: [Tree; TREES],
    mut visit: impl FnMut(u32, &Record) -> Result<bool>,
) -> Result<()> {
    use std::cmp::Reverse;
    let fresh = memory.load(format::FRESH);
    let load = |tree: Tree, unit: u64| {
        if unit < u64::from(format::FIRST_UNIT) || unit >= fresh || format::is_link_table(unit as u32) {
            return damaged(tree.field(), format!("leads to unit {unit}, which is not in use"));
        }
        Record::load(memory, unit as u32)
    };
    let mut open = std::collections::BinaryHeap::new();
    // Never more than there are units: what is in a circle is not gone round for ever.
    let mut left = fresh;
    let push = |open: &mut std::collections::BinaryHeap<_>, tree: Tree, unit: u64| -> Result<()> {
        if unit != 0 {
            open.push(Reverse((tree.priority(&load(tree, unit)?), unit, tree)));
        }
        Ok(())
    };
    for tree in trees {
        push(&mut open, tree, memory.load(tree.root()))?;
    }
    while let Some(Reverse((_, unit, tree))) = open.pop() {
        if left == 0 {
            return damaged(tree.field(), "leads in a circle");
        }
        left -= 1;
        let record = load(tree, unit)?;
        if !visit(unit as u32, &record)? {
            break;
        }
        for unit in record.below().units() {
            push(&mut open, tree, unit.into())?;
        }
    }
    Ok(())
}
