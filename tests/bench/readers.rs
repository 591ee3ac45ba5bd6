//! What those who look at a queue cost those who use it: ten million lines beside ten readers.

use crate::contest::{Compared, in_turn};
use crate::report::{Bar, Report, Unit};
use crate::streams;
use crate::tools::Bench;
use std::process::{Child, Stdio};

const READERS: usize = 10;

/// Scripts that look, or do as much of something else, again and again.
const LOOK: &str = "ipcq ls; ipcq stat stream; ipcq peek stream";
const NOTHING: &str = "/bin/true; /bin/true; /bin/true";

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let count = 4 * streams::write_lines(bench);
    // Several streams, so that each run has seen the readers a few times.
    let stream = format!("for i in 1 2 3 4; do {}; done", streams::through_queue("-l"));
    let time = |beside: Option<String>| {
        let readers: Vec<Child> = beside.iter().flat_map(|script| (0..READERS).map(|_| start(bench, script))).collect();
        let time = bench.time_script("sh", &stream);
        readers.into_iter().for_each(|reader| stop(bench, reader));
        time / count as f64
    };
    let forever = |script: &str, pause: &str| Some(format!("while :; do {script}; sleep {pause}; done"));
    let mut compare = |what: &str, ours: Option<String>, other: &str, theirs: Option<String>| {
        let (ours, theirs) = (|| time(ours.clone()), || time(theirs.clone()));
        let both = in_turn(bench.many(9, 1), &mut [Box::new(ours), Box::new(theirs)]);
        report.row(what, other, Unit::MessageRate, Compared::of(&both[0], &both[1]), Some(Bar::AtMost(1.1)));
    };
    compare("lines beside 10 readers, a look a second", forever(LOOK, "1"), "lines alone", None);
    let (looks, nothing) = (forever(LOOK, "0.1"), forever(NOTHING, "0.1"));
    compare("lines beside 10 readers, ten looks a second", looks, "lines beside as many runs of true", nothing);
    bench.prepare("rm files/input");
}

/// A shell that leads a process group of its own.
fn start(bench: &Bench, script: &str) -> Child {
    bench.program("setsid").args(["sh", "-c", script]).stderr(Stdio::null()).spawn().unwrap()
}

fn stop(bench: &Bench, mut reader: Child) {
    let group = format!("-{}", reader.id());
    let _ = bench.program("kill").args(["-KILL", "--", &group]).status();
    reader.wait().unwrap();
}
