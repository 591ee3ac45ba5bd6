//! A process for each operation, as shell loops have it: put and get, from bash and from dash.

use crate::contest::{Compared, Contender, in_turn};
use crate::peers::{redis, simplebroker};
use crate::report::{Bar, Report, Unit};
use crate::tools::{Bench, Running, have, until};
use std::io::Write;
use std::process::Stdio;

/// Rounds, and processes in each.
const ROUNDS: usize = 20;
const PROCESSES: usize = 100;

/// What is done again and again, against something else.
struct Task<'a> {
    ours: &'a str,
    other: &'a str,
    /// What a loop of the shell does each time.
    theirs: String,
    /// How many times more it takes than the others.
    slowness: usize,
    bar: Option<Bar>,
}

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    bench.prepare("ipcq create one; touch list; mkfifo sink");
    let server = redis::Server::start(bench, report).filter(|_| have("redis-cli", report));
    // Somebody has to read what is written into the fifo.
    let _sink = Running::start(bench.program("sh").args(["-c", "exec cat <> sink"]));
    let (put, get) = ("put", "get");
    let mut tasks = Vec::new();
    let mut task = |ours, other, theirs: String, slowness, bar| tasks.push(Task { ours, other, theirs, slowness, bar });
    for ours in [put, get] {
        task(ours, "/bin/true", "/bin/true".to_owned(), 1, Some(Bar::AtMost(1.0)));
    }
    if let Some(server) = &server {
        for (ours, command) in [(put, "RPUSH one x"), (get, "LPOP one")] {
            let theirs = format!("redis-cli -s {} {command}", server.socket);
            task(ours, "redis-cli RPUSH or LPOP", theirs, 4, Some(Bar::AtMost(0.25)));
        }
    }
    let mut keeper = None;
    if have("sqlite3", report) {
        bench.prepare(
            "sqlite3 one.sqlite 'PRAGMA journal_mode = WAL; CREATE TABLE queue (id INTEGER PRIMARY KEY, body TEXT)'",
        );
        // One who has it open, so that not each process that ends has to tidy up.
        let mut other = bench.program("sqlite3").arg("one.sqlite").stdin(Stdio::piped()).spawn().unwrap();
        writeln!(other.stdin.as_mut().unwrap(), "SELECT count(*) FROM queue;").unwrap();
        keeper = Some(Running::from(other));
        until(|| bench.path("one.sqlite-shm").exists());
        for (ours, statement) in [
            (put, "INSERT INTO queue (body) VALUES (\"x\")"),
            (get, "DELETE FROM queue WHERE id = (SELECT min(id) FROM queue) RETURNING body"),
        ] {
            let theirs = format!("sqlite3 one.sqlite '{statement}'");
            task(ours, "sqlite3 INSERT or DELETE", theirs, 2, Some(Bar::AtMost(0.5)));
        }
    }
    if let Some(broker) = simplebroker::command(report) {
        let broker = broker.display();
        task(put, "SimpleBroker's command", format!("{broker} -f one.broker write one x"), 50, None);
        task(get, "SimpleBroker's command", format!("{broker} -f one.broker read one"), 50, None);
    }
    if have("flock", report) {
        task(put, "echo >> file under flock(1)", "{ flock 9; echo x >> list; } 9> lock".to_owned(), 1, None);
    }
    task(put, "echo > fifo, no process at all", "echo x > sink".to_owned(), 1, None);
    for shell in ["bash", "dash"] {
        if have(shell, report) {
            from_shell(bench, report, shell, &tasks);
        }
    }
    drop(keeper);
}

fn from_shell(bench: &Bench, report: &mut Report, shell: &str, tasks: &[Task<'_>]) {
    let each = |body: String, slowness: usize| {
        let times = bench.many(PROCESSES / slowness, 4);
        let script = format!("i=0; while [ $i -lt {times} ]; do {body}; i=$((i + 1)); done");
        move || bench.time_script(shell, &script) / times as f64
    };
    let mut contenders: Vec<Contender> = Vec::new();
    for body in ["ipcq put one x", "ipcq get one"] {
        contenders.push(Box::new(each(body.to_owned(), 1)));
    }
    tasks.iter().for_each(|task| contenders.push(Box::new(each(task.theirs.clone(), task.slowness))));
    let costs = in_turn(bench.many(ROUNDS, 1), &mut contenders);
    for (task, theirs) in tasks.iter().zip(&costs[2..]) {
        let ours = &costs[usize::from(task.ours == "get")];
        let what = format!("{}, a process each, from {shell}", task.ours);
        report.row(&what, task.other, Unit::Time, Compared::of(ours, theirs), task.bar);
    }
}
