//! Where the output of jobs goes: our own, each job's as one piece or line by line.

use super::super::exit::report;
use super::super::output::{Output, Unwritten, write_to};
use super::super::process::Signals;
use super::super::progress::Progress;
use super::collected::Collected;
use super::events::Stream;
use crate::error::{Error, Result};
use crate::reserve::reserve;
use nix::sys::stat::fstat;
use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;

/// Why standard output cannot be written to.
#[derive(Debug)]
pub(super) enum Broken {
    /// Whoever read it has gone.
    Pipe,
    /// Something else, which nobody has been told yet.
    Failed(Error),
    /// Something that has been told, or need not be.
    Told,
}

/// Our standard output and standard error.
pub(super) struct Sinks {
    out: Output,
    pub(super) progress: Progress,
    broken: Option<Broken>,
    /// Whether both lead to the same place, as a terminal.
    are_one: bool,
    /// Whether a job has left a line unended where reports go.
    is_unended: bool,
}

impl Sinks {
    pub(super) fn new(progress: Progress) -> Result<Self> {
        Ok(Sinks { out: Output::new(None)?, progress, broken: None, are_one: are_one(), is_unended: false })
    }

    /// Writes what `pieces` hands to the function it is given, which returns false if it could not be written to standard
    /// output. Complaints that nobody reads change nothing. Nothing else is written in between.
    pub(super) fn write(&mut self, stream: Stream, pieces: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        let Sinks { out, progress, broken, are_one, is_unended } = self;
        progress.aside(|| {
            let written = pieces(&mut |bytes| {
                if let Some(last) = bytes.last().filter(|_| stream == Stream::Err || *are_one) {
                    *is_unended = *last != b'\n';
                }
                match stream {
                    Stream::Err => {
                        let _ = write_to(io::stderr().as_fd(), bytes, Signals::insist);
                        true
                    }
                    Stream::Out => write_out(out, broken, bytes),
                }
            });
            if progress.is_bar() {
                end_line(is_unended);
            }
            written
        })
    }

    /// Why standard output cannot be written to, if it cannot.
    pub(super) fn broken(&mut self) -> Option<Broken> {
        let told = match self.broken.as_ref()? {
            Broken::Pipe => Broken::Pipe,
            _ => Broken::Told,
        };
        self.broken.replace(told)
    }

    /// Says something to the user, on a line of its own.
    pub(super) fn report(&mut self, what: impl Display) {
        end_line(&mut self.is_unended);
        self.progress.aside(|| report(what));
    }

    /// To be called when there is no more to write: what is reported after it is on a line of its own.
    pub(super) fn end(&mut self) {
        self.progress.end();
        end_line(&mut self.is_unended);
    }
}

/// Writes bytes to standard output; false if that cannot be done, for the reason that is `broken` then.
fn write_out(out: &mut Output, broken: &mut Option<Broken>, bytes: &[u8]) -> bool {
    if broken.is_some() {
        return false;
    }
    let Err(Unwritten { error, .. }) = out.write_unless(bytes, Signals::insist) else { return true };
    *broken = Some(match error {
        None => Broken::Pipe,
        // The signals that interrupted it say what happens next.
        Some(Error::Io { source, .. }) if source.kind() == io::ErrorKind::Interrupted => Broken::Told,
        Some(error) => Broken::Failed(error),
    });
    false
}

/// Ends the line that a job has left unended where reports go and the bar is, if it has.
fn end_line(is_unended: &mut bool) {
    if std::mem::take(is_unended) {
        let _ = write_to(io::stderr().as_fd(), b"\n", Signals::insist);
    }
}

/// Whether standard output and standard error are the same file, pipe or terminal.
fn are_one() -> bool {
    let [out, err] = [fstat(io::stdout()), fstat(io::stderr())];
    matches!((out, err), (Ok(out), Ok(err)) if (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino))
}

/// The output of a job on its way to a sink.
pub(super) struct Route {
    stream: Stream,
    /// What each line starts with; `None`: all is written as one piece at the end.
    tag: Option<Vec<u8>>,
    collected: Collected,
    /// It is not written at all, but kept.
    is_kept: bool,
}

impl Route {
    pub(super) fn new(stream: Stream, tag: Option<Vec<u8>>) -> Self {
        Route { stream, tag, collected: Collected::default(), is_kept: false }
    }

    /// One that leads nowhere: what comes is kept.
    pub(super) fn kept() -> Self {
        Route { is_kept: true, ..Route::new(Stream::Out, None) }
    }

    /// What was kept.
    pub(super) fn take(&mut self) -> Result<Vec<u8>> {
        let (mut all, mut failure) = (Vec::new(), Ok(()));
        let is_whole = self.collected.drain(|piece| {
            failure = reserve(&mut all, piece.len() as u64);
            if failure.is_ok() {
                all.extend_from_slice(piece);
            }
            failure.is_ok()
        });
        failure?;
        if !is_whole {
            return Err(Error::Other("what a job has written cannot be read back from its temporary file".into()));
        }
        Ok(all)
    }

    /// Takes what the job has written; false if something could not be written on.
    pub(super) fn append(&mut self, bytes: &[u8], sinks: &mut Sinks) -> Result<bool> {
        let Some(tag) = &self.tag else {
            self.collected.append(bytes)?;
            return Ok(true);
        };
        let Some(end) = memchr::memrchr(b'\n', bytes) else {
            self.collected.append(bytes)?;
            return Ok(true);
        };
        let (lines, rest) = bytes.split_at(end + 1);
        let mut tagged = Vec::with_capacity(lines.len() + tag.len());
        for (index, line) in lines.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                tagged.extend_from_slice(tag);
            }
            tagged.extend_from_slice(line);
        }
        let collected = &mut self.collected;
        // The start of the first line, which may be long, has come before.
        let written = sinks.write(self.stream, |write| write(tag) && collected.drain(&mut *write) && write(&tagged));
        self.collected.append(rest)?;
        Ok(written)
    }

    /// Writes what is left; false if something could not be written.
    pub(super) fn finish(&mut self, sinks: &mut Sinks) -> bool {
        if self.collected.is_empty() || self.is_kept {
            return true;
        }
        let collected = &mut self.collected;
        match &self.tag {
            Some(tag) => sinks.write(self.stream, |write| write(tag) && collected.drain(&mut *write) && write(b"\n")),
            None => sinks.write(self.stream, |write| collected.drain(write)),
        }
    }
}
