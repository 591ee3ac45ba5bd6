//! A directory in memory, the binary as it would be installed, and ways to time processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) struct Bench {
    directory: TempDir,
    /// Where `ipcq` is: on a disk, copied there as installing does it.
    installed: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let installed = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // What the linker has written in pieces lies in memory in pieces, and starts more slowly.
        std::fs::copy(env!("CARGO_BIN_EXE_ipcq"), installed.path().join("ipcq")).unwrap();
        Bench { directory: directory.unwrap(), installed }
    }

    /// The installed binary.
    pub(crate) fn ipcq(&self) -> String {
        self.installed.path().join("ipcq").to_str().unwrap().to_owned()
    }

    /// The directory of queues.
    pub(crate) fn queues(&self) -> PathBuf {
        self.path("queues")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program in the bench's directory, with `ipcq` on its path and its queues beside it.
    pub(crate) fn program(&self, program: &str) -> Command {
        let here = self.directory.path();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.installed.path().display()))
            .env("IPCQ_DIR", here.join("queues"))
            .current_dir(here)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Seconds that a shell takes for `script`.
    pub(crate) fn time_script(&self, script: &str) -> f64 {
        let mut command = self.program("sh");
        command.args(["-c", script]);
        time(&mut command)
    }

    /// Runs a script that prepares something.
    pub(crate) fn prepare(&self, script: &str) {
        assert!(self.program("sh").args(["-c", script]).status().unwrap().success(), "{script}");
    }

    /// The median ratio of the times of two scripts, run in turn.
    pub(crate) fn ratio(&self, ours: &str, theirs: &str, runs: usize) -> f64 {
        median((0..runs).map(|_| self.time_script(ours) / self.time_script(theirs)).collect())
    }

    /// The median ratio of the times of two processes, run in turn.
    pub(crate) fn ratio_of_processes(&self, ours: &[&str], theirs: &[&str], runs: usize) -> f64 {
        let start = |words: &[&str]| {
            let mut command = self.program(words[0]);
            command.args(&words[1..]);
            command
        };
        let (mut ours, mut theirs) = (start(ours), start(theirs));
        median((0..runs).map(|_| time(&mut ours) / time(&mut theirs)).collect())
    }
}

fn time(command: &mut Command) -> f64 {
    let start = Instant::now();
    assert!(command.status().unwrap().success(), "{command:?}");
    start.elapsed().as_secs_f64()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints a line of the table.
pub(crate) fn report(what: &str, measured: f64, at_most: f64) {
    println!("{what:<58} {measured:>8.3} {at_most:>8.2}{}", if measured > at_most { "  over" } else { "" });
}

/// Whether a program can be run; says so if not.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program} >/dev/null")]).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("skipped: {program} not found");
    }
    found
}

/// Waits until `condition` holds.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}
