//! What the process itself must see to: streams that were closed, a segment that shrinks under our hands,
//! a reader that has gone.
//!
//! The third room where `unsafe` is allowed, for descriptors and signals.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};

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
    die_of(Signal::SIGPIPE);
}

/// Ends as a program does that does not handle this signal. Everything must have been settled before.
pub(super) fn die_of(signal: Signal) {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of ours.
    if unsafe { sigaction(signal, &default) }.is_ok() {
        let _ = raise(signal);
    }
}

/// The signals that ask a process to end.
const ENDINGS: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];
/// How many of them have come, and which was the last.
static ASKED_TO_END: AtomicU32 = AtomicU32::new(0);
static LAST_ENDING: AtomicI32 = AtomicI32::new(0);
/// The descriptor of `Signals`, for the handlers.
static NOTIFIED: AtomicI32 = AtomicI32::new(-1);

/// Tells of children that have ended, and of signals that ask us to end, instead of ending.
pub(super) struct Signals {
    event: EventFd,
}

impl Signals {
    /// Handles those signals from now on, but for those that whoever started us had us ignore. To be done once.
    pub(super) fn handle() -> nix::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        NOTIFIED.store(event.as_raw_fd(), Ordering::SeqCst);
        let notify = SigAction::new(SigHandler::Handler(notify), SaFlags::empty(), SigSet::empty());
        for signal in ENDINGS.into_iter().chain([Signal::SIGCHLD]) {
            // SAFETY: the handler uses atomics and write only, which are async-signal-safe.
            let before = unsafe { sigaction(signal, &notify) }?;
            if signal != Signal::SIGCHLD && matches!(before.handler(), SigHandler::SigIgn) {
                // SAFETY: ignoring a signal runs no code of ours.
                unsafe { sigaction(signal, &before) }?;
            }
        }
        Ok(Signals { event })
    }

    /// How often we have been asked to end, and by which signal last.
    pub(super) fn asked_to_end(&self) -> (u32, Option<Signal>) {
        (ASKED_TO_END.load(Ordering::SeqCst), Signal::try_from(LAST_ENDING.load(Ordering::SeqCst)).ok())
    }

    /// Whether we have been asked to end more than once: what cannot be finished now is to be given up.
    pub(super) fn insist() -> bool {
        ASKED_TO_END.load(Ordering::SeqCst) > 1
    }

    /// To be called before looking what has happened, so that what happens then is told again.
    pub(super) fn clear(&self) {
        // It is empty if nothing has happened, which is as well.
        let _ = self.event.read();
    }
}

impl AsFd for Signals {
    /// Readable when something has happened.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        NOTIFIED.store(-1, Ordering::SeqCst);
    }
}

extern "C" fn notify(signal: libc::c_int) {
    let errno = Errno::last();
    if signal != libc::SIGCHLD {
        LAST_ENDING.store(signal, Ordering::SeqCst);
        ASKED_TO_END.fetch_add(1, Ordering::SeqCst);
    }
    let one = 1_u64.to_ne_bytes();
    // SAFETY: write is async-signal-safe; the bytes are ours.
    unsafe { libc::write(NOTIFIED.load(Ordering::SeqCst), one.as_ptr().cast(), one.len()) };
    errno.set();
}

/// The job server of the make that started us, if there is one. To be called before any file is opened: make names
/// descriptors, and does not always leave them open.
pub(super) fn job_server() -> jobserver::FromEnv {
    // SAFETY: no descriptor of ours is open yet, so one that is open and a pipe is the one that make means.
    unsafe { jobserver::Client::from_env_ext(true) }
}
