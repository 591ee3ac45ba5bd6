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

/// What a loop of the shell does in place of a put and a get.
struct Peer {
    name: &'static str,
    put: String,
    /// Unless it is a place to put into only.
    get: Option<String>,
    /// How many times more it takes than the others.
    slowness: usize,
    bar: Option<Bar>,
}

/// Seconds for each put, and for each get.
type Costs = [Option<f64>; 2];

pub(crate) fn run(bench: &Bench, report: &mut Report) {
    bench.prepare("ipcq create one; touch list; mkfifo sink");
    let server = redis::Server::start(bench, report).filter(|_| have("redis-cli", report));
    // Somebody has to read what is written into the fifo.
    let _sink = Running::start(bench.program("sh").args(["-c", "exec cat <> sink"]));
    let mut peers = Vec::new();
    let mut peer = |name, put: &str, get: Option<&str>, slowness, bar: Option<f64>| {
        let (put, get) = (put.to_owned(), get.map(str::to_owned));
        peers.push(Peer { name, put, get, slowness, bar: bar.map(Bar::AtMost) });
    };
    peer("/bin/true", "/bin/true", Some("/bin/true"), 1, Some(1.0));
    if let Some(server) = &server {
        let [put, get] = ["RPUSH one x", "LPOP one"].map(|command| format!("redis-cli -s {} {command}", server.socket));
        peer("redis-cli RPUSH or LPOP", &put, Some(&get), 4, Some(0.25));
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
        let [put, get] = [
            "INSERT INTO queue (body) VALUES (\"x\")",
            "DELETE FROM queue WHERE id = (SELECT min(id) FROM queue) RETURNING body",
        ]
        .map(|statement| format!("sqlite3 one.sqlite '{statement}'"));
        peer("sqlite3 INSERT or DELETE", &put, Some(&get), 2, Some(0.5));
    }
    if let Some(broker) = simplebroker::command(report) {
        let [put, get] =
            ["write one x", "read one"].map(|command| format!("{} -f one.broker {command}", broker.display()));
        peer("SimpleBroker's command", &put, Some(&get), 50, None);
    }
    if have("flock", report) {
        peer("echo >> file under flock(1)", "{ flock 9; echo x >> list; } 9> lock", None, 1, None);
    }
    peer("echo > fifo, no process at all", "echo x > sink", None, 1, None);
    for shell in ["bash", "dash"] {
        if have(shell, report) {
            from_shell(bench, report, shell, &peers);
        }
    }
    drop(keeper);
}

fn from_shell(bench: &Bench, report: &mut Report, shell: &str, peers: &[Peer]) {
    let each = |body: &str, slowness: usize| bench.time_turn(shell, bench.many(PROCESSES / slowness, 4), body);
    // Who gets has put before, whoever's turn comes first.
    let mut contenders: Vec<Contender<Costs>> =
        vec![Box::new(|| ["ipcq put one x", "ipcq get one"].map(|command| Some(each(command, 1))))];
    for peer in peers {
        contenders.push(Box::new(|| [Some(&peer.put), peer.get.as_ref()].map(|body| Some(each(body?, peer.slowness)))));
    }
    let costs = in_turn(bench.many(ROUNDS, 2), &mut contenders);
    for (peer, theirs) in peers.iter().zip(&costs[1..]) {
        for (index, operation) in ["put", "get"].into_iter().enumerate() {
            let of = |costs: &[Costs]| costs.iter().filter_map(|costs| costs[index]).collect::<Vec<_>>();
            let what = format!("{operation}, a process each, from {shell}");
            if theirs.iter().any(|costs| costs[index].is_some()) {
                report.row(&what, peer.name, Unit::Time, Compared::of(&of(&costs[0]), &of(theirs)), peer.bar);
            }
        }
    }
}
