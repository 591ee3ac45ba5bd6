//! A get lets go of messages only after it has written them: whatever ends it before that, they come back.

use crate::harness::{Done, Random, Running, Sandbox, until};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The numbers of `range`, a line each.
fn lines(range: RangeInclusive<u64>) -> String {
    range.fold(String::new(), |mut text, number| {
        writeln!(text, "{number}").expect("a string can be written to");
        text
    })
}

/// Numbered messages of 999 bytes, which are 1,000 with the newline.
fn long_lines(range: RangeInclusive<u64>) -> String {
    range.map(|number| format!("{number:<999}\n")).collect()
}

/// A sandbox with a queue `jobs` that holds `text`, a message for each line.
fn queue_of(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let done = sandbox.run_with(["put", "jobs", "-l"], text.as_bytes());
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    sandbox
}

/// That a consumer which could not write said so in one line.
fn assert_failed_to_write(done: &Done, reason: &str) {
    assert_eq!(done.code, 2, "{done:?}");
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    assert!(done.err.starts_with("ipcq: ") && done.err.contains(reason), "{}", done.err);
}

#[test]
fn what_a_killed_consumer_held_is_ready_again_at_once_in_its_old_place() {
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let sandbox = queue_of(&lines(1..=5));
        sandbox.ok("put jobs 6");
        let (consumer, _reader) = sandbox.stuck("get jobs -n 2");
        assert_eq!(sandbox.stat("jobs", "leased"), 2);
        assert_eq!(sandbox.ok("get jobs"), "3\n", "what is leased is invisible to others");
        consumer.signal(signal);
        let done = consumer.end();
        assert_eq!((done.code, done.err.as_str()), (code, ""));
        sandbox.until_deaths_are_known("jobs");
        assert_eq!(sandbox.ok("get jobs -n 4 -t 0"), "1\n2\n4\n5\n");
        assert_eq!(sandbox.ok("get jobs -t 0"), "6\n");
        assert_eq!(sandbox.run("get jobs -t 0").code, 1);
    }
}

#[test]
fn consumers_that_die_together_give_back_interleaved_messages_in_order() {
    let sandbox = queue_of(&lines(1..=20));
    for number in 21..=30 {
        sandbox.ok(&format!("put jobs {number}"));
    }
    let wants = [1, 2, 7, 1, 3, 5, 1, 2, 1, 4];
    let consumers: Vec<_> = wants.iter().map(|count| sandbox.stuck(&format!("get jobs -n {count}"))).collect();
    assert_eq!(sandbox.ok("get jobs"), "28\n");
    // First every other one, and the rest when those messages have been leased anew.
    let mut rest = Vec::new();
    for (index, (consumer, reader)) in consumers.into_iter().enumerate() {
        match index % 2 {
            0 => consumer.signal("KILL"),
            _ => rest.push((consumer, reader)),
        }
    }
    sandbox.until_deaths_are_known("jobs");
    let (again, _reader) = sandbox.stuck("get jobs -n 9");
    assert_eq!(sandbox.stat("jobs", "leased"), 9 + 2 + 1 + 5 + 2 + 4);
    for (consumer, _) in &rest {
        consumer.signal("KILL");
    }
    again.signal("KILL");
    rest.into_iter().for_each(|(consumer, _)| assert_eq!(consumer.end().code, 137));
    assert_eq!(again.end().code, 137);
    sandbox.until_deaths_are_known("jobs");
    assert_eq!(sandbox.ok("get jobs -a"), lines(1..=27) + &lines(29..=30));
}

#[test]
fn a_message_that_comes_back_keeps_its_id_and_counts_the_attempt() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let body = "x".repeat(200_000);
    sandbox.run_with(["put", "jobs"], body.as_bytes());
    sandbox.ok("put jobs next");
    let mut ids = HashSet::new();
    for attempt in 1..=3 {
        let mut consumer = sandbox.start("get jobs --json");
        consumer.until_writing();
        let mut start = [0; 64];
        consumer.child().stdout.take().expect("stdout is a pipe").read_exact(&mut start).expect("it is written to");
        let start = String::from_utf8_lossy(&start).into_owned();
        consumer.signal("KILL");
        consumer.end();
        sandbox.until_deaths_are_known("jobs");
        let (id, rest) = start.split_once(",\"attempt\":").expect("an object");
        assert!(rest.starts_with(&format!("{attempt},\"body\":\"xxx")), "{start}");
        ids.insert(id.to_owned());
    }
    let object: serde_json::Value = serde_json::from_str(&sandbox.ok("get jobs --json")).expect("JSON");
    assert_eq!(object["attempt"], 4);
    assert!(object["body"] == body.as_str());
    ids.insert(format!("{{\"id\":{}", object["id"]));
    assert_eq!(ids.len(), 1, "{ids:?}");
    let next: serde_json::Value = serde_json::from_str(&sandbox.ok("get jobs --json")).expect("JSON");
    assert_eq!((&next["attempt"], &next["body"]), (&1.into(), &"next".into()));
    assert_ne!(next["id"], object["id"]);
}

#[test]
fn when_the_reader_goes_what_was_written_in_full_is_done_and_nothing_else() {
    for arguments in ["get jobs -a", "get jobs -f", "get jobs -n 500", "get jobs -a -0"] {
        let sandbox = queue_of(&long_lines(1..=500));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let size = nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_GETPIPE_SZ).expect("a pipe has a size") as u64;
        let mut command = sandbox.ipcq(arguments.split_whitespace());
        let consumer = Running::from(command.stdout(writer).spawn().expect("ipcq starts"));
        drop(command);
        consumer.until_writing();
        drop(reader);
        let done = consumer.end();
        assert_eq!((done.code, done.err.as_str()), (141, ""), "{arguments}");
        let written = size / 1000;
        assert!(sandbox.ok("get jobs -a") == long_lines(written + 1..=500), "{arguments}");
    }
}

#[test]
fn a_pipeline_into_head_loses_nothing_of_what_head_had_no_time_for() {
    for option in ["-a", "-f", "-n 300"] {
        let sandbox = queue_of(&long_lines(1..=300));
        sandbox.ok("close jobs");
        let done = sandbox.sh(&format!("{{ ipcq get jobs {option}; echo $? >&2; }} | head -n 1"));
        assert_eq!((done.text(), done.err.as_str()), (long_lines(1..=1).as_str(), "141\n"));
        let rest = sandbox.ok("get jobs -a");
        let first: u64 = rest[..999].trim().parse().expect("a number");
        assert!((2..=300).contains(&first) && rest == long_lines(first..=300), "{option}: {first}");
    }
}

#[test]
fn a_message_that_comes_after_the_reader_has_gone_is_for_somebody_else() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let mut follower = sandbox.start("get jobs -f");
    follower.until_asleep();
    drop(follower.child().stdout.take());
    // A process that another test is starting may have the pipe's end for a moment longer; what is
    // written then has been written.
    until("the follower meets a pipe without a reader", || {
        if follower.is_asleep() && sandbox.stat("jobs", "ready") == 0 {
            sandbox.ok("put jobs hello");
        }
        follower.child().try_wait().expect("the process can be asked").is_some()
    });
    assert_eq!(follower.end(), Done { code: 141, out: Vec::new(), err: String::new() });
    assert_eq!(sandbox.ok("get jobs -t 0"), "hello\n");
}

#[test]
fn on_a_full_device_every_message_comes_back() {
    for script in [
        "ipcq get jobs > /dev/full",
        "ipcq get jobs -a > /dev/full",
        "ipcq get jobs -f > /dev/full",
        "ipcq get jobs -o /dev/full",
        "ipcq get jobs -n 7 -0 --output /dev/full",
        "ipcq get jobs --json >> /dev/full",
    ] {
        let sandbox = queue_of(&lines(1..=10));
        assert_failed_to_write(&sandbox.sh(script), "No space left on device");
        assert_eq!(sandbox.ok("get jobs -a"), lines(1..=10), "{script}");
    }
}

/// Runs `script`, which can write 64 KiB to `FILE` and then meets `reason`; what is in the
/// file then and what is still in the queue must be all there was.
fn on_a_disk_that_fills_up(prepare: &str, script: &str, reason: &str) {
    let sandbox = queue_of(&long_lines(1..=500));
    let script = format!("{prepare}\n{script}\ncode=$?\ncat FILE\nexit $code");
    let program = if prepare.contains("mount") { ["unshare", "-m"].as_slice() } else { &["env"] };
    let done: Done =
        sandbox.program(program[0]).args(&program[1..]).args(["sh", "-c", &script]).output().expect("it starts").into();
    assert_failed_to_write(&done, reason);
    let written = done.out.len() as u64 / 1000;
    assert!((60..=65).contains(&written), "{script}: {written}");
    assert!(done.out[..written as usize * 1000] == *long_lines(1..=written).as_bytes());
    if script.contains("-o FILE") {
        assert_eq!(done.out.len() as u64 % 1000, 0, "the file ends with a whole message");
    }
    assert!(sandbox.ok("get jobs -a") == long_lines(written + 1..=500), "{script}");
}

#[test]
fn on_a_disk_that_fills_up_what_was_written_in_full_is_done() {
    // A limit on the size of a file is a full disk that everybody can have. The shells count it in
    // blocks of 512 or of 1024 bytes.
    let limit = "trap '' XFSZ; ulimit -f 64; (head -c 40000 /dev/zero > probe) 2> probe.err || ulimit -f 128";
    let limit = limit.replace("ulimit -f 64;", "ulimit -S -f 64;").replace("ulimit -f 128", "ulimit -S -f 128");
    for script in ["ipcq get jobs -a -o FILE", "ipcq get jobs -f -o FILE", "ipcq get jobs -a > FILE"] {
        on_a_disk_that_fills_up(&limit, script, "File too large");
    }
}

#[test]
fn on_a_file_system_that_fills_up_what_was_written_in_full_is_done() {
    if !Sandbox::new().sh("unshare -m true").err.is_empty() {
        eprintln!("skipped: only root can mount; the limit in the test above does much the same");
        return;
    }
    let mount = "mkdir small && mount -t tmpfs -o size=64k none small && ln -s small/FILE FILE";
    for script in ["ipcq get jobs -a -o FILE", "ipcq get jobs -n 400 > FILE"] {
        on_a_disk_that_fills_up(mount, script, "No space left on device");
    }
}

#[test]
fn the_output_file_is_left_alone_until_a_message_comes() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    std::fs::write(sandbox.path("FILE"), "precious").expect("a file can be written");
    let content = || std::fs::read_to_string(sandbox.path("FILE")).expect("it is there");
    for arguments in ["get jobs -t 0 -o FILE", "get jobs -a -o FILE", "get jobs -f -t 0.1 -o FILE"] {
        assert_eq!(sandbox.run(arguments).code, 1, "{arguments}");
        assert_eq!(content(), "precious");
    }
    assert_eq!(sandbox.run("get jobs -t 0 -o absent").code, 1);
    assert!(!sandbox.path("absent").exists());
    sandbox.ok("put jobs short");
    assert_eq!(sandbox.ok("get jobs -o FILE"), "");
    assert_eq!(content(), "short\n");
    sandbox.ok("close jobs");
    assert_eq!(sandbox.run("get jobs -o FILE").code, 3);
    assert_eq!(content(), "short\n");
}

#[test]
fn an_output_file_that_cannot_be_opened_costs_no_message() {
    let sandbox = queue_of(&lines(1..=3));
    assert_failed_to_write(&sandbox.run("get jobs -o no/such/directory"), "no/such/directory");
    assert_failed_to_write(&sandbox.run("get jobs -o ."), "directory");
    assert_eq!(sandbox.ok("get jobs -a"), lines(1..=3));
}

#[test]
fn at_most_once_loses_rather_than_repeats() {
    let sandbox = queue_of(&lines(1..=4));
    let (consumer, _reader) = sandbox.stuck("get jobs -n 2 --at-most-once");
    assert_eq!((sandbox.stat("jobs", "leased"), sandbox.stat("jobs", "ready")), (0.into(), 2.into()));
    consumer.signal("KILL");
    consumer.end();
    assert_failed_to_write(&sandbox.sh("ipcq get jobs --at-most-once > /dev/full"), "No space left on device");
    assert_eq!(sandbox.ok("get jobs -a --at-most-once"), "4\n");
}

#[test]
fn messages_taken_out_of_a_big_run_one_by_one_keep_their_order_when_some_come_back() {
    let sandbox = queue_of(&lines(1..=5000));
    let mut next = 1;
    for (turn, count) in [1, 2, 7, 1, 1, 300, 2, 7, 7, 1, 50, 2, 1000, 7, 1].into_iter().cycle().take(45).enumerate() {
        if turn % 3 == 0 {
            let (consumer, _reader) = sandbox.stuck(&format!("get jobs -n {count}"));
            let (other, _reader) = sandbox.stuck("get jobs -n 3");
            consumer.signal("KILL");
            assert_eq!(consumer.end().code, 137);
            other.signal("TERM");
            assert_eq!(other.end().code, 143);
            sandbox.until_deaths_are_known("jobs");
        }
        let until = (next + count - 1).min(5000);
        if next <= until {
            assert_eq!(sandbox.ok(&format!("get jobs -n {count} -t 0")), lines(next..=until));
        }
        next = until + 1;
    }
    assert!(next > 2000);
    assert_eq!(sandbox.stat("jobs", "ready"), 5001 - next);
}

/// What a consumer wrote to `path`: whole lines, for the last one may have been cut off by its death.
fn received(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

#[test]
fn consumers_killed_at_random_moments_lose_nothing_and_only_they_cause_duplicates() {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    let mut random = Random::new(4);
    let (mut sure, mut unsure) = (HashMap::<String, u32>::new(), HashSet::new());
    for round in 0..50 {
        let text: String =
            (0..400).map(|number| format!("{round}.{number:0>width$}\n", width = 4 + number % 97)).collect();
        assert_eq!(sandbox.run_with(["put", "jobs", "-l"], text.as_bytes()).code, 0);
        let consumers =
            ["get jobs -f", "get jobs", "get jobs -n 120"].into_iter().enumerate().map(|(index, arguments)| {
                let file = format!("{round}.{index}");
                let mut command = sandbox.ipcq(arguments.split_whitespace());
                let running = command.args(["-o", &file]).stdout(Stdio::null()).spawn().expect("ipcq starts");
                std::thread::sleep(Duration::from_micros(random.below(3000)));
                (sandbox.path(&file), Running::from(running))
            });
        for (file, consumer) in consumers.collect::<Vec<_>>() {
            std::thread::sleep(Duration::from_micros(random.below(1000)));
            consumer.signal("KILL");
            let killed = consumer.end().code != 0;
            for line in received(&file) {
                match killed {
                    true => drop(unsure.insert(line)),
                    false => *sure.entry(line).or_default() += 1,
                }
            }
        }
    }
    sandbox.until_deaths_are_known("jobs");
    for line in sandbox.run("get jobs -a").text().lines() {
        *sure.entry(line.to_owned()).or_default() += 1;
    }
    assert_eq!(sandbox.stat("jobs", "bytes"), 0);
    for round in 0..50 {
        for number in 0..400 {
            let line = format!("{round}.{number:0>width$}", width = 4 + number % 97);
            assert!(sure.get(&line).copied().unwrap_or(0) < 2, "{line} was delivered twice, and nobody died");
            assert!(sure.remove(&line).is_some() | unsure.remove(&line), "{line} was lost");
        }
    }
    assert!(sure.is_empty() && unsure.is_empty(), "nobody put {sure:?} {unsure:?}");
}
