//! Looks at the queues again and again, in threads of its own, so that no queue ever stops the screen.
//!
//! One thread goes over all queues and looks into the one that is shown in depth. What is locked when it comes by it
//! leaves to a second thread, which waits for the locks: so one process that was stopped while it held a lock delays
//! the figures of the other queues once, and not at every look.

use super::super::{peek, stat};
use super::news::{Details, Focus, News, Reading, Teller};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::open;
use crate::place::Place;
use crate::queue::Status;
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant, SystemTime};

/// How long a queue may take while the others wait; one that a stopped process keeps locked does not take that long.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long what has been read may wait for what is being read.
const BATCH: Duration = Duration::from_millis(50);
/// Messages that are looked at: more than a high screen shows.
const MOST_MESSAGES: u64 = 60;
/// Bytes of messages that are to be looked at, about: whoever uses the queue waits meanwhile.
const MOST_BYTES: u64 = 1 << 20;
/// Messages that are this large on average are not looked at.
const TOO_LARGE: u64 = 16 << 20;
/// Processes that are named: more than a high screen shows.
const MOST_PROCESSES: usize = 60;

/// The one who is asked to look.
pub(super) struct Sampler {
    requests: Sender<Request>,
}

enum Request {
    Focus(Option<Focus>),
    Now,
}

impl Sampler {
    /// Starts to look at these queues, or at all there are, that often.
    pub(super) fn start(
        place: &Place,
        queues: Option<Vec<Address>>,
        every: Duration,
        teller: Teller,
    ) -> std::io::Result<Self> {
        let (requests, asked) = channel();
        let (locked, to_wait_for) = channel();
        let (unlocked, readable) = channel();
        let looker = Looker {
            place: place.clone(),
            queues,
            every,
            teller,
            focus: None,
            waited_for: HashSet::new(),
            locked,
            readable,
        };
        let place = place.clone();
        Builder::new().spawn(move || wait_for_locks(&place, every, &to_wait_for, &unlocked))?;
        Builder::new().spawn(move || looker.run(&asked))?;
        Ok(Sampler { requests })
    }

    /// Look into this one in depth from now on.
    pub(super) fn focus(&self, focus: Option<Focus>) {
        // Nobody looks any more only if the thread has died, and then the program has, too.
        let _ = self.requests.send(Request::Focus(focus));
    }

    /// Look at once.
    pub(super) fn look_now(&self) {
        let _ = self.requests.send(Request::Now);
    }
}

/// The thread that looks.
struct Looker {
    place: Place,
    queues: Option<Vec<Address>>,
    every: Duration,
    teller: Teller,
    focus: Option<Focus>,
    /// Queues that the other thread waits for.
    waited_for: HashSet<Address>,
    locked: Sender<Address>,
    readable: Receiver<Address>,
}

impl Looker {
    fn run(mut self, asked: &Receiver<Request>) {
        loop {
            let start = Instant::now();
            if !self.look_at_all() {
                return;
            }
            // However many queues there are, half of the time is left to others.
            let next = start + self.every.max(start.elapsed() * 2);
            loop {
                match asked.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Ok(request) => {
                        let is_due = [request].into_iter().chain(asked.try_iter()).fold(false, |is_due, request| {
                            match request {
                                Request::Focus(focus) => self.focus = focus,
                                Request::Now => return true,
                            }
                            is_due
                        });
                        if is_due {
                            break;
                        }
                        self.look_in_depth();
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    /// Goes over all queues. Returns false if nobody wants to know any more.
    fn look_at_all(&mut self) -> bool {
        for address in self.readable.try_iter() {
            self.waited_for.remove(&address);
        }
        let queues = match &self.queues {
            Some(queues) => queues.clone(),
            None => match open::list(&self.place) {
                Ok(names) => names.into_iter().map(Address::Named).collect(),
                Err(error) => return self.teller.tell(News::Unlisted(error.to_string())),
            },
        };
        if !self.teller.tell(News::Listed(queues.clone())) {
            return false;
        }
        self.look_in_depth();
        let (mut readings, mut told) = (Vec::new(), Instant::now());
        for address in queues {
            if self.waited_for.contains(&address) {
                continue;
            }
            let outcome = read(&self.place, &address);
            if matches!(outcome, Err(Error::LockTimeout { .. })) && self.locked.send(address.clone()).is_ok() {
                self.waited_for.insert(address.clone());
            }
            readings.push(Reading { address, at: Instant::now(), outcome });
            if told.elapsed() > BATCH {
                self.teller.tell(News::Read(std::mem::take(&mut readings)));
                told = Instant::now();
            }
        }
        self.teller.tell(News::Read(readings))
    }

    fn look_in_depth(&self) {
        let Some(focus) = &self.focus else { return };
        if self.waited_for.contains(&focus.address) {
            return;
        }
        // Why it cannot be read is told where all queues are gone over.
        if let Ok(details) = look_into(&self.place, focus) {
            self.teller.tell(News::Details(details));
        }
    }
}

/// Waits for the locks of queues that were locked when we came by, and says when they are no longer.
fn wait_for_locks(place: &Place, every: Duration, locked: &Receiver<Address>, unlocked: &Sender<Address>) {
    let mut waiting: Vec<Address> = Vec::new();
    loop {
        let more = if waiting.is_empty() {
            locked.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            locked.recv_timeout(every)
        };
        match more {
            Ok(address) => waiting.push(address),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        waiting.retain(|address| {
            let is_locked = matches!(read(place, address), Err(Error::LockTimeout { .. }));
            is_locked || unlocked.send(address.clone()).is_err()
        });
    }
}

fn read(place: &Place, address: &Address) -> Result<Status> {
    open::open_to_look(place, address)?.status(Some(Instant::now() + PATIENCE))
}

fn look_into(place: &Place, focus: &Focus) -> Result<Details> {
    let mut queue = open::open_to_look(place, &focus.address)?;
    let deadline = Some(Instant::now() + PATIENCE);
    let (status, participants) = queue.status_and_participants(deadline)?;
    let holders = stat::holders(&status, &participants).into_iter();
    let processes = holders.chain(stat::waiting(&participants)).take(MOST_PROCESSES).collect();
    let messages = match messages_to_look_at(&status) {
        0 => vec!["too large to be looked at all the time; see 'ipcq peek'".to_owned()],
        most => {
            let messages = queue.peek(focus.shelf, most, deadline)?;
            messages.iter().map(|message| peek::describe(focus.shelf, message, SystemTime::now())).collect()
        }
    };
    Ok(Details { focus: focus.clone(), processes, messages })
}

/// How many messages to look at, going by how large they are on average.
fn messages_to_look_at(status: &Status) -> usize {
    let count = status.ready.saturating_add(status.leased).saturating_add(status.delayed).saturating_add(status.dead);
    match status.bytes / count.max(1) {
        TOO_LARGE.. => 0,
        size => (MOST_BYTES / size.max(1)).clamp(1, MOST_MESSAGES) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::status;
    use super::*;

    #[test]
    fn of_large_messages_fewer_are_looked_at() {
        let of = |ready, bytes| messages_to_look_at(&Status { ready, bytes, ..status() });
        assert_eq!(of(0, 0), 60);
        assert_eq!(of(1000, 1000), 60);
        assert_eq!(of(10, 10 << 18), 4);
        assert_eq!(of(2, 2 << 22), 1);
        assert_eq!(of(1, 60 << 20), 0);
    }
}
