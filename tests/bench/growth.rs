//! What an operation costs in a queue that holds much, against one that holds little: messages, waiters, and leases; and
//! the memory that a message takes.

use crate::contest::{Compared, Contender, in_turn};
use crate::latency;
use crate::peers::{pipe, redis};
use crate::report::{Bar, Report, Unit};
use crate::tools::Bench;
use ipcq::lease::{End, Holder, LeaseId, Terms};
use ipcq::message::{Framing, Run};
use ipcq::queue::{Otherwise, Queue, Want};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

const MESSAGE: [u8; 64] = [b'x'; 64];
const BAR: Option<Bar> = Some(Bar::AtMost(1.5));

/// Operations in one measurement, few enough that what the queue holds stays what it is.
const BATCH: usize = 200;
/// How long the leases run that are measured. Of those that a queue holds, half run as long, and half much longer.
const LEASE: Duration = Duration::from_secs(1000);
/// Bytes that a stream puts at once.
const STREAMED: usize = 128 << 10;
/// Commands in one measurement.
const COMMANDS: usize = 20;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let (thousand, most) = (bench.many(1_000, 10), bench.many(1_000_000, 1_000));
    filled(bench, report, "ready", [0, thousand, most], |queue, count| put(queue, count));
    let most = bench.many(100_000, 1_000);
    filled(bench, report, "leased", [0, thousand, most], |queue, count| {
        put(queue, count);
        let as_long = count / 2;
        lease(queue, as_long, LEASE);
        lease(queue, count - as_long, 100 * LEASE);
    });
    waiters(bench, report);
    memory(bench, report);
}

/// Rows for queues that hold so many messages, in this process and as commands.
fn filled(bench: &Bench, report: &mut Report, what: &str, sizes: [usize; 3], fill: impl Fn(&mut dyn Queue, usize)) {
    let names = sizes.map(|size| format!("{what}{size}"));
    let mut queues = names.clone().map(|name| bench.create(&name));
    for (queue, size) in queues.iter_mut().zip(sizes) {
        fill(queue.as_mut(), size);
    }
    let contenders = queues.iter_mut().map(|queue| Box::new(|| operations(queue.as_mut())) as Contender<[f64; 4]>);
    let in_process = in_turn(bench.many(101, 3), &mut contenders.collect::<Vec<_>>());
    let contenders = names.iter().map(|name| Box::new(move || commands(bench, name)) as Contender<[f64; 4]>);
    let as_commands = in_turn(bench.many(15, 1), &mut contenders.collect::<Vec<_>>());
    for (how, costs) in [("in process", in_process), ("a process each", as_commands)] {
        for (index, operation) in ["put", "get", "get --lease", "ack"].into_iter().enumerate() {
            let of = |size: usize| costs[size].iter().map(|costs| costs[index]).collect::<Vec<_>>();
            for large in [1, 2] {
                let what = format!("{operation} with {} {what}, {how}", sizes[large]);
                let against = format!("the same with {}", sizes[0]);
                report.row(&what, &against, Unit::Time, Compared::of(&of(large), &of(0)), BAR);
            }
        }
    }
}

fn put(queue: &mut dyn Queue, count: usize) {
    for _ in 0..count {
        assert_eq!(queue.put(&Run::whole(&MESSAGE), false, None).unwrap(), 1);
    }
}

/// Takes a message, and says whether there was one.
fn take(queue: &mut dyn Queue) -> LeaseId {
    let want = Want { messages: 1, bytes: u64::MAX, singly: true };
    queue.take(want, Otherwise::Leave, Some(Instant::now())).unwrap();
    let frame = queue.frames()[0];
    LeaseId { message: frame.first_id, attempt: frame.handed_out }
}

/// Leases that many messages, one at a time.
fn lease(queue: &mut dyn Queue, count: usize, duration: Duration) -> Vec<LeaseId> {
    let lease = |_| {
        let lease = take(queue);
        let until = Some(SystemTime::now() + duration);
        queue.keep(1, Terms { until, holder: Holder::Nobody }, true, None).unwrap();
        lease
    };
    (0..count).map(lease).collect()
}

/// Seconds that a put, a get, a lease and an ack take.
fn operations(queue: &mut dyn Queue) -> [f64; 4] {
    let mut clock = Instant::now();
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed().as_secs_f64() / BATCH as f64;
    put(queue, 2 * BATCH);
    let put = lap() / 2.0;
    let mut buffer = Vec::new();
    for _ in 0..BATCH {
        take(queue);
        buffer.clear();
        queue.read(0, &mut buffer).unwrap();
        queue.settle(1, true, None).unwrap();
    }
    let get = lap();
    let leases = lease(queue, BATCH, LEASE);
    let lease = lap();
    for lease in leases {
        queue.end(&[lease], &End::Done, None).unwrap();
    }
    [put, get, lease, lap()]
}

/// The same as commands.
fn commands(bench: &Bench, queue: &str) -> [f64; 4] {
    let repeat = |body: &str| {
        let script = format!("for i in $(seq {COMMANDS}); do {body}; done");
        bench.time_script("dash", &script) / COMMANDS as f64
    };
    let put = (repeat(&format!("ipcq put {queue} x")) + repeat(&format!("ipcq put {queue} x"))) / 2.0;
    let get = repeat(&format!("ipcq get {queue}"));
    let lease = repeat(&format!("ipcq get {queue} --lease 1h --output /dev/null >> leases"));
    let script = format!("while read id; do ipcq ack {queue} $id; done < leases; rm leases");
    [put, get, lease, bench.time_script("dash", &script) / COMMANDS as f64]
}

/// Rows for a message there and back, and for putting it alone, while others wait for it, too.
fn waiters(bench: &Bench, report: &mut Report) {
    let sizes = [1, 10, bench.many(1_000, 20)];
    // Fewer would be over before the kernel has moved one of the two to another processor.
    let trips = bench.many(4_000, 5);
    let mut contenders: Vec<Contender<[f64; 2]>> = Vec::new();
    for spins in [true, false] {
        for size in sizes {
            contenders.push(Box::new(move || latency::trip(latency::queues(bench, size, spins), trips)));
        }
    }
    contenders.push(Box::new(|| latency::trip(pipe::start(sizes[2], false), trips)));
    let costs = in_turn(bench.many(3, 1), &mut contenders);
    let (spinning, sleeping, pipe) = (&costs[..3], &costs[3..6], &costs[6]);
    for (how, ours) in [("", spinning), (", no spinning", sleeping)] {
        for (index, what) in ["put", "there and back"].into_iter().enumerate() {
            let of = |costs: &[[f64; 2]]| costs.iter().map(|costs| costs[index]).collect::<Vec<_>>();
            for large in [1, 2] {
                let what = format!("{what} with {} waiters{how}", sizes[large]);
                report.row(&what, "the same with 1", Unit::Time, Compared::of(&of(&ours[large]), &of(&ours[0])), BAR);
            }
            let what = format!("{what} with {} waiters{how}", sizes[2]);
            report.row(&what, "a pipe with as many readers", Unit::Time, Compared::of(&of(&ours[2]), &of(pipe)), None);
        }
    }
}

/// Rows for what a message takes in memory, put alone, and as one of a stream.
fn memory(bench: &Bench, report: &mut Report) {
    let count = bench.many(100_000, 5_000);
    let Some(server) = redis::Server::start(bench, report) else { return };
    for length in [1, 64, 1_000] {
        let message = vec![b'x'; length];
        let name = format!("memory{length}");
        let before = server.memory();
        server.push(&name, &message, count);
        let theirs = (server.memory() - before) / count as f64;
        let lines = [message.as_slice(), b"\n"].concat().repeat(STREAMED.div_ceil(length + 1));
        for (how, run) in [("alone", Run::whole(&message)), ("in a stream", Run::delimited(&lines, Framing::Newline))] {
            let ours = memory_of(bench, &name, &run, count);
            let what = format!("memory of a message of {length} B, put {how}");
            report.row(&what, "Redis list", Unit::Bytes, Compared { ours, theirs, ratio: ours / theirs }, None);
        }
    }
}

/// Bytes of memory that each of about `count` messages takes, put as such runs.
fn memory_of(bench: &Bench, name: &str, run: &Run<'_>, count: usize) -> f64 {
    let mut queue = bench.create(name);
    let blocks = || std::fs::metadata(bench.queues().join(name)).unwrap().blocks() as f64 * 512.0;
    let before = blocks();
    let runs = count.div_ceil(run.count() as usize);
    for _ in 0..runs {
        assert_eq!(queue.put(run, false, None).unwrap(), run.count());
    }
    let taken = (blocks() - before) / (runs as f64 * run.count() as f64);
    drop(queue);
    bench.prepare(&format!("ipcq rm {name}"));
    taken
}
