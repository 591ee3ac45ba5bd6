//! A message of 64 bytes there and back between two processes that stay, alone and with others that wait for it, too.

use crate::contest::{Compared, Contender, in_turn, median};
use crate::echo::Queues;
use crate::peers::{Channel, Pair, lock_and_futex, pipe, posix_mq, redis, unix_socket};
use crate::report::{Bar, Report, Unit};
use crate::tools::{Bench, Running, answering};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::cell::Cell;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// Further processes that wait for the same messages.
const IDLE: usize = 16;

/// Starts so many processes that answer.
type Start<'a> = Box<dyn Fn(usize) -> Pair + 'a>;

/// The times of trips that are told, and what they are called.
const PERCENTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];

/// Seconds, for each of them.
type Times = [f64; PERCENTILES.len()];

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let server = redis::Server::start(bench, report);
    let mut games: Vec<(&str, Start)> = vec![
        ("ipcq, spinning", Box::new(|count| queues(bench, count, true))),
        ("ipcq, not spinning", Box::new(|count| queues(bench, count, false))),
        ("pipe", Box::new(|count| pipe::start(count, false))),
        ("unix socket", Box::new(unix_socket::start)),
        ("POSIX mq", Box::new(posix_mq::start)),
    ];
    if let Some(server) = &server {
        games.push(("Redis BLPOP", Box::new(|count| server.start_echo(count))));
    }
    let for_many = games.len();
    // Of no use with more processes than processors, or made for two, so only alone.
    games.push(("pipe, spinning reads", Box::new(|count| pipe::start(count, true))));
    games.push(("flock and futex alone", Box::new(|_| lock_and_futex::start(bench))));
    let games_beside_idle = &games[..for_many];
    let rounds = bench.many(7, 1);
    let trips = bench.many(4_000, 50);
    let mut contenders: Vec<Contender<Times>> = Vec::new();
    for (_, start) in &games {
        contenders.push(Box::new(move || play(start(1), trips)));
    }
    for (_, start) in games_beside_idle {
        contenders.push(Box::new(move || play(start(1 + IDLE), trips)));
    }
    let times = in_turn(rounds, &mut contenders);
    let (alone, beside_idle) = times.split_at(games.len());
    let compare = |ours: &[Times], theirs: &[Times], part: usize| {
        let of = |times: &[Times]| times.iter().map(|times| times[part]).collect::<Vec<_>>();
        Compared::of(&of(ours), &of(theirs))
    };
    let (spinning, sleeping, pipe, lock_and_futex) = (0, 1, 2, games.len() - 1);
    for (when, times) in [("there and back", alone), ("the same beside 16 idle", beside_idle)] {
        for (index, (_, part)) in PERCENTILES.iter().enumerate() {
            let others = (2..times.len()).filter(|other| *other != lock_and_futex);
            let asleep = [pipe, lock_and_futex].into_iter().filter(|other| *other < times.len());
            let pairs = others.map(|other| (spinning, other)).chain(asleep.map(|other| (sleeping, other)));
            for (ours, theirs) in pairs {
                let bar = match (*part, ours, theirs) {
                    ("p50", 0, 2) => Some(Bar::AtMost(0.6)),
                    ("p50", 1, 2) => Some(Bar::AtMost(1.2)),
                    ("p99", _, 2) => Some(Bar::AtMost(2.0)),
                    _ => None,
                };
                let what = format!("{when}, {part}{}", if ours == sleeping { ", no spinning" } else { "" });
                report.row(&what, games[theirs].0, Unit::Time, compare(&times[ours], &times[theirs], index), bar);
            }
        }
    }
    by_commands(bench, report);
    for (game, what) in [(spinning, "spinning"), (sleeping, "no spinning")] {
        let compared = compare(&beside_idle[game], &alone[game], 0);
        let what = format!("beside 16 idle, p50, {what}");
        report.row(&what, "ipcq alone", Unit::Time, compared, Some(Bar::AtMost(1.2)));
    }
}

/// A row for lines through commands that stay, in place of `cat`.
fn by_commands(bench: &Bench, report: &mut Report) {
    bench.prepare("mkfifo tofifo frofifo; ipcq create to; ipcq create fro");
    let trips = bench.many(4_000, 50);
    let commands = |scripts: [&str; 3]| {
        let [_, p50] = trip((Box::new(Lines::start(bench, scripts)), Vec::new()), trips);
        p50
    };
    let costs = in_turn(
        bench.many(7, 1),
        &mut [
            Box::new(|| commands(["exec ipcq put -l to", "ipcq get -f to | ipcq put -l fro", "exec ipcq get -f fro"])),
            Box::new(|| commands(["exec cat > tofifo", "cat tofifo | cat > frofifo", "exec cat frofifo"])),
        ],
    );
    let what = "a line through put -l, get -f, and back, p50";
    report.row(what, "the same through cat and fifos", Unit::Time, Compared::of(&costs[0], &costs[1]), None);
}

/// Programs that a line goes through, there and back.
struct Lines {
    input: ChildStdin,
    output: ChildStdout,
    /// Each leads a process group: the programs of its pipeline end with it.
    groups: Vec<Child>,
}

impl Lines {
    /// The first script takes the line, the last gives it back.
    fn start(bench: &Bench, [there, turn, back]: [&str; 3]) -> Self {
        let start = |script: &str, stdin: Stdio, stdout: Stdio| {
            bench.program("setsid").args(["sh", "-c", script]).stdin(stdin).stdout(stdout).spawn().unwrap()
        };
        let mut there = start(there, Stdio::piped(), Stdio::null());
        let turn = start(turn, Stdio::null(), Stdio::null());
        let mut back = start(back, Stdio::null(), Stdio::piped());
        let (input, output) = (there.stdin.take().unwrap(), back.stdout.take().unwrap());
        Lines { input, output, groups: vec![there, turn, back] }
    }
}

impl Channel for Lines {
    fn send(&mut self) {
        self.input.write_all(b"a line\n").unwrap();
    }

    fn receive(&mut self) {
        self.output.read_exact(&mut [0; b"a line\n".len()]).unwrap();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        for process in &mut self.groups {
            let _ = killpg(Pid::from_raw(process.id() as i32), Signal::SIGKILL);
            let _ = process.wait();
        }
    }
}

/// Two queues, and processes that answer between them.
pub(crate) fn queues(bench: &Bench, count: usize, spins: bool) -> Pair {
    thread_local!(static STARTED: Cell<u32> = const { Cell::new(0) });
    let number = STARTED.replace(STARTED.get() + 1);
    let (there, back) = (format!("there{number}"), format!("back{number}"));
    drop((bench.create(&there), bench.create(&back)));
    let directory = bench.queues();
    let spin = if spins { "spins" } else { "sleeps" };
    let echo = |_| {
        let mut echo = answering();
        Running::start(echo.arg("ipcq").arg(&directory).args([&there, &back, spin]))
    };
    let echoes = (0..count).map(echo).collect();
    (Box::new(Queues::open(&directory, &back, &there, spins)), echoes)
}

/// Seconds that sending takes, and a trip there and back: medians.
pub(crate) fn trip(pair: Pair, trips: usize) -> [f64; 2] {
    let times = times(pair, trips);
    let of = |index: usize| median(times.iter().map(|times| times[index]).collect());
    [of(0), of(1)]
}

/// How long sending and trips take.
fn times((mut channel, echoes): Pair, trips: usize) -> Vec<[f64; 2]> {
    // Whoever is to wait, waits.
    std::thread::sleep(Duration::from_millis(5 * echoes.len() as u64));
    let trip = |_| {
        let start = Instant::now();
        channel.send();
        let sent = start.elapsed().as_secs_f64();
        channel.receive();
        [sent, start.elapsed().as_secs_f64()]
    };
    (0..trips + trips / 8).map(trip).skip(trips / 8).collect()
}

fn play(pair: Pair, trips: usize) -> Times {
    let mut times: Vec<_> = times(pair, trips).into_iter().map(|[_, trip]| trip).collect();
    times.sort_by(f64::total_cmp);
    PERCENTILES.map(|(part, _)| times[(times.len() as f64 * part) as usize])
}
