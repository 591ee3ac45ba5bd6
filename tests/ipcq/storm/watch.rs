//! What is seen while the storm goes on: who sleeps though a message is ready, and how long commands take.

use super::actors::QUEUES;
use super::processes::Processes;
use crate::harness::{FUTEX, Sandbox, system_call};
use ipcq::local::{CONTROL_FIELDS, Field};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What is seen while the storm goes on.
#[derive(Debug, Default)]
pub(super) struct Sight {
    pub(super) looks: usize,
    /// For how long a process that nobody kills was seen to sleep while a message was ready.
    pub(super) longest_sleep: Duration,
    pub(super) all_sleeps: Duration,
    /// The longest time that a command took which has nothing to wait for but the locks.
    pub(super) slowest_stat: Duration,
    /// The longest time that a command took which touches no queue: the machine may be busy.
    pub(super) slowest_start: Duration,
}

/// What is known of a queue at some time.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    ready: u64,
    /// Messages that have been taken so far.
    taken: u64,
    /// Who sleeps before the queue.
    sleeper: Option<u32>,
}

impl Look {
    /// Looks at the queue in `segment`, before which the process `waiter` may sleep.
    fn at(segment: &File, waiter: u32) -> Self {
        let mut words = [0; 64 * 8];
        segment.read_exact_at(&mut words, CONTROL_FIELDS[0].offset).unwrap();
        let word = |name| field(&words, CONTROL_FIELDS[0].offset, CONTROL_FIELDS, name);
        Look {
            at: Instant::now(),
            ready: word("ready messages"),
            // Whatever is taken is leased until it is got or returned.
            taken: word("leased messages") + word("got in all") + word("returned in all"),
            sleeper: Some(waiter).filter(|waiter| system_call(*waiter) == FUTEX),
        }
    }

    /// Whether somebody who slept at the time of `before` has slept since then, and a message was ready.
    fn still_sleeps_since(&self, before: &Look) -> bool {
        before.ready > 0 && self.taken == before.taken && self.sleeper.is_some() && self.sleeper == before.sleeper
    }
}

/// The field `name` in `bytes`, which are those of the segment from `start` on.
pub(super) fn field(bytes: &[u8], start: u64, fields: &[Field], name: &str) -> u64 {
    let Field { offset, bytes: length, .. } = fields.iter().find(|field| field.name == name).unwrap();
    let mut value = [0; 8];
    value[..*length as usize].copy_from_slice(&bytes[(offset - start) as usize..][..*length as usize]);
    u64::from_ne_bytes(value)
}

/// Looks at the queues and those who wait there, `waiters[queue]`, until the storm is over.
pub(super) fn watch(sandbox: &Sandbox, processes: &Processes, waiters: &[AtomicU32]) -> Sight {
    let mut sight = Sight::default();
    let segments = QUEUES.map(|(name, _)| File::open(sandbox.queues().join(name)).unwrap());
    // For each queue the look since which somebody sleeps, and the last one.
    let mut looks = waiters.iter().zip(&segments).map(|(_, segment)| [Look::at(segment, 0); 2]).collect::<Vec<_>>();
    while !processes.is_over() {
        sight.looks += 1;
        for (queue, [since, last]) in looks.iter_mut().enumerate() {
            let now = Look::at(&segments[queue], waiters[queue].load(Ordering::Relaxed));
            if now.still_sleeps_since(since) {
                sight.longest_sleep = sight.longest_sleep.max(now.at - since.at);
                sight.all_sleeps += now.at - last.at;
            } else {
                *since = now;
            }
            *last = now;
        }
        if sight.looks.is_multiple_of(30) {
            let start = Instant::now();
            sandbox.ok("--version");
            let started = Instant::now();
            sandbox.ok(&format!("stat {}", QUEUES.map(|(name, _)| name).join(" ")));
            sight.slowest_start = sight.slowest_start.max(started - start);
            sight.slowest_stat = sight.slowest_stat.max(started.elapsed());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    sight
}
