//! The commonest command lines, understood without building clap's definition of all of them.
//!
//! A shell loop starts a process for every message, and who watches a queue one for every look; building the
//! definition would be a quarter of its time. `put QUEUE MESSAGE…`, `get QUEUE [-t DURATION]`, `stat QUEUE`,
//! `peek QUEUE` and `ls` are read here, with exactly clap's meaning; whatever else there may be in a command line
//! leaves it to clap, errors included.

use super::Command;
use super::arguments::{Patience, QueueArgument, QueueArguments};
use super::get::Get;
use super::ls::Ls;
use super::peek::Peek;
use super::put::Put;
use super::stat::Stat;
use super::units::parse_duration;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// The command that `arguments` ask for, the first of which is the program's name, if it is one of the few.
pub(super) fn parse(arguments: &[OsString]) -> Option<Command> {
    let (command, rest) = arguments.get(1..)?.split_first()?;
    if command == "ls" && rest.is_empty() {
        return Some(Command::Ls(Ls::default()));
    }
    let (queue, rest) = rest.split_first()?;
    if is_option(queue) {
        return None;
    }
    match command.to_str()? {
        "put" if !rest.is_empty() && !rest.iter().any(is_option) => {
            Some(Command::Put(Put::of(QueueArgument::new(queue.clone()), rest.to_vec())))
        }
        "get" => Some(Command::Get(Get::one(QueueArguments::new(queue.clone()), patience(rest)?))),
        "peek" if rest.is_empty() => Some(Command::Peek(Peek::of(QueueArgument::new(queue.clone())))),
        "stat" if rest.is_empty() => Some(Command::Stat(Stat::of(QueueArguments::new(queue.clone())))),
        _ => None,
    }
}

fn is_option(argument: &OsString) -> bool {
    argument.as_bytes().first() == Some(&b'-')
}

/// The patience of a get that is told nothing else.
fn patience(arguments: &[OsString]) -> Option<Patience> {
    match arguments {
        [] => Some(Patience::default()),
        [flag, duration] if flag == "-t" || flag == "--timeout" => {
            Some(Patience::limited(parse_duration(duration.to_str()?).ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    #[test]
    fn what_is_read_here_means_what_clap_says() {
        let words = [
            "put",
            "get",
            "peek",
            "ls",
            "q",
            "",
            "-t",
            "--timeout",
            "--no-wait",
            "0",
            "1s",
            "-",
            "--",
            "-1",
            "-l",
            "--timeout=1",
            "-t1",
        ];
        let mut read = 0;
        for number in 0..words.len().pow(4) {
            let places = (0..4).map(|place| words[number / words.len().pow(place) % words.len()]);
            let line: Vec<OsString> = std::iter::once("ipcq").chain(places).map(OsString::from).collect();
            for length in 1..=line.len() {
                let Some(quick) = parse(&line[..length]) else { continue };
                let thorough = Cli::try_parse_from(&line[..length]).unwrap_or_else(|error| panic!("{line:?}: {error}"));
                assert_eq!(format!("{quick:?}"), format!("{:?}", thorough.command), "{:?}", &line[..length]);
                read += 1;
            }
        }
        assert!(read > 1_000, "{read}");
    }
}
