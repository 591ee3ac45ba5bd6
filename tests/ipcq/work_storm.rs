//! A storm on workers: they and their jobs are killed with -9 at random while they work a queue off. Every message
//! must be done, and twice only where a worker or a job was killed.
//!
//! The storm in the test suite is short. A long one:
//! `IPCQ_WORK_STORM=20000 cargo test --release --test ipcq work_storm -- --nocapture`.

use crate::harness::{Random, Running, Sandbox};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::fs;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Messages, if IPCQ_WORK_STORM does not say how many.
const MESSAGES: usize = 600;
/// Workers at a time, with four jobs each.
const WORKERS: usize = 4;
/// Messages for each kill, or so.
const MESSAGES_PER_KILL: u64 = 8;
/// How long the storm may take for each message.
const MOST_PER_MESSAGE: Duration = Duration::from_millis(200);

/// What a job does: it notes in a file of its message's that it is done, who it is, and whose.
const JOB: &str = "echo $$ $PPID >> done/$IPCQ_ID";

/// What is going on.
struct Storm {
    sandbox: Sandbox,
    /// The workers that live.
    workers: Mutex<Vec<u32>>,
    /// All that ever lived.
    ever: Mutex<HashSet<u32>>,
    /// The processes that were killed.
    killed: Mutex<HashSet<u32>>,
    ended: AtomicUsize,
}

impl Storm {
    /// Runs one worker after the other, until one ends by itself.
    fn work(&self) {
        loop {
            let mut command = self.sandbox.ipcq(["work", "jobs", "-j", "4", "--backoff", "0"]);
            command.args(["--max-attempts", "1000000", "--", "sh", "-c", JOB]);
            let worker = Running::from(command.stdout(Stdio::null()).spawn().unwrap());
            let pid = worker.pid();
            self.ever.lock().unwrap().insert(pid);
            self.workers.lock().unwrap().push(pid);
            // It is not reaped, and so its number not used again, before it is off the list.
            waitid(Id::Pid(Pid::from_raw(pid as i32)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
            self.workers.lock().unwrap().retain(|worker| *worker != pid);
            let output = worker.into_child().wait_with_output().unwrap();
            match output.status.code() {
                Some(0) => break,
                Some(code) => panic!("exit code {code}: {}", String::from_utf8_lossy(&output.stderr)),
                None => assert!(self.killed.lock().unwrap().contains(&pid), "{:?}", output.status),
            }
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    /// Kills a worker, or one of its jobs.
    fn kill_one(&self, random: &mut Random) {
        let workers = self.workers.lock().unwrap();
        if workers.is_empty() {
            return;
        }
        let worker = workers[random.below(workers.len() as u64) as usize];
        let jobs = fs::read_to_string(format!("/proc/{worker}/task/{worker}/children")).unwrap_or_default();
        let jobs: Vec<u32> = jobs.split_whitespace().map(|job| job.parse().unwrap()).collect();
        let victim = match random.below(2) {
            0 if !jobs.is_empty() => jobs[random.below(jobs.len() as u64) as usize],
            _ => worker,
        };
        // Noted first: what it leaves behind may be seen at once. A job may have ended meanwhile, which is no harm.
        self.killed.lock().unwrap().insert(victim);
        let _ = kill(Pid::from_raw(victim as i32), Signal::SIGKILL);
    }
}

#[test]
fn in_a_storm_of_kills_every_message_is_done_and_only_the_killed_cause_repetitions() {
    let messages = std::env::var("IPCQ_WORK_STORM").map_or(MESSAGES, |number| number.parse().expect("a number"));
    let sandbox = Sandbox::in_memory();
    sandbox.ok("create jobs");
    fs::create_dir(sandbox.path("done")).unwrap();
    let lines: String = (0..messages).map(|number| format!("{number}\n")).collect();
    assert_eq!(sandbox.run_with(["put", "jobs", "--lines"], lines.as_bytes()).code, 0);
    sandbox.ok("close jobs");
    let storm = Storm {
        sandbox,
        workers: Mutex::default(),
        ever: Mutex::default(),
        killed: Mutex::default(),
        ended: AtomicUsize::new(0),
    };

    let (start, mut random) = (Instant::now(), Random::new(messages as u64));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| storm.work());
        }
        let mut next = MESSAGES_PER_KILL;
        while storm.ended.load(Ordering::SeqCst) < WORKERS {
            assert!(start.elapsed() < MOST_PER_MESSAGE * messages as u32, "it does not come to an end");
            let done = fs::read_dir(storm.sandbox.path("done")).unwrap().count() as u64;
            if done >= next {
                storm.kill_one(&mut random);
                next = done + 1 + random.below(2 * MESSAGES_PER_KILL);
            }
            std::thread::sleep(Duration::from_micros(random.below(10_000)));
        }
    });
    let time = start.elapsed();

    let (killed, ever) = (storm.killed.into_inner().unwrap(), storm.ever.into_inner().unwrap());
    let mut repeated = 0;
    for id in 1..=messages {
        let text = fs::read_to_string(storm.sandbox.path(&format!("done/{id}"))).unwrap_or_default();
        let runs: Vec<Vec<u32>> =
            text.lines().map(|line| line.split(' ').map(|pid| pid.parse().unwrap()).collect()).collect();
        let (_, repetitions) = runs.split_last().unwrap_or_else(|| panic!("message {id} was never done"));
        repeated += repetitions.len();
        // One whose worker had died when it started has another parent. It may also be the last to write.
        let is_excused = |run: &Vec<u32>| run.iter().any(|process| killed.contains(process)) || !ever.contains(&run[1]);
        let excused = runs.iter().filter(|run| is_excused(run)).count();
        assert!(excused >= repetitions.len(), "message {id} was done again without a reason: {runs:?}");
    }
    println!("{messages} messages in {time:?}: {} kills, {repeated} repetitions", killed.len());
    for figure in ["ready", "leased", "delayed", "dead", "bytes"] {
        assert_eq!(storm.sandbox.stat("jobs", figure), 0, "{figure}");
    }
    storm.sandbox.ok("join jobs -t 0");
    storm.sandbox.is_sound("jobs");
}
