//! Put, get and commit in one process that stays, through the library, against taking and dropping the lock that keeps
//! others out.

use crate::contest::{Compared, in_turn};
use crate::report::{Bar, Report, Unit};
use crate::tools::Bench;
use ipcq::message::{Framing, Run};
use ipcq::queue::{Otherwise, Queue, Want};
use std::time::Instant;

const MESSAGE: [u8; 64] = [b'x'; 64];
const BATCH: usize = 16;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let times = bench.many(50_000, 100);
    let mut single = bench.create("single");
    let mut batched = bench.create("batched");
    let lock = std::fs::File::create(bench.path("lock")).unwrap();
    let mut batch = [MESSAGE.as_slice(), b"\n"].concat().repeat(BATCH);
    batch.shrink_to_fit();
    let mut buffer = Vec::new();
    let mut again = Vec::new();
    let costs = in_turn(
        bench.many(11, 1),
        &mut [
            Box::new(|| per_turn(times, || through(single.as_mut(), &Run::whole(&MESSAGE), &mut buffer))),
            Box::new(|| {
                let run = Run::delimited(&batch, Framing::Newline);
                per_turn(times / BATCH, || through(batched.as_mut(), &run, &mut again)) / BATCH as f64
            }),
            Box::new(|| {
                per_turn(times, || {
                    fs2::FileExt::lock_exclusive(&lock).unwrap();
                    fs2::FileExt::unlock(&lock).unwrap();
                })
            }),
        ],
    );
    let [single, batched, lock] = costs.try_into().unwrap();
    let against = "flock and unlock";
    let what = "put, get, commit 64 B, one at a time";
    report.row(what, against, Unit::Time, Compared::of(&single, &lock), Some(Bar::AtMost(4.0)));
    let what = "put, get, commit 64 B, 16 at a time: each";
    report.row(what, against, Unit::Time, Compared::of(&batched, &lock), Some(Bar::AtMost(0.5)));
}

/// Seconds that a turn takes.
pub(crate) fn per_turn(turns: usize, mut turn: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..turns).for_each(|_| turn());
    start.elapsed().as_secs_f64() / turns as f64
}

/// Puts `run` and gets it back.
fn through(queue: &mut dyn Queue, run: &Run<'_>, buffer: &mut Vec<u8>) {
    assert_eq!(queue.put(run, false, None).unwrap(), run.count());
    let want = Want { messages: run.count(), bytes: u64::MAX, singly: false };
    queue.take(want, Otherwise::Leave, None).unwrap();
    buffer.clear();
    queue.read(0, buffer).unwrap();
    assert_eq!(buffer.len(), run.bytes().len());
    // As a `get --follow` does.
    queue.settle_at_next_take(run.count(), None).unwrap();
}
