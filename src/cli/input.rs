//! Input as a stream of runs: whole lines, as many as have arrived.

use super::process;
use crate::delimiter;
use crate::error::{Error, Result};
use crate::message::{Framing, Run};
use crate::queue::{BULK, Input};
use crate::reserve::reserve;
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::io::{self, Stdin};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ChildStdout;

/// Bytes asked for at once: big input moves in runs of this size, which fits the cache.
const CHUNK: usize = 256 << 10;

/// Where input comes from.
pub(super) enum Source {
    /// Standard input.
    Stdin(Stdin),
    /// What a command prints.
    Command(ChildStdout),
}

impl Source {
    /// Standard input.
    ///
    /// # Errors
    /// When it was closed: it would look like empty input.
    pub(super) fn stdin() -> Result<Self> {
        if process::stdin_was_closed() {
            return Err(Error::Other(
                "standard input is closed: give the message as an argument, or redirect input".into(),
            ));
        }
        Ok(Source::Stdin(io::stdin()))
    }

    /// What it is called in a sentence.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Source::Stdin(_) => "standard input",
            Source::Command(_) => "the command's output",
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Source::Stdin(stdin) => stdin.as_fd(),
            Source::Command(output) => output.as_fd(),
        }
    }

    /// Reads what there is, at least one byte; 0 at the end.
    fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let descriptor = self.descriptor();
        let failed = |errno: Errno| Error::io(format!("read {}", self.name()), errno);
        loop {
            match nix::unistd::read(descriptor, buffer) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => process::wait_until(PollFlags::POLLIN, descriptor).map_err(failed)?,
                Ok(length) => return Ok(length),
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
}

/// Everything there is on standard input, up to `limit` bytes. `None`: there is more.
pub(super) fn read_all(limit: u64) -> Result<Option<Vec<u8>>> {
    let stdin = Source::stdin()?;
    let (mut all, mut length) = (Vec::new(), 0);
    loop {
        if length == all.len() {
            reserve(&mut all, CHUNK as u64)?;
            all.resize(all.capacity(), 0);
        }
        let got = stdin.read(&mut all[length..])?;
        length += got;
        if got == 0 {
            all.truncate(length);
            return Ok(Some(all));
        }
        if length as u64 > limit {
            return Ok(None);
        }
    }
}

/// Input, cut at a delimiter.
pub(super) struct Records {
    source: Source,
    framing: Framing,
    delimiter: u8,
    buffer: Vec<u8>,
    /// The bytes in the buffer that have not been handed out are `start..end`.
    start: usize,
    end: usize,
    at_end: bool,
    /// The last read brought a lot, and the records that were handed out last are short.
    is_bulk: bool,
    /// The longest record that is acceptable, in bytes.
    longest: u64,
}

/// What [`Records::next_run`] came to.
pub(super) enum Next<'a> {
    /// Whole records.
    Run(Run<'a>),
    /// The record that comes now is longer than is acceptable.
    TooLong,
    /// There are no more.
    End,
}

impl Records {
    /// Records framed as `framing` says (not `Whole`), each of at most `longest` bytes.
    pub(super) fn new(source: Source, framing: Framing, longest: u64) -> Result<Self> {
        // Zeroed memory cannot be asked for in a way that can fail, and costs nothing until it is used.
        reserve(&mut Vec::new(), CHUNK as u64)?;
        let delimiter = framing.delimiter().unwrap_or(b'\n');
        Ok(Records {
            source,
            framing,
            delimiter,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            at_end: false,
            is_bulk: false,
            longest,
        })
    }

    /// The next records: all that have arrived in full. Waits only when there is not one.
    pub(super) fn next_run(&mut self) -> Result<Next<'_>> {
        let mut searched = self.start;
        loop {
            if let Some(last) = delimiter::last(&self.buffer[searched..self.end], self.delimiter) {
                let (start, end) = (self.start, searched + last + 1);
                self.start = end;
                let run = Run::delimited(&self.buffer[start..end], self.framing);
                // What fills a read alone does not fit what is read into the queue.
                self.is_bulk &= run.bytes().len() as u64 <= run.count() * BULK;
                return Ok(Next::Run(run));
            }
            searched = self.end;
            if (self.end - self.start) as u64 > self.longest {
                return Ok(Next::TooLong);
            }
            if self.at_end {
                return Ok(self.unterminated());
            }
            self.make_room(&mut searched)?;
            let got = self.source.read(&mut self.buffer[self.end..])?;
            self.end += got;
            self.is_bulk = got as u64 >= BULK;
            self.at_end = got == 0;
        }
    }

    /// Whether so much comes at once that somebody else should read on who can do it faster.
    pub(super) fn come_in_bulk(&self) -> bool {
        self.is_bulk
    }

    /// Lets `read_on` read on for a while. It is given what was read of an unfinished record, and leaves there what it
    /// has read and not dealt with.
    pub(super) fn hand_over<T>(&mut self, read_on: impl FnOnce(Input<'_>, &mut Vec<u8>) -> Result<T>) -> Result<T> {
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        let input = Input { descriptor: self.source.descriptor(), name: self.source.name(), framing: self.framing };
        let result = read_on(input, &mut self.buffer);
        (self.start, self.end, self.is_bulk) = (0, self.buffer.len(), false);
        reserve(&mut self.buffer, CHUNK as u64)?;
        self.buffer.resize(self.buffer.capacity(), 0);
        result
    }

    /// A last record without its delimiter counts, and is given one.
    fn unterminated(&mut self) -> Next<'_> {
        if self.start == self.end {
            return Next::End;
        }
        let start = self.start;
        self.buffer.truncate(self.end);
        self.buffer.push(self.delimiter);
        self.start = 0;
        self.end = 0;
        Next::Run(Run::delimited(&self.buffer[start..], self.framing))
    }

    /// Moves what has been read of an unfinished record to the front, and makes the buffer larger if
    /// the record fills it.
    fn make_room(&mut self, searched: &mut usize) -> Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            *searched -= self.start;
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            reserve(&mut self.buffer, CHUNK as u64)?;
            self.buffer.resize(self.buffer.capacity(), 0);
        }
        Ok(())
    }
}
