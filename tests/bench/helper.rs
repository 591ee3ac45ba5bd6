//! What this program does when it is started as another process of a measurement.

use std::process::Command;

/// Says that this process is a helper; what it is to do follows.
const SIGN: &str = "--helper";

/// A helper, to be started with more words.
pub(crate) fn command(task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([SIGN, task]);
    command
}

/// Does what a helper is told, if this process is one.
pub(crate) fn help() -> bool {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [SIGN, "echo", transport @ ..] => crate::echo::answer(transport),
        _ => return false,
    }
    true
}
