//! Sleeping until something happens: output of a job, the end of one, a signal, a token of make's, and a message.
//!
//! All but messages are descriptors, which one `epoll` watches. Messages are announced by a word in a queue, on which
//! the thread of the worker sleeps; while it does, a second thread waits for the descriptors and changes a word
//! of ours, on which the first sleeps as well.

use crate::error::{Error, Result};
use crate::queue::{Deadline, Queue};
use crate::wait::{self, Watch};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::Thread;
use std::time::Instant;

/// Events that are looked at together.
const BATCH: usize = 64;

/// Which of its two outputs a job writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// Where something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A signal has come, or a child has ended.
    Signals,
    /// A token has come.
    Tokens,
    /// The job with this number has written, or closed its output.
    Output(usize, Stream),
}

impl Source {
    fn number(self) -> u64 {
        match self {
            Source::Signals => 0,
            Source::Tokens => 1,
            Source::Output(job, Stream::Out) => 2 + 2 * job as u64,
            Source::Output(job, Stream::Err) => 3 + 2 * job as u64,
        }
    }

    fn from_number(number: u64) -> Self {
        match number {
            0 => Source::Signals,
            1 => Source::Tokens,
            _ => {
                let stream = if number.is_multiple_of(2) { Stream::Out } else { Stream::Err };
                Source::Output((number / 2 - 1) as usize, stream)
            }
        }
    }
}

/// What both threads know.
struct Shared {
    epoll: Epoll,
    /// Changes when a descriptor is ready.
    word: AtomicU32,
    /// Whether the second thread is to wait for one.
    armed: AtomicBool,
}

/// All that can happen to a worker.
pub(super) struct Events {
    shared: Arc<Shared>,
    second: Option<Thread>,
    events: [EpollEvent; BATCH],
}

impl Events {
    pub(super) fn new() -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|errno| Error::io("watch jobs", errno))?;
        let shared = Shared { epoll, word: AtomicU32::new(0), armed: AtomicBool::new(false) };
        Ok(Events { shared: Arc::new(shared), second: None, events: [EpollEvent::empty(); BATCH] })
    }

    /// Watches `descriptor` until it is closed.
    pub(super) fn add(&self, descriptor: impl AsFd, source: Source) -> Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, source.number());
        self.shared.epoll.add(descriptor, event).map_err(|errno| Error::io("watch a job", errno))
    }

    /// What has happened.
    pub(super) fn ready(&mut self) -> Vec<Source> {
        self.wait_for_descriptors(EpollTimeout::ZERO)
    }

    /// Sleeps until something happens to a descriptor, and tells what.
    pub(super) fn wait(&mut self) -> Vec<Source> {
        self.wait_for_descriptors(EpollTimeout::NONE)
    }

    /// Sleeps until something happens, a message comes, or `deadline` passes, or just for a while. The queue has been
    /// looked at with its `watch` set.
    pub(super) fn wait_for_message(&mut self, queue: &dyn Queue, deadline: Deadline) -> Result<()> {
        let seen = self.shared.word.load(Ordering::Acquire);
        if !self.shared.armed.swap(true, Ordering::AcqRel) {
            self.second()?.unpark();
        }
        let ours = Watch::new(&self.shared.word, seen);
        let watches: Vec<Watch<'_>> = queue.watch().into_iter().chain([ours]).collect();
        let look_again = Instant::now() + queue.look_again();
        wait::sleep(&watches, Some(deadline.map_or(look_again, |deadline| deadline.min(look_again))));
        Ok(())
    }

    fn wait_for_descriptors(&mut self, timeout: EpollTimeout) -> Vec<Source> {
        // Interrupted is as good as woken: the caller looks at everything and comes back.
        let count = self.shared.epoll.wait(&mut self.events, timeout).unwrap_or(0);
        self.events[..count].iter().map(|event| Source::from_number(event.data())).collect()
    }

    fn second(&mut self) -> Result<&Thread> {
        let thread = match self.second.take() {
            Some(thread) => thread,
            None => {
                let shared = Arc::clone(&self.shared);
                let started = std::thread::Builder::new().stack_size(64 << 10).spawn(move || forward(&shared));
                started.map_err(|error| Error::io("start a thread", error))?.thread().clone()
            }
        };
        Ok(self.second.insert(thread))
    }
}

/// What the second thread does, until the process ends.
fn forward(shared: &Shared) {
    loop {
        while !shared.armed.load(Ordering::Acquire) {
            std::thread::park();
        }
        let mut descriptor = [PollFd::new(shared.epoll.0.as_fd(), PollFlags::POLLIN)];
        if poll(&mut descriptor, PollTimeout::NONE) == Err(Errno::EINTR) {
            continue;
        }
        shared.armed.store(false, Ordering::Release);
        shared.word.fetch_add(1, Ordering::AcqRel);
        wait::wake(&shared.word, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_a_number_of_its_own() {
        let outputs = (0..9).flat_map(|job| [Source::Output(job, Stream::Out), Source::Output(job, Stream::Err)]);
        for (number, source) in [Source::Signals, Source::Tokens].into_iter().chain(outputs).enumerate() {
            assert_eq!(source.number(), number as u64);
            assert_eq!(Source::from_number(number as u64), source);
        }
    }
}
