//! What is in queues, who waits, and who holds messages, for people and for programs.

use crate::harness::{Running, Sandbox, have, until};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// The processes that a key of `stat --json` lists.
fn pids(sandbox: &Sandbox, key: &str) -> Vec<u64> {
    sandbox.stat("jobs", key).as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap()).collect()
}

#[test]
fn who_waits_is_listed_by_number_and_only_while_that_lasts() {
    let sandbox = Sandbox::with_queues("jobs");
    assert!(pids(&sandbox, "waiting_consumers").is_empty());
    let waiting = [sandbox.asleep("get jobs"), sandbox.asleep("get jobs -f")];
    let expected: BTreeSet<u64> = waiting.iter().map(|waiter| waiter.pid().into()).collect();
    assert_eq!(pids(&sandbox, "waiting_consumers").into_iter().collect::<BTreeSet<_>>(), expected);
    assert!(sandbox.ok("stat jobs").contains(&format!("waiting   get: process {}  ipcq get jobs", waiting[0].pid())));
    let [get, follower] = waiting;
    get.signal("KILL");
    get.end();
    assert_eq!(pids(&sandbox, "waiting_consumers"), [u64::from(follower.pid())]);
    sandbox.ok("pause jobs --put");
    let put = sandbox.asleep("put jobs more");
    assert_eq!(pids(&sandbox, "waiting_producers"), [u64::from(put.pid())]);
    sandbox.ok("resume jobs");
    put.ends(0, "");
    assert!(pids(&sandbox, "waiting_producers").is_empty());
}

#[test]
fn who_holds_messages_is_listed_with_its_command() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs 1 2 3");
    let (holder, _reader) = sandbox.stuck("get jobs -n 2");
    let holders = sandbox.stat("jobs", "holders");
    assert_eq!((&holders[0]["pid"], &holders[0]["messages"]), (&holder.pid().into(), &2.into()));
    assert!(holders[0]["command"].as_str().unwrap().ends_with("get jobs -n 2"), "{holders}");
    let line = format!("by process {}  ", holder.pid());
    let text = sandbox.ok("stat jobs");
    assert!(text.contains("held by   2 messages for 0 s ") && text.contains(&line), "{text}");
}

#[test]
fn the_figures_tell_what_has_happened_since_the_queue_was_created() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs 1 2 3 4 5");
    sandbox.ok("get jobs");
    sandbox.ok("get jobs --lease 1ms");
    std::thread::sleep(std::time::Duration::from_millis(5));
    sandbox.ok("get jobs");
    sandbox.ok("purge jobs");
    let figures = ["put", "got", "returned", "expired", "died", "purged", "high_water"];
    let expected = [5, 2, 1, 1, 0, 3, 5];
    assert_eq!(figures.map(|key| sandbox.stat("jobs", key)), expected.map(serde_json::Value::from));
    assert!(sandbox.stat("jobs", "oldest").is_null());
    sandbox.ok("put jobs 6");
    assert!(sandbox.stat("jobs", "oldest").as_f64().unwrap() >= 0.0);
}

/// The samples in Prometheus's text format: name and labels, and value. Panics where a parser would refuse it.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut current, mut seen) = (BTreeMap::new(), String::new(), BTreeSet::new());
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            current = help.split_once(' ').expect("a name and a text").0.to_owned();
            assert!(is_name(&current) && seen.insert(current.clone()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(name == current && ["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap();
            assert_eq!(name, current, "samples of a metric are together");
            let labels = labels.strip_suffix("\"}").unwrap();
            for label in labels.split("\",") {
                let (key, value) = label.split_once("=\"").unwrap();
                let value = value.replace("\\\\", "").replace("\\\"", "").replace("\\n", "");
                assert!(is_name(key) && !value.contains(['"', '\\']), "{line}");
            }
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{line} is there twice");
        }
    }
    samples
}

#[test]
fn a_monitoring_system_can_read_the_figures() {
    let sandbox = Sandbox::with_queues("jobs");
    std::fs::create_dir(sandbox.path("a \"quoted\\ directory")).unwrap();
    sandbox.ok("put jobs 1 22");
    let mut other = sandbox.ipcq(["create", "./a \"quoted\\ directory/q"]);
    assert!(other.status().unwrap().success());
    let done = sandbox.sh("ipcq stat --prometheus jobs './a \"quoted\\ directory/q'");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let samples = parse(done.text());
    assert_eq!(samples["ipcq_messages{queue=\"jobs\",state=\"ready\"}"], 2.0);
    assert_eq!(samples["ipcq_bytes{queue=\"jobs\"}"], 3.0);
    assert_eq!(samples["ipcq_put_messages_total{queue=\"./a \\\"quoted\\\\ directory/q\"}"], 0.0);
    assert!(samples.len() > 30);
}

#[test]
fn figures_are_shown_again_and_again() {
    let sandbox = Sandbox::with_queues("jobs");
    let mut watch = sandbox.ipcq(["stat", "jobs", "--json", "--watch", "20ms"]);
    let mut watch = Running::from(watch.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watch.child().stdout.take().unwrap()).lines();
    let mut ready = || {
        let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        line["ready"].as_u64().unwrap()
    };
    assert_eq!(ready(), 0);
    sandbox.ok("put jobs message");
    until("it is seen", || ready() == 1);
    sandbox.ok("rm jobs");
    drop(lines);
    assert_eq!(watch.end().code, 4);
}

/// Messages that are put and got, done with, delayed, given up on and purged, until the queue is removed.
const TRAFFIC: &str = "yes | ipcq put jobs -l &
    ipcq work jobs -j 2 -- true &
    ipcq work jobs -j 1 --max-attempts 2 --backoff 10ms -- false &
    ipcq get jobs -f > /dev/null &
    while ipcq purge jobs --dead; do ipcq get jobs --lease 1h -o /dev/null | xargs ipcq nack jobs --delay 10ms; done &
    wait";

#[test]
fn under_constant_traffic_the_figures_of_one_look_agree() {
    let samples = std::env::var("IPCQ_SAMPLES").map_or(300, |samples| samples.parse().unwrap());
    let sandbox = Sandbox::with_queues("jobs");
    let traffic = sandbox.program("sh").args(["-c", TRAFFIC]).spawn();
    let traffic = Running::from(traffic.unwrap());
    for _ in 0..samples {
        let figures: serde_json::Value = serde_json::from_str(&sandbox.ok("stat --json jobs")).unwrap();
        let figure = |key: &str| figures[key].as_u64().unwrap();
        let there = figure("ready") + figure("leased") + figure("delayed") + figure("dead");
        assert_eq!(there, figure("put") - figure("got") - figure("purged"), "{figures}");
    }
    until("the traffic has been of every kind", || {
        ["put", "got", "returned", "died", "purged"].iter().all(|key| sandbox.stat("jobs", key) != 0)
    });
    sandbox.ok("rm jobs");
    drop(traffic);
}

/// What a command shows on a terminal.
fn on_a_terminal(sandbox: &Sandbox, command: &str, no_color: bool) -> String {
    let mut terminal = sandbox.program("script");
    terminal.args(["-q", "-e", "-c", command, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null());
    if no_color {
        terminal.env("NO_COLOR", "1");
    }
    let done = Running::from(terminal.spawn().unwrap()).end();
    assert_eq!(done.code, 0, "{done:?}");
    done.text().replace('\r', "")
}

#[test]
fn a_list_on_a_terminal_is_for_people_and_one_in_a_pipe_for_programs() {
    let sandbox = Sandbox::new();
    sandbox.ok("create empty");
    sandbox.ok("create full --capacity 10");
    sandbox.ok("put full 0123456789");
    sandbox.ok("close full");
    assert_eq!(sandbox.ok("ls"), "empty  0  0  0  0   0  67108864  open\nfull   1  0  0  0  10        10  closed\n");
    if !have("script") {
        return;
    }
    let shown = on_a_terminal(&sandbox, "ipcq ls", true);
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0].join(" "), "NAME READY LEASED DELAYED DEAD USED OF PUT/S GOT/S OLDEST STATE");
    assert_eq!(rows[1].join(" "), "empty 0 0 0 0 0 ........ 64M 0 0 open");
    assert_eq!(rows[2][..8], ["full", "1", "0", "0", "0", "10", "########", "10"]);
    assert!(!shown.contains('\x1b'), "NO_COLOR is respected");
    assert!(on_a_terminal(&sandbox, "ipcq ls", false).contains("\x1b[33mclosed\x1b[0m"));
}

#[test]
fn a_list_shows_who_holds_what() {
    let sandbox = Sandbox::with_queues("jobs other");
    sandbox.ok("put jobs 1 2");
    let (holder, _reader) = sandbox.stuck("get jobs");
    let list = sandbox.ok("ls --leases");
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("jobs ") && lines[2].starts_with("other "), "{list}");
    assert!(lines[1].ends_with(&format!("by process {}  ipcq get jobs", holder.pid())), "{list}");
    let object: serde_json::Value =
        serde_json::from_str(sandbox.ok("ls --leases --json").lines().next().unwrap()).unwrap();
    assert_eq!(object["holders"][0]["pid"], holder.pid());
}
