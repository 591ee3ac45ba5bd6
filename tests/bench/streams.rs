//! Streams through a queue, against the same through a named pipe.

use crate::tools::{Bench, have, report};
use std::fs::File;
use std::io::{BufWriter, Write};

const LINES: u64 = 10_000_000;
const LARGE_MESSAGES: usize = 1024;

const THROUGH_FIFO: &str = "cat input > fifo & cat fifo > /dev/null; wait";

/// A script that puts the file `input` through a queue.
pub(crate) fn through_queue(flag: &str) -> String {
    format!(
        "ipcq create stream; {{ ipcq put {flag} stream < input; ipcq close stream; }} & \
         ipcq get -f {} stream > /dev/null; wait; ipcq rm stream",
        if flag == "-0" { flag } else { "" }
    )
}

/// Makes the file `input`: ten million lines of 20 to 96 characters.
pub(crate) fn write_lines(bench: &Bench) {
    let text: Vec<u8> = (0..2_000_003_u64).map(|at| b'0' + (at.wrapping_mul(0x9E37_79B9) >> 13) as u8 % 64).collect();
    let mut input = BufWriter::with_capacity(1 << 20, File::create(bench.path("input")).unwrap());
    for number in 0..LINES {
        let length = 20 + (number.wrapping_mul(2_654_435_761) >> 7) as usize % 77;
        let start = number as usize * 7919 % (text.len() - 100);
        input.write_all(&text[start..start + length]).unwrap();
        input.write_all(b"\n").unwrap();
    }
    drop(input.into_inner().unwrap());
}

/// Ten million lines.
pub(crate) fn lines(bench: &Bench) {
    write_lines(bench);
    bench.prepare("mkfifo fifo");
    identical(bench);
    memory(bench);
    let ours = through_queue("-l");
    report("10 M lines, two processors / fifo", bench.ratio(&ours, THROUGH_FIFO, 7), 0.7);
    if have("taskset") {
        let pinned = |script: &str| format!("taskset -c 0 sh -c '{script}'");
        report("10 M lines, one processor / fifo", bench.ratio(&pinned(&ours), &pinned(THROUGH_FIFO), 7), 1.5);
    }
}

fn identical(bench: &Bench) {
    bench.prepare(
        "ipcq create same; { ipcq put -l same < input; ipcq close same; } & ipcq get -f same | cmp - input; \
         ok=$?; wait; ipcq rm same; exit $ok",
    );
    println!("10 M lines come out byte for byte");
}

/// Private memory of both processes in the middle of the stream.
fn memory(bench: &Bench) {
    bench.prepare("ipcq create memory");
    let input = File::open(bench.path("input")).unwrap();
    let mut put = bench.program("ipcq").args(["put", "-l", "memory"]).stdin(input).spawn().unwrap();
    let mut get = bench.program("ipcq").args(["get", "-f", "memory"]).spawn().unwrap();
    let mut most = 0;
    while put.try_wait().unwrap().is_none() {
        most = most.max(private(put.id())).max(private(get.id()));
    }
    bench.prepare("ipcq close memory");
    get.wait().unwrap();
    bench.prepare("ipcq rm memory");
    report("10 M lines, private MiB of either process", most as f64 / 1024.0, 16.0);
}

fn private(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// One gibibyte as messages of one mebibyte.
pub(crate) fn large_messages(bench: &Bench) {
    let mut message: Vec<u8> = (0..1 << 20).map(|at: u32| (at.wrapping_mul(0x9E37_79B9) >> 24) as u8 | 1).collect();
    *message.last_mut().unwrap() = 0;
    let mut input = File::create(bench.path("input")).unwrap();
    for _ in 0..LARGE_MESSAGES {
        input.write_all(&message).unwrap();
    }
    report("1 GiB as 1 MiB messages / fifo", bench.ratio(&through_queue("-0"), THROUGH_FIFO, 7), 1.0);
    std::fs::remove_file(bench.path("input")).unwrap();
}
