//! One run of the command: its process, what it writes, and how it ends.

use super::collected::LastLine;
use super::events::{Events, Source, Stream};
use super::sinks::{Route, Sinks};
use super::slots::Permit;
use super::template::{Command, Template};
use crate::error::{Error, Result};
use crate::lease::LeaseId;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2, read};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};

/// Bytes that are read from a job at once.
const CHUNK: usize = 16 << 10;
/// How much is read from a job that has ended: more than a pipe holds is from a process that it has left behind.
const MOST_AFTER_THE_END: usize = 1 << 20;

/// Says that the file is no program, without which some systems refuse it; Linux before 6.3 does not know it.
const MFD_NOEXEC_SEAL: u32 = 8;

/// What makes a message ours.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) lease: LeaseId,
    /// How often the message has been handed out, this time included, since it was put or last retried.
    pub(super) attempt: u32,
}

/// A message that is ours.
pub(super) struct Message {
    pub(super) claim: Claim,
    pub(super) body: Vec<u8>,
}

/// Why there is no job for a message.
pub(super) enum NotStarted {
    /// No message could ever be worked on: the program cannot be run.
    Program(Errno),
    /// This message can never be worked on, for this reason.
    Message(&'static str),
    /// The system does not let us now.
    System(Error),
}

/// What all jobs have in common.
pub(super) struct Starter {
    template: Template,
    attributes: PosixSpawnAttr,
    tag: bool,
    /// What a job writes to standard output is kept until the job has ended, for whoever asks for it.
    keeps_output: bool,
}

impl Starter {
    pub(super) fn new(template: Template, tag: bool, keeps_output: bool) -> Result<Self> {
        let attributes = attributes().map_err(|errno| Error::io("prepare to run a command", errno))?;
        Ok(Starter { template, attributes, tag, keeps_output })
    }

    /// Runs the command for a message, as the job with this number.
    pub(super) fn start(
        &self,
        message: &Message,
        number: usize,
        permit: Permit,
        events: &Events,
    ) -> std::result::Result<Job, (NotStarted, Permit)> {
        let Message { claim, body } = message;
        let id = claim.lease.message;
        let Some(command) = self.template.command(id, claim.attempt, body) else {
            return Err((NotStarted::Message("the message has a NUL, which no argument can have"), permit));
        };
        match self.spawn(&command, body, number, events) {
            Err(reason) => Err((reason, permit)),
            Ok((pid, [out_pipe, err_pipe])) => {
                let route = |stream| Route::new(stream, self.tag.then(|| format!("{id}\t").into_bytes()));
                let out = if self.keeps_output { Route::kept() } else { route(Stream::Out) };
                Ok(Job {
                    claim: *claim,
                    pid,
                    permit,
                    out: Pipe { descriptor: Some(out_pipe), route: out },
                    err: Pipe { descriptor: Some(err_pipe), route: route(Stream::Err) },
                    last_line: LastLine::default(),
                    is_delivered: true,
                    is_interrupted: false,
                })
            }
        }
    }

    fn spawn(
        &self,
        command: &Command,
        body: &[u8],
        number: usize,
        events: &Events,
    ) -> std::result::Result<(Pid, [OwnedFd; 2]), NotStarted> {
        let system = |errno| NotStarted::System(Error::io("start a job", errno));
        let input = input(body).map_err(NotStarted::System)?;
        let (out, job_out) = output().map_err(system)?;
        let (err, job_err) = output().map_err(system)?;
        let mut actions = PosixSpawnFileActions::init().map_err(system)?;
        for (descriptor, standard) in [(input.as_raw_fd(), 0), (job_out.as_raw_fd(), 1), (job_err.as_raw_fd(), 2)] {
            actions.add_dup2(descriptor, standard).map_err(system)?;
        }
        let Command { words, environment } = command;
        let Some(program) = words.first() else { return Err(NotStarted::Program(Errno::ENOENT)) };
        events.add(&out, Source::Output(number, Stream::Out)).map_err(NotStarted::System)?;
        events.add(&err, Source::Output(number, Stream::Err)).map_err(NotStarted::System)?;
        match posix_spawnp(program, &actions, &self.attributes, words, environment) {
            Ok(pid) => Ok((pid, [out, err])),
            Err(Errno::E2BIG) if self.template.has_placeholder() => {
                Err(NotStarted::Message("the message is too long for an argument"))
            }
            Err(errno @ (Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE | Errno::E2BIG)) => {
                Err(system(errno))
            }
            Err(errno) => Err(NotStarted::Program(errno)),
        }
    }
}

/// A process group of its own, so that a Ctrl-C does not reach the job: the first one lets it finish. No signal is
/// ignored or blocked for our sake.
fn attributes() -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigdefault(&[Signal::SIGPIPE, Signal::SIGXFSZ].into_iter().collect())?;
    attributes.set_sigmask(&SigSet::empty())?;
    Ok(attributes)
}

/// The message as a file in memory, open at its start. A job may read it or not, and nobody has to feed it.
fn input(body: &[u8]) -> Result<File> {
    let failed = |error: std::io::Error| Error::io("hand a message to a job", error);
    let create = |flags| memfd_create(c"ipcq-message", flags);
    let created = match create(MFdFlags::MFD_CLOEXEC | MFdFlags::from_bits_retain(MFD_NOEXEC_SEAL)) {
        Err(Errno::EINVAL) => create(MFdFlags::MFD_CLOEXEC),
        created => created,
    };
    let mut file: File = created.map_err(|errno| failed(errno.into()))?.into();
    if !body.is_empty() {
        file.write_all(body).and_then(|()| file.rewind()).map_err(failed)?;
    }
    Ok(file)
}

/// A pipe: our end, and the job's.
fn output() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (ours, job) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, job))
}

/// One of the outputs of a job.
struct Pipe {
    /// Until its end.
    descriptor: Option<OwnedFd>,
    route: Route,
}

/// A command that runs.
pub(super) struct Job {
    pub(super) claim: Claim,
    pub(super) permit: Permit,
    /// Whether all that it wrote to standard output so far could be written on.
    pub(super) is_delivered: bool,
    /// Whether it was sent a signal for us.
    pub(super) is_interrupted: bool,
    pid: Pid,
    out: Pipe,
    err: Pipe,
    last_line: LastLine,
}

impl Job {
    /// How the job has ended, if it has.
    pub(super) fn ended(&self) -> Option<WaitStatus> {
        loop {
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::EINTR) => {}
                Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) => return Some(status),
                Ok(_) => return None,
                // Somebody else has waited for it, so nobody knows how it ended.
                Err(_) => return Some(WaitStatus::Exited(self.pid, -1)),
            }
        }
    }

    /// Sends a signal to the job and to what it has started.
    pub(super) fn signal(&mut self, signal: Signal) {
        self.is_interrupted = true;
        // It may have ended just now.
        let _ = killpg(self.pid, signal);
    }

    /// Reads what the job has written to a stream. Returns how much, and whether there may be more at once.
    pub(super) fn read(&mut self, stream: Stream, sinks: &mut Sinks) -> Result<(usize, bool)> {
        let pipe = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let Some(descriptor) = &pipe.descriptor else { return Ok((0, false)) };
        let mut chunk = [0; CHUNK];
        let count = match read(descriptor, &mut chunk) {
            Ok(0) => {
                pipe.descriptor = None;
                return Ok((0, false));
            }
            Ok(count) => count,
            Err(errno @ (Errno::EAGAIN | Errno::EINTR)) => return Ok((0, errno == Errno::EINTR)),
            Err(_) => {
                pipe.descriptor = None;
                return Ok((0, false));
            }
        };
        if stream == Stream::Err {
            self.last_line.append(&chunk[..count]);
        }
        self.is_delivered &= pipe.route.append(&chunk[..count], sinks)?;
        Ok((count, true))
    }

    /// Writes on all that the job has written and is not written on yet, now that it has ended.
    pub(super) fn finish_output(&mut self, sinks: &mut Sinks) -> Result<()> {
        for stream in [Stream::Out, Stream::Err] {
            let mut read = 0;
            while read < MOST_AFTER_THE_END {
                let (count, more) = self.read(stream, sinks)?;
                if !more {
                    break;
                }
                read += count;
            }
        }
        self.is_delivered &= self.out.route.finish(sinks);
        self.err.route.finish(sinks);
        Ok(())
    }

    /// What it has written to standard output, if that was kept.
    pub(super) fn take_output(&mut self) -> Result<Vec<u8>> {
        self.out.route.take()
    }

    /// The last line of its complaints.
    pub(super) fn last_line(&self) -> Vec<u8> {
        self.last_line.text()
    }
}
