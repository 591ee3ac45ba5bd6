//! Death at every store: after any prefix of an operation's stores, recovery leaves the state
//! before or after each of its transactions, and nothing between.
//!
//! The state that a prefix must lead to is known exactly: as many transactions have happened as the
//! prefix has stores to `commit`. Only of a durable queue it may be one more.

use super::Random;
use super::check::{State, check};
use super::memory::{Change, TestMemory};
use super::operation::{HOUR, How, KeptBy, MINUTE, OWNERS, Operation, Part, SCRIPT};
use super::world::World;
use crate::lease::Shelf;
use crate::local::format::{self, Stamp};
use crate::local::store::Store;
use crate::message::Framing;

/// A recovery starts with the first pair whatever has been applied, so where the log is long it is
/// enough to kill it after some of the prefixes that need one.
const RECOVERIES: usize = 12;

#[derive(Default, Debug)]
struct Tally {
    prefixes: u64,
    recovery_prefixes: u64,
    /// Prefixes that recovery did not bring to a state that may be.
    wrong: u64,
    first_wrong: Option<String>,
}

impl Tally {
    fn judge(&mut self, memory: TestMemory, stamp: Stamp, expected: &[State], when: impl Fn() -> String) {
        match recover(memory, stamp).and_then(|memory| check(&memory)) {
            Ok(state) if expected.contains(&state) => {}
            other => {
                self.wrong += 1;
                let what = other.err().unwrap_or_else(|| "it is in another state".into());
                self.first_wrong.get_or_insert_with(|| format!("{}: {what}", when()));
            }
        }
    }
}

/// What the next process does first.
fn recover(memory: TestMemory, stamp: Stamp) -> Result<TestMemory, String> {
    let mut store = Store::new(memory, stamp);
    store.reach().map_err(|error| error.to_string())?;
    store.recover().map_err(|fault| format!("{fault:?}"))?;
    Ok(store.memory)
}

/// The state before `changes` and after each of the transactions in them.
fn states(before: &TestMemory, changes: &[Change]) -> Vec<State> {
    let mut memory = before.copy();
    let mut states = vec![check(&memory).unwrap()];
    for change in changes {
        memory.apply(change);
        if matches!(change, Change::Word32(format::APPLIED, _)) {
            states.push(check(&memory).unwrap());
        }
    }
    states
}

/// Dies after every prefix of `changes`, and in the recoveries from that.
fn die_everywhere(
    before: &TestMemory,
    changes: &[Change],
    states: &[State],
    stamp: Stamp,
    name: &str,
    tally: &mut Tally,
) {
    let commits =
        |end: usize| changes[..end].iter().filter(|change| matches!(change, Change::Word32(format::COMMIT, _))).count();
    let unapplied: usize = changes.iter().filter(|change| matches!(change, Change::Word(..))).count();
    let every = unapplied.div_ceil(RECOVERIES).max(1);
    let mut memory = before.copy();
    for end in 0..=changes.len() {
        if end > 0 {
            memory.apply(&changes[end - 1]);
        }
        // Whoever opens a durable segment makes the change whose log is complete.
        let also = if stamp.durable { commits(end) + 1 } else { commits(end) };
        let expected = &states[commits(end)..=also.min(states.len() - 1)];
        tally.prefixes += 1;
        tally.judge(memory.copy(), stamp, expected, || format!("{name}, {end} of {} stores", changes.len()));
        if memory.load_commit() && (end % every == 0 || matches!(changes[end - 1], Change::Word32(..))) {
            die_while_recovering(&memory, expected, stamp, name, tally);
        }
    }
}

fn die_while_recovering(dead: &TestMemory, expected: &[State], stamp: Stamp, name: &str, tally: &mut Tally) {
    let mut recovering = dead.copy();
    recovering.record();
    let Ok(mut recovered) = recover(recovering, stamp) else { return };
    let mut memory = dead.copy();
    let changes = recovered.recorded();
    for (end, change) in changes.iter().enumerate() {
        memory.apply(change);
        tally.recovery_prefixes += 1;
        tally.judge(memory.copy(), stamp, expected, || format!("{name}, recovery, {end} of {} stores", changes.len()));
    }
}

impl TestMemory {
    /// Whether a change is committed and not applied.
    fn load_commit(&self) -> bool {
        use crate::local::memory::ReadMemory;
        self.load32(format::COMMIT) != self.load32(format::APPLIED)
    }
}

/// Does `operation` to a copy of `world`, and returns the state before, and what was stored.
fn recorded(world: &World, operation: Operation) -> (TestMemory, Vec<Change>) {
    let mut after = world.copy();
    let before = after.store.memory.copy();
    after.store.memory.record();
    after.apply(operation);
    (before, after.store.memory.recorded())
}

fn after(operations: &[Operation]) -> World {
    let mut world = World::new(30_000, format::NO_LIMIT);
    for operation in operations {
        world.apply(*operation);
    }
    world
}

/// A queue with several frames in each tree.
pub(super) fn with_trees(mut world: World) -> World {
    use Operation as Do;
    let keep = |owner, keeper, duration| Do::Keep { owner, keeper, duration };
    let steps = [
        &[Do::whole(90); 60][..],
        &[Do::lines(20, 90), Do::take_singly(0, 18), keep(0, KeptBy::Nobody, 1000)],
        &[Do::End { every: 3, how: How::Dead(20) }, Do::End { every: 2, how: How::Again(500) }],
        &[
            Do::End { every: 3, how: How::HandedOn },
            Do::take_singly(5, 12),
            keep(5, KeptBy::Taker, 2 * HOUR),
            Do::take_singly(64, 6),
            keep(64, KeptBy::Script, 2 * MINUTE),
            Do::take_singly(0, 4),
            keep(0, KeptBy::Nobody, 1000),
        ],
        // Those of one owner go to the front of what is ready, and those of another behind them.
        &[Do::take_singly(63, 5), Do::take_singly(0, 5), Do::settle(63, 0), Do::settle(0, 0)],
        &[Do::Prepare { owner: 5, length: 10 }, Do::Prepare { owner: 5, length: 700 }],
        &[Do::Lend { owner: 63, bytes: 900 }],
    ];
    steps.concat().into_iter().for_each(|operation| world.apply(operation));
    world
}

/// Queues that are empty, hold one or many, are full or closed, with frames half taken and leases of
/// several owners out.
pub(super) fn worlds() -> Vec<World> {
    use Operation as Do;
    let many: Vec<Operation> = (0..40).map(|number| Do::whole(number * 9)).collect();
    let takes = |owner: u32, count: usize| vec![Do::take(owner, 1); count];
    // Freed units in an order of their own, so that what is put next is scattered.
    let scattered = [Do::whole(700), Do::whole(10), Do::lines(30, 90), Do::take(0, 2), Do::take(5, 1), Do::take(5, 7)];
    let shuffled = [&scattered[..], &[Do::settle(5, 100), Do::settle(0, 100), Do::take(63, 3)]].concat();
    let mut worlds = vec![
        after(&[]),
        after(&[Do::whole(0)]),
        after(&[Do::whole(3000)]),
        // Everything is in one chain that begins and ends within units.
        after(&[Do::lines(100, 90), Do::take(0, 7), Do::take(5, 20), Do::take(63, 1)]),
        // Lines that end with units: a split shares none.
        after(&[
            Do::Put { framing: Framing::Nul, count: 20, shortest: 63, longest: 63, together: true },
            Do::take(0, 8),
        ]),
        after(&many),
        after(&[&many[..], &takes(0, 36), &takes(5, 3)].concat()),
        after(&[Do::lines(1000, 100), Do::lines(1000, 100), Do::take(64, 2)]),
        after(&[&many[..10], &[Do::take(64, 12), Do::Close]].concat()),
        after(&shuffled),
        after(&[&shuffled[..], &[Do::lines(40, 200), Do::take(64, 5)]].concat()),
        after(&[&shuffled[..], &[Do::Full(true)]].concat()),
        with_trees(World::with_attempts(60_000, 3)),
    ];
    let mut random = Random(4);
    for _ in 0..16 {
        let mut world = World::new(random.one_of(&[500, 3_000, 10_000]), random.one_of(&[format::NO_LIMIT, 50]));
        for _ in 0..random.below(60) {
            world.apply(Operation::random(&mut random));
        }
        worlds.push(world);
    }
    // What a drained segment gives back.
    let mut large = World::new(4 << 20, format::NO_LIMIT);
    for operation in [Do::whole(1_100_000), Do::take(0, 1), Do::settle(0, 100)] {
        large.apply(operation);
    }
    worlds.push(large);
    // One that had a message waits for the next.
    worlds.push(after(&[Do::whole(9), Do::take(5, 1), Do::settle_and_stay(5)]));
    worlds.push(after(&[&shuffled[..], &[Do::Lend { owner: 5, bytes: 2000 }]].concat()));
    let mut durable = World::durable(30_000, format::NO_LIMIT);
    for operation in [Do::whole(700), Do::whole(10), Do::lines(30, 90), Do::take(0, 2), Do::take(5, 1), Do::take(5, 7)]
    {
        durable.apply(operation);
    }
    worlds.extend([durable, with_trees(World::durable(60_000, format::NO_LIMIT))]);
    worlds
}

fn operations(world: &World) -> Vec<Operation> {
    let mut operations = vec![
        Operation::whole(20),
        Operation::whole(2000),
        Operation::lines(50, 100),
        Operation::take(0, 1),
        Operation::take(5, 4),
        Operation::take(64, u64::MAX),
        Operation::ClearOwner { owner: 0 },
        Operation::Close,
        Operation::Trim,
        Operation::take_singly(5, 3),
        Operation::Produce(5),
        Operation::Prepare { owner: 5, length: 3 },
        Operation::Prepare { owner: 64, length: 900 },
        Operation::Lend { owner: 0, bytes: 3000 },
        Operation::Deliver { owner: 5, length: 30, comes: true },
        Operation::Deliver { owner: 5, length: 700, comes: false },
    ];
    for owner in world.loans.keys().copied() {
        operations.extend([(40, 900), (500, 20)].map(|(longest, next)| Operation::PutLent { owner, longest, next }));
        operations.extend([Operation::EndLoan(owner), Operation::ReturnAll { owner }]);
    }
    if !world.handed_on.is_empty() {
        operations.push(Operation::ForgetHandedOn);
    }
    if !world.prepared.is_empty() {
        operations.extend([Operation::Resolve(true), Operation::Resolve(false)]);
    }
    if !world.kept.is_empty() {
        let hows = [How::Done, How::Again(0), How::Again(9), How::Dead(0), How::Dead(200), How::HandedOn];
        operations.extend(hows.map(|how| Operation::End { every: 1, how }));
        operations.extend([5, 3 * MINUTE].map(|duration| Operation::Extend { every: 2, duration }));
        operations.extend([5000, 3 * HOUR].map(Operation::Wait));
        operations.push(Operation::ReturnAll { owner: SCRIPT });
    }
    if !world.model.state.dead.is_empty() {
        operations.extend([Operation::Retry(0), Operation::Retry(2), Operation::Purge(Shelf::Dead)]);
    }
    if !world.model.state.delayed.is_empty() {
        operations.extend([Operation::Wait(600), Operation::Purge(Shelf::Delayed)]);
    }
    for owner in OWNERS.into_iter().filter(|owner| world.held.contains_key(owner)) {
        operations.extend([0, 30, 100].map(|percent| Operation::settle(owner, percent)));
        operations.push(Operation::Settle { owner, part: Part::OlderHalf, percent: 60, last: false });
        operations.extend([1, 5, u64::MAX].map(|messages| Operation::take_settling(owner, messages)));
        operations.push(Operation::ReturnAll { owner });
        operations.push(Operation::Keep { owner, keeper: KeptBy::Script, duration: 10 });
        operations.push(Operation::Keep { owner, keeper: KeptBy::Nobody, duration: 10 });
    }
    operations
}

#[test]
fn a_death_at_any_store_leaves_the_state_before_or_after() {
    let mut tally = Tally::default();
    for (number, world) in worlds().iter().enumerate() {
        for operation in operations(world) {
            let (before, changes) = recorded(world, operation);
            let name = format!("world {number}, {operation:?}");
            die_everywhere(&before, &changes, &states(&before, &changes), world.store.stamp, &name, &mut tally);
        }
    }
    println!("{} prefixes of operations, {} of recoveries", tally.prefixes, tally.recovery_prefixes);
    assert_eq!(tally.wrong, 0, "{tally:?}");
    assert!(tally.prefixes > 10_000 && tally.recovery_prefixes > 10_000, "{tally:?}");
}

/// Moves every store to `commit` in front of the stores to the log that belong to it.
fn published_too_early(changes: &[Change]) -> Vec<Change> {
    let is_log =
        |change: &Change| matches!(change, Change::Word(offset, _) if (format::LOG..format::OWNERS).contains(offset));
    let mut moved: Vec<Change> = Vec::new();
    let mut log_start = None;
    for change in changes {
        if matches!(change, Change::Word32(format::COMMIT, _)) {
            moved.insert(log_start.take().unwrap(), change.clone());
            continue;
        }
        if is_log(change) {
            log_start.get_or_insert(moved.len());
        }
        moved.push(change.clone());
    }
    moved
}

#[test]
fn publishing_before_writing_does_not_pass() {
    let mut tally = Tally::default();
    for world in &worlds()[..5] {
        for operation in operations(world) {
            let (before, changes) = recorded(world, operation);
            let states = states(&before, &changes);
            let changes = published_too_early(&changes);
            die_everywhere(&before, &changes, &states, world.store.stamp, "mutant", &mut tally);
        }
    }
    let all = tally.prefixes + tally.recovery_prefixes;
    println!("{} of {all} prefixes of the mutant are wrong, {}", tally.wrong, tally.first_wrong.unwrap_or_default());
    assert!(tally.wrong > 1000);
}
