//! What a worker adds to each of its jobs, against xargs and GNU parallel, and what it costs while it waits.

use crate::contest::{Compared, Contender, in_turn};
use crate::report::{Bar, Report, Unit};
use crate::tools::{Bench, Running, have};
use std::process::Stdio;
use std::time::Duration;

/// How long those who wait are looked at.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let against_xargs = ("xargs", "xargs -P2 -n1", "xargs -P2 -n1 -a numbers true", bench.many(7, 1), 1.3);
    // It runs a Perl program for each 'true', so that a few rounds take minutes.
    let against_parallel = ("parallel", "GNU parallel -j2", "parallel -j2 true :::: numbers", bench.many(3, 1), 0.5);
    let jobs = bench.many(10_000, 20);
    bench.prepare(&format!("seq {jobs} > numbers; mkdir .parallel; touch .parallel/will-cite"));
    for (program, other, script, rounds, most) in [against_xargs, against_parallel] {
        if !have(program, report) {
            continue;
        }
        let script = format!("HOME=$PWD {script} 2> complaints");
        let mut contenders: Vec<Contender> =
            vec![Box::new(|| work(bench) / jobs as f64), Box::new(|| bench.time_script("sh", &script) / jobs as f64)];
        let costs = in_turn(rounds, &mut contenders);
        let compared = Compared::of(&costs[0], &costs[1]);
        report.row("work -j2, 'true' as the job", other, Unit::Time, compared, Some(Bar::AtMost(most)));
    }
    waiting(bench, report);
    bench.prepare("rm -r numbers .parallel");
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
