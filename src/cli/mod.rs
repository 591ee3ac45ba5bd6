//! The command line: what was typed, handed to the command it names; the outcome as an exit code.

mod ack;
mod arguments;
mod close;
mod completions;
mod create;
mod exit;
mod extend;
mod get;
mod help;
mod input;
mod join;
mod json;
mod keep;
mod ls;
mod meter;
mod mv;
mod nack;
mod output;
mod pause;
mod peek;
mod process;
mod produce;
mod progress;
mod prometheus;
mod purge;
mod put;
mod quick;
mod render;
mod resume;
mod retry;
mod rm;
mod shell;
mod stat;
mod steer;
mod stream;
mod table;
mod top;
mod units;
mod verify;
mod wait;
mod work;

use crate::elsewhere;
use crate::error::Result;
use crate::open;
use crate::place::{Access, Place, Surroundings};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use exit::Exit;
use std::ffi::OsString;
use std::path::PathBuf;

/// Hand messages from one script to another, whole, in order, and without loss.
#[derive(Parser, Debug)]
#[command(name = "ipcq", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(help_template = help::OF_THE_PROGRAM)]
#[command(before_help = "Examples:
  ipcq put jobs 'hello world' --create    put a message, making the queue too
  ipcq get jobs --timeout 1s              take one, waiting at most a second
  ipcq work jobs -- ./handle {}           run a command once for each message")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// Only the command that is named is built: a one-shot put should not pay for the others' options.
#[derive(Subcommand, Debug)]
#[command(defer = true)]
enum Command {
    /// Create a queue
    Create(create::Create),
    /// Put messages into a queue
    Put(put::Put),
    /// Take messages from a queue, waiting for them
    Get(get::Get),
    /// Say that leased messages are done with
    Ack(ack::Ack),
    /// Give leased messages back, now or later
    Nack(nack::Nack),
    /// Let leases run longer
    Extend(extend::Extend),
    /// Wait until everything put so far has been finished with
    Join(join::Join),
    /// Run a command and put each line that it prints
    Produce(produce::Produce),
    /// Run a command once for each message
    Work(work::Work),
    /// Refuse further puts; what is there can still be got
    Close(close::Close),
    /// Remove queues and what is in them
    Rm(rm::Rm),
    /// List the queues and how full they are
    Ls(ls::Ls),
    /// Show the figures of queues
    Stat(stat::Stat),
    /// Watch and steer queues on a full screen
    Top(top::Top),
    /// Let puts and gets wait until they are resumed
    Pause(pause::Pause),
    /// Let puts and gets go on that were paused
    Resume(resume::Resume),
    /// Move messages from one queue to another
    Mv(mv::Mv),
    /// Wait until a queue has a message, is empty, is closed, or exists
    Wait(wait::Wait),
    /// Look at messages without taking them
    Peek(peek::Peek),
    /// Make dead messages ready again
    Retry(retry::Retry),
    /// Remove the messages that wait, or those that are dead
    Purge(purge::Purge),
    /// Check that queues are sound
    Verify(verify::Verify),
    /// Print the completion script for a shell
    Completions(completions::Completions),
}

/// The definition of the whole command line, from which manual pages and completions are made.
pub fn definition() -> clap::Command {
    Cli::command().mut_subcommands(|command| command.help_template(help::OF_A_COMMAND))
}

/// The completion script for `shell` (`bash`, `zsh`, `fish`, `elvish`, `powershell`), if it is one we know.
///
/// # Errors
/// When there is no such shell.
pub fn completion_script(shell: &str) -> Result<Vec<u8>> {
    completions::script(shell)
}

/// Runs the command that `arguments` ask for, the first of which is the program's name, and returns
/// the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    process::prepare();
    completions::answer_shell();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = match quick::parse(&arguments) {
        Some(command) => command,
        None => match parse(&arguments) {
            Ok(cli) => cli.command,
            Err(error) => return exit::usage(&error, &arguments),
        },
    };
    let place = place();
    elsewhere::ask_by(|source, forget| open::was_handed_on(&self::place(), source, forget));
    let outcome = match command {
        Command::Create(create) => create.run(&place),
        Command::Put(put) => put.run(&place),
        Command::Get(get) => get.run(&place),
        Command::Ack(ack) => ack.run(&place),
        Command::Nack(nack) => nack.run(&place),
        Command::Extend(extend) => extend.run(&place),
        Command::Join(join) => join.run(&place),
        Command::Produce(produce) => match produce.run(&place) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Work(work) => work.run(&place),
        Command::Close(close) => close.run(&place),
        Command::Rm(rm) => rm.run(&place),
        Command::Ls(ls) => ls.run(&place),
        Command::Stat(stat) => stat.run(&place),
        Command::Top(top) => top.run(&place),
        Command::Pause(pause) => pause.run(&place),
        Command::Resume(resume) => resume.run(&place),
        Command::Mv(mv) => mv.run(&place),
        Command::Wait(wait) => wait.run(&place),
        Command::Peek(peek) => peek.run(&place),
        Command::Retry(retry) => retry.run(&place),
        Command::Purge(purge) => purge.run(&place),
        Command::Verify(verify) => verify.run(&place),
        Command::Completions(completions) => completions.run(),
    };
    exit::code(outcome)
}

fn parse(arguments: &[OsString]) -> clap::error::Result<Cli> {
    Cli::from_arg_matches(&definition().try_get_matches_from(arguments)?)
}

/// Where queues live, going by the environment.
fn place() -> Place {
    Place::from(&Surroundings {
        ipcq_dir: std::env::var_os("IPCQ_DIR"),
        access: access(),
        tmpdir: std::env::var_os("TMPDIR"),
        uid: nix::unistd::geteuid().as_raw(),
        shared_memory: PathBuf::from("/dev/shm"),
    })
}

/// What servers want to know, going by the environment.
fn access() -> Access {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
    Access {
        password: text("IPCQ_REDIS_PASSWORD").map(Into::into),
        password_file: variable("IPCQ_REDIS_PASSWORD_FILE").map(PathBuf::from),
        presence: text("IPCQ_REDIS_PRESENCE"),
    }
}

/// The result of a command.
type Outcome = Result<Exit>;
