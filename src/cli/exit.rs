//! Exit codes, and the one line on standard error that goes with a failure.

use super::{Outcome, process};
use crate::error::Error;
use crate::name::printable;
use crate::nearest::nearest;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;

/// How a command ended, if not by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Done = 0,
    /// Nothing happened in the time given.
    TimedOut = 1,
    /// Something failed that has been reported already.
    Failed = 2,
    /// The queue is closed.
    Closed = 3,
    /// A queue is not there, and it has been reported already.
    NoSuchQueue = 4,
    /// Everything was finished with, but some messages are dead.
    SomeDead = 5,
    /// Whoever read our output has gone.
    BrokenPipe = 125,
    /// A command that is there cannot be run, and it has been reported already.
    CannotRun = 126,
    /// A command is not there, and it has been reported already.
    NotFound = 127,
}

impl Exit {
    /// The exit that `error` means.
    pub(super) fn from_error(error: &Error) -> Self {
        match error {
            Error::NoSuchQueue { .. } | Error::Removed { .. } => Exit::NoSuchQueue,
            Error::Closed { .. } => Exit::Closed,
            _ => Exit::Failed,
        }
    }

    /// The exit of a command that goes on with its other queues after `failure`: the worst decides.
    pub(super) fn or_worse(self, failure: Exit) -> Self {
        if self == Exit::Failed { self } else { failure }
    }
}

/// The exit code of a command, whose error, if any, is reported.
pub(super) fn code(outcome: Outcome) -> u8 {
    let exit = outcome.unwrap_or_else(|error| {
        report(&error);
        Exit::from_error(&error)
    });
    if exit == Exit::BrokenPipe {
        process::die_of_broken_pipe();
    }
    exit as u8
}

/// Writes a line on standard error. That it cannot be written changes nothing.
pub(super) fn report(what: impl Display) {
    let _ = std::io::stderr().write_all(format!("ipcq: {what}\n").as_bytes());
}

/// Reports what was wrong with `arguments`, the first of which is the program's name, in one line; or prints the help
/// that they ask for.
pub(super) fn usage(error: &clap::Error, arguments: &[OsString]) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Help that nobody reads is no failure.
        return match error.print() {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                report(format_args!("cannot write to standard output: {error}"));
                Exit::Failed as u8
            }
            _ => Exit::Done as u8,
        };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        report("no command given (see 'ipcq --help')");
    } else {
        report(one_line(error, arguments.get(1)));
    }
    Exit::Failed as u8
}

/// What clap says in paragraphs, as one sentence and where to read on.
fn one_line(error: &clap::Error, word: Option<&OsString>) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let mut line = first.strip_prefix("error: ").unwrap_or(first).split_whitespace().collect::<Vec<_>>().join(" ");
    for tip in text.lines().filter_map(|line| line.trim().strip_prefix("tip: ")) {
        line.push_str("; ");
        line.push_str(tip);
    }
    if let (false, Some(command)) = (line.contains(" similar "), meant_command(error)) {
        line.push_str(&format!("; a similar subcommand exists: '{command}'"));
    }
    if is_a_command_without_dashes(error, word) {
        line.push_str("; put '--' before the command that is to be run");
    }
    let is_of_a_value = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
    let command = match (error.get(ContextKind::Usage), word) {
        (Some(ContextValue::StyledStr(usage)), _) => command_in(&usage.to_string()),
        // Of a bad value clap does not say which command it was for; no option with a value comes before that.
        (_, Some(word)) if is_of_a_value => format!("ipcq {}", word.display()),
        _ => command_in(&text),
    };
    // What was typed may hold anything.
    format!("{} (see '{command} --help')", printable(line))
}

/// Whether a word too many is probably the command that `work` or `produce` is to run.
fn is_a_command_without_dashes(error: &clap::Error, word: Option<&OsString>) -> bool {
    let runs_a_command = word.is_some_and(|word| word == "work" || word == "produce");
    let is_a_word = |unknown: &ContextValue| !unknown.to_string().starts_with('-');
    runs_a_command
        && error.kind() == ErrorKind::UnknownArgument
        && error.get(ContextKind::InvalidArg).is_some_and(is_a_word)
}

/// The command that was meant by one that does not exist. What clap takes for similar leaves out exchanged letters.
fn meant_command(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let definition = super::definition();
    nearest(typed, definition.get_subcommands().map(clap::Command::get_name)).map(str::to_owned)
}

/// The command in a usage line: `ipcq put` in `Usage: ipcq put [OPTIONS] <QUEUE>`.
fn command_in(usage: &str) -> String {
    let words = usage.lines().find_map(|line| line.split_once("Usage: ")).map_or("ipcq", |(_, words)| words);
    words
        .split_whitespace()
        .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect::<Vec<_>>()
        .join(" ")
}
