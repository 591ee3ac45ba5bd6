//! `ipcq produce`: puts what a command prints, and counts as a producer while the command runs.

use super::arguments::{CreateIfMissing, Patience, QueueArgument};
use super::exit::{Exit, report};
use super::input::Source;
use super::meter::Meter;
use super::process;
use super::stream::Putting;
use crate::error::{Error, Result};
use crate::message::Framing;
use crate::name::printable;
use crate::place::Place;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Run a command and put each line that it prints; a queue made with --auto-close ends with its last producer
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq create jobs --auto-close
  ipcq produce jobs -- find . -name '*.png' &    puts what find prints; when it ends, the queue is closed
  ipcq get jobs --follow                         ends when all has been got")]
#[command(
    after_help = "The exit code is the command's, or: 126, 127 it could not be run, 1 time ran out, 2 error, 3 closed, 4 no such queue."
)]
pub(super) struct Produce {
    #[command(flatten)]
    queue: QueueArgument,
    /// The command and its arguments, after --
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<OsString>,
    /// Each NUL-terminated piece of what the command prints is a message
    #[arg(short = '0', long)]
    null: bool,
    /// Each message must be valid JSON; it is stored without white space between its tokens
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    create: CreateIfMissing,
    #[command(flatten)]
    patience: Patience,
}

impl Produce {
    /// Returns the exit code: that of the command, unless something kept it from being passed on.
    pub(super) fn run(&self, place: &Place) -> Result<u8> {
        let address = self.queue.address()?;
        let mut queue = self.create.open(place, &address, self.patience.deadline())?;
        let putting = Putting { json: self.json, together: false, patience: &self.patience, meter: &Meter::none() };
        // Before the command starts: it may do more than print.
        let started = putting.start(queue.as_mut())?;
        if started != Exit::Done {
            return Ok(started as u8);
        }
        let Some((program, arguments)) = self.command.split_first() else { return Ok(Exit::Failed as u8) };
        let mut child = match process::spawn(Command::new(program).args(arguments).stdout(Stdio::piped())) {
            Ok(child) => child,
            Err(error) => {
                report(format_args!("cannot run '{}': {error}", printable(program)));
                return Ok(if error.kind() == ErrorKind::NotFound { 127 } else { 126 });
            }
        };
        let framing = if self.null { Framing::Nul } else { Framing::Newline };
        let put = match child.stdout.take() {
            Some(output) => putting.stream(queue.as_mut(), Source::Command(output), framing),
            None => Ok(Exit::Failed),
        };
        if !matches!(put, Ok(Exit::Done)) {
            end(&child);
            return put.map(|exit| exit as u8);
        }
        // It may go on without printing, and is a producer as long.
        let status = child.wait().map_err(|error| Error::io(format!("wait for '{}'", printable(program)), error))?;
        Ok(code(status))
    }
}

/// Ends a command whose output nobody reads any more, as its next write would.
fn end(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended already.
        let _ = kill(Pid::from_raw(pid), Signal::SIGPIPE);
    }
}

/// The exit code of a command as a shell sees it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Failed as u8)
}
