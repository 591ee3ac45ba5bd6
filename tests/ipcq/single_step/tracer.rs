//! Runs `ipcq` under ptrace(2) and notes every instruction at which a segment changed.
//!
//! Stepping through a whole command is slow: it has up to some million instructions. So the usual pace is to
//! take the permission to write its mapping of the segment away from the traced process: every instruction that
//! stores into it then stops there, is given the permission for this one step, and what it changed is noted.
//! No other instruction can change the segment, and system calls, which can change its length and its name, are
//! stops as well; one that stored into the mapping would fail. Stepping through every instruction notices the same
//! changes, and a test holds one against the other.

use crate::harness::{Done, Sandbox, binary, skip};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, mkfifo};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How closely a command is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// From one store into the segment, or system call, to the next.
    Stores,
    /// Instruction by instruction from the first lock on.
    FromLock,
    /// Instruction by instruction from the first of the program to the last.
    FromStart,
}

/// A command to be traced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced<'a> {
    /// The words after `ipcq`.
    pub(crate) arguments: &'a str,
    /// What it reads.
    pub(crate) input: &'a [u8],
    /// Whether anybody reads what it writes.
    pub(crate) is_read: bool,
}

/// A segment at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Whether it can be found under the queue's name.
    pub(crate) named: bool,
    /// Its bytes; none while it never had a name.
    pub(crate) image: Vec<u8>,
}

/// What one instruction changed.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Where `bytes` are now.
    pub(crate) start: usize,
    pub(crate) bytes: Vec<u8>,
    /// How long the segment is now.
    pub(crate) length: usize,
    /// Whether it now can be found under the queue's name.
    pub(crate) named: bool,
    /// Bytes that the command has written to its output by now.
    pub(crate) written: u64,
}

impl Snapshot {
    pub(crate) fn apply(&mut self, change: &Change) {
        self.named = change.named;
        self.image.resize(change.length, 0);
        self.image[change.start..change.start + change.bytes.len()].copy_from_slice(&change.bytes);
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) before: Snapshot,
    /// In the order in which they were made.
    pub(crate) changes: Vec<Change>,
    /// How often the command was stopped to look; when it was stepped through, the number of its instructions.
    pub(crate) stops: u64,
    pub(crate) done: Done,
}

/// Whether processes can be traced here; if not, says that a test is skipped. In CI nothing may be skipped.
pub(crate) fn can_trace() -> bool {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let seized = ptrace::seize(pid_of(&child), Options::PTRACE_O_EXITKILL);
    let _ = child.kill();
    let _ = child.wait();
    match seized {
        Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => skip("tracing processes is not permitted"),
        other => other.unwrap(),
    }
    seized.is_ok()
}

/// Runs a command and notes what it changes in the queue `jobs`.
pub(crate) fn trace(sandbox: &Sandbox, traced: Traced<'_>, pace: Pace) -> Recording {
    // Only the thread that has begun to trace may go on with it; and it is moved to one processor, for
    // waking the other one would take several times as long as a step.
    std::thread::scope(|scope| scope.spawn(|| record(sandbox, traced, pace)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn record(sandbox: &Sandbox, traced: Traced<'_>, pace: Pace) -> Recording {
    let mut processor = CpuSet::new();
    processor.set(sched_getcpu().unwrap()).unwrap();
    // Where this is not permitted it takes longer.
    let _ = sched_setaffinity(Pid::from_raw(0), &processor);

    fs::write(sandbox.path("input"), traced.input).unwrap();
    let mut tracee = Tracee::start(sandbox, traced);
    let mut watch = Watch::new(sandbox);
    watch.look();
    let before = watch.latest.clone();
    watch.changes.clear();
    let limit = Duration::from_secs(if pace == Pace::FromStart { 3600 } else { 120 });
    let mut stops = 0;
    let code = in_time(tracee.pid, limit, || {
        tracee.run(pace, || {
            stops += 1;
            watch.look();
        })
    });
    let out = fs::read(sandbox.path("output")).unwrap();
    let err = fs::read_to_string(sandbox.path("errors")).unwrap();
    Recording { before, changes: watch.changes, stops, done: Done { code, out, err } }
}

/// Does `work`; kills the process when that takes very long, so that a test which would wait for ever fails.
fn in_time<T>(pid: Pid, limit: Duration, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (is_over, over) = channel::<()>();
        scope.spawn(move || {
            if over.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        let result = work();
        drop(is_over);
        result
    })
}

/// The segment of the queue `jobs`, looked at again and again.
struct Watch {
    path: PathBuf,
    output: PathBuf,
    /// Kept from when it was first seen: it may lose its name.
    file: Option<File>,
    latest: Snapshot,
    buffer: Vec<u8>,
    changes: Vec<Change>,
}

impl Watch {
    fn new(sandbox: &Sandbox) -> Self {
        Watch {
            path: sandbox.queues().join("jobs"),
            output: sandbox.path("output"),
            file: None,
            latest: Snapshot::default(),
            buffer: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn look(&mut self) {
        let named = fs::symlink_metadata(&self.path).is_ok();
        if named && self.file.is_none() {
            self.file = Some(File::open(&self.path).unwrap());
        }
        if let Some(file) = &self.file {
            self.buffer.resize(file.metadata().unwrap().len() as usize, 0);
            file.read_exact_at(&mut self.buffer, 0).unwrap();
        }
        if named == self.latest.named && self.buffer == self.latest.image {
            return;
        }
        self.latest.image.resize(self.buffer.len(), 0);
        let differing = differing(&self.latest.image, &self.buffer);
        let change = Change {
            start: differing.start,
            bytes: self.buffer[differing].to_vec(),
            length: self.buffer.len(),
            named,
            written: fs::metadata(&self.output).unwrap().len(),
        };
        self.latest.apply(&change);
        self.changes.push(change);
    }
}

/// From the first byte that differs to the last.
fn differing(old: &[u8], new: &[u8]) -> Range<usize> {
    const CHUNK: usize = 512;
    let chunks = || old.chunks(CHUNK).zip(new.chunks(CHUNK)).enumerate();
    let differs = |(number, (old, new)): (usize, (&[u8], &[u8]))| (old != new).then_some(number * CHUNK);
    let Some(first) = chunks().find_map(differs) else { return 0..0 };
    let last = chunks().filter_map(differs).next_back().unwrap();
    let end = (last + CHUNK).min(old.len());
    let differs = |at: &usize| old[*at] != new[*at];
    (first..end).find(differs).unwrap()..(first..end).rfind(differs).unwrap() + 1
}

/// Why the traced process has stopped.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// It has become `ipcq`.
    Exec,
    /// It enters or leaves a system call.
    Call,
    /// It has done one instruction.
    Step,
    /// It is about to get a signal.
    Signal(Signal),
    /// It has ended, with this code as a shell sees it.
    End(i32),
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

/// A process under our control, killed if we end first.
struct Tracee {
    child: Child,
    pid: Pid,
    has_ended: bool,
    /// Where its segment is mapped, without the permission to write.
    protected: Vec<Range<u64>>,
    /// The address of an instruction in it that does a system call.
    call_instruction: u64,
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Tracee {
    /// A process that is `ipcq` and has not done an instruction of it.
    fn start(sandbox: &Sandbox, traced: Traced<'_>) -> Self {
        let gate = sandbox.path("gate");
        mkfifo(&gate, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let mut shell = sandbox.program("sh");
        shell.args(["-c", "read -r _ < gate; exec \"$0\" \"$@\""]).arg(binary());
        shell.args(traced.arguments.split_whitespace());
        shell.stdin(File::open(sandbox.path("input")).unwrap()).stderr(File::create(sandbox.path("errors")).unwrap());
        let output = File::create(sandbox.path("output")).unwrap();
        // A pipe whose other end is dropped here.
        let closed = || std::io::pipe().unwrap().1;
        shell.stdout(if traced.is_read { Stdio::from(output) } else { Stdio::from(closed()) });
        let child = shell.spawn().unwrap();
        let pid = pid_of(&child);
        let mut tracee = Tracee { child, pid, has_ended: false, protected: Vec::new(), call_instruction: 0 };
        // Opened when the shell has opened it too: it does not become another program before we see it.
        let mut gate_writer = OpenOptions::new().write(true).open(&gate).unwrap();
        let options = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACESYSGOOD;
        ptrace::seize(pid, options).unwrap();
        gate_writer.write_all(b"\n").unwrap();
        assert_eq!(tracee.wait(), Stop::Exec);
        fs::remove_file(gate).unwrap();
        tracee
    }

    /// Runs the process to its end and returns its exit code; calls `look` whenever the segment may have changed.
    fn run(&mut self, pace: Pace, mut look: impl FnMut()) -> i32 {
        let mut stepping = pace == Pace::FromStart;
        let mut signal = None;
        loop {
            let resume = if stepping { ptrace::step } else { ptrace::syscall };
            resume(self.pid, signal.take()).unwrap();
            match self.wait() {
                Stop::Call if pace == Pace::Stores => self.protect_what_is_mapped(),
                Stop::Call => stepping = registers::call_number(&self.registers()) == libc::SYS_flock as u64,
                Stop::Step => {}
                Stop::Signal(Signal::SIGSEGV) if !self.protected.is_empty() => self.store(),
                Stop::Signal(other) => signal = Some(other),
                Stop::Exec => panic!("it became another program"),
                Stop::End(code) => {
                    look();
                    return code;
                }
            }
            look();
        }
    }

    fn wait(&mut self) -> Stop {
        let status = loop {
            match waitpid(self.pid, Some(WaitPidFlag::__WALL)) {
                Err(Errno::EINTR) => {}
                other => break other.unwrap(),
            }
        };
        match status {
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC) => Stop::Exec,
            WaitStatus::PtraceSyscall(_) => Stop::Call,
            WaitStatus::Stopped(_, Signal::SIGTRAP) => Stop::Step,
            WaitStatus::Stopped(_, signal) => Stop::Signal(signal),
            WaitStatus::Exited(_, code) => {
                self.has_ended = true;
                Stop::End(code)
            }
            WaitStatus::Signaled(_, signal, _) => {
                self.has_ended = true;
                Stop::End(128 + signal as i32)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Does one instruction of the process.
    fn step(&mut self) {
        ptrace::step(self.pid, None).unwrap();
        assert_eq!(self.wait(), Stop::Step);
    }

    fn registers(&self) -> registers::Registers {
        ptrace::getregs(self.pid).unwrap()
    }

    /// Called at every system call; protects a segment when it has just been mapped.
    fn protect_what_is_mapped(&mut self) {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid)).unwrap();
        let shared = |line: &str| {
            let (range, permissions) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            permissions[..4].ends_with('s').then(|| (address(start)..address(end), permissions.starts_with("rw")))
        };
        let shared: Vec<_> = maps.lines().filter_map(shared).collect();
        self.protected = shared.iter().map(|(range, _)| range.clone()).collect();
        if shared.iter().any(|(_, is_writable)| *is_writable) {
            self.call_instruction = registers::position(&self.registers()) - registers::CALL_BYTES;
            // Out of the system call: within it, not every register can be set everywhere.
            self.step();
            self.permit(libc::PROT_READ);
        }
    }

    /// Lets the process do the one instruction that it was not permitted to do.
    fn store(&mut self) {
        self.permit(libc::PROT_READ | libc::PROT_WRITE);
        self.step();
        self.permit(libc::PROT_READ);
    }

    /// Has the process change what it may do to the segment.
    fn permit(&mut self, access: i32) {
        let interrupted = self.registers();
        for range in self.protected.clone() {
            let mut call = interrupted;
            let arguments = [range.start, range.end - range.start, access as u64];
            registers::prepare_call(&mut call, self.call_instruction, libc::SYS_mprotect as u64, arguments);
            ptrace::setregs(self.pid, call).unwrap();
            self.step();
            assert_eq!(registers::result(&self.registers()), 0, "mprotect failed");
        }
        ptrace::setregs(self.pid, interrupted).unwrap();
    }
}

/// How this processor does a system call.
#[cfg(target_arch = "x86_64")]
mod registers {
    pub(super) type Registers = nix::libc::user_regs_struct;

    /// Length of the instruction.
    pub(super) const CALL_BYTES: u64 = 2;

    pub(super) fn position(registers: &Registers) -> u64 {
        registers.rip
    }

    pub(super) fn call_number(registers: &Registers) -> u64 {
        registers.orig_rax
    }

    pub(super) fn prepare_call(registers: &mut Registers, at: u64, number: u64, [first, second, third]: [u64; 3]) {
        (registers.rip, registers.rax) = (at, number);
        (registers.rdi, registers.rsi, registers.rdx) = (first, second, third);
    }

    pub(super) fn result(registers: &Registers) -> u64 {
        registers.rax
    }
}

/// How this processor does a system call.
#[cfg(target_arch = "aarch64")]
mod registers {
    pub(super) type Registers = nix::libc::user_regs_struct;

    /// Length of the instruction.
    pub(super) const CALL_BYTES: u64 = 4;

    pub(super) fn position(registers: &Registers) -> u64 {
        registers.pc
    }

    pub(super) fn call_number(registers: &Registers) -> u64 {
        registers.regs[8]
    }

    pub(super) fn prepare_call(registers: &mut Registers, at: u64, number: u64, arguments: [u64; 3]) {
        (registers.pc, registers.regs[8]) = (at, number);
        registers.regs[..3].copy_from_slice(&arguments);
    }

    pub(super) fn result(registers: &Registers) -> u64 {
        registers.regs[0]
    }
}
