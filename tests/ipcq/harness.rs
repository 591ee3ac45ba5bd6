//! A directory of its own and an empty environment for every test, and ways to run `ipcq` in it.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ipcq"))
}

/// Somewhere to keep queues and files, removed at the end.
pub(crate) struct Sandbox {
    directory: TempDir,
}

/// What a command that has ended left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// The exit code as a shell sees it: 128 and the number for a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: Vec<u8>,
    /// Standard error.
    pub(crate) err: String,
}

impl Done {
    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("output is UTF-8")
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().expect("ended somehow"));
        Done { code, out: output.stdout, err: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Sandbox { directory: TempDir::new().expect("a temporary directory") }
    }

    /// A path in the sandbox, for files of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where the sandbox's queues are.
    pub(crate) fn queues(&self) -> PathBuf {
        self.path("queues")
    }

    /// A program with nothing in its environment but where to find `ipcq` and the queues.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let directory = binary().parent().expect("the binary is in a directory");
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", directory.display()))
            .env("IPCQ_DIR", self.queues())
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// An `ipcq` command that has not been started.
    pub(crate) fn ipcq<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(binary());
        command.args(arguments);
        command
    }

    /// Runs `ipcq` with the words of `arguments`.
    pub(crate) fn run(&self, arguments: &str) -> Done {
        self.run_with(arguments.split_whitespace(), b"")
    }

    /// Runs `ipcq` with `arguments` and `input` on standard input.
    pub(crate) fn run_with<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>, input: &[u8]) -> Done {
        feed(self.ipcq(arguments).stdin(Stdio::piped()).spawn().expect("ipcq starts"), input)
    }

    /// Runs `ipcq` with the words of `arguments`, which must succeed, and returns its output.
    pub(crate) fn ok(&self, arguments: &str) -> String {
        let done = self.run(arguments);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "ipcq {arguments}");
        done.text().to_owned()
    }

    /// Starts `ipcq` with the words of `arguments` and does not wait for it.
    pub(crate) fn start(&self, arguments: &str) -> Running {
        Running { child: Some(self.ipcq(arguments.split_whitespace()).spawn().expect("ipcq starts")) }
    }

    /// Runs a script with `sh`.
    pub(crate) fn sh(&self, script: &str) -> Done {
        self.program("sh").args(["-c", script]).output().expect("sh starts").into()
    }

    /// The figure `key` of `ipcq stat --json`.
    pub(crate) fn stat(&self, queue: &str, key: &str) -> serde_json::Value {
        let text = self.ok(&format!("stat --json {queue}"));
        let object: serde_json::Value = serde_json::from_str(&text).expect("stat prints JSON");
        object[key].clone()
    }
}

/// Writes `input` to a process and waits for its end.
pub(crate) fn feed(mut child: Child, input: &[u8]) -> Done {
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_vec();
    // From a thread: the process may write more than a pipe holds before it has read everything.
    let writer = std::thread::spawn(move || {
        // One that does not read to the end is no failure.
        let _ = stdin.write_all(&input);
    });
    let done = child.wait_with_output().expect("the process can be waited for").into();
    writer.join().expect("the input was written");
    done
}

/// A process in the background; killed if the test ends before it does.
pub(crate) struct Running {
    child: Option<Child>,
}

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Running { child: Some(child) }
    }
}

impl Running {
    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("not waited for yet")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("not waited for yet").id()
    }

    /// Sends the signal with that number or name.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill starts").success());
    }

    /// Waits until the process sleeps until there is data or room.
    pub(crate) fn until_asleep(&self) {
        let pid = self.pid();
        until("the process sleeps on a futex", || {
            let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
            let number = call.split(' ').next().unwrap_or_default();
            number == FUTEX || number == FUTEX_WAITV
        });
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Done {
        self.child.take().expect("not waited for yet").wait_with_output().expect("the process can be waited for").into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Numbers of system calls as /proc shows them; the first differs between architectures.
const FUTEX: &str = if cfg!(target_arch = "x86_64") { "202" } else { "98" };
const FUTEX_WAITV: &str = "449";

/// Waits for `condition`, looking often; fails the test after half a minute.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether `program` can be run; if not, says that a test is skipped. In CI nothing may be skipped.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|found| found.status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{program} not found, and in CI nothing may be skipped");
        eprintln!("skipped: {program} not found");
    }
    found
}
