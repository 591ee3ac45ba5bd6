//! A group shares a queue. Whoever is not in it is kept out; whoever is can spoil what is in the queue, but neither
//! crash nor hang the others.

use crate::harness::{Done, Random, Running, Sandbox, are_root, binary, feed, have, stuck, until};
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The group that shares the queues.
const TEAM: u32 = 22001;

/// A user, whose own group has the same number.
struct User {
    number: u32,
    is_member: bool,
}

const ALICE: User = User { number: 21001, is_member: true };
const BOB: User = User { number: 21002, is_member: true };
const STRANGER: User = User { number: 21003, is_member: false };

/// What is tried where nobody is to get through; all of it on the queue `jobs`.
const COMMANDS: [&str; 17] = [
    "put jobs message --timeout 0",
    "put jobs message --create --timeout 0",
    "put jobs --lines",
    "get jobs --timeout 0",
    "get jobs --lease --timeout 0",
    "ack jobs 1",
    "nack jobs 1 2.2 --delay 1s",
    "extend jobs 1 1s",
    "join jobs",
    "produce jobs -- true",
    "peek jobs",
    "retry jobs --all",
    "purge jobs",
    "close jobs",
    "stat jobs",
    "rm jobs",
    "create jobs --exist-ok",
];

/// A directory of queues that is the group's, and the users.
struct Team {
    sandbox: Sandbox,
}

impl Team {
    /// With a directory that has this mode. `None`: here we cannot be several users.
    fn with_directory(mode: u32) -> Option<Team> {
        if !are_root() || !have("setpriv") {
            return None;
        }
        let team = Team { sandbox: Sandbox::new() };
        set_mode(&team.sandbox.path(""), 0o755);
        // The one under test may be where only we can go. Were the copy written by this process, children of other
        // tests could keep it open for writing, and so from being run.
        let copied = Command::new("cp").arg(binary()).arg(team.sandbox.path("ipcq")).status();
        assert!(copied.unwrap().success());
        fs::create_dir(team.sandbox.queues()).unwrap();
        chown(team.sandbox.queues(), Some(ALICE.number), Some(TEAM)).unwrap();
        set_mode(&team.sandbox.queues(), mode);
        Some(team)
    }

    /// With a queue that Alice has made and shares, besides.
    fn with_queue() -> Option<Team> {
        let team = Team::with_directory(0o2770)?;
        team.ok(&ALICE, "create jobs --mode 0660");
        Some(team)
    }

    fn queue(&self) -> PathBuf {
        self.sandbox.queues().join("jobs")
    }

    /// A program that `user` runs.
    fn program(&self, user: &User, program: &str) -> Command {
        let mut command = self.sandbox.program("setpriv");
        let groups = if user.is_member { format!("--groups={TEAM}") } else { "--clear-groups".into() };
        command.args([format!("--reuid={}", user.number), format!("--regid={}", user.number), groups]).arg(program);
        command
    }

    fn ipcq(&self, user: &User, arguments: &str) -> Command {
        let mut command = self.program(user, self.sandbox.path("ipcq").to_str().unwrap());
        command.args(arguments.split_whitespace());
        command
    }

    fn start(&self, user: &User, arguments: &str) -> Running {
        self.ipcq(user, arguments).spawn().unwrap().into()
    }

    fn run(&self, user: &User, arguments: &str) -> Done {
        self.start(user, arguments).end()
    }

    fn ok(&self, user: &User, arguments: &str) -> String {
        let done = self.run(user, arguments);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "user {}: ipcq {arguments}", user.number);
        done.text().to_owned()
    }

    /// Asserts that each member finds the queue sound.
    fn is_sound(&self) {
        for user in [&ALICE, &BOB] {
            assert!(self.ok(user, "verify jobs").starts_with("jobs: sound"));
        }
    }

    fn asleep(&self, user: &User, arguments: &str) -> Running {
        let running = self.start(user, arguments);
        running.until_asleep();
        running
    }

    /// A process of Bob's that has the lock of the queue, and keeps it. `None`: there is no program for it.
    fn hog(&self) -> Option<Running> {
        if !have("flock") {
            return None;
        }
        let mut command = self.program(&BOB, "flock");
        let hog: Running = command.args(["--no-fork", "queues/jobs", "sleep", "1000"]).spawn().unwrap().into();
        let file = File::open(self.queue()).unwrap();
        until("Bob has the lock", || match file.try_lock() {
            Ok(()) => file.unlock().is_err(),
            Err(_) => true,
        });
        Some(hog)
    }

    /// Has Bob write `bytes` over the queue's file, from this offset on.
    fn scribble(&self, offset: u64, bytes: &[u8]) {
        let mut command = self.program(&BOB, "dd");
        command.args(["of=queues/jobs", "conv=notrunc", "oflag=seek_bytes", "status=none", &format!("seek={offset}")]);
        let done = feed(command.stdin(Stdio::piped()).spawn().unwrap(), bytes);
        assert_eq!((done.code, done.err.as_str()), (0, ""));
    }

    /// Has Bob make the queue's file this long.
    fn truncate(&self, length: u64) {
        let mut command = self.program(&BOB, "truncate");
        let done = Running::from(command.args([&format!("--size={length}"), "queues/jobs"]).spawn().unwrap()).end();
        assert_eq!((done.code, done.err.as_str()), (0, ""));
    }

    /// Asserts that every command of `user` on `jobs` is refused with a line that says `why`, and that what is there
    /// stays what it is.
    fn is_refused(&self, user: &User, why: &str) {
        let before = look(&self.queue());
        for command in COMMANDS {
            let done = self.run(user, command);
            let line = done.refusal(2);
            assert!(line.contains("queues") && line.contains(why), "{command}: {line}");
        }
        assert_eq!(look(&self.queue()), before);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Which file it is, of what kind, and the content of a regular one.
fn look(path: &Path) -> (u64, u32, Option<Vec<u8>>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.ino(), metadata.mode(), metadata.is_file().then(|| fs::read(path).unwrap()))
}

/// Asserts that a command has ended by itself, and if with an error, then with a sentence.
fn has_ended_well(done: &Done) {
    assert!(done.code <= 4, "{done:?}");
    assert_eq!(done.err.lines().count(), usize::from(done.code != 0 && !done.err.is_empty()), "{done:?}");
    assert!(done.code != 2 || done.err.starts_with("ipcq: "), "{done:?}");
}

#[test]
fn a_group_shares_a_queue_whether_or_not_its_directory_sets_the_group() {
    for mode in [0o2770, 0o770, 0o3770, 0o2775] {
        let Some(team) = Team::with_directory(mode) else { return };
        team.ok(&ALICE, "create jobs --mode 0660");
        let status = fs::metadata(team.queue()).unwrap();
        assert_eq!((status.uid(), status.gid(), status.mode() & 0o7777), (ALICE.number, TEAM, 0o660), "{mode:o}");
        for (one, other) in [(&ALICE, &BOB), (&BOB, &ALICE)] {
            team.ok(one, "put jobs first second");
            assert_eq!(team.ok(other, "get jobs"), "first\n");
            // Two looks see the same, but for what depends on the time.
            let lasting = |user| {
                let stat = team.ok(user, "stat jobs");
                let lines = stat.lines().filter(|line| !line.starts_with("  rates ") && !line.starts_with("  oldest "));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(lasting(one), lasting(other));
            assert_eq!(team.ok(one, "ls"), team.ok(other, "ls"));
            assert_eq!(team.ok(one, "get jobs"), "second\n");
        }
        team.ok(&BOB, "close jobs");
        team.run(&ALICE, "put jobs message").refusal(3);
        team.is_sound();
        // Where the directory has the sticky bit, only the owner can remove a queue.
        team.ok(if mode & 0o1000 == 0 { &BOB } else { &ALICE }, "rm jobs");
        assert_eq!(team.ok(&ALICE, "ls"), "");
    }
}

#[test]
fn members_of_a_group_wake_each_other() {
    let Some(team) = Team::with_queue() else { return };
    team.ok(&BOB, "create full --max-items 1 --mode 660");
    for (one, other) in [(&ALICE, &BOB), (&BOB, &ALICE)] {
        let waiting = [team.asleep(one, "get jobs"), team.asleep(one, "get full jobs -n 1")];
        team.ok(other, "put jobs message");
        team.ok(other, "put jobs message");
        waiting.into_iter().for_each(|waiting| waiting.ends(0, "message\n"));

        team.ok(one, "put full first");
        let waiting = team.asleep(one, "put full second");
        assert_eq!(team.ok(other, "get full"), "first\n");
        waiting.ends(0, "");
        assert_eq!(team.ok(other, "get full"), "second\n");
    }
    let waiting = team.asleep(&ALICE, "get jobs");
    team.ok(&BOB, "close jobs");
    waiting.ends(3, "");
}

#[test]
fn what_a_killed_member_had_goes_to_the_others() {
    let Some(team) = Team::with_queue() else { return };
    for (one, other) in [(&ALICE, &BOB), (&BOB, &ALICE)] {
        team.ok(one, "put jobs 1 2 3");
        let (killed, _reader) = stuck(team.ipcq(one, "get jobs -n 2"));
        assert_eq!(team.ok(other, "get jobs"), "3\n");
        let waiting = team.asleep(other, "get jobs -n 2");
        killed.signal("KILL");
        assert_eq!(killed.end().code, 137);
        waiting.ends(0, "1\n2\n");
        team.is_sound();
    }
}

#[test]
fn a_member_that_hides_what_it_creates_shares_the_queue_all_the_same() {
    let Some(team) = Team::with_directory(0o770) else { return };
    let mut command = team.program(&ALICE, "sh");
    command.args(["-c", "umask 077; exec \"$0\" create jobs --mode 0660"]).arg(team.sandbox.path("ipcq"));
    Running::from(command.spawn().unwrap()).ends(0, "");
    team.ok(&BOB, "put jobs message");
    assert_eq!(team.ok(&ALICE, "get jobs"), "message\n");
}

#[test]
fn who_is_not_in_the_group_is_kept_out() {
    let Some(team) = Team::with_queue() else { return };
    team.ok(&ALICE, "put jobs message");
    team.is_refused(&STRANGER, "permission denied");
    set_mode(&team.sandbox.queues(), 0o2775);
    let why = "the queue belongs to user 21001, not to you (user 21003), and is not shared with a group of yours";
    team.is_refused(&STRANGER, why);
    let listing = team.run(&STRANGER, "ls");
    assert!(listing.refusal(2).contains(why), "{listing:?}");
    let new = team.run(&STRANGER, "create new");
    assert!(new.refusal(2).contains("you may not write to"), "{new:?}");
    assert_eq!(team.ok(&BOB, "get jobs"), "message\n");
}

#[test]
fn a_queue_that_is_not_shared_is_not_the_groups() {
    for (mode, why) in [
        ("600", "the queue belongs to user 21001, not to you (user 21002), and is not shared"),
        ("640", "the queue belongs to user 21001, not to you (user 21002), and is not shared"),
        ("666", "anyone can write to it"),
    ] {
        let Some(team) = Team::with_directory(0o2770) else { return };
        team.ok(&ALICE, &format!("create jobs --mode {mode}"));
        team.is_refused(&BOB, why);
    }
}

#[test]
fn what_a_member_plants_in_place_of_a_queue_is_refused_and_left_alone() {
    let Some(team) = Team::with_directory(0o2770) else { return };
    team.ok(&ALICE, "create private");
    let plant = |why: &str, make: &dyn Fn(&Path)| {
        make(&team.queue());
        team.is_refused(&ALICE, why);
        let _ = fs::remove_file(team.queue()).or_else(|_| fs::remove_dir(team.queue()));
    };
    let file_of = |owner: &User, mode: u32| {
        let (number, group) = (owner.number, if owner.is_member { TEAM } else { owner.number });
        move |path: &Path| {
            fs::write(path, "Dear diary,\n").unwrap();
            chown(path, Some(number), Some(group)).unwrap();
            set_mode(path, mode);
        }
    };
    plant("not a usable queue: it is", &file_of(&BOB, 0o660));
    plant("the queue belongs to user 21002, not to you (user 21001), and is not shared", &file_of(&BOB, 0o600));
    plant("anyone can write to it", &file_of(&BOB, 0o666));
    plant("the queue belongs to user 21003, not to you (user 21001), and is not shared", &file_of(&STRANGER, 0o660));
    plant("the queue belongs to user 21003, not to you (user 21001), and is not shared", &|path| {
        file_of(&STRANGER, 0o666)(&team.sandbox.path("diary"));
        fs::hard_link(team.sandbox.path("diary"), path).unwrap();
    });
    plant("this is a symbolic link, and is not followed", &|path| {
        symlink("private", path).unwrap();
        std::os::unix::fs::lchown(path, Some(BOB.number), Some(TEAM)).unwrap();
    });
    plant("this is a symbolic link, and is not followed", &|path| symlink("nowhere", path).unwrap());
    plant("it is a fifo", &|path| {
        Running::from(team.program(&BOB, "mkfifo").arg(path).spawn().unwrap()).ends(0, "");
    });
    plant("it is a socket", &|path| drop(UnixListener::bind(path).unwrap()));
    plant("it is a directory", &|path| fs::create_dir(path).unwrap());
    assert_eq!(fs::read(team.sandbox.path("diary")).unwrap(), b"Dear diary,\n");
    assert!(team.ok(&ALICE, "stat private").contains("put       0\n"));
}

#[test]
fn what_anyone_can_have_planted_is_not_trusted_in_the_name_of_a_group() {
    let Some(team) = Team::with_queue() else { return };
    set_mode(&team.sandbox.queues(), 0o1777);
    chown(team.sandbox.queues(), Some(0), Some(0)).unwrap();
    team.is_refused(&BOB, "anyone could have put it into this directory");
    // Its owner knows it.
    team.ok(&ALICE, "put jobs message");
}

#[test]
fn a_directory_that_a_stranger_has_planted_for_everyone_is_refused() {
    let Some(team) = Team::with_queue() else { return };
    chown(team.sandbox.queues(), Some(STRANGER.number), Some(STRANGER.number)).unwrap();
    set_mode(&team.sandbox.queues(), 0o1777);
    team.is_refused(&ALICE, "the directory belongs to user 21003, not to you (user 21001), who lets anyone put");
    team.run(&ALICE, "create other").refusal(2);
    team.run(&ALICE, "ls").refusal(2);
    assert_eq!(fs::read_dir(team.sandbox.queues()).unwrap().count(), 1);
}

#[test]
fn a_link_on_the_way_that_a_member_can_have_made_is_not_followed() {
    let Some(team) = Team::with_queue() else { return };
    fs::create_dir(team.sandbox.path("shared")).unwrap();
    chown(team.sandbox.path("shared"), Some(ALICE.number), Some(TEAM)).unwrap();
    set_mode(&team.sandbox.path("shared"), 0o770);
    for owner in [&ALICE, &BOB] {
        let made = Running::from(team.program(owner, "ln").args(["-s", "../queues", "shared/link"]).spawn().unwrap());
        made.ends(0, "");
        for command in COMMANDS {
            let done = team.run(&ALICE, &command.replace("jobs", "shared/link/jobs"));
            let line = done.refusal(2);
            assert!(line.contains("shared/link: this symbolic link") && line.contains("is not followed"), "{line}");
        }
        fs::remove_file(team.sandbox.path("shared/link")).unwrap();
    }
    assert_eq!(team.run(&ALICE, "get jobs --all").code, 1);
}

fn locked_by(hog: &Running) -> String {
    format!("queue 'jobs' is locked by process {}", hog.pid())
}

#[test]
fn a_member_that_keeps_the_lock_keeps_nobody_longer_than_they_want_to_wait() {
    let Some(team) = Team::with_queue() else { return };
    team.ok(&ALICE, "put jobs message");
    team.ok(&ALICE, "create other");
    let Some(hog) = team.hog() else { return };
    let start = Instant::now();
    let locked = locked_by(&hog);
    let locked = locked.as_str();
    let nothing_put = format!("{locked}: nothing was put");
    for (command, code, why) in [
        ("put jobs message --timeout 0", 1, nothing_put.as_str()),
        ("put jobs message --no-wait", 1, &nothing_put),
        ("get jobs --timeout 0.3", 1, locked),
        ("get jobs --all", 1, locked),
        ("get jobs --follow --timeout 0", 1, locked),
        ("get other jobs --timeout 0", 1, locked),
        ("stat jobs", 2, locked),
    ] {
        assert_eq!(team.run(&ALICE, command).refusal(code), why, "{command}");
    }
    let done = team.run(&ALICE, "ls");
    assert_eq!((done.code, done.text()), (2, "other  0  0  0  0  0  67108864  open\n"));
    assert_eq!(done.err, format!("ipcq: 1 queue could not be read: {locked}\n"));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());

    // Who wants to wait for ever waits, and can be interrupted.
    let waiting = [team.start(&ALICE, "put jobs second"), team.start(&ALICE, "get jobs")];
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for command in ["put jobs message", "get jobs"] {
            let interrupted = team.start(&ALICE, command);
            interrupted.until_locked_out();
            interrupted.signal(signal);
            interrupted.ends(code, "");
        }
    }
    waiting.iter().for_each(Running::until_locked_out);
    drop(hog);
    let [put, get] = waiting;
    put.ends(0, "");
    get.ends(0, "message\n");
    assert_eq!(team.ok(&BOB, "get jobs"), "second\n");
    team.is_sound();

    // A queue can be removed all the same.
    let _hog = team.hog();
    team.ok(&ALICE, "rm jobs");
    assert!(!team.queue().exists());
}

#[test]
fn a_member_that_keeps_the_lock_does_not_keep_those_for_ever_who_have_something_to_say() {
    let Some(team) = Team::with_queue() else { return };
    team.ok(&ALICE, "put jobs message");
    let (get, mut reader) = stuck(team.ipcq(&ALICE, "get jobs --timeout 0"));
    let Some(hog) = team.hog() else { return };
    let close = team.start(&ALICE, "close jobs");
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all)
    });
    assert_eq!(close.end().refusal(2), locked_by(&hog));
    assert_eq!(get.end().refusal(2), format!("{}; what was taken will be delivered again", locked_by(&hog)));
    assert!(reader.join().unwrap().unwrap().ends_with(b"message\n"));
    drop(hog);
    assert_eq!(team.ok(&BOB, "get jobs"), "message\n");
    team.is_sound();
}

#[test]
fn a_member_that_truncates_the_queue_crashes_and_hangs_nobody() {
    for length in [0, 100, 5000, 16384, 20000] {
        let Some(team) = Team::with_queue() else { return };
        team.ok(&ALICE, "create other");
        let text = "line\n".repeat(50_000);
        assert_eq!(
            feed(team.ipcq(&ALICE, "put jobs -l").stdin(Stdio::piped()).spawn().unwrap(), text.as_bytes()).code,
            0
        );
        let (reads, _pipe) = stuck(team.ipcq(&ALICE, "get jobs -f -t 0"));
        let waits = team.asleep(&ALICE, "get other -t 0.3");
        team.truncate(length);
        for command in ["put jobs message -t 0", "get jobs -t 0", "stat jobs", "close jobs", "get jobs other -t 0"] {
            let done = team.run(&ALICE, command);
            assert!(done.refusal(2).contains("jobs"), "{command}: {done:?}");
        }
        drop(_pipe);
        has_ended_well(&reads.end());
        waits.ends(1, "");
        let listing = team.run(&ALICE, "ls");
        assert_eq!((listing.code, listing.text()), (2, "other  0  0  0  0  0  67108864  open\n"));
    }
}

#[test]
fn a_member_that_makes_the_file_a_huge_one_changes_nothing() {
    let Some(team) = Team::with_queue() else { return };
    team.ok(&ALICE, "put jobs first");
    team.truncate(1 << 40);
    team.is_sound();
    team.ok(&ALICE, "put jobs second");
    assert_eq!(team.ok(&ALICE, "get jobs -n 2"), "first\nsecond\n");
    team.ok(&ALICE, "close jobs");
    assert_eq!(team.run(&ALICE, "get jobs").code, 3);
    assert_eq!(team.ok(&ALICE, "ls"), "jobs  0  0  0  0  0  67108864  drained\n");
    team.is_sound();
}

#[test]
fn a_member_that_writes_garbage_over_the_queue_crashes_and_hangs_nobody() {
    let rounds = std::env::var("IPCQ_ROUNDS").map_or(12, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let Some(team) = Team::with_queue() else { return };
        let mut random = Random::new(round);
        let text = "line\n".repeat(30_000);
        assert_eq!(
            feed(team.ipcq(&ALICE, "put jobs -l").stdin(Stdio::piped()).spawn().unwrap(), text.as_bytes()).code,
            0
        );
        team.ok(&ALICE, "put jobs one two three");
        let before = [team.start(&ALICE, "get jobs -f -t 0.2 -o out"), team.start(&ALICE, "put jobs message -t 0.2")];
        for _ in 0..3 {
            // Everything that is not payload is at the start.
            let end = [4096, 16384, 200_000][random.below(3) as usize];
            let (offset, length) = (random.below(end), 1 + random.below(200));
            let garbage = if random.below(2) == 0 { vec![0; length as usize] } else { random.bytes(length as usize) };
            team.scribble(offset, &garbage);
            for command in ["stat jobs", "put jobs message -t 0.1", "get jobs -t 0.1", "get jobs -a -o out", "ls"] {
                has_ended_well(&team.run(&ALICE, command));
            }
        }
        before.into_iter().for_each(|running| has_ended_well(&running.end()));
        has_ended_well(&team.run(&ALICE, "close jobs"));
        has_ended_well(&team.run(&ALICE, "rm jobs"));
    }
}
