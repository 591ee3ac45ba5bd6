//! What happens to a queue while processes use it: one of them is stopped in the middle of a change, the file is
//! replaced, damaged or cut off under them, or they are in another PID namespace.

use crate::harness::{Done, Random, Running, Sandbox, differs, full_pipe, until};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn send(process: &Running, signal: Signal) {
    kill(Pid::from_raw(process.pid() as i32), signal).expect("it is our child");
}

/// Whether the process holds a lock of the kind that surrounds every operation.
fn holds_the_lock(process: &Running) -> bool {
    let locks = fs::read_to_string("/proc/locks").expect("/proc is there");
    let pid = process.pid().to_string();
    locks.lines().any(|line| line.contains(" FLOCK ") && line.split_whitespace().nth(4) == Some(&pid))
}

/// A queue before which a get sleeps, and a put of a large message that is stopped while it holds the lock.
fn stopped_in_the_middle() -> (Sandbox, Running, Running) {
    for _ in 0..100 {
        let sandbox = Sandbox::with_queues("jobs");
        let path = sandbox.path("large");
        fs::write(&path, vec![b'x'; LARGE]).unwrap();
        let sleeper = sandbox.asleep("get jobs");
        let input = File::open(&path).unwrap();
        let mut put = Running::from(sandbox.ipcq(["put", "jobs"]).stdin(input).spawn().expect("ipcq starts"));
        while !holds_the_lock(&put) && put.child().try_wait().unwrap().is_none() {}
        send(&put, Signal::SIGSTOP);
        until("it is stopped or has ended", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", put.pid())).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z']))
        });
        if holds_the_lock(&put) {
            return (sandbox, sleeper, put);
        }
    }
    panic!("it was never stopped while it held the lock");
}

/// Bytes of a message that takes a while to put.
const LARGE: usize = 20 << 20;

#[test]
fn a_process_that_is_stopped_in_the_middle_of_a_put_is_waited_for_but_not_longer_than_wanted() {
    if differs("Locks") {
        return;
    }
    let (sandbox, sleeper, put) = stopped_in_the_middle();
    let start = Instant::now();
    let mut waiting = ["put jobs other", "get jobs"].map(|arguments| sandbox.start(arguments));
    for arguments in ["put jobs late -t 0.2", "get jobs -t 0.2", "put jobs late -t 0", "get jobs -t 0"] {
        let start = Instant::now();
        let done = sandbox.run(arguments);
        assert!(done.refusal(1).contains("'jobs'"), "{done:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{arguments}");
        assert!(!arguments.ends_with("0.2") || start.elapsed() >= Duration::from_millis(200), "{arguments}");
    }
    // Whoever only looks does not wait for ever.
    assert!(sandbox.run("stat jobs").refusal(2).contains("'jobs'"));
    std::thread::sleep(Duration::from_secs(2).saturating_sub(start.elapsed()));
    assert!(holds_the_lock(&put));
    assert!(waiting.iter_mut().all(|waiting| waiting.child().try_wait().unwrap().is_none()));
    send(&put, Signal::SIGCONT);
    put.ends(0, "");
    let [other, get] = waiting;
    other.ends(0, "");
    assert_eq!(sandbox.run("stat jobs").code, 0);
    let mut got = [sleeper, get].map(|get| get.end().out.len());
    got.sort_unstable();
    assert_eq!(got, ["other\n".len(), LARGE], "each message went to one of them");
    sandbox.still_works("jobs");
}

/// The processes that are in the middle of something when something happens to the files of their queues: two
/// sleepers before `jobs`, a put that waits for room in `full`, and a get that cannot write what it holds
/// of `held`.
struct Users {
    sleepers: [Running; 3],
    holder: (Running, std::io::PipeReader),
}

const QUEUES: [&str; 3] = ["jobs", "full", "held"];

impl Users {
    fn of(sandbox: &Sandbox) -> Self {
        for queue in QUEUES {
            sandbox.ok(&format!("create {queue} --max-items 5"));
            // So that there is something beyond the first pages.
            sandbox.run_with(["put", queue], &[b'x'; 300_000]);
            sandbox.ok(&format!("get {queue}"));
        }
        sandbox.ok("put full 1 2 3 4 5");
        sandbox.run_with(["put", "held"], &[b'x'; 300_000]);
        let holder = sandbox.stuck("get held");
        let sleepers = ["get jobs", "get jobs -f", "put full x"].map(|arguments| sandbox.asleep(arguments));
        Users { sleepers, holder }
    }

    /// Lets the holder go on to where it lets go of its message, and waits until each has ended; without
    /// `all`, those who do not notice anything may sleep on.
    fn end(self, all: bool) -> Vec<Done> {
        let Users { sleepers, holder: (holder, mut reader) } = self;
        let rest = std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
        let done = holder.end();
        rest.join().unwrap().unwrap();
        // They look again several times.
        let end = Instant::now() + Duration::from_millis(700);
        let may_sleep_on = |sleeper: &mut Running| !all && Instant::now() > end && sleeper.is_asleep();
        let ended = |mut sleeper: Running| {
            let mut has_ended = false;
            until("it has ended", || {
                has_ended = sleeper.child().try_wait().unwrap().is_some();
                has_ended || may_sleep_on(&mut sleeper)
            });
            has_ended.then(|| sleeper.end())
        };
        sleepers.into_iter().filter_map(ended).chain([done]).collect()
    }
}

/// Asserts that a command ended as its queue may make it end: in a way of its own, or with a sentence.
fn assert_ended_decently(done: &Done, what: &str) {
    match done.code {
        0 | 1 | 3 => {}
        2 | 4 => {
            let is_sentence = done.err.starts_with("ipcq: ") && done.err.lines().count() == 1;
            assert!(is_sentence && !done.err.contains("panicked"), "{what}: {done:?}");
        }
        _ => panic!("{what}: {done:?}"),
    }
}

/// Does `damage` to the file of each queue while it is in use; nobody may crash or hang then, and the queue can
/// be made anew. `all` says that nobody can go on.
fn under_their_hands(what: &str, all: bool, damage: impl Fn(&File)) {
    let sandbox = Sandbox::new();
    let users = Users::of(&sandbox);
    for queue in QUEUES {
        damage(&fs::OpenOptions::new().read(true).write(true).open(sandbox.queues().join(queue)).unwrap());
    }
    let done = users.end(all);
    println!("{what}: {:?}", done.iter().map(|done| (done.code, done.err.as_str())).collect::<Vec<_>>());
    assert!(!all || done.iter().all(|done| done.code == 2));
    done.iter().for_each(|done| assert_ended_decently(done, what));
    for queue in QUEUES {
        for command in [
            "put QUEUE x -t 0.1",
            "get QUEUE -t 0.1",
            "get QUEUE -a",
            "get QUEUE --lease -t 0.1",
            "ack QUEUE 1",
            "join QUEUE -t 0.1",
            "peek QUEUE --leased",
            "purge QUEUE",
            "stat QUEUE",
            "close QUEUE",
        ] {
            let command = command.replace("QUEUE", queue);
            assert_ended_decently(&sandbox.run(&command), &format!("{what}, {command}"));
        }
        fs::remove_file(sandbox.queues().join(queue)).unwrap();
        sandbox.ok(&format!("create {queue}"));
        sandbox.still_works(queue);
    }
}

#[test]
fn a_file_that_is_cut_off_under_its_users_crashes_none_of_them() {
    if differs("Files and permissions") {
        return;
    }
    for length in [0, 100, 4096, 8192, 16_384, 100_000] {
        under_their_hands(&format!("cut off at {length}"), true, |file| file.set_len(length).unwrap());
    }
}

#[test]
fn a_file_that_is_cut_off_under_a_stream_ends_both_ends_with_a_sentence() {
    if differs("Files and permissions") {
        return;
    }
    let mut random = Random::new(7);
    for _ in 0..10 {
        let sandbox = Sandbox::with_queues("jobs");
        let path = sandbox.path("lines");
        fs::write(&path, "a line like many others\n".repeat(500_000)).unwrap();
        let mut put = sandbox.ipcq(["put", "jobs", "-l"]);
        let put = Running::from(put.stdin(File::open(&path).unwrap()).spawn().unwrap());
        let mut get = sandbox.ipcq(["get", "jobs", "-f"]);
        let get = Running::from(get.stdout(Stdio::null()).spawn().unwrap());
        until("it flows", || sandbox.stat("jobs", "got") != 0);
        std::thread::sleep(Duration::from_micros(random.below(10_000)));
        let file = fs::OpenOptions::new().write(true).open(sandbox.queues().join("jobs")).unwrap();
        // It may be about to be lengthened.
        while file.metadata().unwrap().len() > 0 {
            file.set_len([0, 4096, 20_000][random.below(3) as usize]).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        // If all was put before, that is that.
        assert_ended_decently(&put.end(), "put");
        let done = get.end();
        assert_eq!(done.code, 2, "{done:?}");
        assert_ended_decently(&done, "get");
    }
}

#[test]
fn a_file_into_which_holes_are_punched_crashes_none_of_its_users() {
    if differs("Files and permissions") {
        return;
    }
    for (start, length) in [(0, 4096), (4096, 4096), (8192, 8192), (16_384, 16_384), (20_480, 200_000), (0, 500_000)] {
        under_their_hands(&format!("{length} bytes punched out at {start}"), start == 0, |file| {
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            fallocate(file, flags, start, length).unwrap();
        });
    }
}

#[test]
fn those_who_use_a_file_that_is_replaced_by_another_are_told_that_it_is_gone() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = Sandbox::new();
    let Users { sleepers, holder: (holder, _reader) } = Users::of(&sandbox);
    sandbox.ok("create new");
    for queue in QUEUES {
        fs::copy(sandbox.queues().join("new"), sandbox.path("copy")).unwrap();
        fs::rename(sandbox.path("copy"), sandbox.queues().join(queue)).unwrap();
        // Those who come later know nothing of that.
        sandbox.still_works(queue);
    }
    for sleeper in sleepers {
        assert!(sleeper.end().refusal(4).contains("has been removed"));
    }
    holder.signal("KILL");
    holder.end();
    QUEUES.iter().for_each(|queue| sandbox.still_works(queue));
}

#[test]
fn those_who_use_a_file_go_on_while_nobody_may_open_it() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = Sandbox::new();
    let Users { sleepers: [get, follower, put], holder: (holder, mut reader) } = Users::of(&sandbox);
    let set_modes = |mode| {
        for queue in QUEUES {
            fs::set_permissions(sandbox.queues().join(queue), Permissions::from_mode(mode)).unwrap();
        }
    };
    set_modes(0o000);
    let rest = std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
    assert_eq!(holder.end().code, 0);
    rest.join().unwrap().unwrap();
    // Everyone has looked again.
    std::thread::sleep(Duration::from_millis(500));
    assert!([&get, &follower, &put].iter().all(|sleeper| sleeper.is_asleep()));
    set_modes(0o600);
    assert_eq!(sandbox.ok("get full"), "1\n");
    put.ends(0, "");
    sandbox.ok("put jobs one two");
    sandbox.ok("close jobs");
    let mut got = [get, follower].map(|get| get.end().text().to_owned());
    got.sort();
    assert!([["one\n", "two\n"], ["", "one\ntwo\n"]].contains(&[&got[0], &got[1]]), "{got:?}");
    assert_eq!(sandbox.ok("get full -a"), "2\n3\n4\n5\nx\n");
    ["full", "held"].iter().for_each(|queue| sandbox.still_works(queue));
}

#[test]
fn a_consumer_in_another_pid_namespace_holds_its_message_until_it_dies() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs first second");
    let Some(mut command) = sandbox.unshared(&["--pid"], "get jobs") else { return };
    let (_reader, writer) = full_pipe();
    let consumer = Running::from(command.stdout(writer).spawn().unwrap());
    until("it has taken a message", || sandbox.stat("jobs", "leased") == 1);
    assert_eq!(sandbox.ok("get jobs"), "second\n");
    assert_eq!(sandbox.run("get jobs -t 0.5").code, 1, "it lives, so the message is its own");
    consumer.signal("KILL");
    assert_eq!(consumer.end().code, 137);
    // It dies with its namespace, which may take a moment after the end of whoever made that.
    assert_eq!(sandbox.ok("get jobs -t 10"), "first\n");
    sandbox.still_works("jobs");
}

#[test]
fn a_lease_whose_owner_is_in_another_pid_namespace_ends_with_its_time() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs first");
    // Its owner is the first process there, and dies with the command.
    let lease = "get jobs --lease 1s --owner 1";
    let Some(mut command) = sandbox.unshared(&["--pid", "--mount-proc"], lease) else { return };
    Running::from(command.spawn().unwrap()).ends(0, "first\n");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1, "nobody here can tell that its owner is dead");
    assert_eq!(sandbox.ok("get jobs -t 10"), "first\n");
    sandbox.still_works("jobs");
}

#[test]
fn from_another_pid_namespace_it_is_seen_who_lives_and_who_does_not() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs first");
    let (consumer, _reader) = sandbox.stuck("get jobs");
    let Some(mut command) = sandbox.unshared(&["--pid"], "get jobs -t 0.5") else { return };
    assert_eq!(Running::from(command.spawn().unwrap()).end().code, 1, "the consumer lives");
    consumer.signal("KILL");
    consumer.end();
    sandbox.until_deaths_are_known("jobs");
    Running::from(command.spawn().unwrap()).ends(0, "first\n");
    sandbox.still_works("jobs");
}
