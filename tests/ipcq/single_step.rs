//! kill -9 at any instruction: at each one at which a command has changed its segment, a copy of what is there
//! holds what it held before or what it is to hold after, and is a queue that works.
//!
//! `IPCQ_STEP=all` steps through every instruction of every command, which takes minutes, and holds what changed
//! against what is found at the usual pace.

mod autopsy;
mod states;
mod tracer;

use crate::harness::Sandbox;
use autopsy::{Copies, Wrong};
use states::*;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use tracer::{Change, Pace, Recording, Snapshot, Traced, can_trace, trace};

/// A command on a queue, and what becomes of that.
struct Case {
    /// Makes the queue `jobs` and says what it holds.
    queue: fn(&Sandbox) -> State,
    arguments: String,
    input: Vec<u8>,
    is_read: bool,
    code: i32,
    steps: Vec<Step>,
    /// What it does depends on how long it has taken.
    is_timed: bool,
}

fn case(queue: fn(&Sandbox) -> State, arguments: &str) -> Case {
    let arguments = arguments.to_owned();
    Case { queue, arguments, input: Vec::new(), is_read: true, code: 0, steps: Vec::new(), is_timed: false }
}

impl Case {
    fn input(self, input: &[u8]) -> Self {
        Case { input: input.to_vec(), ..self }
    }

    fn unread(self) -> Self {
        Case { is_read: false, ..self }
    }

    fn timed(self) -> Self {
        Case { is_timed: true, ..self }
    }

    fn code(self, code: i32) -> Self {
        Case { code, ..self }
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn puts(self, messages: &[&str]) -> Self {
        self.then(Step::Puts(bodies(messages)))
    }

    fn delivers(self, count: usize) -> Self {
        self.then(Step::Delivers(count))
    }

    /// Prepares the queue and runs the command on it.
    fn record(&self, pace: Pace) -> (Sandbox, State, Recording) {
        let sandbox = Sandbox::new();
        let state = (self.queue)(&sandbox);
        let Case { arguments, input, is_read, .. } = self;
        let recording = trace(&sandbox, Traced { arguments, input, is_read: *is_read }, pace);
        assert_eq!(recording.done.code, self.code, "{self}: {:?}", recording.done);
        (sandbox, state, recording)
    }

    fn die_everywhere(&self, sandbox: &Sandbox, start: State, recording: &Recording, changes: &[Change]) -> Vec<Wrong> {
        die_everywhere(&Copies::new(sandbox), &recording.before, changes, &milestones(start, &self.steps))
    }
}

impl Display for Case {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "ipcq {:.40}", self.arguments)
    }
}

/// A state that a command leads to, and the bytes that it must have written before.
struct Milestone {
    state: State,
    written: u64,
}

fn milestones(start: State, steps: &[Step]) -> Vec<Milestone> {
    let mut milestones = vec![Milestone { state: start, written: 0 }];
    for step in steps {
        let Milestone { state, written } = milestones.last().unwrap();
        let delivered = if let Step::Delivers(count) = step { *count } else { 0 };
        let delivered: usize = state.messages()[..delivered].iter().map(Vec::len).sum();
        milestones.push(Milestone { state: state.after(step), written: written + delivered as u64 });
    }
    milestones
}

/// Dies after every prefix of `changes`, and returns what is wrong with what is left.
fn die_everywhere(copies: &Copies, before: &Snapshot, changes: &[Change], milestones: &[Milestone]) -> Vec<Wrong> {
    let mut snapshot = before.clone();
    let mut reached = 0;
    let mut sights = BTreeMap::new();
    let mut wrongs = Vec::new();
    for end in 0..=changes.len() {
        let written = match end.checked_sub(1) {
            None => 0,
            Some(last) => {
                snapshot.apply(&changes[last]);
                changes[last].written
            }
        };
        let judged = copies.judge(&snapshot).and_then(|sight| {
            reached += usize::from(milestones.get(reached + 1).is_some_and(|next| next.state == sight.state));
            // Whatever else has been stored, a change is made when `commit` says so.
            let commit = (snapshot.named, snapshot.image.get(field("commit")).map(<[u8]>::to_vec));
            let same_commit = sights.entry(commit).or_insert_with(|| sight.clone());
            if sight.state != milestones[reached].state {
                Err(format!("it is neither as before nor as after: {}", sight.state))
            } else if *same_commit != sight {
                Err("it is another than it was, and nothing was committed in between".into())
            } else if written < milestones[reached].written {
                Err("messages have gone that were not written".into())
            } else {
                Ok(())
            }
        });
        wrongs.extend(judged.err().map(|wrong| format!("after {end} of {} changes: {wrong}", changes.len())));
    }
    if reached + 1 != milestones.len() {
        wrongs.push(format!("{reached} of {} steps were done", milestones.len() - 1));
    }
    wrongs
}

/// Has each command die at every instruction that changes something, and asserts that nothing is wrong with what is
/// left, and that there were at least so many changes.
fn survive(cases: &[Case], least: usize) {
    if !can_trace() {
        return;
    }
    let all = std::env::var_os("IPCQ_STEP").is_some_and(|step| step == "all");
    let (mut stops, mut changes, mut wrongs) = (0, 0, Vec::new());
    for case in cases {
        let (sandbox, start, recording) = case.record(if all { Pace::FromStart } else { Pace::Stores });
        let wrong = case.die_everywhere(&sandbox, start, &recording, &recording.changes);
        wrongs.extend(wrong.into_iter().map(|wrong| format!("{case}, {wrong}")));
        if all && !case.is_timed {
            let (_, _, stopped) = case.record(Pace::Stores);
            assert_eq!(places(&recording.changes), places(&stopped.changes), "{case}");
        }
        stops += recording.stops;
        changes += recording.changes.len();
    }
    let stops = format!("{stops} {}", if all { "instructions" } else { "stops" });
    let (commands, points, wrong) = (cases.len(), changes + cases.len(), wrongs.len());
    println!("{commands} commands, {stops}, {changes} changes, {points} crash points, {wrong} wrong");
    assert!(wrongs.is_empty(), "{wrong} of {points} are wrong:\n{}", wrongs[..wrong.min(20)].join("\n"));
    assert!(changes >= least, "only {changes} changes");
}

/// The words that were changed, in order. What was stored there differs from one run to the next where it is a time
/// or the number of a process.
fn places(changes: &[Change]) -> Vec<(Range<usize>, usize, bool)> {
    let words = |change: &Change| change.start / 8..(change.start + change.bytes.len()).div_ceil(8);
    changes.iter().map(|change| (words(change), change.length, change.named)).collect()
}

#[test]
fn a_put_that_is_killed_at_any_instruction_is_done_or_is_not() {
    let long = "l".repeat(700);
    let stream = lines(0..30, 20);
    let stream_messages = Step::Puts(of_lines(&stream));
    let binary = Step::Puts(vec![binary_body(1500)]);
    survive(
        &[
            case(empty, "put jobs hello").puts(&["hello"]),
            case(empty, &format!("put jobs {long}")).puts(&[&long]),
            case(several, "put jobs a bb ccc").puts(&["a", "bb", "ccc"]),
            case(several, "put jobs").input(&binary_body(1500)).then(binary.clone()),
            case(scattered, "put jobs").input(&binary_body(1500)).then(binary),
            case(scattered, "put jobs -l").input(stream.as_bytes()).then(stream_messages),
            case(nearly_full, "put jobs -l -t 0").input(b"d\ne\nf\n").code(1).puts(&["d", "e"]),
            case(full, "put jobs hello -t 0").code(1),
            case(full_and_held_by_the_dead, "put jobs hello -t 0").code(1),
            case(last_of_closed, "put jobs hello").code(3),
            case(waited_for, "put jobs hello").puts(&["hello"]),
            case(torn, "put jobs hello").puts(&["hello"]),
            case(no_queue, "put jobs hello --create").then(Step::Creates).puts(&["hello"]),
        ],
        300,
    );
}

#[test]
fn a_get_that_is_killed_at_any_instruction_has_written_what_is_gone() {
    survive(
        &[
            case(one, "get jobs").delivers(1),
            case(several, "get jobs").delivers(1),
            case(several, "get jobs -n 4 -t 9").delivers(4),
            case(several, "get jobs -a").delivers(8),
            case(many, "get jobs -a").delivers(32).delivers(2),
            case(run_behind_free_units, "get jobs -n 4 -t 9").delivers(4),
            case(full, "get jobs -n 2 -t 9").delivers(2),
            case(full, "get jobs -n 38 -t 9").delivers(38),
            case(held_by_the_dead, "get jobs").delivers(1),
            case(held_by_the_dead, "get jobs -a").delivers(8),
            case(scattered, "get jobs -a").delivers(2),
            case(last_of_closed, "get jobs").delivers(1),
            case(several_closed, "get jobs -f").delivers(8),
            case(torn, "get jobs -n 9 -t 9").delivers(9),
            case(empty, "get jobs -t 0").code(1),
            case(one, "get jobs -n 2 -t 0.3").delivers(1).timed(),
            case(one, "get jobs --at-most-once").then(Step::LetsGoOf(1)),
        ],
        800,
    );
}

#[test]
fn a_get_whose_output_fails_and_that_is_killed_at_any_instruction_loses_nothing() {
    survive(
        &[
            case(one, "get jobs").unread().code(141),
            case(several, "get jobs -a").unread().code(141),
            case(full, "get jobs -n 2").unread().code(141),
            case(held_by_the_dead, "get jobs -n 5 -o /dev/full").code(2),
        ],
        250,
    );
}

#[test]
fn leases_are_as_before_or_as_after_when_commands_are_killed_at_any_instruction() {
    survive(
        &[
            // Leased or not, the message is there.
            case(one, "get jobs --lease 1h"),
            case(several, "get jobs --lease --owner 1"),
            case(several, "get jobs -n 5 --lease 1h -o bodies"),
            case(held_by_the_dead, "get jobs --lease --shell"),
            case(several_leased, "ack jobs 2 3").then(Step::LetsGoOf(2)),
            case(several_leased, "ack jobs 2 99").code(2),
            case(several_leased, "nack jobs 4 2 3"),
            case(several_leased, "extend jobs 4 2 2h"),
            case(several_leased, "get jobs --lease 1h"),
            case(several_leased, "join jobs -t 0").code(1),
            case(several_leased, "peek jobs --leased"),
            // Who dies as a producer has closed the queue.
            case(closing, "put jobs -l").input(b"a\nb\n").then(Step::Closes).puts(&["a", "b"]),
        ],
        150,
    );
}

#[test]
fn other_commands_that_are_killed_at_any_instruction_are_done_or_are_not() {
    survive(
        &[
            case(no_queue, "create jobs").then(Step::Creates),
            case(no_queue, "create jobs --max-items 7 --capacity 1M").then(Step::Creates),
            case(one, "create jobs").code(2),
            case(empty, "close jobs").then(Step::Closes),
            case(held_by_the_dead, "close jobs").then(Step::Closes),
            case(waited_for, "close jobs").then(Step::Closes),
            case(torn, "close jobs").then(Step::Closes),
            case(several, "stat jobs"),
            case(torn, "stat jobs"),
            case(torn, "verify jobs"),
            case(held_by_the_dead, "ls"),
            case(held_by_the_dead, "peek jobs"),
            case(several, "wait jobs --ready"),
            case(several, "pause jobs"),
            case(paused, "resume jobs"),
            case(several_dead, "peek jobs --dead"),
            case(several_dead, "retry jobs --all"),
            case(several_dead, "retry jobs 4 2"),
            case(several_dead, "purge jobs --dead").then(Step::LetsGoOf(3)),
            case(several, "purge jobs").then(Step::LetsGoOf(8)),
            case(several_and_another, "mv jobs other -n 1").then(Step::LetsGoOf(1)),
            case(several_and_another, "mv other jobs"),
            case(torn, "rm jobs").then(Step::Removes),
            case(waited_for, "rm jobs").then(Step::Removes),
        ],
        60,
    );
}

#[test]
fn a_get_that_is_killed_while_it_makes_the_file_shorter_loses_nothing() {
    let case = case(grown, "get jobs").delivers(1);
    survive(std::slice::from_ref(&case), 50);
    if can_trace() {
        let (_, _, recording) = case.record(Pace::Stores);
        assert!(recording.before.image.len() > 1 << 20);
        assert_eq!(recording.changes.last().unwrap().length, 1 << 20);
    }
}

#[test]
fn stepping_through_every_instruction_finds_the_changes_that_stopping_at_stores_finds() {
    if !can_trace() {
        return;
    }
    let cases = [
        case(several, "put jobs hello").puts(&["hello"]),
        case(scattered, "put jobs").input(&binary_body(1500)).then(Step::Puts(vec![binary_body(1500)])),
        case(held_by_the_dead, "get jobs").delivers(1),
        case(several, "close jobs").then(Step::Closes),
    ];
    // Without optimization, the first takes as long as all of them with it.
    let cases = if cfg!(debug_assertions) { &cases[..1] } else { &cases };
    for case in cases {
        let (sandbox, start, stepped) = case.record(Pace::FromLock);
        let (_, _, stopped) = case.record(Pace::Stores);
        println!("{case}: {} instructions, {} changes", stepped.stops, stepped.changes.len());
        assert_eq!(places(&stepped.changes), places(&stopped.changes));
        assert_eq!(case.die_everywhere(&sandbox, start, &stepped, &stepped.changes), Vec::<Wrong>::new());
        assert!(stepped.stops > 1000, "{}", stepped.stops);
    }
}

/// Moves the change of `commit` in front of the first change of the redo log that belongs to it.
fn published_too_early(changes: &[Change]) -> Vec<Change> {
    // All that is between the control words and the owners.
    let log = 1024..8192;
    let mut moved: Vec<Change> = Vec::new();
    let mut log_start = None;
    for change in changes {
        if field("commit").contains(&change.start) {
            moved.insert(log_start.take().unwrap(), change.clone());
            continue;
        }
        if log.contains(&change.start) {
            log_start.get_or_insert(moved.len());
        }
        moved.push(change.clone());
    }
    moved
}

#[test]
fn a_program_that_publishes_before_it_has_written_does_not_pass() {
    if !can_trace() {
        return;
    }
    for case in [case(several, "put jobs hello").puts(&["hello"]), case(several, "get jobs").delivers(1)] {
        let (sandbox, start, recording) = case.record(Pace::Stores);
        let changes = published_too_early(&recording.changes);
        let wrongs = case.die_everywhere(&sandbox, start, &recording, &changes);
        let publications: Vec<_> = changes.iter().map(|change| field("commit").contains(&change.start)).collect();
        let first = publications.iter().position(|published| *published).unwrap();
        let count = publications.iter().filter(|published| **published).count();
        println!("{case}: {} of {} crash points are wrong", wrongs.len(), changes.len() + 1);
        // All are from the first publication on, but two for each: while the log still has the change before, which does no
        // harm twice, and when the change is whole.
        assert!(wrongs.len() + 2 * count >= changes.len() - first, "{wrongs:?}");
    }
}
