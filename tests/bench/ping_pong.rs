//! One line there and back through two queues, against the same through two named pipes with `cat`
//! at the same places.

use crate::tools::{Bench, median, report};
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::Instant;

const ROUNDS: usize = 4_000;
const REPEATS: usize = 5;

pub(crate) fn run(bench: &Bench) {
    bench.prepare("mkfifo there back; ipcq create there; ipcq create back");
    let mut ratios = Vec::new();
    for _ in 0..REPEATS {
        let queues = round_trip(
            bench,
            "exec ipcq put -l there",
            "ipcq get -f there | ipcq put -l back",
            "exec ipcq get -f back",
        );
        let fifos = round_trip(bench, "exec cat > there", "cat there | cat > back", "exec cat back");
        ratios.push(queues / fifos);
    }
    report("a line there and back, resident / two fifos", median(ratios), 1.5);
}

/// The median time of a round trip, in seconds.
fn round_trip(bench: &Bench, there: &str, turn: &str, back: &str) -> f64 {
    let start = |script: &str, stdin: Stdio, stdout: Stdio| -> Child {
        bench.program("setsid").args(["sh", "-c", script]).stdin(stdin).stdout(stdout).spawn().unwrap()
    };
    let mut processes = [
        start(there, Stdio::piped(), Stdio::null()),
        start(turn, Stdio::null(), Stdio::null()),
        start(back, Stdio::null(), Stdio::piped()),
    ];
    let (mut input, mut output) = (processes[0].stdin.take().unwrap(), processes[2].stdout.take().unwrap());
    let mut line = [0; 6];
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let start = Instant::now();
        input.write_all(b"hello\n").unwrap();
        output.read_exact(&mut line).unwrap();
        if round > ROUNDS / 10 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    for process in &mut processes {
        // The process leads a group of its own: the programs of its pipeline end with it.
        let group = format!("-{}", process.id());
        let _ = bench.program("kill").args(["-TERM", "--", &group]).status();
        process.wait().unwrap();
    }
    median(times)
}
