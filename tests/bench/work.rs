//! What a worker adds to each of its jobs, against xargs and GNU parallel, and what it costs while it waits.

use crate::contest::{Compared, Contender, in_turn};
use crate::report::{Bar, Report, Unit};
use crate::tools::{Bench, Running, have};
use std::process::Stdio;
use std::time::Duration;

/// How long those who wait are looked at.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let jobs = bench.many(10_000, 20);
    against(bench, report, "xargs", "xargs -P2 -n1", "xargs -P2 -n1 -a numbers true", jobs, 1.3);
    // It runs a Perl program for each 'true'.
    let jobs = bench.many(1_000, 20);
    bench.prepare("mkdir .parallel; touch .parallel/will-cite");
    against(bench, report, "parallel", "GNU parallel -j2", "parallel -j2 true :::: numbers", jobs, 0.5);
    one_by_one(bench, report);
    waiting(bench, report);
    bench.prepare("rm -rf numbers .parallel");
}

/// A row against a program that runs a job for each line of the file `numbers`, too.
fn against(bench: &Bench, report: &mut Report, program: &str, other: &str, script: &str, jobs: usize, most: f64) {
    if !have(program, report) {
        return;
    }
    bench.prepare(&format!("seq {jobs} > numbers"));
    let script = format!("HOME=$PWD {script} 2> complaints");
    let mut contenders: Vec<Contender> =
        vec![Box::new(|| work(bench) / jobs as f64), Box::new(|| bench.time_script("sh", &script) / jobs as f64)];
    let costs = in_turn(bench.many(5, 1), &mut contenders);
    let compared = Compared::of(&costs[0], &costs[1]);
    report.row("work -j2, 'true' as the job", other, Unit::Time, compared, Some(Bar::AtMost(most)));
}

/// Rows for jobs that a shell hands over one by one, a process for each, and that run one after the other.
fn one_by_one(bench: &Bench, report: &mut Report) {
    let jobs = bench.many(500, 10);
    let each = |before: &str, hand_over: &str, after: &str| {
        let script = format!("{before}; i=0; while [ $i -lt {jobs} ]; do {hand_over}; i=$((i + 1)); done; {after}");
        move || bench.time_script("dash", &script) / jobs as f64
    };
    let worker = "ipcq create handed; ipcq work handed -j1 -- true 2> complaints &";
    let ours = || each(&format!("{worker} true"), "ipcq put handed x", "ipcq close handed; wait; ipcq rm handed");
    let nq = each("export NQDIR=$PWD/nq; mkdir $NQDIR", "nq -q true", "nq -w; rm -r $NQDIR");
    let settings = "export TMPDIR=$PWD TS_SOCKET=$PWD/tsp TS_MAXFINISHED=10";
    let tsp = each(settings, "tsp -n true > /dev/null", "tsp -w; tsp -K");
    let others: [(_, _, Contender); 2] = [("nq", "nq", Box::new(nq)), ("tsp", "task-spooler", Box::new(tsp))];
    for (program, other, theirs) in others {
        if have(program, report) {
            let costs = in_turn(bench.many(5, 1), &mut [Box::new(ours()), theirs]);
            let compared = Compared::of(&costs[0], &costs[1]);
            report.row("put and work -j1, 'true' as the job", other, Unit::Time, compared, None);
        }
    }
}

/// Seconds that a worker takes for a job for each number.
fn work(bench: &Bench) -> f64 {
    bench.prepare("ipcq create work; ipcq put work --lines < numbers; ipcq close work");
    let time = bench.time_script("sh", "ipcq work work -j2 -- true 2> complaints");
    bench.prepare("ipcq rm work");
    time
}

/// Rows for the processor time of those who wait: a worker without work, one with a job, and a get beside that.
fn waiting(bench: &Bench, report: &mut Report) {
    let look = if bench.many(2, 1) == 1 { LOOK / 10 } else { LOOK };
    bench.prepare("ipcq create idle; ipcq create busy; ipcq put busy one");
    let start = |words: &str| bench.program("ipcq").args(words.split(' ')).stderr(Stdio::null()).spawn().unwrap();
    // The job outlives a worker that is killed, and ends soon.
    let job = format!("work busy -- sleep {}", (3 * look).as_secs_f64());
    let processes = [start("work idle -- true"), start(&job), start("get busy")];
    std::thread::sleep(look / 2);
    let numbers = processes.each_ref().map(std::process::Child::id);
    let _ended: Vec<Running> = processes.into_iter().map(Running::from).collect();
    let before = numbers.map(processor_time);
    std::thread::sleep(look);
    let whats = ["a worker that has no work", "a worker that waits for its job", "a get beside a leased message"];
    for ((what, number), before) in whats.into_iter().zip(numbers).zip(before) {
        let ours = (processor_time(number) - before) / look.as_secs_f64();
        let compared = Compared { ours, theirs: 1.0, ratio: ours };
        report.row(what, "a processor's time in a second", Unit::Time, compared, Some(Bar::AtMost(0.001)));
    }
    bench.prepare("ipcq rm idle busy");
}

/// Seconds that the threads of a process have run so far.
fn processor_time(process: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap()
    });
    nanoseconds.sum::<f64>() / 1e9
}
