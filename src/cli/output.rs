//! Where messages are written: standard output or a file; and how far writing got.

use super::exit::Exit;
use super::{Outcome, process};
use crate::error::{Error, Result};
use crate::name::printable;
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

/// The target of a get.
pub(super) struct Output {
    path: Option<PathBuf>,
    /// The file, once the first message has come: a get that finds nothing leaves it alone.
    file: Option<File>,
}

/// A write that did not get to its end.
pub(super) struct Unwritten {
    /// Bytes that were written.
    pub(super) written: usize,
    /// Why not more; `None`: whoever reads has gone.
    pub(super) error: Option<Error>,
}

impl Output {
    /// Standard output, or the file at `path`.
    ///
    /// # Errors
    /// When standard output is wanted and was closed: messages would be lost there.
    pub(super) fn new(path: Option<PathBuf>) -> Result<Self> {
        if path.is_none() && process::stdout_was_closed() {
            return Err(Error::Other(
                "standard output is closed: nothing was taken (redirect it, or use --output)".into(),
            ));
        }
        Ok(Output { path, file: None })
    }

    /// Writes all of `bytes`, or says how far it got.
    pub(super) fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), Unwritten> {
        self.write_unless(bytes, || false)
    }

    /// The same, which ends with an error when a signal interrupts it and `give_up` then says so.
    pub(super) fn write_unless(
        &mut self,
        bytes: &[u8],
        give_up: impl Fn() -> bool,
    ) -> std::result::Result<(), Unwritten> {
        let Output { path, file } = self;
        let name = || path.as_ref().map_or_else(|| "standard output".to_owned(), printable);
        let failed = |written, errno| match errno {
            Errno::EPIPE => Unwritten { written, error: None },
            _ => Unwritten { written, error: Some(Error::io(format!("write to {}", name()), errno)) },
        };
        if let (Some(path), None) = (&path, &file) {
            match File::create(path) {
                Ok(created) => *file = Some(created),
                Err(error) => {
                    return Err(Unwritten {
                        written: 0,
                        error: Some(Error::io(format!("open {}", printable(path)), error)),
                    });
                }
            }
        }
        let stdout = io::stdout();
        let descriptor = file.as_ref().map_or(stdout.as_fd(), AsFd::as_fd);
        write_to(descriptor, bytes, give_up).map_err(|(written, errno)| failed(written, errno))
    }

    /// Takes the last `bytes` bytes away again, where that is possible: they are the start of a
    /// message that will be delivered anew.
    pub(super) fn take_back(&mut self, bytes: usize) {
        if let Some(file) = &mut self.file
            && let Ok(position) = file.stream_position()
        {
            // On a pipe or a device this fails, and nothing can be done about it there.
            let _ = file.set_len(position.saturating_sub(bytes as u64));
        }
    }
}

/// Writes all of `bytes`, or says how far it got and why.
pub(super) fn write_to(
    descriptor: BorrowedFd<'_>,
    bytes: &[u8],
    give_up: impl Fn() -> bool,
) -> std::result::Result<(), (usize, Errno)> {
    let mut written = 0;
    while written < bytes.len() {
        match nix::unistd::write(descriptor, &bytes[written..]) {
            Ok(length) => written += length,
            Err(errno @ (Errno::EINTR | Errno::EAGAIN)) => {
                if errno == Errno::EAGAIN {
                    process::wait_until(PollFlags::POLLOUT, descriptor).map_err(|errno| (written, errno))?;
                }
                if give_up() {
                    return Err((written, Errno::EINTR));
                }
            }
            Err(errno) => return Err((written, errno)),
        }
    }
    Ok(())
}

/// Prints what a command has to say.
pub(super) fn print(text: &[u8]) -> Outcome {
    match Output::new(None)?.write(text) {
        Ok(()) => Ok(Exit::Done),
        Err(Unwritten { error: None, .. }) => Ok(Exit::BrokenPipe),
        Err(Unwritten { error: Some(error), .. }) => Err(error),
    }
}
