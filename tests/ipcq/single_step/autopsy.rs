//! What the next process finds in a segment that a dead one left behind.

use super::states::{Messages, State, address, binary_body, place};
use super::tracer::Snapshot;
use crate::harness::Sandbox;
use ipcq::address::Address;
use ipcq::error::Error;
use ipcq::lease::{Cause, End, LeaseId, Reason, Shelf};
use ipcq::message::Run;
use ipcq::open;
use ipcq::place::Place;
use ipcq::queue::{Otherwise, Queue, Taken, Want};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// All that can be seen of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) state: State,
    ids: Vec<u64>,
    /// Messages ready, leased, dead, put, got, purged and returned.
    figures: [u64; 7],
}

impl Sight {
    /// There is nothing more to be seen.
    pub(crate) fn of(state: State) -> Self {
        Sight { state, ids: Vec::new(), figures: [0; 7] }
    }
}

/// What is wrong with a copy.
pub(crate) type Wrong = String;

fn wrong(error: Error) -> Wrong {
    error.to_string()
}

/// Where copies of a segment are judged, with nothing but the library, as the next process would find them.
pub(crate) struct Copies {
    place: Place,
    address: Address,
    path: PathBuf,
}

impl Copies {
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        let directory = sandbox.path("copies");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("copy");
        Copies { place: place(directory), address: address("copy"), path }
    }

    /// What the next process finds if the last one died when this was there.
    pub(crate) fn judge(&self, snapshot: &Snapshot) -> Result<Sight, Wrong> {
        if snapshot.image.is_empty() {
            return Ok(Sight::of(State::Absent));
        }
        // A new file, on which nobody holds a lock: the dead process was the only one.
        let _ = fs::remove_file(&self.path);
        fs::write(&self.path, &snapshot.image).unwrap();
        self.is_sound()?;
        let sight = self.use_up()?;
        self.is_sound()?;
        // Without a name, those who had it open find all of it, or that it was removed; nobody else finds it.
        Ok(if snapshot.named { sight } else { Sight::of(State::Absent) })
    }

    /// Whether everything in the copy is as it must be, be it seen or not.
    fn is_sound(&self) -> Result<(), Wrong> {
        let found = open::verify(&self.place, &self.address, None).map_err(wrong)?;
        if found.is_sound() { Ok(()) } else { Err(format!("{:?}", found.findings)) }
    }

    /// Puts something, takes everything, and returns what was there before.
    fn use_up(&self) -> Result<Sight, Wrong> {
        let mut queue = open::open(&self.place, &self.address).map_err(wrong)?;
        let queue = queue.as_mut();
        let status = queue.status(None).map_err(wrong)?;
        end_leases(queue).map_err(wrong)?;
        queue.retry(None, None).map_err(wrong)?;
        match queue.resume(true, true, None) {
            Err(Error::Removed { .. }) => return Ok(Sight::of(State::Removed)),
            resumed => resumed.map_err(wrong)?,
        }
        let last = binary_body(700);
        let put = match queue.put(&Run::whole(&last), true, Some(Instant::now())) {
            Err(Error::Removed { .. }) => return Ok(Sight::of(State::Removed)),
            Err(Error::Closed { .. }) if status.closed => 0,
            put => put.map_err(wrong)?,
        };
        let mut messages = take_all(queue).map_err(wrong)?;
        if put == 1 && messages.pop().is_none_or(|(_, body)| body != last) {
            return Err("what was put last is not got last".into());
        }
        let (ids, messages): (Vec<u64>, Messages) = messages.into_iter().unzip();
        let after = queue.status(None).map_err(wrong)?;
        let (count, bytes) = (messages.len() as u64, messages.iter().map(Vec::len).sum::<usize>() as u64);
        let in_order = ids.is_sorted_by(|first, second| first < second);
        let gone = status.got + status.purged;
        let there = status.ready + status.leased + status.dead;
        let fits = (there, status.bytes, status.put) == (count, bytes, gone + count);
        let is_empty = (after.ready, after.leased, after.bytes, after.put) == (0, 0, 0, after.got + after.purged);
        if !(in_order && fits && is_empty && after.put == status.put + put) {
            return Err(format!("the messages {ids:?} of {bytes} bytes do not fit {status:?}, {after:?}"));
        }
        let state = if status.closed { State::Closed(messages) } else { State::Open(messages) };
        let figures =
            [status.ready, status.leased, status.dead, status.put, status.got, status.purged, status.returned];
        Ok(Sight { state, ids, figures })
    }
}

/// Gives back what is leased beyond the call that took it: nobody else is going to.
fn end_leases(queue: &mut dyn Queue) -> ipcq::error::Result<()> {
    let leased = queue.peek(Shelf::Leased, usize::MAX, None)?;
    let leases = leased.iter().map(|message| LeaseId { message: message.id, attempt: message.handed_out });
    let reason = Reason { cause: Cause::Returned, text: Vec::new() };
    let end = End::Again { delay: Duration::ZERO, max_attempts: None, reason };
    queue.end(&leases.collect::<Vec<_>>(), &end, None).map(drop)
}

/// The ids and the bodies of all messages.
fn take_all(queue: &mut dyn Queue) -> ipcq::error::Result<Vec<(u64, Vec<u8>)>> {
    let mut messages = Vec::new();
    while queue.take(Want { messages: u64::MAX, bytes: u64::MAX, singly: false }, Otherwise::Leave, None)?
        == Taken::Messages
    {
        let frames = queue.frames().to_vec();
        for (index, frame) in frames.iter().enumerate() {
            let mut payload = Vec::new();
            queue.read(index, &mut payload)?;
            messages.extend((frame.first_id..).zip(frame.run(&payload).messages().map(<[u8]>::to_vec)));
        }
        queue.settle(frames.iter().map(|frame| frame.count).sum(), true, None)?;
    }
    Ok(messages)
}
