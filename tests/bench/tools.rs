//! A directory in memory for queues, one on a disk for files and for the binary as it would be installed, and ways to run
//! and time programs.

use crate::report::Report;
use ipcq::address::Address;
use ipcq::open;
use ipcq::place::{Place, Surroundings};
use ipcq::queue::{Limits, Queue};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) struct Bench {
    directory: TempDir,
    /// Where `ipcq` is: on a disk, copied there as installing does it. In its `files` are those that are streamed: like
    /// most files of scripts they are on a disk, and in memory as the page cache has them.
    installed: TempDir,
    /// Only to see that everything works.
    quick: bool,
}

impl Bench {
    pub(crate) fn new(quick: bool) -> Self {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let installed = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // What the linker has written in pieces lies in memory in pieces, and starts more slowly.
        std::fs::copy(env!("CARGO_BIN_EXE_ipcq"), installed.path().join("ipcq")).unwrap();
        let (directory, files) = (directory.unwrap(), installed.path().join("files"));
        std::fs::create_dir(&files).unwrap();
        // By a short name that is the same everywhere.
        symlink(&files, directory.path().join("files")).unwrap();
        Bench { directory, installed, quick }
    }

    /// So many, or a few when it is only to be seen that everything works.
    pub(crate) fn many(&self, many: usize, few: usize) -> usize {
        if self.quick { many.min(few) } else { many }
    }

    /// The directory of queues.
    pub(crate) fn queues(&self) -> PathBuf {
        self.path("queues")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same as text.
    pub(crate) fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Creates a queue, which may be large, and opens it in this process.
    pub(crate) fn create(&self, name: &str) -> Box<dyn Queue> {
        let limits = Limits { capacity: 4 << 30, ..Limits::default() };
        open::create(&place(&self.queues()), &address(name), &limits).unwrap()
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
    pub(crate) fn time_script(&self, shell: &str, script: &str) -> f64 {
        let mut command = self.program(shell);
        command.args(["-c", script]);
        let start = Instant::now();
        assert!(command.status().unwrap().success(), "{command:?}");
        start.elapsed().as_secs_f64()
    }

    /// Seconds that a shell takes for each turn of a loop that does `body` so many times.
    pub(crate) fn time_turn(&self, shell: &str, times: usize, body: &str) -> f64 {
        let script = format!("i=0; while [ $i -lt {times} ]; do {body}; i=$((i + 1)); done");
        self.time_script(shell, &script) / times as f64
    }

    /// Runs a script that prepares something.
    pub(crate) fn prepare(&self, script: &str) {
        self.time_script("sh", script);
    }
}

/// The place of queues in `directory`.
pub(crate) fn place(directory: &Path) -> Place {
    Place::from(&Surroundings {
        ipcq_dir: Some(directory.as_os_str().to_owned()),
        access: Default::default(),
        tmpdir: None,
        uid: 0,
        shared_memory: "/dev/shm".into(),
    })
}

pub(crate) fn address(name: &str) -> Address {
    Address::parse(name.as_ref()).unwrap()
}

/// Whether a program can be run; the report says so if not.
pub(crate) fn have(program: &str, report: &mut Report) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program} >/dev/null")]).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        report.skip(&format!("{program} not found"));
    }
    found
}

/// Says to this program, started once more, that it is to answer in a measurement; how follows.
const ANSWER: &str = "--answer";

/// This program as another process of a measurement, to be told how to answer.
pub(crate) fn answering() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(ANSWER);
    command
}

/// How this process is to answer, if it was started for that.
pub(crate) fn told_to_answer() -> Option<Vec<String>> {
    let mut words = std::env::args().skip(1);
    (words.next()? == ANSWER).then(|| words.collect())
}

/// A process that ends with this.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Running(command.spawn().unwrap())
    }
}

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Running(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `condition` holds.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}
