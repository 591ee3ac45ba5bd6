//! Where the output of jobs goes: our own, each job's as one piece or line by line.

use super::super::exit::report;
use super::super::output::{Output, Unwritten, write_to};
use super::super::process::Signals;
use super::super::progress::Progress;
use super::collected::Collected;
use super::events::Stream;
use crate::error::{Error, Result};
use crate::message::reserve;
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
}

impl Sinks {
    pub(super) fn new(progress: Progress) -> Result<Self> {
        Ok(Sinks { out: Output::new(None)?, progress, broken: None })
    }

    /// Writes bytes; false if they could not be written to standard output. Complaints that nobody reads change nothing.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) -> bool {
        let Sinks { out, progress, broken } = self;
        progress.aside(|| match stream {
            Stream::Err => {
                let _ = write_to(io::stderr().as_fd(), bytes, Signals::insist);
                true
            }
            Stream::Out if broken.is_some() => false,
            Stream::Out => match out.write_unless(bytes, Signals::insist) {
                Ok(()) => true,
                Err(Unwritten { error, .. }) => {
                    *broken = Some(match error {
                        None => Broken::Pipe,
                        // The signals that interrupted it say what happens next.
                        Some(Error::Io { source, .. }) if source.kind() == io::ErrorKind::Interrupted => Broken::Told,
                        Some(error) => Broken::Failed(error),
                    });
                    false
                }
            },
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

    /// Says something to the user.
    pub(super) fn report(&self, what: impl Display) {
        self.progress.aside(|| report(what));
    }
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
        let mut written = true;
        if !self.collected.is_empty() {
            // The start of the first line, which may be long.
            written = sinks.write(self.stream, tag) && self.collected.drain(|piece| sinks.write(self.stream, piece));
        } else {
            tagged.extend_from_slice(tag);
        }
        for (index, line) in lines.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                tagged.extend_from_slice(tag);
            }
            tagged.extend_from_slice(line);
        }
        written &= sinks.write(self.stream, &tagged);
        self.collected.append(rest)?;
        Ok(written)
    }

    /// Writes what is left; false if something could not be written.
    pub(super) fn finish(&mut self, sinks: &mut Sinks) -> bool {
        if self.collected.is_empty() || self.is_kept {
            return true;
        }
        let (start, end): (&[u8], &[u8]) = self.tag.as_ref().map_or((b"", b""), |tag| (tag, b"\n"));
        sinks.write(self.stream, start)
            && self.collected.drain(|piece| sinks.write(self.stream, piece))
            && sinks.write(self.stream, end)
    }
}
