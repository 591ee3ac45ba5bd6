//! What the process itself must see to: streams that were closed, a segment that shrinks under our hands,
//! a reader that has gone, signals, and a terminal that is to be left as it was found.
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
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

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
    restore_terminal();
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
    raise_unhandled(signal);
}

/// Stops as a program does that does not handle SIGTSTP, and returns when it is continued.
pub(super) fn stop() {
    if let Some(ours) = raise_unhandled(Signal::SIGTSTP) {
        // SAFETY: it was installed before.
        let _ = unsafe { sigaction(Signal::SIGTSTP, &ours) };
    }
}

/// Raises a signal with its default disposition; returns the one that it had.
fn raise_unhandled(signal: Signal) -> Option<SigAction> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default disposition runs no code of ours.
    let before = unsafe { sigaction(signal, &default) }.ok()?;
    let _ = raise(signal);
    Some(before)
}

/// The signals that ask a process to end.
const ENDINGS: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];
/// How many of them have come, and which was the last.
static ASKED_TO_END: AtomicU32 = AtomicU32::new(0);
static LAST_ENDING: AtomicI32 = AtomicI32::new(0);
/// The other signals that have come: bit N for number N.
static OTHERS: AtomicU64 = AtomicU64::new(0);
/// The descriptor of `Signals`, for the handlers.
static NOTIFIED: AtomicI32 = AtomicI32::new(-1);

/// Tells of signals that ask us to end, instead of ending, and of some others.
pub(super) struct Signals {
    event: EventFd,
}

impl Signals {
    /// Handles those signals and `others` from now on, but for those that whoever started us had us ignore. To be done
    /// once.
    pub(super) fn handle(others: &[Signal]) -> nix::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        NOTIFIED.store(event.as_raw_fd(), Ordering::SeqCst);
        let notify = SigAction::new(SigHandler::Handler(notify), SaFlags::empty(), SigSet::empty());
        for signal in ENDINGS.into_iter().chain(others.iter().copied()) {
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

    /// Whether another signal has come since this was last asked.
    pub(super) fn came(&self, signal: Signal) -> bool {
        let bit = 1_u64 << signal as u32;
        OTHERS.fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// Whether we have been asked to end.
    pub(super) fn asked() -> bool {
        ASKED_TO_END.load(Ordering::SeqCst) > 0
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
    if ENDINGS.iter().all(|ending| *ending as libc::c_int != signal) {
        OTHERS.fetch_or(1_u64 << signal, Ordering::SeqCst);
    } else {
        LAST_ENDING.store(signal, Ordering::SeqCst);
        ASKED_TO_END.fetch_add(1, Ordering::SeqCst);
    }
    let one = 1_u64.to_ne_bytes();
    // SAFETY: write is async-signal-safe; the bytes are ours.
    unsafe { libc::write(NOTIFIED.load(Ordering::SeqCst), one.as_ptr().cast(), one.len()) };
    errno.set();
}

/// What a terminal is to get back.
struct Found {
    modes: libc::termios,
    /// What undoes what was written to it.
    undo: &'static [u8],
}

/// The terminal that we have changed, if we have.
static FOUND: AtomicPtr<Found> = AtomicPtr::new(std::ptr::null_mut());

/// How long a terminal is waited for that takes nothing, when it is to be left.
const LEAVING: u16 = 1000;

/// Has the terminal hand over each key as it is pressed, and show none; the keys that interrupt or stop a program still
/// do. `undo` is what will have to be written to it at the end. Everything is undone by [`restore_terminal`], and if we
/// abort or a queue is truncated under our hands.
pub(super) fn take_terminal(undo: &'static [u8]) -> nix::Result<()> {
    let restore = SigAction::new(SigHandler::Handler(aborted), SaFlags::SA_RESETHAND, SigSet::empty());
    // SAFETY: all that the handler does is async-signal-safe; the process is aborted after it.
    unsafe { sigaction(Signal::SIGABRT, &restore) }?;
    // SAFETY: zeroes are a termios, which the call fills.
    let mut modes: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: it is ours.
    Errno::result(unsafe { libc::tcgetattr(0, &mut modes) })?;
    let mut raw = modes;
    // SAFETY: as above.
    unsafe { libc::cfmakeraw(&mut raw) };
    raw.c_lflag |= libc::ISIG;
    // First, so that there is no moment at which nobody would undo it. A few bytes that are not freed: a handler on
    // another thread may look at them.
    FOUND.store(Box::into_raw(Box::new(Found { modes, undo })), Ordering::SeqCst);
    // SAFETY: it is only read.
    match Errno::result(unsafe { libc::tcsetattr(0, libc::TCSANOW, &raw) }) {
        Ok(_) => Ok(()),
        Err(errno) => {
            FOUND.store(std::ptr::null_mut(), Ordering::SeqCst);
            Err(errno)
        }
    }
}

/// Whether the terminal is changed now.
pub(super) fn has_terminal() -> bool {
    !FOUND.load(Ordering::SeqCst).is_null()
}

/// Leaves the terminal as it was found, if it has been changed.
pub(super) fn restore_terminal() {
    let found = FOUND.swap(std::ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: what is stored there is null, or a box that is never freed.
    let Some(Found { modes, undo }) = (unsafe { found.as_ref() }) else { return };
    // What the terminal does not take is not worth waiting for.
    let mut output = libc::pollfd { fd: 1, events: libc::POLLOUT, revents: 0 };
    // SAFETY: all three are async-signal-safe, and given memory that is ours.
    unsafe {
        if libc::poll(&mut output, 1, LEAVING.into()) > 0 {
            libc::write(1, undo.as_ptr().cast(), undo.len());
        }
        libc::tcsetattr(0, libc::TCSANOW, modes);
    }
}

extern "C" fn aborted(signal: libc::c_int) {
    restore_terminal();
    // SAFETY: raise is async-signal-safe; the signal comes when this has returned, and is not handled again.
    unsafe { libc::raise(signal) };
}

/// The job server of the make that started us, if there is one. To be called before any file is opened: make names
/// descriptors, and does not always leave them open.
pub(super) fn job_server() -> jobserver::FromEnv {
    // SAFETY: no descriptor of ours is open yet, so one that is open and a pipe is the one that make means.
    unsafe { jobserver::Client::from_env_ext(true) }
}
