//! Running a command on bytes of our choice, and judging what it did.

use super::PATIENCE;
use super::bases::{Base, trimmed};
use super::mutate::{Mutated, STAMP_BYTES};
use crate::harness::{Random, Running, binary, shared_memory};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipcq::local::{CONTROL_FIELDS, HOT_FIELDS, LOG_FIELDS, OWNER_FIELDS, RECORD_FIELDS, STAMP_FIELDS};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What may be put.
#[derive(Clone, Copy)]
pub(super) enum Input {
    Nothing,
    Long,
    Lines,
}

/// A command to run.
pub(super) struct Run {
    /// The queue is `q`; `bystander` is another one, which is empty, and `other` one that messages may go to.
    pub(super) arguments: &'static str,
    input: Input,
}

impl Run {
    /// A command that reads nothing.
    pub(super) const fn new(arguments: &'static str) -> Self {
        Run { arguments, input: Input::Nothing }
    }

    /// Whether it names the queue `other`.
    fn uses_other(&self) -> bool {
        self.arguments.split(' ').any(|word| word == OTHER)
    }

    /// How long it may take. One that starts a process for each message may take a little longer.
    pub(super) fn patience(&self) -> Duration {
        if self.arguments.starts_with("work") { PATIENCE * 10 } else { PATIENCE }
    }
}

/// The queue that messages may go to.
const OTHER: &str = "other";

/// What is tried. Nothing here waits: a queue that says it is full, or empty, may be believed.
const COMMANDS: &[Run] = &[
    Run::new("put q short -t 0"),
    Run::new("put q one two three -t 0"),
    Run { arguments: "put q -t 0", input: Input::Long },
    Run { arguments: "put q --lines -t 0", input: Input::Lines },
    Run::new("get q -t 0"),
    Run::new("get q --all -t 0"),
    Run::new("get q --all -t 0 --json"),
    Run::new("get q -n 3 --json -t 0"),
    Run::new("get q -n 17 --shell -t 0"),
    Run::new("get q --follow -t 0"),
    Run::new("get bystander q -t 0 --at-most-once"),
    Run::new("get q -n 3 --lease 1h --json -t 0"),
    Run::new("get q --lease --owner 1 -t 0"),
    Run::new("ack q 1"),
    Run::new("ack q 2.1 4"),
    Run::new("nack q 1 3"),
    Run::new("nack q 1 --delay 1h"),
    Run::new("extend q 1 2 1h"),
    Run::new("join q -t 0"),
    Run::new("peek q --json"),
    Run::new("peek q --leased --json"),
    Run::new("peek q --delayed --json -n 1000"),
    Run::new("peek q --dead --json"),
    Run::new("peek q -n 1000"),
    Run::new("retry q --all"),
    Run::new("retry q 5 6"),
    Run::new("purge q"),
    Run::new("purge q --dead"),
    Run::new("purge q --delayed"),
    Run::new("purge q --damaged"),
    Run::new("pause q --get"),
    Run::new("resume q"),
    Run::new("wait q --ready -t 0"),
    Run::new("wait q --empty -t 0"),
    Run::new("mv q other -t 0"),
    Run::new("mv q other --dead -n 1 -t 0"),
    Run::new("produce q -t 0 -- /bin/echo one"),
    Run::new("close q"),
    Run::new("stat q --json"),
    Run::new("stat q --prometheus"),
    Run::new("verify q --json"),
    Run::new("ls"),
    Run::new("ls --json"),
    Run::new("create q --exist-ok"),
    Run::new("rm q"),
];

/// The same that start a process for each message, and so are tried less often.
const WORKERS: &[Run] = &[
    Run::new("work q -j 2 -t 0 -- /bin/true"),
    Run::new("work q -j 1 -t 0 --max-attempts 2 --backoff 0 -- /bin/false"),
    Run::new("work q -j 2 -t 0 --out other -- /bin/cat"),
];

/// One of them all.
pub(super) fn any(random: &mut Random) -> &'static Run {
    let runs = if random.below(100) == 0 { WORKERS } else { COMMANDS };
    &runs[random.below(runs.len() as u64) as usize]
}

/// What is put as a whole.
fn long() -> Vec<u8> {
    b"0123456789abcdef".repeat(400)
}

/// Lines to put.
fn lines() -> Vec<u8> {
    (0..50).map(|number| format!("{number} {}\n", "y".repeat(number))).collect::<String>().into_bytes()
}

/// How a command ended.
pub(super) struct Ended {
    /// The exit code.
    pub(super) code: i32,
    pub(super) out: Vec<u8>,
    pub(super) err: Vec<u8>,
    pub(super) took: Duration,
}

/// A directory of queues in memory: the one to be mutated, `q`; one that nobody may touch; and one that messages may
/// go to.
pub(super) struct Arena {
    directory: TempDir,
    /// An empty queue, which those two are to begin with.
    empty: Vec<u8>,
}

impl Arena {
    pub(super) fn new() -> Self {
        let directory = shared_memory();
        fs::create_dir(directory.path().join("queues")).unwrap();
        fs::write(directory.path().join("long"), long()).unwrap();
        fs::write(directory.path().join("lines"), lines()).unwrap();
        let mut arena = Arena { directory, empty: Vec::new() };
        let created = arena.start(&Run::new("create bystander")).wait_with_output().unwrap();
        assert!(created.status.success());
        arena.empty = fs::read(arena.path("bystander")).unwrap();
        arena.renew_other();
        arena
    }

    /// The file of a queue.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("queues").join(name)
    }

    /// Starts a command.
    pub(super) fn start(&self, run: &Run) -> Child {
        let input = |name| File::open(self.directory.path().join(name)).unwrap().into();
        Command::new(binary())
            .args(run.arguments.split(' '))
            .env_clear()
            .env("IPCQ_DIR", self.directory.path().join("queues"))
            .stdin(match run.input {
                Input::Nothing => Stdio::null(),
                Input::Long => input("long"),
                Input::Lines => input("lines"),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ipcq starts")
    }

    /// Starts a command that waits for data or room, and is asleep by now.
    pub(super) fn start_asleep(&self, run: &Run) -> Child {
        let running = Running::from(self.start(run));
        running.until_asleep();
        running.into_child()
    }

    /// Makes the queue that messages may go to what it was.
    pub(super) fn renew_other(&self) {
        fs::write(self.path(OTHER), &self.empty).unwrap();
    }

    /// Makes a file of `bytes`, then as many zeros as make it `length` bytes long, `q`.
    pub(super) fn place(&self, bytes: &[u8], length: u64) {
        let path = self.path("q");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(length).unwrap();
    }

    /// Runs a command on a segment of those bytes.
    pub(super) fn run(&self, run: &Run, bytes: &[u8], length: u64) -> Result<Ended, String> {
        self.place(bytes, length);
        if run.uses_other() {
            self.renew_other();
        }
        end(self.start(run), run.patience())
    }

    /// What is wrong with how a command ended, or with what it left behind.
    pub(super) fn judge(&self, run: &Run, mutated: &Mutated, ended: &Ended, base: &Base) -> Result<(), String> {
        judge_words(run, ended)?;
        self.judge_files(mutated)?;
        judge_messages(run, ended, base)?;
        if run.uses_other() { self.judge_other(base) } else { Ok(()) }
    }

    /// Whether the queue that messages may have gone to is sound, and has got none that nobody has put. Takes them.
    fn judge_other(&self, base: &Base) -> Result<(), String> {
        if fs::read(self.path(OTHER)).unwrap() == self.empty {
            return Ok(());
        }
        let verified = end(self.start(&Run::new("verify other")), PATIENCE)?;
        if verified.code != 0 {
            return Err(format!("what it moved messages to is {:?}", String::from_utf8_lossy(&verified.out)));
        }
        let get = Run::new("get other --all --json -t 0");
        let got = end(self.start(&get), PATIENCE)?;
        judge_words(&get, &got)?;
        judge_messages(&get, &got, base)
    }

    /// Whether the queue that has nothing to do with it is what it was.
    pub(super) fn judge_bystander(&self) -> Result<(), String> {
        match fs::read(self.path("bystander")).unwrap() == self.empty {
            true => Ok(()),
            false => Err("it wrote to another queue".into()),
        }
    }

    fn judge_files(&self, mutated: &Mutated) -> Result<(), String> {
        for entry in fs::read_dir(self.path("")).unwrap() {
            let name = entry.unwrap().file_name();
            if name != "q" && name != "bystander" && name != OTHER {
                return Err(format!("there is a file {name:?}"));
            }
        }
        self.judge_bystander()?;
        let mut file = match File::open(self.path("q")) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        // A put that is admitted makes it larger by at most 4 MiB.
        let length = file.metadata().unwrap().len();
        if length > mutated.length + (8 << 20) {
            return Err(format!("the file has grown from {} to {length}", mutated.length));
        }
        let (mut stamp, mut before) = ([0; STAMP_BYTES], [0; STAMP_BYTES]);
        let length = file.read(&mut stamp).unwrap();
        before[..length].copy_from_slice(&mutated.bytes[..length]);
        if stamp != before {
            return Err("it wrote to the stamp".into());
        }
        Ok(())
    }
}

/// Waits for a command, at most so long.
pub(super) fn end(mut child: Child, patience: Duration) -> Result<Ended, String> {
    let (start, mut out, mut err) = (Instant::now(), Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let mut buffer = vec![0; 64 << 10];
    while stdout.is_some() || stderr.is_some() {
        let left = patience.saturating_sub(start.elapsed());
        let streams = [stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
        let mut waits: Vec<_> =
            streams.into_iter().flatten().map(|stream| PollFd::new(stream, PollFlags::POLLIN)).collect();
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut waits, timeout);
        let ready: Vec<_> = waits.iter().map(|wait| wait.any() == Some(true)).collect();
        if !ready.contains(&true) {
            if left.is_zero() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it did not end within {patience:?}"));
            }
            continue;
        }
        let mut ready = ready.into_iter();
        if stdout.is_some() && ready.next() == Some(true) {
            take(&mut stdout, &mut out, &mut buffer);
        }
        if stderr.is_some() && ready.next() == Some(true) {
            take(&mut stderr, &mut err, &mut buffer);
        }
    }
    let status = child.wait().unwrap();
    let took = start.elapsed();
    let code = code(status).map_err(|signal| {
        format!("it was killed by signal {signal}, having said {:?}", String::from_utf8_lossy(&err))
    })?;
    Ok(Ended { code, out, err, took })
}

fn code(status: ExitStatus) -> Result<i32, i32> {
    status.code().ok_or_else(|| status.signal().unwrap_or_default())
}

/// Reads what there is from a stream; forgets it at its end.
fn take(stream: &mut Option<impl Read>, into: &mut Vec<u8>, buffer: &mut [u8]) {
    match stream.as_mut().map(|stream| stream.read(buffer)) {
        Some(Ok(length)) if length > 0 => into.extend_from_slice(&buffer[..length]),
        _ => *stream = None,
    }
}

/// What else than the name of a field may say what is wrong.
const OTHER_REASONS: [&str; 10] = [
    ": it is not an ipcq segment",
    ": it is too short to be an ipcq segment",
    ": it has",
    ": link of a unit",
    // These do not take the segment for damaged.
    "is not leased from queue",
    "is not dead; nothing was changed",
    "more than the capacity of queue",
    "cannot make queue",
    "there is not enough memory",
    "the queue's file was truncated while it was in use",
];

/// Judges the exit code and what was said.
pub(super) fn judge_words(run: &Run, ended: &Ended) -> Result<(), String> {
    let Ended { code, err, .. } = ended;
    let text = String::from_utf8_lossy(err);
    let text = if run.arguments.starts_with("work") { without_news(&text) } else { text.into_owned() };
    // Messages are dead: of those commands that care.
    let last = if ["work", "join"].iter().any(|command| run.arguments.starts_with(command)) { 5 } else { 4 };
    if !(0..=last).contains(code) {
        return Err(format!("exit code {code}: {text:?}"));
    }
    if text.is_empty() && *code != 2 {
        return Ok(());
    }
    let line = text.strip_prefix("ipcq: ").and_then(|line| line.strip_suffix('\n'));
    let Some(line) = line.filter(|line| *code != 0 && !line.contains(char::is_control)) else {
        return Err(format!("exit code {code} and not one line of ours: {text:?}"));
    };
    let fields =
        || [STAMP_FIELDS, HOT_FIELDS, CONTROL_FIELDS, LOG_FIELDS, OWNER_FIELDS, RECORD_FIELDS].into_iter().flatten();
    let is_a_field = fields()
        .any(|field| line.contains(&format!(": {} ", field.name)) || line.contains(&format!(": {}: ", field.name)))
        // What verify finds is in what it prints.
        || found(&ended.out).is_some_and(|found| {
            found.iter().all(|name| *name == "link of a unit" || fields().any(|field| field.name == *name))
        });
    if *code == 2 && !is_a_field && !OTHER_REASONS.iter().any(|reason| line.contains(reason)) {
        return Err(format!("'ipcq {}' does not say what is wrong: {line}", run.arguments));
    }
    Ok(())
}

/// The last that a worker said, but for the messages that are dead or somebody else's now, and how many it was done
/// with: what has happened to its jobs it says before that.
fn without_news(text: &str) -> String {
    let is_news = |line: &str| {
        line.starts_with("ipcq: message ") && line.contains(" is dead: ")
            || line.contains(" is not leased from queue ")
            || line.contains(" done, ") && line.contains(" retried, ")
    };
    text.split_inclusive('\n').rfind(|line| !is_news(line)).unwrap_or_default().to_owned()
}

/// The fields that `verify --json` says are wrong, one at least.
fn found(out: &[u8]) -> Option<Vec<String>> {
    let object: serde_json::Value = serde_json::from_slice(out).ok()?;
    let problems = object.get("problems")?.as_array()?;
    let name = |problem: &serde_json::Value| problem["field"].as_str().map(str::to_owned);
    problems.iter().map(name).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
}

/// Whether all that was delivered had been put.
fn judge_messages(run: &Run, ended: &Ended, base: &Base) -> Result<(), String> {
    if !["get", "peek"].iter().any(|command| run.arguments.starts_with(command)) {
        return Ok(());
    }
    let is_known = |message: &[u8]| base.messages.contains(trimmed(message));
    if run.arguments.contains("--json") {
        for line in ended.out.split_inclusive(|byte| *byte == b'\n') {
            let body = body(line).map_err(|error| format!("{error}: {:?}", String::from_utf8_lossy(line)))?;
            if !is_known(&body) {
                return Err(format!("it delivered {:?}, which nobody has put", String::from_utf8_lossy(&body)));
            }
        }
    } else if run.arguments == "get q -t 0" && ended.code == 0 && !is_known(&ended.out) {
        return Err(format!("it delivered {:?}, which nobody has put", String::from_utf8_lossy(&ended.out)));
    }
    Ok(())
}

/// The message in a line of JSON.
fn body(line: &[u8]) -> Result<Vec<u8>, String> {
    let object: serde_json::Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    match (&object["body"], &object["body_base64"]) {
        (_, serde_json::Value::String(text)) => STANDARD.decode(text).map_err(|error| error.to_string()),
        (serde_json::Value::String(text), _) => Ok(text.clone().into_bytes()),
        (value, _) => Ok(value.to_string().into_bytes()),
    }
}
