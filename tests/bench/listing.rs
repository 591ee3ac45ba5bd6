//! What it costs to list a thousand queues: no more than starting a process, and 30 ms.

use crate::contest::{Compared, in_turn};
use crate::report::{Bar, Report, Unit};
use crate::tools::Bench;

const QUEUES: usize = 1000;
/// Seconds that it may take beyond what any process takes.
const ALLOWED: f64 = 0.030;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    bench.prepare("ipcq create listed-0; ipcq put listed-0 message");
    // A copy of a queue is a queue, and made sooner than a new one.
    for number in 1..QUEUES {
        let copy = bench.queues().join(format!("listed-{number}"));
        std::fs::copy(bench.queues().join("listed-0"), copy).unwrap();
    }
    for command in ["ipcq ls", "ipcq ls --leases"] {
        let (ls, process) = (|| bench.time_script("sh", command), || bench.time_script("sh", "/bin/true") + ALLOWED);
        let both = in_turn(bench.many(41, 1), &mut [Box::new(ls), Box::new(process)]);
        let what = format!("{} of {QUEUES} queues", &command["ipcq ".len()..]);
        report.row(&what, "a process, and 30 ms", Unit::Time, Compared::of(&both[0], &both[1]), Some(Bar::AtMost(1.0)));
    }
    bench.prepare("ipcq rm $(seq -f listed-%.0f 0 999)");
}
