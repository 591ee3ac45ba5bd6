//! Damage of particular kinds, each of which the program once met with a crash or with a wrong message.

use super::mutate::{self, CONTROL};
use crate::harness::{Running, Sandbox};
use std::fs;
use std::process::Stdio;

const NEXT_ID: u64 = CONTROL + 88;
const FRAME_FLAGS: u64 = 3;
const MESSAGE_COUNT: u64 = 16;
const ATTEMPTS: u64 = 20;
const FIRST_PAYLOAD_UNIT: u64 = 24;
const FORGIVEN_ATTEMPTS: u64 = 116;

/// Changes the bytes of the queue `jobs`, given its bytes and where its first ready record is.
fn change(sandbox: &Sandbox, change: impl FnOnce(&mut Vec<u8>, u64)) {
    let path = sandbox.queues().join("jobs");
    let mut bytes = fs::read(&path).unwrap();
    let record = mutate::word(&bytes, CONTROL + 32) * mutate::UNIT;
    change(&mut bytes, record);
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_last_ids_that_there_are_are_shown() {
    for form in ["--json", "--shell"] {
        let sandbox = Sandbox::with_queues("jobs");
        change(&sandbox, |bytes, _| mutate::set(bytes, NEXT_ID, &(u64::MAX - 2).to_ne_bytes()));
        sandbox.ok("put jobs one two");
        let shown = sandbox.ok(&format!("get jobs -n 2 {form}"));
        assert!(shown.contains(&format!("{}", u64::MAX - 1)), "{shown}");
        let done = sandbox.run("put jobs three");
        assert!(done.refusal(2).contains(": next id "), "{done:?}");
    }
}

#[test]
fn a_message_that_is_not_json_does_not_become_json_by_a_flag() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs 1,\"x\":2");
    change(&sandbox, |bytes, record| mutate::set(bytes, record + FRAME_FLAGS, &[1]));
    let line = sandbox.ok("get jobs --json");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["body"], "1,\"x\":2");
}

#[test]
fn messages_are_not_delivered_in_another_number_than_they_were_put() {
    for count in [2_u32, 4] {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.ok("put jobs one two three");
        change(&sandbox, |bytes, record| mutate::set(bytes, record + MESSAGE_COUNT, &count.to_ne_bytes()));
        change(&sandbox, |bytes, _| mutate::set(bytes, CONTROL + 48, &u64::from(count).to_ne_bytes()));
        for look in ["get jobs --all", "peek jobs"] {
            let done = sandbox.run(look);
            assert!(done.refusal(2).contains(": message count "), "{done:?}");
        }
    }
}

#[test]
fn a_message_that_has_changed_is_not_delivered_even_as_the_first_of_many() {
    let sandbox = Sandbox::with_queues("jobs");
    let lines: String = (0..100).map(|number| format!("line {number}\n")).collect();
    sandbox.run_with(["put", "jobs", "--lines"], lines.as_bytes());
    change(&sandbox, |bytes, record| {
        let unit = mutate::word32(bytes, record + FIRST_PAYLOAD_UNIT);
        bytes[(u64::from(unit) * mutate::UNIT) as usize] = b'L';
    });
    for get in ["get jobs", "get jobs -n 3 --json", "get jobs --all"] {
        let done = sandbox.run(get);
        assert!(done.refusal(2).contains(": payload checksum "), "{done:?}");
    }
    assert_eq!(sandbox.stat("jobs", "ready"), 100);
    // What stands behind it can be got all the same.
    sandbox.ok("put jobs sound");
    sandbox.ok("purge jobs --damaged");
    assert_eq!(sandbox.ok("get jobs"), "sound\n");
    sandbox.still_works("jobs");
}

#[test]
fn a_message_that_fails_is_not_tried_for_ever() {
    for (attempts, forgiven) in [(0, 4_000_000), (u32::MAX, u32::MAX)] {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.ok("put jobs one");
        change(&sandbox, |bytes, record| {
            mutate::set(bytes, record + ATTEMPTS, &attempts.to_ne_bytes());
            mutate::set(bytes, record + FORGIVEN_ATTEMPTS, &forgiven.to_ne_bytes());
        });
        let done = sandbox.run("work jobs -t 0 --max-attempts 2 --backoff 0 -- false");
        assert!(done.code == 2 && done.err.contains(": forgiven attempts "), "{done:?}");
    }
}

#[test]
fn a_message_for_which_there_is_no_memory_stays_in_the_queue() {
    let sandbox = Sandbox::with_queues("jobs");
    let message = vec![b'x'; 60 << 20];
    assert_eq!(sandbox.run_with(["put", "jobs"], &message).code, 0);
    let done = sandbox.sh("ulimit -v 100000; ipcq get jobs");
    assert!(done.refusal(2).contains("there is no memory for 62914560 bytes"), "{done:?}");
    assert_eq!(sandbox.stat("jobs", "ready"), 1);
    // It is not needed twice.
    let mut command = sandbox.program("sh");
    command.args(["-c", "ulimit -v 200000; exec ipcq get jobs"]).stdout(Stdio::null());
    Running::from(command.spawn().unwrap()).ends(0, "");
}
