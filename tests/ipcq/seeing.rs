//! What is in queues, who waits, and who holds messages, for people and for programs.

use crate::harness::{Running, Sandbox, differs, feed, have, until};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// The processes that a key of `stat --json` lists.
fn pids(sandbox: &Sandbox, key: &str) -> Vec<u64> {
    sandbox.stat("jobs", key).as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap()).collect()
}

#[test]
fn who_waits_is_listed_by_number_and_only_while_that_lasts() {
    if differs("Who waits") {
        return;
    }
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
fn who_waits_once_more_for_longer_than_a_moment_is_listed_again() {
    if differs("Who waits") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let follower = sandbox.asleep("get jobs -f");
    sandbox.ok("put jobs 1");
    until("got", || sandbox.stat("jobs", "got") == 1);
    until("listed again", || pids(&sandbox, "waiting_consumers") == [u64::from(follower.pid())]);
    assert_eq!(sandbox.stat("jobs", "holders").as_array().map(Vec::len), Some(0));
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
    for directory in ["a \"quoted\\ directory", "two\nlines"] {
        std::fs::create_dir(sandbox.path(directory)).unwrap();
        assert!(sandbox.ipcq(["create", &format!("./{directory}/q")]).status().unwrap().success());
    }
    sandbox.ok("put jobs 1 22");
    let done = sandbox.sh("ipcq stat --prometheus jobs './a \"quoted\\ directory/q' './two\nlines/q'");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let samples = parse(done.text());
    assert_eq!(samples["ipcq_messages{queue=\"jobs\",state=\"ready\"}"], 2.0);
    assert_eq!(samples["ipcq_bytes{queue=\"jobs\"}"], 3.0);
    assert_eq!(samples["ipcq_put_messages_total{queue=\"./a \\\"quoted\\\\ directory/q\"}"], 0.0);
    assert!(samples.len() > 30);
    if !have("promtool") {
        return;
    }
    // It finds bad names, too, besides what cannot be read.
    let promtool = sandbox.program("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    let found = feed(promtool, &done.out);
    assert_eq!((found.code, found.text(), found.err.as_str()), (0, "", ""));
}

/// The names under which figures are kept for years.
const NAMES: &str = "ipcq_bytes ipcq_capacity_bytes ipcq_closed ipcq_died_messages_total ipcq_expired_leases_total \
    ipcq_got_messages_total ipcq_high_water_bytes ipcq_holding_processes ipcq_messages ipcq_oldest_ready_seconds \
    ipcq_paused ipcq_purged_messages_total ipcq_put_messages_total ipcq_returned_messages_total ipcq_waiting_processes";

#[test]
fn the_names_that_a_monitoring_system_sees_stay_what_they_are() {
    let sandbox = Sandbox::with_queues("jobs");
    let samples = parse(&sandbox.ok("stat jobs --prometheus"));
    let names: BTreeSet<&str> = samples.keys().map(|series| series.split('{').next().unwrap()).collect();
    let missing: Vec<_> = NAMES.split_whitespace().filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
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
    assert_eq!(rows[0].join(" "), "NAME READY LEASED DELAYED DEAD USED PUT/S GOT/S OLDEST STATE");
    assert_eq!(rows[1].join(" "), "empty 0 0 0 0 0/64M ..... 0 0 open");
    assert_eq!(rows[2][..7], ["full", "1", "0", "0", "0", "10/10", "#####"]);
    assert!(!shown.contains('\x1b'), "NO_COLOR is respected");
    assert!(on_a_terminal(&sandbox, "ipcq ls", false).contains("\x1b[33mclosed\x1b[0m"));
}

#[test]
fn a_list_fits_the_terminal_and_one_of_eighty_columns_has_room_for_all() {
    if !have("script") {
        return;
    }
    let sandbox = Sandbox::with_queues("thumbnails");
    sandbox.ok("put thumbnails one");
    let all = on_a_terminal(&sandbox, "stty rows 24 cols 80; ipcq ls", true);
    assert!(all.starts_with("NAME ") && all.contains(" OLDEST ") && all.ends_with(" open\n"), "{all}");
    sandbox.ok(&format!("create {}", "n".repeat(200)));
    sandbox.ok("pause thumbnails --get");
    for width in [200, 80, 50, 40] {
        let shown = on_a_terminal(&sandbox, &format!("stty rows 24 cols {width}; ipcq ls --leases"), true);
        let longest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= width, "{width}: {shown}");
        assert!(shown.lines().nth(1).unwrap().starts_with("nnnnnnnnn") && shown.contains(" get-paused\n"), "{shown}");
    }
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
    sandbox.ok("get jobs --lease 1h");
    let list = sandbox.ok("ls --leases");
    assert_eq!(
        list.lines().nth(2),
        Some("  held by   no process: 1 message, which comes back when its time is up"),
        "{list}"
    );
}

#[test]
fn what_cannot_be_read_is_counted_and_named() {
    if differs("Files and permissions") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    for number in 1..=6 {
        std::fs::write(sandbox.queues().join(format!("note-{number}")), "no queue").unwrap();
    }
    let done = sandbox.run("ls");
    assert_eq!((done.code, done.text()), (2, "jobs  0  0  0  0  0  67108864  open\n"));
    let start = "ipcq: 6 queues could not be read (note-1, note-2, note-3, note-4, note-5, …); the first: '";
    assert!(done.err.starts_with(start) && done.err.contains("note-1' is not a usable queue"), "{done:?}");
}
