//! Waits end when they should where the monotonic clock shows something else than for others. What the wall
//! clock shows is passed to the store, whose tests let it jump.

use crate::harness::{FUTEX, Running, Sandbox, system_call, until};
use std::time::{Duration, Instant};

/// The options that set the clock ahead, and back by half the time since the system was started.
fn offsets() -> [String; 2] {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    ["--monotonic=10000000".to_owned(), format!("--monotonic=-{}", seconds / 2)]
}

#[test]
fn a_wait_takes_as_long_as_wanted_whatever_the_clock_shows() {
    for offset in offsets() {
        let sandbox = Sandbox::with_queues("jobs other");
        sandbox.ok("create full --max-items 1");
        sandbox.ok("put full x");
        for arguments in ["get jobs -t 0.5", "get jobs other -t 0.5", "put full y -t 0.5"] {
            let Some(mut command) = sandbox.unshared(&["--time", &offset], arguments) else { return };
            let start = Instant::now();
            assert_eq!(Running::from(command.spawn().unwrap()).end().code, 1, "{offset} {arguments}");
            let time = start.elapsed();
            assert!(
                (Duration::from_millis(500)..Duration::from_secs(10)).contains(&time),
                "{offset} {arguments}: {time:?}"
            );
        }
        ["jobs", "full"].iter().for_each(|queue| sandbox.is_sound(queue));
    }
}

/// The process that unshare has started.
fn child_of(pid: u32) -> Option<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?.trim().parse().ok()
}

#[test]
fn whoever_sleeps_by_another_clock_is_woken_and_sees_who_died() {
    for offset in offsets() {
        let sandbox = Sandbox::with_queues("jobs");
        let Some(mut command) = sandbox.unshared(&["--time", &offset], "get jobs -t 1m") else { return };
        for kill in [false, true] {
            let holder = kill.then(|| {
                sandbox.ok("put jobs message");
                sandbox.stuck("get jobs")
            });
            let sleeper = Running::from(command.spawn().unwrap());
            until("it sleeps", || child_of(sleeper.pid()).is_some_and(|child| system_call(child) == FUTEX));
            match holder {
                None => drop(sandbox.ok("put jobs message")),
                Some((holder, _reader)) => holder.signal("KILL"),
            }
            sleeper.ends(0, "message\n");
        }
        sandbox.still_works("jobs");
    }
}
