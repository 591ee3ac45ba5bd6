//! Power failure: whatever of the stores since the last sync did not reach the disk, a durable
//! queue is found in the state after the last change that was waited for, or after the one under way.

use super::Random;
use super::check::{State, check};
use super::crash::with_trees;
use super::memory::{Change, TestMemory};
use super::operation::{How, Operation, SCRIPT};
use super::world::World;
use crate::lease::Shelf;
use crate::local::format::{self, Stamp};
use crate::local::store::Store;
use crate::message::Framing;
use std::collections::BTreeMap;

/// Bytes that a disk writes together or not at all.
const SECTOR: usize = 512;
/// Bytes that the system usually writes together.
const PAGE: usize = 4096;
/// Power failures at each point in which chance decides what is lost; more where most is at stake.
const BY_CHANCE: usize = 1;
const BY_CHANCE_AROUND_A_SYNC: usize = 8;

#[derive(Default, Debug)]
struct Tally {
    failures: u64,
    wrong: u64,
    first_wrong: Option<String>,
}

/// The file on the disk, and what may be there instead.
struct Disk {
    synced: TestMemory,
    /// Since the last sync: all states that the file was in.
    since: Vec<Change>,
    now: TestMemory,
}

impl Disk {
    fn new(memory: &TestMemory) -> Self {
        Disk { synced: memory.copy(), since: Vec::new(), now: memory.copy() }
    }

    fn apply(&mut self, change: &Change) {
        self.now.apply(change);
        if *change == Change::Sync {
            self.synced = self.now.copy();
            self.since.clear();
        } else {
            self.since.push(change.clone());
        }
    }

    /// The numbers of the pieces of `size` bytes that stores since the last sync went to.
    fn dirty(&self, size: usize) -> Vec<usize> {
        let mut pieces = BTreeMap::new();
        for change in &self.since {
            let (offset, length) = match change {
                Change::Word32(offset, _) => (*offset, 4),
                Change::Word(offset, _) => (*offset, 8),
                Change::Bytes(offset, bytes) => (*offset, bytes.len()),
                _ => continue,
            };
            for piece in offset as usize / size..=(offset as usize + length - 1) / size {
                pieces.insert(piece, ());
            }
        }
        pieces.into_keys().collect()
    }

    /// The file if of the pieces of `size` bytes only those that `is_kept` names reached the disk, each as it was
    /// after as many of the stores since the last sync as that says.
    fn after_failure(&self, size: usize, mut is_kept: impl FnMut(usize) -> usize) -> TestMemory {
        let mut found = self.synced.copy();
        // The length is the system's own record: of several lengths, it has the last that the disk knows of.
        found.bytes.resize(self.now.bytes.len(), 0);
        let mut stages: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for piece in self.dirty(size) {
            stages.entry(is_kept(piece)).or_default().push(piece);
        }
        let mut stage = self.synced.copy();
        let mut done = 0;
        for (end, pieces) in stages {
            for change in &self.since[done..end] {
                stage.apply(change);
            }
            done = end;
            for piece in pieces {
                let end = ((piece + 1) * size).min(stage.bytes.len()).min(found.bytes.len());
                let start = (piece * size).min(end);
                found.bytes[start..end].copy_from_slice(&stage.bytes[start..end]);
            }
        }
        found
    }

    /// Ways in which the power can fail now.
    fn failures(&self, around_a_sync: bool, random: &mut Random) -> Vec<TestMemory> {
        let all = self.since.len();
        let mut found = Vec::new();
        if around_a_sync {
            found.extend([self.after_failure(PAGE, |_| 0), self.after_failure(PAGE, |_| all)]);
            for one in self.dirty(PAGE).iter().take(8) {
                found.push(self.after_failure(PAGE, |page| if page == *one { all } else { 0 }));
                found.push(self.after_failure(PAGE, |page| if page == *one { 0 } else { all }));
            }
        }
        for _ in 0..if around_a_sync { BY_CHANCE_AROUND_A_SYNC } else { BY_CHANCE } {
            found.push(self.after_failure(PAGE, |_| random.one_of(&[0, all])));
            found.push(self.after_failure(SECTOR, |_| random.below(all as u64 + 1) as usize));
        }
        found
    }
}

fn recover(memory: TestMemory, stamp: Stamp) -> Result<TestMemory, String> {
    let mut store = Store::new(memory, stamp);
    store.reach().map_err(|error| error.to_string())?;
    store.recover().map_err(|fault| format!("{fault:?}"))?;
    Ok(store.memory)
}

/// Fails the power at every store of `changes`, in many ways, and judges what is found. With `and_again`, also
/// while that is being repaired.
fn fail_everywhere(
    before: &TestMemory,
    changes: &[Change],
    states: &[State],
    and_again: bool,
    name: &str,
    tally: &mut Tally,
) {
    let stamp = World::durable(1, 1).store.stamp;
    let mut random = Random(changes.len() as u64);
    let mut disk = Disk::new(before);
    let mut synced = 0;
    for end in 0..=changes.len() {
        if end > 0 {
            disk.apply(&changes[end - 1]);
            synced += usize::from(changes[end - 1] == Change::Sync);
        }
        let around_a_sync = [end.wrapping_sub(1), end].iter().any(|at| changes.get(*at) == Some(&Change::Sync));
        let is_copying = matches!(changes.get(end), Some(Change::Bytes(..)));
        if is_copying && random.below(8) > 0 {
            // One step of a copy is like the other.
            continue;
        }
        // What was waited for has to be there; what was under way may be.
        let allowed = &states[synced.min(states.len() - 1)..(synced + 2).min(states.len())];
        for found in disk.failures(around_a_sync, &mut random) {
            let again = (and_again && random.below(100) == 0).then(|| found.copy());
            judge(found, stamp, allowed, tally, || format!("{name}, {end} of {} stores", changes.len()));
            let Some(mut again) = again else { continue };
            let mut disk = Disk::new(&again);
            again.record();
            let Ok(mut recovered) = recover(again, stamp) else { continue };
            for change in recovered.recorded() {
                disk.apply(&change);
                for found in disk.failures(false, &mut random) {
                    judge(found, stamp, allowed, tally, || format!("{name}, {end}, recovery"));
                }
            }
        }
    }
}

fn judge(found: TestMemory, stamp: Stamp, allowed: &[State], tally: &mut Tally, when: impl Fn() -> String) {
    tally.failures += 1;
    let verdict = check(&found).err().filter(|problem| !problem.contains("not applied"));
    let state = match verdict {
        None => recover(found, stamp).and_then(|memory| check(&memory)),
        Some(problem) => Err(format!("verify says {problem}")),
    };
    if !state.as_ref().is_ok_and(|state| allowed.contains(state)) {
        tally.wrong += 1;
        let what = state.map_or_else(
            |problem| problem,
            |state| {
                let brief =
                    |state: &State| format!("{} put, {} got, {} ready", state.put, state.got, state.ready.len());
                format!("{} and not {:?}", brief(&state), allowed.iter().map(brief).collect::<Vec<_>>())
            },
        );
        tally.first_wrong.get_or_insert_with(|| format!("{}: {what}", when()));
    }
}

/// What a run of operations stores, from a state that is on the disk, and the states after each change.
struct Story {
    name: String,
    before: TestMemory,
    changes: Vec<Change>,
    states: Vec<State>,
}

impl Story {
    fn new(name: String, world: &World, operations: &[Operation]) -> Self {
        let mut world = world.copy();
        let before = world.store.memory.copy();
        world.store.memory.record();
        operations.iter().for_each(|operation| world.apply(*operation));
        let changes = world.store.memory.recorded();
        let mut memory = before.copy();
        let mut states = vec![check(&memory).unwrap()];
        for change in &changes {
            memory.apply(change);
            if matches!(change, Change::Word32(format::APPLIED, _)) {
                states.push(check(&memory).unwrap());
            }
        }
        Story { name, before, changes, states }
    }

    fn tell(&self, changes: &[Change], and_again: bool, tally: &mut Tally) {
        fail_everywhere(&self.before, changes, &self.states, and_again, &self.name, tally);
    }
}

/// Queues that are empty, filled, half taken, and grown; and a few operations on each, one after the other,
/// so that what one left in the logs is there when the next is cut off.
fn stories() -> Vec<Story> {
    use Operation as Do;
    let lines = |count| Do::Put { framing: Framing::Newline, count, shortest: 30, longest: 200, together: false };
    let mut filled = World::durable(40_000, format::NO_LIMIT);
    for operation in [Do::whole(700), lines(40), Do::whole(3), Do::take(0, 2), Do::take(5, 7), Do::settle(0, 100)] {
        filled.apply(operation);
    }
    let mut large = World::durable(4 << 20, format::NO_LIMIT);
    for operation in [Do::whole(1_060_000), Do::take(0, 1)] {
        large.apply(operation);
    }
    let empty = World::durable(40_000, format::NO_LIMIT);
    let mut stories = vec![
        Story::new("a put into an empty queue".into(), &empty, &[Do::whole(20), Do::whole(5000)]),
        Story::new("puts and gets".into(), &empty, &[lines(30), Do::take(0, 3), Do::settle(0, 100), Do::whole(900)]),
        Story::new("taking from the middle".into(), &filled, &[Do::take(0, 4), Do::settle(5, 30), Do::whole(600)]),
        Story::new("space used again".into(), &filled, &[Do::settle(5, 100), Do::whole(2000), Do::whole(300)]),
        Story::new("death and closing".into(), &filled, &[Do::ReturnAll { owner: 5 }, Do::Close]),
        Story::new(
            "taking one after the other".into(),
            &filled,
            &[
                Do::take_settling(5, 2),
                Do::take_settling(5, 1),
                Do::whole(700),
                Do::take_settling(5, 3),
                Do::whole(300),
            ],
        ),
        Story::new("shrinking".into(), &large, &[Do::settle(0, 100), Do::Trim, Do::whole(50), Do::whole(30_000)]),
    ];
    let leased = with_trees(World::durable(60_000, format::NO_LIMIT));
    let end = |how| Do::End { every: 4, how };
    let ends =
        [end(How::Done), end(How::Dead(100)), end(How::Again(9)), Do::Extend { every: 2, duration: 5 }, Do::Wait(50)];
    stories.push(Story::new("kept leases".into(), &leased, &ends));
    let others = [Do::Retry(2), Do::ReturnAll { owner: SCRIPT }, Do::take_singly(0, 3), Do::Purge(Shelf::Dead)];
    stories.push(Story::new("the dead and the returned".into(), &leased, &others));
    let mut random = Random(11);
    for number in 0..12 {
        let mut world = World::durable(random.one_of(&[3_000, 20_000]), format::NO_LIMIT);
        for _ in 0..random.below(30) {
            world.apply(Operation::random(&mut random));
        }
        let operations: Vec<_> = (0..4).map(|_| Operation::random(&mut random)).collect();
        stories.push(Story::new(format!("story {number}, {operations:?}"), &world, &operations));
    }
    stories
}

#[test]
fn nothing_that_was_promised_is_missing_after_a_power_failure() {
    let mut tally = Tally::default();
    for story in stories() {
        story.tell(&story.changes, true, &mut tally);
    }
    println!("{} power failures", tally.failures);
    assert_eq!(tally.wrong, 0, "{tally:?}");
    assert!(tally.failures > 5_000, "{tally:?}");
}

/// The tally of a program that differs from ours in what it stores.
fn mutant(change: impl Fn(&[Change]) -> Vec<Change>) -> Tally {
    let mut tally = Tally::default();
    for story in &stories()[..4] {
        story.tell(&change(&story.changes), false, &mut tally);
    }
    println!("{} of {} are wrong: {:?}", tally.wrong, tally.failures, tally.first_wrong);
    tally
}

#[test]
fn without_waiting_for_the_disk_it_does_not_pass() {
    // The sync is still counted as a promise, and does nothing.
    let late = mutant(|changes| {
        let mut late = Vec::new();
        let mut waiting = false;
        for change in changes {
            // As if each change's sync came after it was made.
            match change {
                Change::Sync => waiting = true,
                change => late.push(change.clone()),
            }
            if waiting && matches!(change, Change::Word32(format::APPLIED, _)) {
                late.push(Change::Sync);
                waiting = false;
            }
        }
        late
    });
    assert!(late.wrong > 100);
}

#[test]
fn with_a_single_log_it_does_not_pass() {
    let is_log = |offset: u64| (format::SECOND_LOG..format::LOG).contains(&offset);
    let moved = |offset: u64| if is_log(offset) { offset - format::SECOND_LOG + format::LOG } else { offset };
    let single = mutant(|changes| {
        let change = |change: &Change| match change {
            Change::Word32(offset, value) => Change::Word32(moved(*offset), *value),
            Change::Word(offset, value) => Change::Word(moved(*offset), *value),
            other => other.clone(),
        };
        changes.iter().map(change).collect()
    });
    assert!(single.wrong > 100);
}
