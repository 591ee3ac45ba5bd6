//! Queues on a Redis server, against what its own tool reaches on the same server: a stream in and out again, and one
//! message at a time.

use crate::contest::{Compared, in_turn};
use crate::peers::redis;
use crate::report::{Bar, Report, Unit};
use crate::streams;
use crate::tools::{Bench, have};
use std::fmt::Write as _;

/// Characters of a line.
const LENGTH: usize = 60;
/// Messages that the server's own tool takes at once.
const AT_ONCE: usize = 1000;
/// Processes of a loop of the shell.
const PROCESSES: usize = 50;

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    let Some(server) = redis::Server::start(bench, report).filter(|_| have("redis-cli", report)) else { return };
    let directory = format!("IPCQ_DIR=redis+unix://{}", server.socket);
    let cli = format!("redis-cli -s {}", server.socket);
    let count = bench.many(1_000_000, 2_000);
    write_input(bench, count);
    let put = |script: String| move || bench.time_script("sh", &script) / count as f64;
    // Each round begins and ends with nothing on the server.
    let ours_in = format!("{directory} ipcq create s --capacity 1G; {directory} ipcq put -l s < lines");
    let theirs_in = format!("{cli} --pipe < commands");
    let ours_out = format!("{directory} ipcq get -a s > out; {directory} ipcq rm s; cmp lines out");
    let theirs_out = format!("yes 'LPOP l {AT_ONCE}' | head -n {} | {cli} > out", count.div_ceil(AT_ONCE));
    let costs = in_turn(
        bench.many(5, 1),
        &mut [Box::new(put(ours_in)), Box::new(put(ours_out)), Box::new(put(theirs_in)), Box::new(put(theirs_out))],
    );
    let what = format!("{} lines of {LENGTH} B to a server", streams::in_words(count));
    // 0.8 of its speed.
    let bar = Some(Bar::AtMost(1.25));
    let others = ["redis-cli --pipe, RPUSH", "redis-cli, LPOP 1000"];
    for (index, (what, other)) in [format!("{what}, put"), format!("{what}, got")].iter().zip(others).enumerate() {
        let compared = Compared::of(&costs[index], &costs[index + 2]);
        report.row(what, other, Unit::MessageRate, compared, bar);
    }
    bench.prepare(&format!("{directory} ipcq create one; rm lines commands out"));
    let each = |body: String| {
        let times = bench.many(PROCESSES, 4);
        let script = format!("i=0; while [ $i -lt {times} ]; do {body}; i=$((i + 1)); done");
        move || bench.time_script("dash", &script) / times as f64
    };
    if !have("dash", report) {
        return;
    }
    let costs = in_turn(
        bench.many(20, 1),
        &mut [
            Box::new(each(format!("{directory} ipcq put one x"))),
            Box::new(each(format!("{directory} ipcq get one"))),
            Box::new(each(format!("{cli} RPUSH list x"))),
            Box::new(each(format!("{cli} LPOP list"))),
        ],
    );
    let what = "to a server, a process each, from dash";
    report.row(
        &format!("put {what}"),
        "redis-cli RPUSH",
        Unit::Time,
        Compared::of(&costs[0], &costs[2]),
        Some(Bar::AtMost(1.0)),
    );
    report.row(&format!("get {what}"), "redis-cli LPOP", Unit::Time, Compared::of(&costs[1], &costs[3]), None);
}

/// Makes the file `lines`, and `commands`, which puts the same into a list.
fn write_input(bench: &Bench, count: usize) {
    let (mut lines, mut commands) = (String::new(), String::new());
    for number in 0..count {
        let line = format!("{number:0LENGTH$}");
        let _ = writeln!(lines, "{line}");
        let _ = write!(commands, "*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n${LENGTH}\r\n{line}\r\n");
    }
    std::fs::write(bench.path("lines"), lines).unwrap();
    std::fs::write(bench.path("commands"), commands).unwrap();
}
