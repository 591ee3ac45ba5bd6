//! Streams of messages from process to process: lines, 64 bytes each, and a mebibyte each; by one and by several.

use crate::contest::{Compared, Contender, in_turn};
use crate::peers::{self, Peer, Sample};
use crate::report::{Bar, Report, Unit};
use crate::tools::{Bench, have};
use std::fs::File;
use std::io::{BufWriter, Read, Write};

const THROUGH_FIFO: &str = "cat files/input > fifo & cat fifo > /dev/null; wait";

/// Bytes of a large message, with the delimiter.
const LARGE: usize = 1 << 20;

/// Rounds with peers that are much slower.
const FEW_ROUNDS: usize = 3;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    bench.prepare("mkfifo fifo");
    let mut peers = peers::start(bench, report);
    lines(bench, report, &mut peers);
    short(bench, report, &mut peers);
    large(bench, report, &mut peers);
    several(bench, report, &mut peers);
}

/// A script that puts the file `files/input` through a queue.
pub(crate) fn through_queue(flag: &str) -> String {
    format!(
        "ipcq create stream; {{ ipcq put {flag} stream < files/input; ipcq close stream; }} & \
         ipcq get -f {} stream > /dev/null; wait; ipcq rm stream",
        if flag == "-0" { flag } else { "" }
    )
}

/// Makes the file `files/input`: ten million lines of 20 to 96 characters, and returns how many those are.
pub(crate) fn write_lines(bench: &Bench) -> usize {
    let lines = bench.many(10_000_000, 10_000);
    let text: Vec<u8> = (0..2_000_003_u64).map(|at| b'0' + (at.wrapping_mul(0x9E37_79B9) >> 13) as u8 % 64).collect();
    write_input(bench, |input| {
        for number in 0..lines as u64 {
            let length = 20 + (number.wrapping_mul(2_654_435_761) >> 7) as usize % 77;
            let start = number as usize * 7919 % (text.len() - 100);
            input.write_all(&text[start..start + length]).unwrap();
            input.write_all(b"\n").unwrap();
        }
    });
    lines
}

fn write_input(bench: &Bench, write: impl FnOnce(&mut BufWriter<File>)) {
    let mut input = BufWriter::with_capacity(1 << 20, File::create(bench.path("files/input")).unwrap());
    write(&mut input);
    // Written to its disk before anything is measured beside that.
    input.into_inner().unwrap().sync_all().unwrap();
}

/// The first `count` messages of the input, in a file of their own.
fn sample(bench: &Bench, delimiter: u8, count: usize, length: usize) -> Sample {
    let mut bytes = Vec::new();
    let input = File::open(bench.path("files/input")).unwrap();
    input.take((count * length) as u64).read_to_end(&mut bytes).unwrap();
    Sample::new(bench.path(&format!("sample{count}")), bytes, delimiter, count)
}

/// What is streamed: the input, and how it is counted.
struct Load {
    what: String,
    /// How `put` is told what a message is.
    flag: &'static str,
    /// Messages or bytes.
    amount: usize,
    unit: Unit,
}

impl Load {
    /// What a script takes for each message or byte.
    fn cost<'a>(&self, bench: &'a Bench, script: String) -> Contender<'a> {
        let amount = self.amount as f64;
        Box::new(move || bench.time_script("sh", &script) / amount)
    }

    fn through_queue<'a>(&self, bench: &'a Bench) -> Contender<'a> {
        self.cost(bench, through_queue(self.flag))
    }

    /// Two rows against a fifo, each with its bar: on all processors, and on one.
    fn against_fifo(&self, bench: &Bench, report: &mut Report, bar: Option<Bar>, bar_on_one: Option<Bar>) {
        let pinned = |script: &str| self.cost(bench, format!("taskset -c 0 sh -c '{script}'"));
        // One after the other: what runs on one processor leaves the other one cold.
        let compare = |report: &mut Report, what: &str, mut contenders: [Contender; 2], bar| {
            let costs = in_turn(bench.many(15, 1), &mut contenders);
            report.row(what, "fifo, two cats", self.unit, Compared::of(&costs[0], &costs[1]), bar);
        };
        compare(report, &self.what, [self.through_queue(bench), self.cost(bench, THROUGH_FIFO.to_owned())], bar);
        if have("taskset", report) {
            let what = format!("{}, all on one processor", self.what);
            compare(report, &what, [pinned(&through_queue(self.flag)), pinned(THROUGH_FIFO)], bar_on_one);
        }
    }
}

/// Rows for ten million lines.
fn lines(bench: &Bench, report: &mut Report, peers: &mut [Box<dyn Peer>]) {
    let count = write_lines(bench);
    identical(bench);
    let what = format!("{} short lines", in_words(count));
    let load = Load { what, flag: "-l", amount: count, unit: Unit::MessageRate };
    load.against_fifo(bench, report, Some(Bar::AtMost(0.5)), Some(Bar::AtMost(1.2)));
    let bar = |name: &str| match name {
        "multiprocessing.Queue" => Some(Bar::TimesAsFast(150.0)),
        "Redis list, RPUSH pipelined, LPOP 1000" => Some(Bar::TimesAsFast(20.0)),
        name if name.starts_with("SimpleBroker") => Some(Bar::TimesAsFast(100.0)),
        _ => None,
    };
    let samples = samples(bench, peers, b'\n', count, 100, 1);
    against(bench, report, peers, &samples, &load, bar);
}

fn identical(bench: &Bench) {
    bench.prepare(
        "ipcq create same; { ipcq put -l same < files/input; ipcq close same; } & ipcq get -f same | cmp - files/input; \
         ok=$?; wait; ipcq rm same; exit $ok",
    );
}

/// Rows for a million messages of 64 bytes.
fn short(bench: &Bench, report: &mut Report, peers: &mut [Box<dyn Peer>]) {
    let count = bench.many(1_000_000, 2_000);
    write_input(bench, |input| {
        (0..count).for_each(|number| writeln!(input, "{number:064}").unwrap());
    });
    let what = format!("{} messages of 64 B", in_words(count));
    let load = Load { what, flag: "-l", amount: count, unit: Unit::MessageRate };
    load.against_fifo(bench, report, None, None);
    let samples = samples(bench, peers, b'\n', count, 65, 1);
    against(bench, report, peers, &samples, &load, |_| None);
}

/// Makes the file `files/input`: one gibibyte, each mebibyte of it with a NUL at its end, and returns how many those are.
pub(crate) fn write_large(bench: &Bench) -> usize {
    let count = bench.many(1024, 16);
    // Text, so that everybody can take it.
    let letter = |at: usize| b' ' + ((at as u32).wrapping_mul(0x9E37_79B9) >> 24) as u8 % 64;
    let mut message: Vec<u8> = (0..LARGE).map(letter).collect();
    message[LARGE - 1] = 0;
    write_input(bench, |input| (0..count).for_each(|_| input.write_all(&message).unwrap()));
    count
}

/// Rows for one gibibyte as messages of one mebibyte.
fn large(bench: &Bench, report: &mut Report, peers: &mut [Box<dyn Peer>]) {
    let count = write_large(bench);
    let what = format!("{count} messages of 1 MiB");
    let load = Load { what, flag: "-0", amount: count * LARGE, unit: Unit::ByteRate };
    load.against_fifo(bench, report, Some(Bar::AtMost(0.8)), None);
    let sample = sample(bench, 0, count.min(128), LARGE);
    let bytes = (sample.count * LARGE) as f64;
    for peer in peers {
        if peer.longest() < LARGE - 1 {
            report.skip(&format!("{} takes no messages of 1 MiB", peer.name()));
            continue;
        }
        let name = peer.name();
        let theirs = || peer.stream(&sample, 1, 1) / bytes;
        let both = in_turn(bench.many(FEW_ROUNDS, 1), &mut [load.through_queue(bench), Box::new(theirs)]);
        report.row(&load.what, name, load.unit, Compared::of(&both[0], &both[1]), None);
    }
}

/// As many messages for each peer as it takes in about a second.
fn samples(
    bench: &Bench,
    peers: &[Box<dyn Peer>],
    delimiter: u8,
    count: usize,
    length: usize,
    part: usize,
) -> Vec<Sample> {
    let count = |peer: &dyn Peer| count.min(bench.many(peer.pace() / part, 200));
    peers.iter().map(|peer| sample(bench, delimiter, count(peer.as_ref()), length)).collect()
}

/// A row for each peer, with a sample for each.
fn against(
    bench: &Bench,
    report: &mut Report,
    peers: &mut [Box<dyn Peer>],
    samples: &[Sample],
    load: &Load,
    bar: impl Fn(&str) -> Option<Bar>,
) {
    let names: Vec<_> = peers.iter().map(|peer| peer.name()).collect();
    let mut contenders = vec![load.through_queue(bench)];
    for (peer, sample) in peers.iter_mut().zip(samples) {
        contenders.push(Box::new(|| peer.stream(sample, 1, 1) / sample.count as f64));
    }
    let costs = in_turn(bench.many(FEW_ROUNDS, 1), &mut contenders);
    for (name, theirs) in names.into_iter().zip(&costs[1..]) {
        report.row(&load.what, name, load.unit, Compared::of(&costs[0], theirs), bar(name));
    }
}

/// Rows for one to four producers and consumers.
fn several(bench: &Bench, report: &mut Report, peers: &mut [Box<dyn Peer>]) {
    let count = write_lines(bench);
    let sizes = [(1, 1), (1, 4), (4, 1), (2, 2), (4, 4)];
    bench.prepare("cd files; split -n l/2 -d input half.; split -n l/4 -d input quarter.; sync half.* quarter.*");
    let through = |(producers, consumers): (usize, usize)| {
        let script = by_several(producers, consumers);
        move || bench.time_script("sh", &script) / count as f64
    };
    let mut contenders: Vec<Contender> = Vec::new();
    sizes.iter().for_each(|size| contenders.push(Box::new(through(*size))));
    let costs = in_turn(bench.many(7, 1), &mut contenders);
    let what = |(producers, consumers)| format!("lines, producers by consumers: {producers} by {consumers}");
    for (size, ours) in sizes.iter().zip(&costs).skip(1) {
        let bar = (*size == (4, 4)).then_some(Bar::TimesAsFast(0.7));
        report.row(&what(*size), "ipcq, 1 by 1", Unit::MessageRate, Compared::of(ours, &costs[0]), bar);
    }
    let samples = samples(bench, peers, b'\n', count, 100, 2);
    let mut ours = through((4, 4));
    for (peer, sample) in peers.iter_mut().zip(&samples) {
        let mut theirs = || peer.stream(sample, 4, 4) / sample.count as f64;
        let both = in_turn(bench.many(FEW_ROUNDS, 1), &mut [Box::new(&mut ours), Box::new(&mut theirs)]);
        report.row(&what((4, 4)), peer.name(), Unit::MessageRate, Compared::of(&both[0], &both[1]), None);
    }
    bench.prepare("cd files; rm input half.* quarter.*");
}

/// A script that puts the input's parts through one queue.
fn by_several(producers: usize, consumers: usize) -> String {
    let parts = match producers {
        1 => "files/input",
        2 => "files/half.*",
        _ => "files/quarter.*",
    };
    let gets = "ipcq get -f stream > /dev/null & ".repeat(consumers);
    format!(
        "ipcq create stream; {gets} puts=; for part in {parts}; do ipcq put -l stream < $part & puts=\"$puts $!\"; done; \
         wait $puts; ipcq close stream; wait; ipcq rm stream"
    )
}

/// As in 10 M.
pub(crate) fn in_words(count: usize) -> String {
    match count {
        1_000_000.. => format!("{} M", count / 1_000_000),
        _ => count.to_string(),
    }
}
