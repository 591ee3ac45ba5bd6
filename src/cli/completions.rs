//! `ipcq completions`: scripts that make shells complete commands, options and queue names; and
//! answering what those scripts ask.

use super::{Outcome, definition, output, place};
use crate::error::{Error, Result};
use crate::open;
use crate::place::Place;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use std::ffi::OsStr;

/// The variable by which a completion script asks; not the usual `COMPLETE`, which others may use too.
const VARIABLE: &str = "IPCQ_COMPLETE";

/// Print the completion script for a shell
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  source <(ipcq completions bash)                             in ~/.bashrc
  source <(ipcq completions zsh)                              in ~/.zshrc
  ipcq completions fish > ~/.config/fish/completions/ipcq.fish")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

impl Completions {
    pub(super) fn run(&self) -> Outcome {
        output::print(&script(&self.shell)?)
    }
}

/// The script for `shell`.
pub(super) fn script(shell: &str) -> Result<Vec<u8>> {
    let shells = Shells::builtins();
    let Some(completer) = shells.completer(shell) else {
        return Err(Error::Other(format!("no completions for the shell '{shell}'")));
    };
    let mut script = Vec::new();
    let written = completer.write_registration(VARIABLE, "ipcq", "ipcq", "ipcq", &mut script);
    written.map_err(|error| Error::io("write the completion script", error))?;
    Ok(script)
}

/// If a completion script is asking, answers it and exits.
pub(super) fn answer_shell() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(definition).var(VARIABLE).complete();
    }
}

/// The queues whose names start with what has been typed. Looks, and creates nothing.
pub(super) fn queues(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let place: Place = place();
    let names = open::list(&place).unwrap_or_default();
    names
        .iter()
        .filter(|name| name.as_str().starts_with(&*typed))
        .map(|name| CompletionCandidate::new(name.as_str()))
        .collect()
}
