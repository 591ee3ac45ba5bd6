//! What a message more or less costs in a queue that holds a million, against one that is empty.

use crate::tools::{Bench, report};
use std::io::Write;
use std::process::Stdio;

const RUNS: usize = 1_000;
const DEPTH: u32 = 1_000_000;

pub(crate) fn run(bench: &Bench) {
    bench.prepare("ipcq create empty; ipcq create deep --capacity 1G");
    // Line by line, so that most messages have a record of their own.
    let mut put = bench.program("ipcq").args(["put", "-l", "deep"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = put.stdin.take().unwrap();
    for number in 0..DEPTH {
        input.write_all(format!("{number}\n").as_bytes()).unwrap();
    }
    drop(input);
    assert!(put.wait().unwrap().success());
    let ipcq = bench.ipcq();
    let ipcq = ipcq.as_str();
    let ratio = |ours: &[&str], theirs: &[&str]| bench.ratio_of_processes(ours, theirs, RUNS);
    report("put with 1 M messages / empty", ratio(&[ipcq, "put", "deep", "x"], &[ipcq, "put", "empty", "x"]), 1.2);
    report(
        "get with 1 M messages / few",
        ratio(&[ipcq, "get", "deep", "-t", "0"], &[ipcq, "get", "empty", "-t", "0"]),
        1.2,
    );
    report("stat with 1 M messages / put", ratio(&[ipcq, "stat", "deep"], &[ipcq, "put", "empty", "x"]), 1.1);
}
