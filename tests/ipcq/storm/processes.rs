//! The processes of the storm: those that may be killed, and who kills them when.

use crate::harness::{FUTEX, FUTEX_WAITV, READ, Random, WRITE, system_call};
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A process that has been started and not yet been waited for.
pub(super) struct Process {
    pub(super) pid: u32,
    role: &'static str,
    /// Whether it may be killed.
    mortal: bool,
    /// Until it is waited for.
    child: Mutex<Option<Child>>,
    /// When it was last sent a signal, and what it was doing.
    killed: Mutex<Option<(Instant, &'static str)>>,
}

/// How a process ended.
pub(super) struct Ended {
    /// As a shell sees it.
    pub(super) code: i32,
    pub(super) err: String,
    /// Just before it was killed, or after it had ended by itself.
    pub(super) at: Instant,
    pub(super) killed: bool,
}

/// What everyone in the storm shares.
#[derive(Default)]
pub(super) struct Processes {
    living: Mutex<Vec<Arc<Process>>>,
    /// Held while one is killed, so that the times of two kills are in the order of the kills.
    killing: Mutex<()>,
    kills: AtomicUsize,
    /// How many were killed, by what they were doing.
    pub(super) killed_while: Mutex<BTreeMap<String, usize>>,
    /// Nothing new is started any more.
    over: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while holding it")
}

impl Processes {
    /// Starts a process that may be killed if it is `mortal`.
    pub(super) fn start(&self, command: &mut Command, role: &'static str, mortal: bool) -> Arc<Process> {
        let child = command.spawn().expect("ipcq starts");
        let pid = child.id();
        let process = Arc::new(Process { pid, role, mortal, child: Mutex::new(Some(child)), killed: Mutex::new(None) });
        lock(&self.living).push(Arc::clone(&process));
        process
    }

    /// Waits for the end of a process. What it writes is somebody else's business, but for standard error.
    pub(super) fn end(&self, process: &Process) -> Ended {
        // Without reaping it: as long as it may be killed, its number must be its own.
        let exited = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(Pid::from_raw(process.pid as i32)), exited) == Err(Errno::EINTR) {}
        lock(&self.living).retain(|other| other.pid != process.pid);
        let mut child = lock(&process.child).take().expect("it is waited for once");
        let status = child.wait().expect("it can be waited for");
        let err = child.stderr.take().map_or_else(String::new, |err| std::io::read_to_string(err).unwrap_or_default());
        let sent = lock(&process.killed).filter(|_| status.signal() == Some(nix::libc::SIGKILL));
        if let Some((_, doing)) = sent {
            self.kills.fetch_add(1, Ordering::Relaxed);
            *lock(&self.killed_while).entry(format!("{} {doing}", process.role)).or_default() += 1;
        }
        let at = sent.map_or_else(Instant::now, |(at, _)| at);
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ended { code, err, at, killed: sent.is_some() }
    }

    /// How many have been killed.
    pub(super) fn kills(&self) -> usize {
        self.kills.load(Ordering::Relaxed)
    }

    /// Nobody is to start anything any more.
    pub(super) fn end_storm(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Kills processes at random moments until `count` have been killed.
    pub(super) fn kill_many(&self, count: usize, mut random: Random) {
        let mut last = (self.kills(), Instant::now());
        while self.kills() < count {
            if self.kills() > last.0 {
                last = (self.kills(), Instant::now());
            }
            assert!(last.1.elapsed() < Duration::from_secs(30), "there is nobody to kill");
            std::thread::sleep(Duration::from_micros(random.below(longest_lull())));
            let mortal: Vec<_> = lock(&self.living).iter().filter(|process| process.mortal).cloned().collect();
            let victim = match random.below(2) {
                0 => one_that_holds_a_lock(&mortal),
                _ => one_of_those_who_do_the_same(&mortal, &mut random),
            };
            if let Some((victim, doing)) = victim {
                self.kill(&victim, doing);
            }
        }
    }

    /// Kills a process, which has been seen doing something, if it lives.
    pub(super) fn kill(&self, process: &Process, doing: &'static str) {
        let _one_at_a_time = lock(&self.killing);
        if let Some(child) = lock(&process.child).as_mut() {
            let mut killed = lock(&process.killed);
            // The first signal is the one that counts.
            killed.get_or_insert((Instant::now(), doing));
            child.kill().expect("a child can be killed");
        }
    }

    /// What everyone who lives is doing.
    pub(super) fn describe(&self) -> String {
        let living = lock(&self.living);
        living.iter().map(|process| format!("{} {} {}\n", process.pid, process.role, process.activity())).collect()
    }

    /// Ends the storm when what is returned is dropped, by force if that is because of a panic: nobody
    /// would come to an end otherwise, and neither would the test.
    pub(super) fn end_with_this(&self) -> End<'_> {
        End(self)
    }
}

/// See [`Processes::end_with_this`].
pub(super) struct End<'a>(&'a Processes);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end_storm();
        // Some may be about to start one more.
        for _ in 0..if std::thread::panicking() { 20 } else { 0 } {
            let living = lock(&self.0.living).clone();
            living.iter().for_each(|process| self.0.kill(process, "left over"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A process that is in the middle of an operation, or has been until just now.
fn one_that_holds_a_lock(processes: &[Arc<Process>]) -> Option<(Arc<Process>, &'static str)> {
    for _ in 0..10 {
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        for line in locks.lines().filter(|line| line.contains("FLOCK") && !line.contains("->")) {
            let pid = line.split_whitespace().nth(4).and_then(|pid| pid.parse().ok());
            if let Some(process) = processes.iter().find(|process| Some(process.pid) == pid) {
                return Some((Arc::clone(process), "holding the lock"));
            }
        }
    }
    None
}

/// A process that does what few do, as often as one that does what many do: most sleep at any time.
fn one_of_those_who_do_the_same(
    processes: &[Arc<Process>],
    random: &mut Random,
) -> Option<(Arc<Process>, &'static str)> {
    let mut by_activity = BTreeMap::<_, Vec<_>>::new();
    for process in processes {
        by_activity.entry((process.role, process.activity())).or_default().push(process);
    }
    let some = random.below(by_activity.len().max(4) as u64) as usize;
    let ((_, doing), processes) = by_activity.into_iter().nth(some)?;
    Some((Arc::clone(processes[random.below(processes.len() as u64) as usize]), doing))
}

/// Microseconds between two kills at most. Without optimization processes take longer to get anywhere.
fn longest_lull() -> u64 {
    if cfg!(debug_assertions) { 6_000 } else { 4_000 }
}

impl Process {
    /// The other end of its standard input, which is a pipe.
    pub(super) fn stdin(&self) -> ChildStdin {
        lock(&self.child).as_mut().and_then(|child| child.stdin.take()).expect("it is a pipe")
    }

    /// What the process is doing, in a word.
    pub(super) fn activity(&self) -> &'static str {
        match system_call(self.pid).as_str() {
            FUTEX | FUTEX_WAITV => "asleep",
            READ => "reading",
            WRITE => "writing",
            "running" => "running",
            "" => "ending",
            _ => "in another system call",
        }
    }
}
