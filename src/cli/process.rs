//! What the process itself must see to: streams that were closed, a segment that shrinks under our hands,
//! a reader that has gone.
//!
//! The third room where `unsafe` is allowed, for descriptors and signals.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::io;
use std::os::fd::BorrowedFd;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU8, Ordering};

/// Bit N is set if descriptor N was closed when we were started.
static CLOSED_AT_START: AtomicU8 = AtomicU8::new(0);

/// To be called first: looks which standard streams are closed, and puts /dev/null in their place, so that no file
/// that is opened later is taken for one of them. Makes a broken pipe and a limit on the size of files errors that
/// can be handled, and a segment that is truncated under our hands one that can be read.
pub(super) fn prepare() {
    let mut closed = 0;
    for descriptor in 0..=2 {
        // SAFETY: F_GETFD only asks, and takes any number for a descriptor.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            closed |= 1 << descriptor;
            // SAFETY: opening touches no memory but the constant path. The lowest free number is
            // this one, for those below are open by now.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
    CLOSED_AT_START.store(closed, Ordering::Relaxed);
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    let report = SigAction::new(SigHandler::Handler(truncated), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only writes a constant and exits, both async-signal-safe. If one of them cannot
    // be installed, the default remains, which is to die.
    let _ = unsafe {
        (sigaction(Signal::SIGPIPE, &ignore), sigaction(Signal::SIGXFSZ, &ignore), sigaction(Signal::SIGBUS, &report))
    };
}

/// Whether standard input was closed when we were started.
pub(super) fn stdin_was_closed() -> bool {
    CLOSED_AT_START.load(Ordering::Relaxed) & 1 != 0
}

/// Whether standard output was closed when we were started.
pub(super) fn stdout_was_closed() -> bool {
    CLOSED_AT_START.load(Ordering::Relaxed) & 2 != 0
}

extern "C" fn truncated(_signal: libc::c_int) {
    const TEXT: &[u8] = b"ipcq: the queue's file was truncated while it was in use, or its disk failed\n";
    // SAFETY: write and _exit are async-signal-safe; the text is static.
    unsafe {
        libc::write(2, TEXT.as_ptr().cast(), TEXT.len());
        libc::_exit(2);
    }
}

/// Waits until a stream is ready that somebody has made non-blocking: we wait for it all the same.
pub(super) fn wait_until(ready: PollFlags, stream: BorrowedFd<'_>) -> nix::Result<()> {
    match poll(&mut [PollFd::new(stream, ready)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Starts a command that finds signals as we found them: a signal that is ignored stays so in another program.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither disposition runs code of ours. SIGPIPE is std's business, and a handler does not outlive exec.
    let ours = unsafe { sigaction(Signal::SIGXFSZ, &default) };
    let child = command.spawn();
    if let Ok(ours) = ours {
        // SAFETY: as above.
        let _ = unsafe { sigaction(Signal::SIGXFSZ, &ours) };
    }
    child
}

/// Ends as a program does whose reader has gone, quietly. Everything must have been settled before.
pub(super) fn die_of_broken_pipe() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of ours.
    if unsafe { sigaction(Signal::SIGPIPE, &default) }.is_ok() {
        let _ = raise(Signal::SIGPIPE);
    }
}
