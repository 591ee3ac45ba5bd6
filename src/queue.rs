//! What a queue can do, whatever it is kept in, and waiting on several.

use crate::error::Result;
use crate::lease::{End, Ended, Holder, LeaseId, Peeked, Shelf, Source, Terms};
use crate::message::{Framing, Run};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::wait::{self, Watch};

/// When waiting ends; `None` is never.
pub type Deadline = Option<Instant>;

/// How much a get takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// At most this many messages; at least 1.
    pub messages: u64,
    /// No further run of messages once this many bytes have been taken.
    pub bytes: u64,
    /// Each message by itself, so that each can be kept and ended on its own.
    pub singly: bool,
}

/// What there was to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Messages are leased to us: see [`Queue::frames`].
    Messages,
    /// None are ready now.
    Nothing,
    /// None are ready and none will be: the queue is closed and drained.
    Drained,
}

/// A leased run of messages.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The id of the first message; those of the others follow.
    pub first_id: u64,
    /// Number of messages.
    pub count: u64,
    /// How often they have been handed out since they were put or last retried, this time included.
    pub attempt: u32,
    /// How often they have been handed out in all, this time included: names the lease of each.
    pub handed_out: u32,
    /// How they are told apart.
    pub framing: Framing,
    /// Whether each is compact JSON.
    pub json: bool,
}

impl Frame {
    /// The frame's messages, given its payload.
    pub fn run<'a>(&self, payload: &'a [u8]) -> Run<'a> {
        Run::stored(payload, self.framing, self.count, self.json)
    }
}

/// The figures of a queue at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Where the queue is.
    pub path: PathBuf,
    /// Messages that can be got now.
    pub ready: u64,
    /// Messages that consumers have and have not finished with.
    pub leased: u64,
    /// Messages that become ready at a known time.
    pub delayed: u64,
    /// Messages given up on.
    pub dead: u64,
    /// Bytes of all messages.
    pub bytes: u64,
    /// Bytes that all messages may have.
    pub capacity: u64,
    /// Messages that may wait.
    pub max_items: Option<u64>,
    /// A put that has returned survives a power failure.
    pub durable: bool,
    /// Puts are refused.
    pub closed: bool,
    /// Puts wait until they are resumed.
    pub puts_paused: bool,
    /// Gets wait until they are resumed.
    pub gets_paused: bool,
    /// Messages put since the queue was created.
    pub put: u64,
    /// Messages got and finished with.
    pub got: u64,
    /// Messages that came back unfinished.
    pub returned: u64,
    /// Kept leases that ran out.
    pub expired: u64,
    /// Messages that became dead; those that were retried are counted, too.
    pub died: u64,
    /// Messages that were removed by a purge.
    pub purged: u64,
    /// Messages put a second, as of late.
    pub put_rate: f64,
    /// Messages finished with a second, as of late.
    pub got_rate: f64,
    /// When the oldest message that is ready was put.
    pub oldest: Option<SystemTime>,
    /// The most bytes that all messages ever had.
    pub high_water: u64,
    /// When the queue was created.
    pub created: SystemTime,
    /// Producers whose end closes a queue that closes itself.
    pub producers: u64,
}

/// A process that holds messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Its number, as it sees it itself.
    pub pid: u32,
    /// Whether it lives; if not, the next get gives its messages back.
    pub lives: bool,
    /// How many it holds.
    pub messages: u64,
    /// Since when it has held the one that it has held longest.
    pub since: SystemTime,
}

/// Who takes part in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Participants {
    /// Processes that wait for messages.
    pub waiting_consumers: Vec<u32>,
    /// Processes that wait for room.
    pub waiting_producers: Vec<u32>,
    /// Processes that wait until everything has been finished with.
    pub waiting_joiners: Vec<u32>,
    /// Processes that hold messages.
    pub holders: Vec<Holding>,
    /// Processes whose end closes a queue that closes itself.
    pub producers: Vec<u32>,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A message can be got.
    Ready,
    /// No message is ready or delayed.
    Empty,
    /// Puts are refused.
    Closed,
}

/// Something in a queue that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field's name, for a local queue as in ipcq-segment(5).
    pub field: &'static str,
    /// What it says, as the end of a sentence that begins with the name.
    pub problem: String,
}

/// What verifying a queue found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Where the queue is.
    pub path: PathBuf,
    /// What is wrong; of very much, the first of it.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more_findings: u64,
    /// A process died in the middle of a change; the next command finishes that.
    pub unfinished: bool,
    /// Processes that died with leases; the next get gives those back.
    pub dead_owners: u64,
    /// Messages that can be got now.
    pub ready: u64,
    /// Messages that consumers have and have not finished with.
    pub leased: u64,
    /// Messages that become ready at a known time.
    pub delayed: u64,
    /// Messages given up on.
    pub dead: u64,
    /// Bytes of all messages.
    pub bytes: u64,
    /// Puts are refused.
    pub closed: bool,
}

impl Verification {
    /// Whether nothing is wrong. What the next command puts right by itself is not wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What every queue can do. Operations that wait take a deadline; for all but `put` and `take` there is only the lock
/// to wait for, for which all wait a quarter of a second at least.
pub trait Queue {
    /// The name by which the user knows it.
    fn name(&self) -> &str;

    /// Bytes that all messages together may have.
    fn capacity(&self) -> u64;

    /// Puts the messages of `run` in order, waiting for room, and returns how many were put: fewer
    /// than all only if the deadline has passed. With `together` they are put all at once, or none
    /// is, where that can ever be.
    ///
    /// # Errors
    /// `Closed`, `Removed`; with both, nothing of what was not put before is put. `LockTimeout`; then nothing was put.
    fn put(&mut self, run: &Run<'_>, together: bool, deadline: Deadline) -> Result<u64>;

    /// Whether [`Queue::put_from`] is of use.
    fn takes_bulk(&self) -> bool {
        false
    }

    /// Puts what can be read from `input` in bulk, as long as that is simple and can be done without waiting. `rest` is
    /// what was read of it before and not put; afterwards it is what has been read and not put then. Returns the
    /// number of messages that were put.
    ///
    /// # Errors
    /// Whatever prevents reading or putting; the bytes that were read last are lost then, as they are with this process.
    fn put_from(&mut self, _input: Input<'_>, _rest: &mut Vec<u8>) -> Result<u64> {
        Ok(0)
    }

    /// Leases ready messages, which [`Queue::frames`] then lists. What was leased before must have been
    /// settled, or be about to be ([`Queue::settle_at_next_take`]). `otherwise` is what the caller does if there are none.
    ///
    /// # Errors
    /// `Removed`, and whatever prevents looking.
    fn take(&mut self, want: Want, otherwise: Otherwise, deadline: Deadline) -> Result<Taken>;

    /// What is leased to us, in order.
    fn frames(&self) -> &[Frame];

    /// Appends the payload of the leased frame at `index` to `buffer`.
    ///
    /// # Errors
    /// `Damaged` if it is not what was put.
    fn read(&mut self, index: usize, buffer: &mut Vec<u8>) -> Result<()>;

    /// Ends the leases: the first `delivered` messages are done with, the others are ready again in
    /// their old place. With `stay`, further takes are to be expected soon.
    ///
    /// # Errors
    /// `GivenToOthers`; then the leases have ended all the same. Whatever prevents it; the messages are then delivered again.
    fn settle(&mut self, delivered: u64, stay: bool, deadline: Deadline) -> Result<()>;

    /// The same with `stay`, but the queue may leave it to the next take and do it at one go with that. Whatever is asked
    /// of it in between finds the messages leased; a queue that is dropped settles them.
    ///
    /// # Errors
    /// Those of [`Queue::settle`].
    fn settle_at_next_take(&mut self, delivered: u64, deadline: Deadline) -> Result<()> {
        self.settle(delivered, true, deadline)
    }

    /// Keeps the leases of the first `kept` messages, which were taken singly, on these terms; the others are
    /// ready again in their old place. With `stay`, further takes are to be expected soon.
    ///
    /// # Errors
    /// When the holder is not a process that lives, and whatever prevents it; the messages are then delivered again.
    fn keep(&mut self, kept: u64, terms: Terms, stay: bool, deadline: Deadline) -> Result<()>;

    /// Whether leases can be kept for `holder`; to be asked before messages are taken for it.
    ///
    /// # Errors
    /// When it is not a process that lives.
    fn check_holder(&self, holder: Holder) -> Result<()>;

    /// Ends leases that were kept, of this process or of another: all of them, or none.
    ///
    /// # Errors
    /// `NotLeased` if one of them is no lease now.
    fn end(&mut self, leases: &[LeaseId], end: &End, deadline: Deadline) -> Result<Ended>;

    /// The message of a kept lease, as another queue has to know it to prepare messages that depend on it.
    ///
    /// # Errors
    /// When its path is too long to be noted.
    fn source(&self, lease: LeaseId) -> Result<Source>;

    /// Puts a message as [`Queue::put`] does, but so that it is not to be seen before `source` has been finished
    /// with. Whoever finds us dead then publishes it or drops it. Returns what to publish; `None`: the deadline has
    /// passed, and there was no room.
    ///
    /// # Errors
    /// Those of [`Queue::put`].
    fn prepare(&mut self, run: &Run<'_>, source: &Source, deadline: Deadline) -> Result<Option<u64>>;

    /// Makes what was prepared ready, or, without `publish`, drops it.
    ///
    /// # Errors
    /// Whatever prevents it; others do it then when we have died.
    fn resolve(&mut self, prepared: u64, publish: bool, deadline: Deadline) -> Result<()>;

    /// Lets kept leases run until this much time from now, whatever they were to run before: all of them, or none.
    ///
    /// # Errors
    /// `NotLeased` if one of them is no lease now.
    fn extend(&mut self, leases: &[LeaseId], by: Duration, deadline: Deadline) -> Result<()>;

    /// The attempts after which a message is dead; `None`: it never is by itself.
    fn max_attempts(&self) -> Option<u32>;

    /// How long a lease runs, unless it is said otherwise.
    fn default_lease(&self) -> Option<Duration>;

    /// Looks at the first `most` messages of a shelf: ready ones in their order, leased and delayed ones by when
    /// that ends, dead ones by when they died.
    ///
    /// # Errors
    /// Whatever prevents looking.
    fn peek(&mut self, shelf: Shelf, most: usize, deadline: Deadline) -> Result<Vec<Peeked>>;

    /// Makes dead messages ready again in their old places, as if they had never been handed out: those with these
    /// ids, all of them or none, or every one there is. Returns how many.
    ///
    /// # Errors
    /// `NotDead` if one of them is not dead.
    fn retry(&mut self, ids: Option<&[u64]>, deadline: Deadline) -> Result<u64>;

    /// Removes a dead message as [`End::HandedOn`] does a leased one: one that has been handed out as often as this says.
    ///
    /// # Errors
    /// `NotDead` if it is none.
    fn hand_on_dead(&mut self, dead: LeaseId, deadline: Deadline) -> Result<()>;

    /// Forgets that a message was handed on: what was prepared for it has been published.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn forget_handed_on(&mut self, lease: LeaseId, deadline: Deadline) -> Result<()>;

    /// The figures and who takes part, at the same instant.
    ///
    /// # Errors
    /// Whatever prevents looking.
    fn status_and_participants(&mut self, deadline: Deadline) -> Result<(Status, Participants)>;

    /// Waits until a condition holds. Returns false if the deadline passes before that.
    ///
    /// # Errors
    /// `Removed`, and whatever prevents looking.
    fn wait(&mut self, condition: Condition, deadline: Deadline) -> Result<bool>;

    /// Lets puts, or gets, or both, wait until they are resumed.
    ///
    /// # Errors
    /// `Removed`, and whatever prevents it.
    fn pause(&mut self, puts: bool, gets: bool, deadline: Deadline) -> Result<()>;

    /// Lets them go on.
    ///
    /// # Errors
    /// `Removed`, and whatever prevents it.
    fn resume(&mut self, puts: bool, gets: bool, deadline: Deadline) -> Result<()>;

    /// Removes all messages of a shelf, which cannot be that of the leased. Returns how many.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn purge(&mut self, shelf: Shelf, deadline: Deadline) -> Result<u64>;

    /// Removes messages whose bytes are not those that were put, from the front up to the first that can be got.
    /// Returns how many. A backend that keeps messages whole by other means has none.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn purge_damaged(&mut self, _deadline: Deadline) -> Result<u64> {
        Ok(0)
    }

    /// Waits until every message put so far has been finished with: it has left the queue, or is dead. Returns false if
    /// the deadline passes before that. Calls `look` at every look.
    ///
    /// # Errors
    /// `Removed`, and whatever prevents looking.
    fn join(&mut self, deadline: Deadline, look: &mut dyn FnMut(&Status)) -> Result<bool>;

    /// Counts as a producer until the queue is dropped. Of a queue that closes itself, the end of its last producer
    /// is the end.
    ///
    /// # Errors
    /// `Closed`, `Removed`, and whatever prevents it.
    fn produce(&mut self, deadline: Deadline) -> Result<()>;

    /// What to watch, or to sleep on, after a take found nothing.
    fn watch(&self) -> Option<Watch<'_>>;

    /// How long a sleep may last at most before the next look.
    fn look_again(&self) -> Duration;

    /// Refuses puts from now on.
    ///
    /// # Errors
    /// `Removed`, and whatever prevents it.
    fn close(&mut self, deadline: Deadline) -> Result<()>;

    /// The figures.
    ///
    /// # Errors
    /// Whatever prevents looking.
    fn status(&mut self, deadline: Deadline) -> Result<Status>;
}

/// The limits and permissions of a queue to be created.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that all messages together may have.
    pub capacity: u64,
    /// Messages that may wait.
    pub max_items: Option<u64>,
    /// Permissions of the file.
    pub mode: u32,
    /// Whether changes have to be on the disk before they count.
    pub durable: bool,
    /// How long a lease runs, unless it is said otherwise.
    pub lease: Option<Duration>,
    /// The attempts after which a message is dead.
    pub max_attempts: Option<u32>,
    /// Whether the queue closes itself when its last producer is gone.
    pub auto_close: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            capacity: 64 << 20,
            max_items: None,
            mode: 0o600,
            durable: false,
            lease: None,
            max_attempts: None,
            auto_close: false,
        }
    }
}

/// A stream of which a read, or a put, has so many bytes moves in bulk.
pub const BULK: u64 = 32 << 10;

/// What messages are read from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// An open file.
    pub descriptor: BorrowedFd<'a>,
    /// What it is called in a sentence.
    pub name: &'a str,
    /// How the messages in it are told apart; not `Whole`.
    pub framing: Framing,
}

/// What a process does that finds nothing to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It does not wait, or looks again by itself.
    Leave,
    /// It watches [`Queue::watch`] for a moment and takes again.
    Spin,
    /// It sleeps on [`Queue::watch`] until [`Queue::look_again`].
    Sleep,
}

/// What [`take_from_first`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The queue at this index has leased messages to us.
    Messages(usize),
    /// The time is over.
    Nothing,
    /// All queues are closed and drained.
    Drained,
}

/// Finishes with the message of a kept lease and puts another message into another queue, together: whenever this process
/// dies, either both have happened or neither. Returns false if the deadline has passed and there was no room; then
/// nothing has happened.
///
/// # Errors
/// Those of [`Queue::prepare`] and [`Queue::end`]; then neither has happened.
pub fn hand_on(
    from: &mut dyn Queue,
    lease: LeaseId,
    to: &mut dyn Queue,
    run: &Run<'_>,
    deadline: Deadline,
) -> Result<bool> {
    hand_on_when(from, lease, |from| from.end(&[lease], &End::HandedOn, None).map(drop), to, run, deadline)
}

/// The same for a dead message, which is removed.
///
/// # Errors
/// Those of [`Queue::prepare`] and [`Queue::hand_on_dead`]; then neither has happened.
pub fn hand_on_dead(
    from: &mut dyn Queue,
    dead: LeaseId,
    to: &mut dyn Queue,
    run: &Run<'_>,
    deadline: Deadline,
) -> Result<bool> {
    hand_on_when(from, dead, |from| from.hand_on_dead(dead, None), to, run, deadline)
}

fn hand_on_when(
    from: &mut dyn Queue,
    lease: LeaseId,
    finish: impl FnOnce(&mut dyn Queue) -> Result<()>,
    to: &mut dyn Queue,
    run: &Run<'_>,
    deadline: Deadline,
) -> Result<bool> {
    let source = from.source(lease)?;
    let Some(prepared) = to.prepare(run, &source, deadline)? else { return Ok(false) };
    if let Err(error) = finish(from) {
        to.resolve(prepared, false, None)?;
        return Err(error);
    }
    to.resolve(prepared, true, None)?;
    from.forget_handed_on(lease, None)?;
    Ok(true)
}

/// How long to watch for an answer before sleeping: about what waking a sleeper takes.
pub const SPIN: Duration = Duration::from_micros(20);

/// The same for whoever has just got messages in bulk: about what it takes to read and copy as many. A producer that had
/// to wake a sleeper for each of its runs would be slower by some hundredths.
pub const SPIN_IN_BULK: Duration = Duration::from_micros(100);

/// Takes from the first of `queues` that has a message, in their order, waiting for one.
/// Who stays watches for as long as `spin` says before it sleeps.
///
/// # Errors
/// Those of [`Queue::take`].
pub fn take_from_first(
    queues: &mut [Box<dyn Queue>],
    want: Want,
    spin: Option<Duration>,
    deadline: Deadline,
) -> Result<Found> {
    let may_wait = deadline.is_none_or(|deadline| deadline > Instant::now());
    let mut otherwise = match (may_wait, spin) {
        (false, _) => Otherwise::Leave,
        (true, None) => Otherwise::Sleep,
        // Whoever has found something in one of several queues comes late to the others.
        (true, Some(_)) if queues.len() > 1 => Otherwise::Leave,
        (true, Some(_)) => Otherwise::Spin,
    };
    loop {
        let mut drained = 0;
        for (index, queue) in queues.iter_mut().enumerate() {
            match queue.take(want, otherwise, deadline)? {
                Taken::Messages => return Ok(Found::Messages(index)),
                Taken::Nothing => {}
                Taken::Drained => drained += 1,
            }
        }
        if drained == queues.len() {
            return Ok(Found::Drained);
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(Found::Nothing);
        }
        let watches: Vec<Watch<'_>> = queues.iter().filter_map(|queue| queue.watch()).collect();
        if otherwise != Otherwise::Sleep {
            // Nobody has been told that we sleep, so whoever puts now need not wake us.
            wait::spin(&watches, spin.unwrap_or_default());
            otherwise = Otherwise::Sleep;
            continue;
        }
        let look_again = queues.iter().map(|queue| queue.look_again()).min().unwrap_or(Duration::from_secs(1));
        let wake_up = deadline.map_or(now + look_again, |deadline| deadline.min(now + look_again));
        wait::sleep(&watches, Some(wake_up));
    }
}
