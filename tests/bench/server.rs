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
    let stream = |script: &str| bench.time_script("sh", script) / count as f64;
    // Each turn begins and ends with nothing on the server.
    let ours = [
        format!("{directory} ipcq create s --capacity 1G; {directory} ipcq put -l s < lines"),
        format!("{directory} ipcq get -a s > out; {directory} ipcq rm s; cmp lines out"),
    ];
    let theirs = [
        format!("{cli} --pipe < commands"),
        format!("yes 'LPOP l {AT_ONCE}' | head -n {} | {cli} > out", count.div_ceil(AT_ONCE)),
    ];
    let [put, get] = in_and_out(bench.many(5, 2), stream, &ours, &theirs);
    let what = format!("{} lines of {LENGTH} B to a server", streams::in_words(count));
    // 0.8 of its speed.
    let bar = Some(Bar::AtMost(1.25));
    report.row(&format!("{what}, put"), "redis-cli --pipe, RPUSH", Unit::MessageRate, put, bar);
    report.row(&format!("{what}, got"), "redis-cli, LPOP 1000", Unit::MessageRate, get, bar);
    bench.prepare(&format!("{directory} ipcq create one; rm lines commands out"));
    if !have("dash", report) {
        return;
    }
    let each = |body: &str| bench.time_turn("dash", bench.many(PROCESSES, 4), body);
    let ours = ["put one x", "get one"].map(|command| format!("{directory} ipcq {command}"));
    let theirs = ["RPUSH list x", "LPOP list"].map(|command| format!("{cli} {command}"));
    let [put, get] = in_and_out(bench.many(20, 2), each, &ours, &theirs);
    let what = "to a server, a process each, from dash";
    report.row(&format!("put {what}"), "redis-cli RPUSH", Unit::Time, put, Some(Bar::AtMost(1.0)));
    report.row(&format!("get {what}"), "redis-cli LPOP", Unit::Time, get, None);
}

/// How scripts compare that put and get: who gets has put before, whoever's turn comes first.
fn in_and_out(rounds: usize, cost: impl Fn(&str) -> f64, ours: &[String; 2], theirs: &[String; 2]) -> [Compared; 2] {
    let both = |scripts: &[String; 2]| scripts.each_ref().map(|script| cost(script));
    let costs = in_turn(rounds, &mut [Box::new(|| both(ours)), Box::new(|| both(theirs))]);
    [0, 1].map(|index| {
        let of = |costs: &[[f64; 2]]| costs.iter().map(|costs| costs[index]).collect::<Vec<_>>();
        Compared::of(&of(&costs[0]), &of(&costs[1]))
    })
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
