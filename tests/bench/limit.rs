//! The physical yardstick: what ipcq takes to move bytes from process to process, against copying them once, and against
//! one read and one write of them.

use crate::contest::{Compared, Contender, in_turn};
use crate::report::{Report, Unit};
use crate::resident::per_turn;
use crate::streams;
use crate::tools::Bench;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

/// Bytes at a time: they fit the cache.
const CHUNK: usize = 128 << 10;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let count = streams::write_lines(bench);
    compare(bench, report, &format!("{} short lines", streams::in_words(count)), "-l");
    let count = streams::write_large(bench);
    compare(bench, report, &format!("{count} messages of 1 MiB"), "-0");
    bench.prepare("rm files/input");
}

fn compare(bench: &Bench, report: &mut Report, what: &str, flag: &str) {
    let input = std::fs::read(bench.path("files/input")).unwrap();
    let per_byte = |seconds: f64| seconds / input.len() as f64;
    let mut contenders: Vec<Contender> = vec![
        Box::new(|| per_byte(bench.time_script("sh", &streams::through_queue(flag)))),
        Box::new(|| per_byte(copy(&input))),
        Box::new(|| per_byte(read_and_write(bench))),
    ];
    let costs = in_turn(bench.many(7, 1), &mut contenders);
    report.row(what, "memcpy of the bytes", Unit::ByteRate, Compared::of(&costs[0], &costs[1]), None);
    report.row(what, "one read and write of them", Unit::ByteRate, Compared::of(&costs[0], &costs[2]), None);
}

/// Copies all of `bytes` into the same memory again and again.
fn copy(bytes: &[u8]) -> f64 {
    let mut to = vec![0_u8; CHUNK];
    per_turn(1, || {
        for from in bytes.chunks(CHUNK) {
            to[..from.len()].copy_from_slice(from);
            std::hint::black_box(&mut to);
        }
    })
}

/// Reads the input, and writes it into the same pages of a file in memory again and again.
fn read_and_write(bench: &Bench) -> f64 {
    let output = File::create(bench.path("output")).unwrap();
    let mut buffer = vec![0; CHUNK];
    output.write_all_at(&buffer, 0).unwrap();
    per_turn(1, || {
        let mut input = File::open(bench.path("files/input")).unwrap();
        loop {
            let length = input.read(&mut buffer).unwrap();
            if length == 0 {
                return;
            }
            output.write_all_at(&buffer[..length], 0).unwrap();
        }
    })
}
