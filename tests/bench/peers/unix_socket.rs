//! A pair of Unix datagram sockets between two processes: whole messages, gone when a process that has read them dies.

use super::Pair;
use super::pipe::Ends;
use crate::tools::{Running, answering};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

/// Processes that answer at the other end of a pair of sockets.
pub(crate) fn start(count: usize) -> Pair {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let end = |socket: &UnixDatagram| OwnedFd::from(socket.try_clone().unwrap());
    let echo = |_| {
        let mut echo = answering();
        Running::start(echo.args(["descriptors", "sleeps"]).stdin(end(&theirs)).stdout(end(&theirs)))
    };
    let echoes = (0..count).map(echo).collect();
    (Box::new(Ends::new(end(&ours), end(&ours), false)), echoes)
}
