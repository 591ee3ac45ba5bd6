//! A peek shows what is in a queue and changes nothing.

use crate::harness::{Sandbox, differs};
use serde_json::{Value, json};

fn objects(sandbox: &Sandbox, arguments: &str) -> Vec<Value> {
    let text = sandbox.ok(&format!("{arguments} --json"));
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn what_is_ready_is_shown_as_get_would_print_it_and_stays() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(sandbox.ok("peek jobs"), "");
    let lines: String = (1..=7).map(|number| format!("{number}\n")).collect();
    sandbox.run_with(["put", "jobs", "-l"], lines.as_bytes());
    sandbox.run_with(["put", "jobs"], b"any\0bytes");
    sandbox.ok("put jobs a b c d");
    let ten = [lines.as_bytes(), b"any\0bytes", b"a\nb\n"].concat();
    for _ in 0..2 {
        assert_eq!(sandbox.run_with(["peek", "jobs"], b"").out, ten);
    }
    assert_eq!(sandbox.ok("peek jobs -n 1"), "1\n");
    assert_eq!(sandbox.run_with(["peek", "jobs", "-n", "99999999999999999999"], b"").code, 2);
    let all = sandbox.run_with(["peek", "jobs", "-n", "18446744073709551615"], b"").out;
    assert_eq!(sandbox.run_with(["get", "jobs", "-a"], b"").out, all);
    assert_eq!(sandbox.run("peek nothing").code, 4);
    assert!(sandbox.run("peek jobs -n 0").refusal(2).contains("cannot be 0"));
}

#[test]
fn the_order_is_that_of_get_whatever_came_back() {
    let sandbox = Sandbox::with_queues("jobs");
    let lines: String = (1..=9).map(|number| format!("{number}\n")).collect();
    sandbox.run_with(["put", "jobs", "-l"], lines.as_bytes());
    sandbox.ok("put jobs 10 11");
    sandbox.ok("get jobs -n 11 --lease 1h");
    sandbox.ok("nack jobs 7 2 11 5");
    assert_eq!(sandbox.ok("peek jobs"), "2\n5\n7\n11\n");
    assert_eq!(sandbox.ok("peek jobs -n 2"), "2\n5\n");
    sandbox.ok("put jobs 12");
    sandbox.ok("nack jobs 10");
    assert_eq!(sandbox.ok("peek jobs"), "2\n5\n7\n10\n11\n12\n");
    assert_eq!(sandbox.ok("get jobs -a"), "2\n5\n7\n10\n11\n12\n");
}

#[test]
fn what_is_due_is_where_it_belongs() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    sandbox.ok("get jobs --lease 1ms");
    crate::harness::until("it has come back", || sandbox.ok("peek jobs") == "a\nb\n");
    assert_eq!(sandbox.ok("peek jobs --leased"), "");
    sandbox.ok("get jobs --lease 1h");
    sandbox.ok("nack jobs 1.2 --delay 1ms");
    crate::harness::until("it is ready", || sandbox.stat("jobs", "ready") == 2);
    let (consumer, _reader) = sandbox.stuck("get jobs");
    consumer.signal("KILL");
    consumer.end();
    sandbox.until_deaths_are_known("jobs");
    assert_eq!(sandbox.ok("peek jobs"), "a\nb\n");
}

#[test]
fn each_shelf_shows_its_own() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-attempts 1");
    sandbox.ok("put jobs a b c d");
    sandbox.ok("put jobs --json {\"e\":1}");
    sandbox.run_with(["put", "jobs"], b"\xff\n");
    sandbox.ok("get jobs -n 2 --lease 1h");
    sandbox.ok("nack jobs 1");
    let pid = std::process::id();
    sandbox.ok(&format!("get jobs --lease --owner {pid}"));
    let ready = objects(&sandbox, "peek jobs");
    assert_eq!(
        ready,
        [
            json!({"id": "4", "state": "ready", "attempt": 0, "body": "d"}),
            json!({"id": "5", "state": "ready", "attempt": 0, "body": {"e": 1}}),
            json!({"id": "6", "state": "ready", "attempt": 0, "body_base64": "/wo="}),
        ]
    );
    let mut leased = objects(&sandbox, "peek jobs --leased");
    assert!(leased[0]["until"].take().as_f64().is_some_and(|until| until > 1.7e9));
    assert_eq!(
        leased,
        [
            json!({"id": "2", "state": "leased", "attempt": 1, "body": "b", "until": null, "holder": null}),
            json!({"id": "3", "state": "leased", "attempt": 1, "body": "c", "until": null, "holder": pid}),
        ]
    );
    let mut dead = objects(&sandbox, "peek jobs --dead");
    assert!(dead[0]["died_at"].take().as_f64().is_some_and(|at| at > 1.7e9));
    let reason = json!({"cause": "given back", "text": ""});
    assert_eq!(
        dead,
        [json!({"id": "1", "state": "dead", "attempt": 1, "body": "a", "died_at": null, "reason": reason})]
    );
    assert_eq!(objects(&sandbox, "peek jobs --delayed"), Vec::<Value>::new());
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    sandbox.ok("get jobs -n 2 --lease 1h");
    sandbox.ok("nack jobs 1 --delay 2h");
    sandbox.ok("nack jobs 2 --delay 1h");
    let mut delayed = objects(&sandbox, "peek jobs --delayed");
    for object in &mut delayed {
        assert!(object["ready_at"].take().as_f64().is_some_and(|at| at > 1.7e9));
    }
    assert_eq!(delayed[0], json!({"id": "2", "state": "delayed", "attempt": 1, "body": "b", "ready_at": null}));
    assert_eq!(delayed[1]["id"], "1");
    let text = sandbox.ok("peek jobs --delayed");
    assert!(
        text.starts_with("2  attempt 1  ready in 59m ") && text.contains("\n1  attempt 1  ready in 1h 59m"),
        "{text}"
    );
}

#[test]
fn the_leased_are_named_by_what_ends_their_lease() {
    if differs("The owner of a lease") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    sandbox.ok("get jobs --lease 1h");
    sandbox.ok("nack jobs 1");
    let pid = std::process::id();
    sandbox.ok(&format!("get jobs --lease 1h --owner {pid}"));
    let text = sandbox.ok("peek jobs --leased");
    assert!(text.starts_with("1.2  attempt 2  comes back in 59m "), "{text}");
    assert!(text.ends_with(&format!(", held by process {pid}  a\n")), "{text}");
    let id = text.split(' ').next().unwrap();
    sandbox.ok(&format!("ack jobs {id}"));
}

#[test]
fn what_a_plain_get_is_writing_is_leased_too() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.run_with(["put", "jobs", "-l"], b"a\nb\n");
    let (consumer, _reader) = sandbox.stuck("get jobs -n 2");
    let leased = objects(&sandbox, "peek jobs --leased");
    assert_eq!(leased.iter().map(|object| object["body"].clone()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(leased.iter().all(|object| object["holder"] == consumer.pid()));
    sandbox.run("ack jobs 1").refusal(2);
}

#[test]
fn nothing_in_a_message_disturbs_a_line_for_people() {
    let sandbox = Sandbox::with_queues("jobs");
    let long = "é".repeat(100);
    for body in ["\u{1b}[31m\n\r\t\u{7}", "a\nb", long.as_str(), "\u{9b}x"] {
        sandbox.run_with(["put", "jobs"], body.as_bytes());
    }
    sandbox.run_with(["put", "jobs"], &[0xff; 5000]);
    sandbox.ok("get jobs -a --lease 1h -o bodies");
    let text = sandbox.ok("peek jobs --leased");
    let bodies: Vec<_> = text.lines().map(|line| line.splitn(4, "  ").nth(3).expect("a body")).collect();
    assert_eq!(bodies[..2], ["\\u{1b}[31m\\n\\r\\t\\u{7}", "a\\nb"]);
    assert_eq!(bodies[2], format!("{}…", "é".repeat(60)));
    assert_eq!(bodies[3], "\\u{9b}x");
    assert_eq!(bodies[4], format!("{}…", "\u{fffd}".repeat(60)));
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn only_one_shelf_is_shown_at_a_time() {
    let sandbox = Sandbox::with_queues("jobs");
    for arguments in ["--dead --leased", "--dead --delayed", "--leased --delayed"] {
        assert!(sandbox.run(&format!("peek jobs {arguments}")).refusal(2).contains("cannot be used with"));
    }
}
