//! What a lease costs while a hundred thousand others are out, against ten: as commands, and in process, where nothing
//! else is in the way and the memory that a long way through a tree touches is most of it.

use crate::tools::{Bench, median, report};
use ipcq::lease::{Cause, End, Holder, LeaseId, Reason, Terms};
use ipcq::message::{Framing, Run};
use ipcq::name::Address;
use ipcq::open;
use ipcq::place::{Place, Surroundings};
use ipcq::queue::{Limits, Queue, Want};
use std::time::{Duration, Instant, SystemTime};

const FEW: usize = 10;
const MANY: usize = 100_000;
/// Operations in one measurement, few enough that the number of leases stays what it is.
const BATCH: usize = 200;
const ROUNDS: usize = 31;
/// Longer than leasing a batch takes.
const SHORT: Duration = Duration::from_millis(30);

/// A queue with this many leases out.
struct Leased {
    queue: Box<dyn Queue>,
    out: Vec<LeaseId>,
}

impl Leased {
    fn new(bench: &Bench, name: &str, count: usize) -> Self {
        let place = Place::from(&Surroundings {
            ipcq_dir: Some(bench.queues().into_os_string()),
            tmpdir: None,
            uid: 0,
            shared_memory: "/dev/shm".into(),
        });
        let limits = Limits { capacity: 1 << 30, ..Limits::default() };
        let queue = open::create(&place, &Address::parse(name.as_ref()).unwrap(), &limits).unwrap();
        let mut leased = Leased { queue, out: Vec::new() };
        leased.put(count);
        leased.out = leased.lease(count, Duration::from_secs(100_000));
        leased
    }

    fn put(&mut self, count: usize) {
        for _ in 0..count {
            assert_eq!(self.queue.put(&Run::delimited(b"a message\n", Framing::Newline), false, None).unwrap(), 1);
        }
    }

    /// Leases that many messages, one at a time.
    fn lease(&mut self, count: usize, duration: Duration) -> Vec<LeaseId> {
        let lease = |_| {
            let want = Want { messages: 1, bytes: u64::MAX, singly: true };
            self.queue.take(want, false, Some(Instant::now())).unwrap();
            let frame = self.queue.frames()[0];
            let until = SystemTime::now() + duration;
            self.queue.keep(1, Terms { until: Some(until), holder: Holder::Nobody }, true, None).unwrap();
            LeaseId { message: frame.first_id, attempt: frame.handed_out }
        };
        (0..count).map(lease).collect()
    }

    /// The times that getting, returning, getting again, running out, and finishing take, for a batch each.
    fn times(&mut self) -> [Duration; 4] {
        self.put(BATCH);
        let mut clock = Instant::now();
        let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
        let leases = self.lease(BATCH, Duration::from_secs(1000));
        let get = lap();
        let reason = Reason { cause: Cause::Returned, text: Vec::new() };
        let again = End::Again { delay: Duration::ZERO, max_attempts: None, reason };
        for lease in leases {
            self.queue.end(&[lease], &again, None).unwrap();
        }
        let nack = lap();
        self.lease(BATCH, SHORT);
        std::thread::sleep(SHORT);
        lap();
        let want = Want { messages: 1, bytes: u64::MAX, singly: true };
        self.queue.take(want, false, Some(Instant::now())).unwrap();
        self.queue.settle(0, true, None).unwrap();
        let expiry = lap();
        let leases = self.lease(BATCH, Duration::from_secs(1000));
        lap();
        for lease in leases {
            self.queue.end(&[lease], &End::Done, None).unwrap();
        }
        [get, lap(), nack, expiry]
    }
}

pub(crate) fn run(bench: &Bench) {
    let (mut few, mut many) = (Leased::new(bench, "few", FEW), Leased::new(bench, "many", MANY));
    for (what, end) in [("ack", "ack"), ("nack", "nack")] {
        let script = |queue: &str| {
            format!(
                "for i in $(seq 20); do id=$(ipcq get {queue} --lease 1h -o /dev/null); ipcq {end} {queue} $id; done"
            )
        };
        [&mut few, &mut many].into_iter().for_each(|leased| leased.put(2 * BATCH));
        let ratio = bench.ratio(&script("many"), &script("few"), 15);
        report(&format!("get --lease, {what}: 100,000 leases out / 10"), ratio, 1.5);
    }
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (many.times(), few.times())).collect();
    for (index, what) in ["get --lease", "ack", "nack", "expiry"].into_iter().enumerate() {
        let ratio = |(many, few): &([Duration; 4], [Duration; 4])| many[index].as_secs_f64() / few[index].as_secs_f64();
        report(&format!("  {what}, in process"), median(rounds.iter().map(ratio).collect()), 4.5);
    }
    let nanoseconds =
        |index: usize| median(rounds.iter().map(|(_, few)| few[index].as_nanos() as f64).collect()) / BATCH as f64;
    println!(
        "  (in process with 10 out, nanoseconds: get {:.0}, ack {:.0}, nack {:.0}, expiry {:.0})",
        nanoseconds(0),
        nanoseconds(1),
        nanoseconds(2),
        nanoseconds(3)
    );
    assert_eq!((few.out.len(), many.out.len()), (FEW, MANY));
}
