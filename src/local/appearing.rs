//! Waiting for a queue that is yet to be created.

use super::LocalQueue;
use super::file::SegmentFile;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::queue::Deadline;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long to sleep where nothing tells that something has changed: the directory is not there, or no more
/// directories can be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl LocalQueue {
    /// Waits until there is a queue at `address`. Returns false if the deadline passes before that.
    ///
    /// # Errors
    /// What prevents opening it, but for that it is not there.
    pub fn wait_until_it_exists(place: &Place, address: &Address, deadline: Deadline) -> Result<bool> {
        let directory = SegmentFile::new(place, address).directory().to_owned();
        loop {
            // Watched before looking, so that nothing happens in between.
            let watched = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).and_then(|inotify| {
                let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE_SELF;
                inotify.add_watch(&directory, flags).map(|_| inotify)
            });
            match LocalQueue::open(place, address) {
                Ok(_) => return Ok(true),
                Err(Error::NoSuchQueue { .. }) => {}
                Err(error) => return Err(error),
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            match watched {
                Ok(inotify) => sleep(&inotify, left)?,
                Err(_) => std::thread::sleep(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN))),
            }
        }
    }
}

/// Sleeps until something happens in a watched directory.
fn sleep(inotify: &Inotify, left: Option<Duration>) -> Result<()> {
    let timeout = left.map_or(PollTimeout::NONE, |left| {
        // Rounded up: with a little too early an end, the last millisecond would be spent looking.
        PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(Error::io("wait for a queue", errno)),
    }
}
