//! What the threads of `top` tell the one that draws: a channel that also wakes whoever polls.

use crate::address::Address;
use crate::error::Result;
use crate::lease::Shelf;
use crate::queue::Status;
use nix::sys::eventfd::{EfdFlags, EventFd};
use ratatui::crossterm::event::KeyEvent;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// Something that has happened elsewhere.
pub(super) enum News {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size now.
    Resized,
    /// There are these queues.
    Listed(Vec<Address>),
    /// What queues there are cannot be told, for this reason.
    Unlisted(String),
    /// Queues were looked at.
    Read(Vec<Reading>),
    /// The one that was asked for was looked at in depth.
    Details(Details),
    /// What was ordered has been done, or could not be.
    Done(Done),
}

/// A queue was looked at.
pub(super) struct Reading {
    pub(super) address: Address,
    pub(super) at: Instant,
    pub(super) outcome: Result<Status>,
}

/// What is to be looked at in depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Focus {
    pub(super) address: Address,
    /// The messages that are to be seen.
    pub(super) shelf: Shelf,
}

/// What was seen there, in lines for people.
#[derive(Clone, Debug)]
pub(super) struct Details {
    pub(super) focus: Focus,
    /// Who waits, and who holds messages.
    pub(super) processes: Vec<String>,
    /// The first messages.
    pub(super) messages: Vec<String>,
}

/// A deed that has been done, or that has failed.
pub(super) struct Done {
    pub(super) address: Address,
    /// What was done, or why not, in a sentence.
    pub(super) outcome: std::result::Result<String, String>,
}

/// Where news come from.
#[derive(Clone)]
pub(super) struct Teller {
    sender: Sender<News>,
    bell: Arc<EventFd>,
}

/// Where they arrive; readable when there are some.
pub(super) struct Listener {
    receiver: Receiver<News>,
    bell: Arc<EventFd>,
}

/// The two ends.
pub(super) fn news() -> nix::Result<(Teller, Listener)> {
    let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
    let (sender, receiver) = channel();
    Ok((Teller { sender, bell: Arc::clone(&bell) }, Listener { receiver, bell }))
}

impl Teller {
    /// Tells; returns false if nobody listens any more.
    pub(super) fn tell(&self, news: News) -> bool {
        let told = self.sender.send(news).is_ok();
        // It fails only when it has rung very often and nobody has come: it is ringing, then.
        let _ = self.bell.write(1);
        told
    }
}

impl Listener {
    /// All there is by now.
    pub(super) fn take(&self) -> impl Iterator<Item = News> {
        // First, so that what comes meanwhile rings again. It fails if it has not rung, which is as well.
        let _ = self.bell.read();
        self.receiver.try_iter()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
