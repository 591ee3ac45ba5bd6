//! Whoever waits sleeps, wakes at once, and keeps nothing from others.

use crate::harness::{Done, Running, Sandbox, differs, feed, until};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The processor time that the process has used.
fn processor_time(waiter: &Running) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{}/schedstat", waiter.pid())).expect("it is alive");
    Duration::from_nanos(text.split(' ').next().and_then(|number| number.parse().ok()).expect("nanoseconds"))
}

#[test]
fn a_get_wakes_on_put_on_close_and_on_rm() {
    let sandbox = Sandbox::with_queues("jobs");
    for (option, out) in [("", "one\n"), ("-n 1", "one\n"), ("--json -t 1h", "")] {
        let waiter = sandbox.asleep(&format!("get jobs {option}"));
        sandbox.ok("put jobs one");
        let done = waiter.end();
        assert_eq!(done.code, 0);
        assert!(done.text() == out || option.contains("json"));
    }
    let one = sandbox.asleep("get jobs");
    let follower = sandbox.asleep("get jobs -f");
    sandbox.ok("close jobs");
    one.ends(3, "");
    follower.ends(0, "");
    sandbox.ok("create other");
    let waiters = ["get other", "get other -f", "get other -n 3 -t 1h", "get jobs other"];
    let waiters = waiters.map(|arguments| sandbox.asleep(arguments));
    sandbox.ok("rm other");
    for waiter in waiters {
        let done = waiter.end();
        assert_eq!((done.code, done.text(), done.err.as_str()), (4, "", "ipcq: queue 'other' has been removed\n"));
    }
}

#[test]
fn a_put_wakes_on_space_on_close_and_on_rm() {
    for limit in ["--max-items 1", "--capacity 5"] {
        let sandbox = Sandbox::new();
        sandbox.ok(&format!("create jobs {limit}"));
        sandbox.ok("put jobs first");
        let waiter = sandbox.asleep("put jobs other");
        assert_eq!(sandbox.ok("get jobs"), "first\n");
        waiter.ends(0, "");
        let waiter = sandbox.asleep("put jobs third -t 1h");
        sandbox.ok("close jobs");
        waiter.ends(3, "");
        assert_eq!(sandbox.ok("get jobs -a"), "other\n", "what was refused is not there");
        sandbox.ok(&format!("create gone {limit}"));
        sandbox.ok("put gone first");
        let waiter = sandbox.asleep("put gone other");
        sandbox.ok("rm gone");
        waiter.ends(4, "");
    }
}

#[test]
fn waiters_are_woken_and_do_not_just_look_again_now_and_then() {
    let cases = [
        ("get jobs", "put jobs x", 0, "x\n"),
        ("get a b", "put b x", 0, "x\n"),
        ("put full y", "get full", 0, ""),
        ("get closed", "close closed", 3, ""),
        ("get gone", "rm gone", 4, ""),
    ];
    let mut times = cases.map(|_| Vec::new());
    for _ in 0..21 {
        let sandbox = Sandbox::with_queues("jobs a b closed gone");
        sandbox.ok("create full --max-items 1");
        sandbox.ok("put full x");
        let waiters = cases.map(|(arguments, ..)| sandbox.asleep(arguments));
        for (((_, command, code, out), waiter), times) in cases.into_iter().zip(waiters).zip(&mut times) {
            sandbox.ok(command);
            let start = Instant::now();
            waiter.ends(code, out);
            times.push(start.elapsed());
        }
    }
    for ((arguments, command, ..), mut times) in cases.into_iter().zip(times) {
        times.sort();
        // Without a wake-up it would be nearly the 200 ms after which sleepers look again.
        assert!(times[times.len() / 2] < Duration::from_millis(80), "{arguments} after {command}: {times:?}");
    }
}

#[test]
fn on_a_single_processor_waiters_are_woken_as_well() {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread).unwrap();
    let first = (0..CpuSet::count()).find(|&processor| allowed.is_set(processor).unwrap()).unwrap();
    let mut single = CpuSet::new();
    single.set(first).unwrap();
    // Those who are started now inherit it.
    sched_setaffinity(this_thread, &single).unwrap();
    let mut times = Vec::new();
    for _ in 0..21 {
        let sandbox = Sandbox::with_queues("jobs");
        let waiter = sandbox.asleep("get jobs -n 2");
        sandbox.ok("put jobs a");
        waiter.until_asleep();
        sandbox.ok("put jobs b");
        let start = Instant::now();
        waiter.ends(0, "a\nb\n");
        times.push(start.elapsed());
    }
    sched_setaffinity(this_thread, &allowed).unwrap();
    times.sort();
    // As above.
    assert!(times[times.len() / 2] < Duration::from_millis(80), "{times:?}");
}

#[test]
fn a_follower_takes_each_message_as_it_comes_and_ends_when_all_are_finished() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs held");
    let (holder, _reader) = sandbox.stuck("get jobs");
    let follower = sandbox.asleep("get jobs -f -o out");
    for number in ["1", "2", "3"] {
        sandbox.ok(&format!("put jobs {number}"));
        let path = sandbox.path("out");
        until("it is written", || {
            std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with(&format!("{number}\n")))
        });
    }
    sandbox.ok("close jobs");
    assert_eq!(sandbox.run("get jobs -t 0.3").code, 1, "a leased message may come back, so it is not drained");
    holder.signal("KILL");
    follower.ends(0, "");
    assert_eq!(std::fs::read_to_string(sandbox.path("out")).expect("it is there"), "1\n2\n3\nheld\n");
    assert_eq!(sandbox.run("get jobs").code, 3);
}

#[test]
fn a_deadline_ends_a_wait_and_not_before() {
    let sandbox = Sandbox::with_queues("jobs a b");
    sandbox.ok("create full --max-items 1");
    sandbox.ok("put full x");
    for arguments in [
        "get jobs -t 0.3",
        "get jobs --timeout 300ms",
        "get jobs -f -t 300ms",
        "get jobs -a -t .3",
        "get jobs a b -t 0.3s",
        "put full y -t 0.3",
    ] {
        let start = Instant::now();
        let done = sandbox.run(arguments);
        assert_eq!((done.code, done.text()), (1, ""), "{arguments}");
        assert!(start.elapsed() >= Duration::from_millis(300), "{arguments}");
    }
    for arguments in ["get jobs -t 0", "get jobs --no-wait", "get jobs -a", "put full y -t 0", "put full y --no-wait"] {
        assert_eq!(sandbox.run(arguments).code, 1, "{arguments}");
    }
    sandbox.ok("put jobs one");
    assert_eq!(sandbox.ok("get jobs -n 3 -t 0.1"), "one\n", "something did happen in the time given");
    assert_eq!(sandbox.ok("get full"), "x\n", "what was not put in time is not there later");
    assert_eq!(sandbox.run("get full -t 0").code, 1);
}

#[test]
fn ten_seconds_of_waiting_cost_less_than_five_milliseconds_of_processor_time() {
    let sandbox = Sandbox::with_queues("jobs a b c held");
    sandbox.ok("create full --max-items 1");
    sandbox.ok("put full x");
    sandbox.ok("put held x");
    let (_holder, _reader) = sandbox.stuck("get held");
    let commands = [
        "get jobs",
        "get jobs -f",
        "get jobs -t 1h",
        "get a b c",
        "put full y",
        "get held",
        "work jobs -- true",
        "work held -- true",
    ];
    let waiters = commands.map(|arguments| (arguments, sandbox.asleep(arguments)));
    let before = waiters.each_ref().map(|(_, waiter)| processor_time(waiter));
    std::thread::sleep(Duration::from_secs(10));
    for ((arguments, waiter), before) in waiters.iter().zip(before) {
        let used = processor_time(waiter) - before;
        // Without optimization each look takes long.
        let limit = Duration::from_millis(if cfg!(debug_assertions) { 15 } else { 5 });
        assert!(used < limit, "{arguments}: {used:?}");
    }
}

#[test]
fn a_get_on_several_queues_takes_in_the_order_named_and_wakes_for_any() {
    let sandbox = Sandbox::with_queues("a b c");
    sandbox.ok("put c 3");
    sandbox.ok("put b 2");
    sandbox.ok("put a 1");
    assert_eq!(sandbox.ok("get a b c -n 3"), "1\n2\n3\n");
    for name in ["a", "b", "c"] {
        let waiter = sandbox.asleep("get a b c");
        sandbox.ok(&format!("put {name} {name}"));
        waiter.ends(0, &format!("{name}\n"));
    }
    sandbox.ok("close a");
    sandbox.ok("close c");
    assert_eq!(sandbox.run("get a b c -t 0").code, 1, "one that is open may still give something");
    let waiter = sandbox.asleep("get a b c");
    let follower = sandbox.asleep("get c b a -f");
    sandbox.ok("close b");
    waiter.ends(3, "");
    follower.ends(0, "");
}

#[test]
fn each_of_twenty_waiters_gets_one_of_twenty_messages() {
    for lost in [0, 4] {
        let sandbox = Sandbox::with_queues("jobs");
        let waiters: Vec<_> = (0..20 + 2 * lost).map(|_| sandbox.start("get jobs")).collect();
        waiters.iter().for_each(Running::until_asleep);
        let mut living = Vec::new();
        let mut stopped = Vec::new();
        for (index, waiter) in waiters.into_iter().enumerate() {
            // Among the first, so that a wake-up would be theirs.
            match index {
                _ if index < lost => waiter.signal("KILL"),
                _ if index < 2 * lost => {
                    waiter.signal("STOP");
                    stopped.push(waiter);
                }
                _ => living.push(waiter),
            }
        }
        for number in 10..30 {
            sandbox.ok(&format!("put jobs {number}"));
        }
        let mut got: Vec<_> = living.into_iter().map(|waiter| waiter.end().text().trim().to_owned()).collect();
        got.sort();
        assert_eq!(got, (10..30).map(|number| number.to_string()).collect::<Vec<_>>());
        for waiter in &stopped {
            waiter.signal("CONT");
            sandbox.ok("put jobs late");
        }
        stopped.into_iter().for_each(|waiter| waiter.ends(0, "late\n"));
    }
}

#[test]
fn waiters_notice_that_the_file_was_removed_by_hand() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs other");
    sandbox.ok("create full --max-items 1");
    sandbox.ok("put full x");
    let commands = ["get jobs", "get jobs -f -t 1h", "get other jobs", "put full y"];
    let waiters = commands.map(|arguments| sandbox.asleep(arguments));
    for name in ["jobs", "full"] {
        std::fs::remove_file(sandbox.queues().join(name)).expect("it is there");
    }
    for (arguments, mut waiter) in commands.into_iter().zip(waiters) {
        until(arguments, || waiter.child().try_wait().is_ok_and(|status| status.is_some()));
        waiter.ends(4, "");
    }
}

#[test]
fn twenty_producers_that_wait_for_space_all_get_it() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-items 1");
    sandbox.ok("put jobs first");
    let waiters: Vec<_> = (0..20).map(|_| sandbox.start("put jobs more")).collect();
    waiters.iter().for_each(Running::until_asleep);
    waiters[3].signal("STOP");
    assert_eq!(sandbox.ok("get jobs -n 20"), format!("first\n{}", "more\n".repeat(19)));
    waiters[3].signal("CONT");
    assert_eq!(sandbox.ok("get jobs"), "more\n");
    waiters.into_iter().for_each(|waiter| waiter.ends(0, ""));
}

#[test]
fn a_put_of_all_of_standard_input_waits_for_space_too() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --capacity 1000");
    sandbox.ok("put jobs x");
    let mut command = sandbox.ipcq(["put", "jobs", "-t", "0.2"]);
    let done: Done = feed(command.stdin(Stdio::piped()).spawn().expect("ipcq starts"), &[b'a'; 1000]);
    assert_eq!((done.code, done.err.as_str()), (1, "ipcq: queue 'jobs' is full: nothing was put\n"));
    assert_eq!(sandbox.ok("get jobs -a"), "x\n");
}
