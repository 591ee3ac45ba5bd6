//! A directory of its own and an empty environment for every test, and ways to run `ipcq` in it.

use crate::server;
use std::ffi::{OsStr, OsString};
use std::io::{PipeReader, PipeWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server takes those for alive that it does not hear from, in most tests.
pub(crate) const PRESENCE: &str = "2s";

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ipcq"))
}

/// A temporary directory in shared memory, where there is some: for tests that write much.
pub(crate) fn shared_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary directory")
}

/// Whether this is the second run of a test, with queues on a server.
pub(crate) fn is_on_redis() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("on_redis::"))
}

/// Whether this is the second run of a test, with queues on a server, and something cannot be the same there: `what` is
/// a row of the table in ipcq-redis(7).
pub(crate) fn differs(what: &str) -> bool {
    let page = include_str!("../../man/ipcq-redis.7");
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".It ")).collect();
    assert!(rows.contains(&what), "'{what}' is no row of the table in ipcq-redis(7): {rows:?}");
    is_on_redis()
}

/// Somewhere to keep queues and files, removed at the end. Tests that run on a server, too (see `on_redis.rs`), have
/// their queues in a database of their own there.
pub(crate) struct Sandbox {
    directory: TempDir,
    database: Option<String>,
    /// How long a server takes those for alive that it does not hear from.
    presence: &'static str,
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

    /// Asserts that the command failed with exit code `code`, printed nothing, and said why in one line for
    /// people; returns that line without the program's name.
    pub(crate) fn refusal(&self, code: i32) -> &str {
        assert_eq!((self.code, self.text()), (code, ""), "{self:?}");
        let line = self.err.strip_prefix("ipcq: ").and_then(|line| line.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("no line of ours: {self:?}"));
        assert!(!line.chars().any(char::is_control) && !line.contains("panicked"), "{self:?}");
        line
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
        Sandbox::of(TempDir::new().expect("a temporary directory"))
    }

    /// A sandbox in `directory`.
    pub(crate) fn within(directory: &Path) -> Self {
        Sandbox::of(TempDir::new_in(directory).expect("a temporary directory"))
    }

    /// A sandbox in memory, where queues usually are and nobody waits for a disk, if there is such a place.
    pub(crate) fn in_memory() -> Self {
        Sandbox::of(shared_memory())
    }

    /// A sandbox whose queues are in the database with this URL.
    pub(crate) fn with_database(url: String) -> Self {
        Sandbox { database: Some(url), ..Sandbox::new() }
    }

    /// Sets how long a server takes those for alive that it does not hear from.
    pub(crate) fn presence(&mut self, time: &'static str) {
        self.presence = time;
    }

    /// A sandbox with these queues, whose names are separated by blanks.
    pub(crate) fn with_queues(names: &str) -> Self {
        let sandbox = Sandbox::new();
        names.split(' ').for_each(|name| drop(sandbox.ok(&format!("create {name}"))));
        sandbox
    }

    fn of(directory: TempDir) -> Self {
        Sandbox { directory, database: is_on_redis().then(server::new_database).flatten(), presence: PRESENCE }
    }

    /// A path in the sandbox, for files of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where the sandbox's queues are.
    pub(crate) fn queues(&self) -> PathBuf {
        self.path("queues")
    }

    /// What `$IPCQ_DIR` is.
    pub(crate) fn home(&self) -> OsString {
        self.database.as_ref().map_or_else(|| self.queues().into(), OsString::from)
    }

    /// Everything that there is of a queue, byte for byte.
    pub(crate) fn contents(&self, queue: &str) -> Vec<u8> {
        match &self.database {
            None => std::fs::read(self.queues().join(queue)).expect("the queue has a file"),
            Some(url) => server::contents(url, queue),
        }
    }

    /// What the server of the sandbox's queues answers to the words of a command.
    pub(crate) fn ask_server(&self, words: &str) -> String {
        server::ask_database(self.database.as_ref().expect("the queues are on a server"), words)
    }

    /// A program with nothing in its environment but where to find `ipcq` and the queues.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let directory = binary().parent().expect("the binary is in a directory");
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", directory.display()))
            .env("IPCQ_DIR", self.home())
            .envs(self.database.iter().map(|_| ("IPCQ_REDIS_PRESENCE", self.presence)))
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

    /// Starts `ipcq` with the words of `arguments`, which waits for data or room, and is asleep by now.
    pub(crate) fn asleep(&self, arguments: &str) -> Running {
        let running = self.start(arguments);
        running.until_asleep();
        running
    }

    /// Starts a consumer that takes messages and cannot write the first byte of them: its output is a
    /// full pipe, whose other end is returned with it.
    pub(crate) fn stuck(&self, arguments: &str) -> (Running, PipeReader) {
        stuck(self.ipcq(arguments.split_whitespace()))
    }

    /// The same while there is no message yet: it sleeps.
    pub(crate) fn stuck_later(&self, arguments: &str) -> (Running, PipeReader) {
        let (running, reader) = start_into_full_pipe(self.ipcq(arguments.split_whitespace()));
        running.until_asleep();
        (running, reader)
    }

    /// Runs a script with `sh`.
    pub(crate) fn sh(&self, script: &str) -> Done {
        Running::from(self.program("sh").args(["-c", script]).spawn().expect("sh starts")).end()
    }

    /// An `ipcq` command that runs in a namespace of its own of that kind, which dies with it; with options of
    /// unshare(1). `None`: that is not permitted here.
    pub(crate) fn unshared(&self, options: &[&str], arguments: &str) -> Option<Command> {
        let map: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--map-root-user"] };
        let unshare = || {
            let mut command = self.program("unshare");
            command.args(["--fork", "--kill-child"]).args(map).args(options);
            command
        };
        if !have("unshare") {
            return None;
        }
        if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
            skip("no namespace can be made");
            return None;
        }
        let mut command = unshare();
        command.arg(binary()).args(arguments.split_whitespace());
        Some(command)
    }

    /// Runs a script with `sh` as root where nobody else sees what it mounts. `None`: that is not permitted here.
    pub(crate) fn with_mounts(&self, script: &str) -> Option<Done> {
        let root = nix::unistd::geteuid().is_root();
        let words: &[&str] = if root { &["--mount"] } else { &["--mount", "--map-root-user"] };
        let unshare = |script| {
            let child = self.program("unshare").args(words).args(["sh", "-c", script]).spawn();
            have("unshare").then(|| Running::from(child.expect("unshare starts")).end())
        };
        if unshare("mount -t tmpfs tmpfs /mnt").is_some_and(|done| done.code == 0) {
            return unshare(script);
        }
        skip("nothing can be mounted");
        None
    }

    /// Asserts that `ipcq verify` finds nothing wrong.
    pub(crate) fn is_sound(&self, queue: &str) {
        let verified = self.run(&format!("verify {queue}"));
        assert_eq!(verified.code, 0, "{verified:?}");
    }

    /// Asserts that a queue is sound, and that what is put into it is got again behind what is there already.
    pub(crate) fn still_works(&self, queue: &str) {
        self.is_sound(queue);
        self.ok(&format!("put {queue} still-works --timeout 5s"));
        let rest = self.ok(&format!("get {queue} --all --timeout 5s"));
        assert!(rest.ends_with("still-works\n"), "{rest}");
        self.is_sound(queue);
    }

    /// Has messages moved from the first queue to the second and back until so many movers have been killed in the middle
    /// of it, and calls `after` when each has ended. One that was done before it could be killed proves nothing, and is
    /// followed by another one.
    pub(crate) fn kill_movers(&self, [mut from, mut to]: [&str; 2], kills: usize, after: impl Fn()) {
        let put = |queue: &str| self.stat(queue, "put").as_u64().expect("a number");
        let mut killed = 0;
        until("enough movers have been killed", || {
            let mut mover = self.start(&format!("mv {from} {to}"));
            let before = put(to);
            until("some have been moved", || {
                mover.child().try_wait().expect("it can be waited for").is_some() || put(to) > before
            });
            mover.child().kill().expect("it can be killed");
            killed += usize::from(mover.end().code == 137);
            after();
            (from, to) = (to, from);
            killed >= kills
        });
    }

    /// Waits until it is known that processes which were killed are dead. On this machine the next command knows.
    pub(crate) fn until_deaths_are_known(&self, queue: &str) {
        if self.database.is_none() {
            return;
        }
        until("the dead hold nothing", || {
            let holders = self.stat(queue, "holders");
            let holders = holders.as_array().expect("a list").iter().map(|holder| holder["pid"].to_string());
            holders.into_iter().all(|pid| Path::new("/proc").join(pid).exists())
        });
    }

    /// The figure `key` of `ipcq stat --json`.
    pub(crate) fn stat(&self, queue: &str, key: &str) -> serde_json::Value {
        let text = self.ok(&format!("stat --json {queue}"));
        let object: serde_json::Value = serde_json::from_str(&text).expect("stat prints JSON");
        object[key].clone()
    }
}

/// The same as [`Sandbox::stuck`], for a consumer that is started in another way.
pub(crate) fn stuck(command: Command) -> (Running, PipeReader) {
    let (running, reader) = start_into_full_pipe(command);
    running.until_writing();
    (running, reader)
}

fn start_into_full_pipe(mut command: Command) -> (Running, PipeReader) {
    let (reader, writer) = full_pipe();
    (Running::from(command.stdout(writer).spawn().expect("the consumer starts")), reader)
}

/// A pipe into which not another byte goes until somebody reads.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETPIPE_SZ).expect("a pipe has a size");
    writer.write_all(&vec![0; size as usize]).expect("a pipe holds as much as it says");
    (reader, writer)
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
    let done = Running::from(child).end();
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

    /// The process, for a test that ends it in its own way.
    pub(crate) fn into_child(mut self) -> Child {
        self.child.take().expect("not waited for yet")
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
        until("the process sleeps on a futex", || self.is_asleep());
    }

    /// Waits until the process waits for somebody else to release a lock on a file.
    pub(crate) fn until_locked_out(&self) {
        let pid = self.pid().to_string();
        until("the process waits for a lock", || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
            locks.lines().any(|line| line.contains(" -> ") && line.split_whitespace().any(|word| word == pid))
        });
    }

    /// Whether the process sleeps until there is data or room.
    pub(crate) fn is_asleep(&self) -> bool {
        [FUTEX, FUTEX_WAITV].contains(&self.system_call().as_str())
    }

    /// Waits until the process is in the middle of a write, where it stays only if nobody reads.
    pub(crate) fn until_writing(&self) {
        until("the process writes", || self.is_writing());
    }

    /// Whether the process is in the middle of a write.
    pub(crate) fn is_writing(&self) -> bool {
        self.system_call() == WRITE
    }

    fn system_call(&self) -> String {
        system_call(self.pid())
    }

    /// Waits for the end, which must be with this code and this output.
    pub(crate) fn ends(self, code: i32, out: &str) {
        let done = self.end();
        assert_eq!((done.code, done.text()), (code, out), "{}", done.err);
    }

    /// Waits for the end; fails the test if it does not come within two minutes.
    pub(crate) fn end(mut self) -> Done {
        let child = self.child.take().expect("not waited for yet");
        let pid = child.id();
        let (sender, receiver) = std::sync::mpsc::channel();
        // From a thread, for there is no waiting with a time-out.
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(Duration::from_secs(120)) else {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            panic!("process {pid} did not come to an end");
        };
        output.expect("the process can be waited for").into()
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
pub(crate) const FUTEX: &str = if cfg!(target_arch = "x86_64") { "202" } else { "98" };
pub(crate) const FUTEX_WAITV: &str = "449";
pub(crate) const CLOCK_NANOSLEEP: &str = if cfg!(target_arch = "x86_64") { "230" } else { "115" };
pub(crate) const RECVFROM: &str = if cfg!(target_arch = "x86_64") { "45" } else { "207" };
pub(crate) const READ: &str = if cfg!(target_arch = "x86_64") { "0" } else { "63" };
pub(crate) const WRITE: &str = if cfg!(target_arch = "x86_64") { "1" } else { "64" };

/// The number of the system call that a process is in, or something else if it is in none.
pub(crate) fn system_call(pid: u32) -> String {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.split_whitespace().next().unwrap_or_default().to_owned()
}

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
        skip(&format!("{program} not found"));
    }
    found
}

/// Whether we are root; if not, says that a test is skipped. In CI nothing may be skipped.
pub(crate) fn are_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip("only root can do this");
    }
    root
}

/// Says that a test is skipped. In CI nothing may be skipped.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}, and in CI nothing may be skipped");
    eprintln!("skipped: {why}");
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    /// A sequence of its own for every `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 that is less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.number() >> 16) % end
    }

    /// Any bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.number().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}
