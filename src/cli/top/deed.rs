//! What can be done to a queue from the screen: how it is asked for, and doing it.
//!
//! Each deed has a thread of its own, for its queue may be locked, and the screen has to go on.

use super::super::purge;
use super::super::steer::PATIENCE;
use super::news::{Done, News, Teller};
use crate::address::Address;
use crate::error::Result;
use crate::lease::Shelf;
use crate::open;
use crate::place::Place;
use crate::queue::{Queue, Status};
use std::thread::Builder;
use std::time::Instant;

/// Something to be done to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Pause,
    Resume,
    Close,
    /// Remove what is ready or delayed.
    PurgeWaiting,
    /// Remove what is dead.
    PurgeDead,
    Retry,
}

impl Deed {
    /// How often it has to be agreed to: what cannot be undone is not done by a slip.
    pub(super) fn questions(self) -> usize {
        match self {
            Deed::Pause | Deed::Resume | Deed::Retry => 0,
            Deed::Close => 1,
            Deed::PurgeWaiting | Deed::PurgeDead => 2,
        }
    }

    /// The question that is asked first.
    pub(super) fn question(self, address: &Address, status: &Status) -> String {
        let messages = |count: u64| format!("{count} {}", if count == 1 { "message" } else { "messages" });
        match self {
            Deed::PurgeWaiting => {
                let waiting = messages(status.ready.saturating_add(status.delayed));
                format!("Remove what waits (now {waiting}) in '{address}'?")
            }
            Deed::PurgeDead => format!("Remove what is dead (now {}) in '{address}'?", messages(status.dead)),
            Deed::Close => format!("Close '{address}' for good?"),
            _ => format!("{} '{address}'?", self.name()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Deed::Pause => "Pause",
            Deed::Resume => "Resume",
            Deed::Close => "Close",
            Deed::PurgeWaiting | Deed::PurgeDead => "Purge",
            Deed::Retry => "Retry",
        }
    }

    /// Does it, in a thread of its own, which tells how that went.
    pub(super) fn start(self, place: &Place, address: Address, teller: &Teller) -> std::io::Result<()> {
        let (place, teller) = (place.clone(), teller.clone());
        let thread = move || {
            let done = open::open(&place, &address).and_then(|mut queue| self.perform(queue.as_mut()));
            let outcome = match done {
                Ok(done) => Ok(format!("'{address}': {done}")),
                Err(error) => Err(error.to_string()),
            };
            teller.tell(News::Done(Done { address, outcome }));
        };
        Builder::new().spawn(thread).map(drop)
    }

    fn perform(self, queue: &mut dyn Queue) -> Result<String> {
        let deadline = Instant::now().checked_add(PATIENCE);
        let mut purge = |shelves: &[Shelf]| -> Result<String> {
            let mut purged: u64 = 0;
            for shelf in shelves {
                purged = purged.saturating_add(queue.purge(*shelf, deadline)?);
            }
            Ok(format!("{purged} purged"))
        };
        match self {
            Deed::PurgeWaiting => purge(&purge::WAITING),
            Deed::PurgeDead => purge(&[Shelf::Dead]),
            Deed::Pause => queue.pause(true, true, deadline).map(|()| "paused, puts and gets wait".to_owned()),
            Deed::Resume => queue.resume(true, true, deadline).map(|()| "resumed".to_owned()),
            Deed::Close => queue.close(deadline).map(|()| "closed".to_owned()),
            Deed::Retry => queue.retry(None, deadline).map(|retried| format!("{retried} retried")),
        }
    }
}
