//! What those who look at a queue cost those who use it: ten million lines beside ten readers.

use crate::streams;
use crate::tools::{Bench, median, report};
use std::process::Child;

const READERS: usize = 10;
const RUNS: usize = 9;

/// Scripts that look, or do as much of something else, again and again.
const LOOK: &str = "ipcq ls; ipcq stat stream; ipcq peek stream";
const NOTHING: &str = "/bin/true; /bin/true; /bin/true";

pub(crate) fn run(bench: &Bench) {
    streams::write_lines(bench);
    // Several streams, so that each run has seen the readers a few times.
    let stream = format!("for i in 1 2 3 4; do {}; done", streams::through_queue("-l"));
    let time = |beside: Option<String>| {
        let readers: Vec<Child> = beside.iter().flat_map(|script| (0..READERS).map(|_| start(bench, script))).collect();
        let time = bench.time_script(&stream);
        readers.into_iter().for_each(|reader| stop(bench, reader));
        time
    };
    let forever = |script: &str, pause: &str| Some(format!("while :; do {script}; sleep {pause}; done"));
    let ratio = |ours: Option<String>, theirs: Option<String>| {
        median((0..RUNS).map(|_| time(ours.clone()) / time(theirs.clone())).collect())
    };
    report("lines beside 10 readers, a look a second / alone", ratio(forever(LOOK, "1"), None), 1.1);
    let (looks, nothing) = (forever(LOOK, "0.1"), forever(NOTHING, "0.1"));
    report("  ten looks a second / beside as many runs of true", ratio(looks, nothing), 1.1);
}

/// A shell that leads a process group of its own.
fn start(bench: &Bench, script: &str) -> Child {
    bench.program("setsid").args(["sh", "-c", script]).stderr(std::process::Stdio::null()).spawn().unwrap()
}

fn stop(bench: &Bench, mut reader: Child) {
    let group = format!("-{}", reader.id());
    let _ = bench.program("kill").args(["-KILL", "--", &group]).status();
    reader.wait().unwrap();
}
