//! `ipcq work` runs its command once for each message, and what becomes of the message is what the command says.

mod ends;
mod jobs;
mod output;
mod refusals;

use crate::harness::{Done, Running, Sandbox, until};
use std::path::Path;
use std::process::Command;

/// A worker whose command is a shell script, with options in `options`; the words after the script are its arguments.
fn worker(sandbox: &Sandbox, options: &str, script: &str) -> Command {
    let mut command = sandbox.ipcq(["work"]);
    command.args(options.split_whitespace()).args(["--", "sh", "-c", script, "sh"]);
    command
}

/// Starts such a worker.
fn start(sandbox: &Sandbox, options: &str, script: &str) -> Running {
    worker(sandbox, options, script).spawn().expect("ipcq starts").into()
}

/// Runs such a worker to its end.
fn work(sandbox: &Sandbox, options: &str, script: &str) -> Done {
    start(sandbox, options, script).end()
}

/// A script that does something, waits until the test has made the file `go`, and does something else. It ends by
/// itself when the sandbox is gone.
fn until_go(before: &str, after: &str) -> String {
    format!("{before}\nuntil test -e go; do test -d \"$PWD\" || exit; sleep 0.01; done\n{after}")
}

/// Waits until a job has made this file.
fn until_there(path: &Path) {
    until(&format!("{} is there", path.display()), || path.exists());
}

/// The last line on standard error, where the report is.
fn report(done: &Done) -> &str {
    done.err.lines().last().unwrap_or_default()
}

/// Asserts what has become of the messages of a queue.
fn has(sandbox: &Sandbox, queue: &str, ready: u64, delayed: u64, dead: u64) {
    for (figure, expected) in [("ready", ready), ("delayed", delayed), ("dead", dead), ("leased", 0)] {
        assert_eq!(sandbox.stat(queue, figure), expected, "{figure}");
    }
    sandbox.is_sound(queue);
}

/// A line of output for each message, sorted.
fn sorted(done: &Done) -> Vec<&str> {
    let mut lines: Vec<&str> = done.text().lines().collect();
    lines.sort_unstable();
    lines
}
