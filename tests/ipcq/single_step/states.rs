//! Queues in the states that matter when a process dies, and what each of them holds.

use super::tracer::{Pace, Traced, trace};
use crate::harness::{Running, Sandbox};
use ipcq::address::Address;
use ipcq::local::{Field, HOT_FIELDS};
use ipcq::message::Run;
use ipcq::open;
use ipcq::place::{Place, Surroundings};
use ipcq::queue::Limits;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

/// A queue as its users see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    Removed,
    Open(Messages),
    Closed(Messages),
}

pub(crate) type Messages = Vec<Vec<u8>>;

/// What a command is to do, all at once or not at all.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Creates,
    Puts(Messages),
    /// This many messages go, once they have been written.
    Delivers(usize),
    /// This many messages go, written or not.
    LetsGoOf(usize),
    Closes,
    Removes,
}

impl State {
    pub(crate) fn messages(&self) -> &[Vec<u8>] {
        match self {
            State::Absent | State::Removed => &[],
            State::Open(messages) | State::Closed(messages) => messages,
        }
    }

    pub(crate) fn after(&self, step: &Step) -> State {
        let mut messages = self.messages().to_vec();
        match step {
            Step::Creates => {}
            Step::Puts(more) => messages.extend_from_slice(more),
            Step::Delivers(count) | Step::LetsGoOf(count) => drop(messages.drain(..count)),
            Step::Closes => return State::Closed(messages),
            Step::Removes => return State::Absent,
        }
        if matches!(self, State::Closed(_)) { State::Closed(messages) } else { State::Open(messages) }
    }
}

impl Display for State {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self {
            State::Absent => "absent",
            State::Removed => "removed",
            State::Open(_) => "open",
            State::Closed(_) => "closed",
        };
        let lengths: Vec<usize> = self.messages().iter().map(Vec::len).collect();
        write!(formatter, "{kind}, with messages of {lengths:?} bytes")
    }
}

pub(crate) fn bodies(messages: &[&str]) -> Messages {
    messages.iter().map(|message| message.as_bytes().to_vec()).collect()
}

/// Numbered lines that have that many bytes, each with its newline.
pub(crate) fn lines(numbers: Range<usize>, bytes: usize) -> String {
    numbers.map(|number| format!("{number:<width$}\n", width = bytes - 1)).collect()
}

pub(crate) fn of_lines(text: &str) -> Messages {
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

/// A message that has that many bytes, newlines and NULs among them.
pub(crate) fn binary_body(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 % 256) as u8).collect()
}

fn put_whole(sandbox: &Sandbox, body: &[u8]) {
    assert_eq!(sandbox.run_with(["put", "jobs"], body).code, 0);
}

fn put_lines(sandbox: &Sandbox, lines: &str) {
    assert_eq!(sandbox.run_with(["put", "jobs", "-l"], lines.as_bytes()).code, 0);
}

fn kill(running: Running) {
    running.signal("KILL");
    assert_eq!(running.end().code, 137);
}

pub(crate) fn no_queue(_sandbox: &Sandbox) -> State {
    State::Absent
}

pub(crate) fn empty(sandbox: &Sandbox) -> State {
    sandbox.ok("create jobs");
    State::Open(Vec::new())
}

pub(crate) fn one(sandbox: &Sandbox) -> State {
    sandbox.ok("create jobs");
    sandbox.ok("put jobs one");
    State::Open(bodies(&["one"]))
}

/// Short and long ones, arguments, lines and a whole input.
pub(crate) fn several(sandbox: &Sandbox) -> State {
    several_in(sandbox, "create jobs")
}

fn several_in(sandbox: &Sandbox, create: &str) -> State {
    let long = "m".repeat(600);
    sandbox.ok(create);
    sandbox.ok("put jobs gone");
    sandbox.ok(&format!("put jobs {long}"));
    put_whole(sandbox, &binary_body(1000));
    sandbox.ok("put jobs a bb ccc");
    put_lines(sandbox, "first\n\nthird\n");
    // The last change was not one like the next, so all of the redo log is going to change.
    assert_eq!(sandbox.ok("get jobs"), "gone\n");
    let [arguments, lines] = [&["a", "bb", "ccc"], &["first", "", "third"]].map(|messages| bodies(messages));
    State::Open([bodies(&[&long]), vec![binary_body(1000)], arguments, lines].concat())
}

/// The same, of which the first three, 2, 3 and 4, are leased.
pub(crate) fn several_leased(sandbox: &Sandbox) -> State {
    let state = several(sandbox);
    assert_eq!(sandbox.ok("get jobs -n 3 --lease 1h -o bodies"), "2\n3\n4\n");
    state
}

/// The same three, given up on.
pub(crate) fn several_dead(sandbox: &Sandbox) -> State {
    let state = several_in(sandbox, "create jobs --max-attempts 1");
    assert_eq!(sandbox.ok("get jobs -n 3 --lease 1h -o bodies"), "2\n3\n4\n");
    sandbox.ok("nack jobs 2 3 4");
    state
}

pub(crate) fn several_and_another(sandbox: &Sandbox) -> State {
    sandbox.ok("create other");
    several(sandbox)
}

pub(crate) fn paused(sandbox: &Sandbox) -> State {
    let state = several(sandbox);
    sandbox.ok("pause jobs");
    state
}

/// One that closes itself.
pub(crate) fn closing(sandbox: &Sandbox) -> State {
    sandbox.ok("create jobs --auto-close");
    State::Open(Vec::new())
}

pub(crate) fn several_closed(sandbox: &Sandbox) -> State {
    let state = several(sandbox);
    sandbox.ok("close jobs");
    state.after(&Step::Closes)
}

pub(crate) fn last_of_closed(sandbox: &Sandbox) -> State {
    let state = one(sandbox);
    sandbox.ok("close jobs");
    state.after(&Step::Closes)
}

/// There is no room, and the first frame is a long run from which some were taken.
pub(crate) fn full(sandbox: &Sandbox) -> State {
    sandbox.ok("create jobs --capacity 1960");
    put_lines(sandbox, &lines(0..40, 50));
    assert_eq!(sandbox.ok("get jobs -n 3"), lines(0..3, 50));
    let [more, most] = [lines(40..41, 50), lines(41..42, 99)];
    put_lines(sandbox, &more);
    put_lines(sandbox, &most);
    assert_eq!(sandbox.run("put jobs x -t 0").code, 1);
    State::Open(of_lines(&[lines(3..40, 50), more, most].concat()))
}

/// There is room for two more.
pub(crate) fn nearly_full(sandbox: &Sandbox) -> State {
    sandbox.ok("create jobs --max-items 5");
    sandbox.ok("put jobs a b c");
    State::Open(bodies(&["a", "b", "c"]))
}

/// A long run behind units that were given back.
pub(crate) fn run_behind_free_units(sandbox: &Sandbox) -> State {
    sandbox.ok("create jobs");
    put_whole(sandbox, &binary_body(1500));
    put_lines(sandbox, &lines(0..40, 50));
    sandbox.ok("get jobs -o /dev/null");
    State::Open(of_lines(&lines(0..40, 50)))
}

/// More messages, each put on its own, than one change can take.
pub(crate) fn many(sandbox: &Sandbox) -> State {
    let messages: Messages = (0..34).map(|number| format!("message {number}").into_bytes()).collect();
    let mut queue = open::create(&place(sandbox.queues()), &address("jobs"), &Limits::default()).unwrap();
    for message in &messages {
        assert_eq!(queue.put(&Run::whole(message), true, None).unwrap(), 1);
    }
    State::Open(messages)
}

/// Two consumers were killed while they held messages, of a run too.
pub(crate) fn held_by_the_dead(sandbox: &Sandbox) -> State {
    let state = several(sandbox);
    let (first, _reader) = sandbox.stuck("get jobs -n 1");
    let (second, _reader) = sandbox.stuck("get jobs -n 2");
    kill(first);
    kill(second);
    state
}

/// There is no room, and consumers were killed who held messages.
pub(crate) fn full_and_held_by_the_dead(sandbox: &Sandbox) -> State {
    let state = full(sandbox);
    let (consumer, _reader) = sandbox.stuck("get jobs -n 5");
    kill(consumer);
    state
}

/// Units that were given back lie between those in use, in an order of their own.
pub(crate) fn scattered(sandbox: &Sandbox) -> State {
    sandbox.ok("create jobs");
    for bytes in [600, 3, 900, 3, 300] {
        put_whole(sandbox, &binary_body(bytes));
    }
    let (first, _reader) = sandbox.stuck("get jobs");
    sandbox.ok("get jobs -o /dev/null");
    let (second, _reader) = sandbox.stuck("get jobs");
    sandbox.ok("get jobs -o /dev/null");
    kill(first);
    sandbox.ok("get jobs -o /dev/null");
    kill(second);
    State::Open([900, 300].map(binary_body).to_vec())
}

/// It has grown, and holds one short message; a consumer was killed that had it.
pub(crate) fn grown(sandbox: &Sandbox) -> State {
    let state = one(sandbox);
    put_whole(sandbox, &vec![7; 1_200_000]);
    let (consumer, _reader) = sandbox.stuck("get jobs");
    sandbox.ok("get jobs -o /dev/null");
    kill(consumer);
    assert!(fs::metadata(sandbox.queues().join("jobs")).unwrap().len() > 1 << 20);
    state
}

/// Processes that were killed are counted as asleep.
pub(crate) fn waited_for(sandbox: &Sandbox) -> State {
    sandbox.ok("create jobs --max-items 1");
    kill(sandbox.asleep("get jobs"));
    sandbox.ok("put jobs one");
    kill(sandbox.asleep("put jobs two"));
    sandbox.ok("get jobs");
    kill(sandbox.asleep("get jobs"));
    State::Open(Vec::new())
}

/// A put was killed when it had committed and applied nothing of it yet.
pub(crate) fn torn(sandbox: &Sandbox) -> State {
    let state = several(sandbox);
    let put = trace(sandbox, Traced { arguments: "put jobs torn", input: b"", is_read: true }, Pace::Stores);
    let mut snapshot = put.before;
    let published = put.changes.iter().position(|change| field("commit").contains(&change.start)).unwrap();
    put.changes[..=published].iter().for_each(|change| snapshot.apply(change));
    fs::write(sandbox.queues().join("jobs"), &snapshot.image).unwrap();
    state.after(&Step::Puts(bodies(&["torn"])))
}

/// A directory of queues.
pub(crate) fn place(directory: PathBuf) -> Place {
    let ipcq_dir = Some(directory.into());
    Place::from(&Surroundings {
        ipcq_dir,
        access: Default::default(),
        tmpdir: None,
        uid: 0,
        shared_memory: PathBuf::new(),
    })
}

pub(crate) fn address(name: &str) -> Address {
    Address::parse(OsStr::new(name)).unwrap()
}

/// Where a field of the segment is.
pub(crate) fn field(name: &str) -> Range<usize> {
    let Field { offset, bytes, .. } = HOT_FIELDS.iter().find(|field| field.name == name).unwrap();
    *offset as usize..(offset + bytes) as usize
}
