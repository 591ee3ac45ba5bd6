//! A pipe there and one back, between two processes.

use super::{Channel, MESSAGE, Pair};
use crate::tools::{Running, answering};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{ErrorKind, Read, Write, pipe, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};

pub(crate) const PROMISE: &str =
    "bytes; a pipe has no boundaries and a socket pair keeps datagrams; what was read by a process that dies is lost";

/// The ends of a process: to read from, and to write to.
pub(crate) struct Ends {
    from: File,
    to: File,
}

impl Ends {
    /// `spins` tries to read again and again instead of sleeping.
    pub(crate) fn new(from: OwnedFd, to: OwnedFd, spins: bool) -> Self {
        if spins {
            fcntl(&from, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        }
        Ends { from: from.into(), to: to.into() }
    }

    /// Those that this process was started with.
    pub(crate) fn standard(spins: bool) -> Self {
        let own = |descriptor: std::os::fd::BorrowedFd| descriptor.try_clone_to_owned().unwrap();
        Ends::new(own(stdin().as_fd()), own(stdout().as_fd()), spins)
    }
}

impl Channel for Ends {
    fn send(&mut self) {
        self.to.write_all(&MESSAGE).unwrap();
    }

    fn receive(&mut self) {
        let mut message = [0; MESSAGE.len()];
        loop {
            match self.from.read(&mut message) {
                Ok(length) => return assert_eq!(length, MESSAGE.len()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Processes that answer between two pipes.
pub(crate) fn start(count: usize, spins: bool) -> Pair {
    let ((from_us, to_them), (from_them, to_us)) = (pipe().unwrap(), pipe().unwrap());
    let echo = |_| {
        let mut echo = answering();
        echo.args(["descriptors", if spins { "spins" } else { "sleeps" }]);
        Running::start(echo.stdin(from_us.try_clone().unwrap()).stdout(to_us.try_clone().unwrap()))
    };
    let echoes = (0..count).map(echo).collect();
    (Box::new(Ends::new(from_them.into(), to_them.into(), spins)), echoes)
}
