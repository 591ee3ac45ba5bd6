//! What a job is given, how many run, and what its end makes of the message.

use super::{has, report, sorted, start, work, worker};
use crate::harness::{Running, Sandbox};
use std::fs;

#[test]
fn a_message_is_the_input_of_its_job_and_in_its_arguments_and_environment() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(sandbox.run_with(["put", "jobs", "a", "b  c", "$(id)"], b"").code, 0);
    let script = "echo \"$IPCQ_QUEUE $IPCQ_ID $IPCQ_ATTEMPT <$(cat)> $#$1\"";
    let mut worker = worker(&sandbox, "jobs -t 0", script);
    let done = Running::from(worker.args(["<{}{}>", "{ }"]).spawn().unwrap()).end();
    assert_eq!((done.code, report(&done)), (0, "ipcq: 3 done, 0 retried, 0 dead"));
    let expected = ["jobs 1 1 <a> 2<aa>", "jobs 2 1 <b  c> 2<b  cb  c>", "jobs 3 1 <$(id)> 2<$(id)$(id)>"];
    assert_eq!(sorted(&done), expected);
    has(&sandbox, "jobs", 0, 0, 0);
}

#[test]
fn the_input_is_the_message_byte_for_byte_whatever_its_size() {
    let sandbox = Sandbox::with_queues("jobs");
    let messages = [&b""[..], b"\0", b"line\n", b"\xff\xfe", &vec![b'x'; 3 << 20], &vec![0; 70_000]];
    for message in messages {
        assert_eq!(sandbox.run_with(["put", "jobs"], message).code, 0);
    }
    assert_eq!(work(&sandbox, "jobs -t 0", "cat > $IPCQ_ID").code, 0);
    for (number, message) in messages.iter().enumerate() {
        let got = fs::read(sandbox.path(&(number + 1).to_string())).unwrap();
        assert!(got == *message, "message {}", number + 1);
    }
    // A line and an argument come without what ended them.
    assert_eq!(sandbox.run_with(["put", "jobs", "--lines"], b"one\n").code, 0);
    assert_eq!(work(&sandbox, "jobs -t 0", "cat").text(), "one");
}

#[test]
fn a_job_need_not_read_its_message() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(sandbox.run_with(["put", "jobs"], &vec![b'x'; 3 << 20]).code, 0);
    let done = sandbox.run("work jobs -t 0 -- true");
    assert_eq!((done.code, report(&done)), (0, "ipcq: 1 done, 0 retried, 0 dead"));
}

#[test]
fn the_exit_status_decides_what_becomes_of_the_message() {
    let sandbox = Sandbox::with_queues("jobs");
    for message in ["0", "100", "1", "101", "255"] {
        sandbox.ok(&format!("put jobs {message}"));
    }
    let done = work(&sandbox, "jobs -j 1 -t 0 --backoff 0", "echo $IPCQ_ID >> ran; echo why >&2; exit $(cat)");
    assert_eq!((done.code, report(&done)), (5, "ipcq: 1 done, 6 retried, 4 dead"));
    let ran = fs::read_to_string(sandbox.path("ran")).unwrap();
    let times = |id: &str| ran.lines().filter(|line| *line == id).count();
    assert_eq!(["1", "2", "3", "4", "5"].map(times), [1, 1, 3, 3, 3]);
    for line in [
        "ipcq: message 2 is dead: exit status 100, attempt 1: why",
        "ipcq: message 5 is dead: exit status 255, attempt 3: why",
    ] {
        assert!(done.err.lines().any(|there| there == line), "{line}: {}", done.err);
    }
    has(&sandbox, "jobs", 0, 0, 4);
}

#[test]
fn a_message_has_as_many_attempts_as_the_command_line_or_else_the_queue_says() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs --max-attempts 2");
    for (option, attempts) in [("", 2), ("--max-attempts 1", 1), ("--max-attempts 5", 5)] {
        sandbox.ok("put jobs x");
        let done = work(&sandbox, &format!("jobs -t 0 --backoff 0 {option}"), "echo $IPCQ_ATTEMPT; false");
        assert_eq!(done.code, 5);
        assert_eq!(done.text(), (1..=attempts).map(|attempt| format!("{attempt}\n")).collect::<String>(), "{option}");
    }
}

#[test]
fn a_failed_message_waits_before_its_next_attempt_and_the_worker_for_it() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs x");
    let done = work(&sandbox, "jobs -t 0 --backoff 1h", "false");
    assert_eq!((done.code, report(&done)), (0, "ipcq: 0 done, 1 retried, 0 dead"));
    has(&sandbox, "jobs", 0, 1, 0);
    sandbox.ok("create other");
    sandbox.ok("put other x");
    sandbox.ok("close other");
    let done = work(&sandbox, "other --backoff 0.1", "echo $IPCQ_ATTEMPT; test $IPCQ_ATTEMPT = 3");
    assert_eq!((done.code, done.text(), report(&done)), (0, "1\n2\n3\n", "ipcq: 1 done, 2 retried, 0 dead"));
}

#[test]
fn a_job_that_is_killed_has_failed() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs x");
    let done = work(&sandbox, "jobs -t 0 --backoff 0", "test $IPCQ_ATTEMPT = 2 || kill -KILL $$");
    assert_eq!((done.code, report(&done)), (0, "ipcq: 1 done, 1 retried, 0 dead"));
    sandbox.ok("put jobs x");
    let done = work(&sandbox, "jobs -t 0 --max-attempts 1", "kill -SEGV $$");
    assert_eq!(done.code, 5);
    assert!(done.err.contains("is dead: killed by SIGSEGV, attempt 1\n"), "{}", done.err);
}

#[test]
fn so_many_jobs_run_at_a_time_and_no_more() {
    let sandbox = Sandbox::with_queues("jobs");
    let put: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    sandbox.ok(&format!("put jobs {}", put.join(" ")));
    fs::create_dir(sandbox.path("running")).unwrap();
    // Nobody goes on before three run at the same time; later ones find the file that says so.
    let script = "mkdir running/$IPCQ_ID
        until test -e three; do test $(ls running | wc -l) -lt 3 || touch three; done
        ls running | wc -l
        rmdir running/$IPCQ_ID";
    let done = work(&sandbox, "jobs -t 0 -j 3", script);
    assert_eq!((done.code, done.text().lines().count()), (0, 12));
    assert!(done.text().lines().all(|count| (1..=3).contains(&count.trim().parse().unwrap())), "{}", done.text());
}

#[test]
fn what_a_job_leaves_behind_does_not_keep_it_from_ending() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let done = work(&sandbox, "jobs -t 0", "echo said; sleep 1000 & echo $! > pid");
    assert_eq!((done.code, done.text()), (0, "said\n"));
    let pid = fs::read_to_string(sandbox.path("pid")).unwrap();
    assert_eq!(sandbox.sh(&format!("kill {pid}")).code, 0);
}

/// What a command prints as a job, and as a child of ours.
fn in_job_and_without(sandbox: &Sandbox, command: &str) -> [String; 2] {
    sandbox.ok("put jobs a");
    let done = sandbox.run(&format!("work jobs -t 0 -- {command}"));
    let mut words = command.split(' ');
    let mut without = sandbox.program(words.next().unwrap());
    let without = Running::from(without.args(words).spawn().unwrap()).end();
    [done, without].map(|done| done.text().to_owned())
}

#[test]
fn jobs_get_no_descriptor_and_no_signal_disposition_of_ours() {
    let sandbox = Sandbox::with_queues("jobs");
    let [job, without] = in_job_and_without(&sandbox, "ls /proc/self/fd");
    assert_eq!(job, without);
    for set in ["SigBlk", "SigIgn", "SigCgt"] {
        let [job, without] = in_job_and_without(&sandbox, &format!("grep {set} /proc/self/status")).map(|line| {
            let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
            // The C library keeps the first real-time signals for itself, and has children ignore them.
            mask & ((1 << 31) - 1)
        });
        assert_eq!(job, without, "{set}");
    }
}

#[test]
fn workers_share_a_queue() {
    let sandbox = Sandbox::with_queues("jobs");
    let workers: Vec<_> = (0..3).map(|_| start(&sandbox, "jobs -j 2", "cat; echo")).collect();
    let numbers: Vec<String> = (100..200).map(|number| number.to_string()).collect();
    assert_eq!(sandbox.run_with(["put", "jobs", "-l"], numbers.join("\n").as_bytes()).code, 0);
    sandbox.ok("close jobs");
    let mut got: Vec<String> = Vec::new();
    for worker in workers {
        let done = worker.end();
        assert_eq!(done.code, 0, "{}", done.err);
        got.extend(done.text().lines().map(str::to_owned));
    }
    got.sort();
    assert_eq!(got, numbers);
    has(&sandbox, "jobs", 0, 0, 0);
}

#[test]
fn a_lease_that_somebody_else_has_ended_is_told_and_not_counted() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let done = work(&sandbox, "jobs -t 0", "ipcq ack jobs $IPCQ_ID");
    assert_eq!(done.code, 0);
    let lines: Vec<&str> = done.err.lines().collect();
    assert!(lines[0].starts_with("ipcq: 1 is not leased from queue 'jobs' now"), "{}", done.err);
    assert_eq!(lines[1..], ["ipcq: 0 done, 0 retried, 0 dead"]);
}
