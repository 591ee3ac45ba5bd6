//! `ipcq work` runs its command once for each message, and what becomes of the message is what the command says.

use crate::harness::{Done, Running, Sandbox, have, until};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A worker whose command is a shell script, with options in `options`; the words after the script are its arguments.
fn worker(sandbox: &Sandbox, options: &str, script: &str) -> Command {
    let mut command = sandbox.ipcq(["work"]);
    command.args(options.split_whitespace()).args(["--", "sh", "-c", script, "sh"]);
    command
}

/// Starts such a worker.
fn start(sandbox: &Sandbox, options: &str, script: &str) -> Running {
    worker(sandbox, options, script).spawn().expect("ipcq starts").into()
}

/// Runs such a worker to its end.
fn work(sandbox: &Sandbox, options: &str, script: &str) -> Done {
    start(sandbox, options, script).end()
}

/// A script that does something, waits until the test has made the file `go`, and does something else. It ends by
/// itself when the sandbox is gone.
fn until_go(before: &str, after: &str) -> String {
    format!("{before}\nuntil test -e go; do test -d \"$PWD\" || exit; sleep 0.01; done\n{after}")
}

/// Waits until a job has made this file.
fn until_there(path: &Path) {
    until(&format!("{} is there", path.display()), || path.exists());
}

/// The last line on standard error, where the report is.
fn report(done: &Done) -> &str {
    done.err.lines().last().unwrap_or_default()
}

/// Asserts what has become of the messages of a queue.
fn has(sandbox: &Sandbox, queue: &str, ready: u64, delayed: u64, dead: u64) {
    for (figure, expected) in [("ready", ready), ("delayed", delayed), ("dead", dead), ("leased", 0)] {
        assert_eq!(sandbox.stat(queue, figure), expected, "{figure}");
    }
    sandbox.is_sound(queue);
}

/// A line of output for each message, sorted.
fn sorted(done: &Done) -> Vec<&str> {
    let mut lines: Vec<&str> = done.text().lines().collect();
    lines.sort_unstable();
    lines
}

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
fn the_end_is_when_the_queue_is_closed_and_drained_or_there_was_no_work_for_so_long() {
    let sandbox = Sandbox::with_queues("jobs held");
    let waiter = sandbox.asleep("work jobs -- cat");
    sandbox.ok("put jobs one");
    sandbox.ok("put jobs two");
    sandbox.ok("close jobs");
    let done = waiter.end();
    assert_eq!((done.code, report(&done)), (0, "ipcq: 2 done, 0 retried, 0 dead"));
    for option in ["-t 0", "--no-wait", "-t 0.2"] {
        let done = sandbox.run(&format!("work held {option} -- cat"));
        assert_eq!((done.code, done.err.as_str()), (0, "ipcq: 0 done, 0 retried, 0 dead\n"));
    }
    // What another worker has may come back.
    sandbox.ok("put held x");
    sandbox.ok("close held");
    let holder = start(&sandbox, "held", &until_go("touch there", ""));
    until_there(&sandbox.path("there"));
    let other = sandbox.asleep("work held -- cat");
    holder.signal("KILL");
    let done = other.end();
    assert_eq!((done.code, done.text()), (0, "x"));
    fs::write(sandbox.path("go"), "").unwrap();
}

#[test]
fn a_worker_notices_that_its_queue_is_removed_and_that_there_is_none() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(
        sandbox.run("work nothing -- true").refusal(4),
        "no queue 'nothing' (create it with 'ipcq create nothing' or 'ipcq put --create')"
    );
    let waiter = sandbox.asleep("work jobs -- true");
    sandbox.ok("rm jobs");
    let done = waiter.end();
    assert_eq!(done.code, 4);
    assert_eq!(report(&done), "ipcq: queue 'jobs' has been removed");
    assert_eq!(sandbox.run("work jobs --create -t 0 -- true").code, 0);
}

#[test]
fn the_output_of_each_job_is_in_one_piece_on_both_streams() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    // Each writes twice, and in between the other does.
    let script = "m=$(cat); other=$(echo $m | tr ab ba)
        echo $m 1; echo $m one >&2; touch $m
        until test -e $other; do test -d \"$PWD\" || exit; done
        echo $m 2; echo $m two >&2";
    let done = work(&sandbox, "jobs -t 0 -j 2", script);
    assert!(["a 1\na 2\nb 1\nb 2\n", "b 1\nb 2\na 1\na 2\n"].contains(&done.text()), "{}", done.text());
    let err = &done.err[..done.err.find("ipcq: ").unwrap()];
    assert!(["a one\na two\nb one\nb two\n", "b one\nb two\na one\na two\n"].contains(&err), "{err}");
}

#[test]
fn much_output_comes_whole_and_without_a_file_that_stays() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b c");
    fs::create_dir(sandbox.path("tmp")).unwrap();
    let script = "head -c 5000000 /dev/zero | tr '\\0' $1; echo; ls -A tmp";
    let mut worker = worker(&sandbox, "jobs -t 0 -j 3", script);
    let done = Running::from(worker.arg("{}").env("TMPDIR", sandbox.path("tmp")).spawn().unwrap()).end();
    assert_eq!(done.code, 0);
    let expected = ["a", "b", "c"].map(|letter| letter.repeat(5_000_000));
    assert!(sorted(&done) == expected, "{} lines", done.text().lines().count());
}

#[test]
fn what_a_job_wrote_just_before_its_end_is_not_lost() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    // As much as fits into a pipe, for the worker does not read meanwhile.
    let script = until_go("touch there", "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; touch written");
    let worker = start(&sandbox, "jobs -t 0", &script);
    until_there(&sandbox.path("there"));
    worker.signal("STOP");
    fs::write(sandbox.path("go"), "").unwrap();
    until_there(&sandbox.path("written"));
    worker.signal("CONT");
    let done = worker.end();
    assert_eq!((done.code, done.out.len()), (0, 60_000));
    assert!(done.err.starts_with(&"\0".repeat(60_000)));
}

#[test]
fn a_worker_is_woken_for_output_while_it_waits_for_messages() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    nix::unistd::mkfifo(&sandbox.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut worker = start(&sandbox, "jobs -t 0 -j 2 --tag", "exec cat fifo");
    let mut lines = BufReader::new(worker.child().stdout.take().unwrap()).lines();
    let mut fifo = fs::OpenOptions::new().write(true).open(sandbox.path("fifo")).unwrap();
    let mut times = Vec::new();
    for number in 0..11 {
        let start = Instant::now();
        fifo.write_all(format!("{number}\n").as_bytes()).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), format!("1\t{number}"));
        times.push(start.elapsed());
    }
    drop(fifo);
    assert_eq!(worker.end().code, 0);
    times.sort();
    // Without a wake-up it would be nearly the 100 ms or more after which sleepers look again.
    assert!(times[5] < Duration::from_millis(60), "{times:?}");
}

#[test]
fn with_tags_each_line_comes_at_once_and_says_whose_it_is() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    let script = until_go("echo one", "printf 'two\\nthree'; echo \"to $(cat)\" >&2");
    let mut worker = start(&sandbox, "jobs -t 0 -j 2 --tag", &script);
    let mut lines = BufReader::new(worker.child().stdout.take().unwrap()).lines();
    let mut first = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
    first.sort();
    assert_eq!(first, ["1\tone", "2\tone"], "before any job has ended");
    fs::write(sandbox.path("go"), "").unwrap();
    let mut rest: Vec<String> = lines.map(Result::unwrap).collect();
    rest.sort();
    assert_eq!(rest, ["1\tthree", "1\ttwo", "2\tthree", "2\ttwo"]);
    let done = worker.end();
    assert!(done.err.contains("1\tto a\n") && done.err.contains("2\tto b\n"), "{}", done.err);
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

#[test]
fn a_first_signal_lets_jobs_finish_and_takes_no_more() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let sandbox = Sandbox::with_queues("jobs");
        sandbox.ok("put jobs a b c");
        let worker = start(&sandbox, "jobs -j 2", &until_go("touch $IPCQ_ID", "cat; echo"));
        until_there(&sandbox.path("1"));
        until_there(&sandbox.path("2"));
        worker.signal(signal);
        let mut worker = worker;
        let mut said = String::new();
        BufReader::new(worker.child().stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with(&format!("ipcq: SIG{signal}: no further messages are taken")), "{said}");
        fs::write(sandbox.path("go"), "").unwrap();
        let done = worker.end();
        assert_eq!((done.code, sorted(&done)), (code, vec!["a", "b"]));
        has(&sandbox, "jobs", 1, 0, 0);
    }
}

#[test]
fn a_worker_that_waits_dies_of_a_signal_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let sandbox = Sandbox::with_queues("jobs");
        let waiter = sandbox.asleep("work jobs -- true");
        waiter.signal(signal);
        let done = waiter.end();
        assert_eq!((done.code, done.err.as_str()), (code, "ipcq: 0 done, 0 retried, 0 dead\n"));
    }
}

#[test]
fn a_second_signal_is_passed_on_and_what_was_not_done_is_given_back() {
    let sandbox = Sandbox::new();
    // Being interrupted is no failure of the message: it does not die of it.
    sandbox.ok("create jobs --max-attempts 1");
    sandbox.ok("put jobs a b");
    let script = "echo $$ > $1.pid; trap 'touch $1.got; test $1 = a && exit 0; exit 1' TERM
        while test -d \"$PWD\"; do sleep 0.01; done";
    let mut command = worker(&sandbox, "jobs -j 2", script);
    let worker = Running::from(command.arg("{}").spawn().unwrap());
    for name in ["a.pid", "b.pid"] {
        until("the job has started", || fs::read_to_string(sandbox.path(name)).is_ok_and(|pid| pid.ends_with('\n')));
    }
    worker.signal("TERM");
    let mut worker = worker;
    let mut errors = BufReader::new(worker.child().stderr.take().unwrap());
    errors.read_line(&mut String::new()).unwrap();
    assert!(!sandbox.path("a.got").exists());
    worker.signal("TERM");
    let done = worker.end();
    assert_eq!(done.code, 143);
    assert!(sandbox.path("a.got").exists() && sandbox.path("b.got").exists());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    // Shells may say something themselves of what was terminated.
    assert!(rest.ends_with("ipcq: 1 done, 0 retried, 0 dead, 1 given back\n"), "{rest}");
    assert_eq!(sandbox.ok("get jobs -a"), "b\n");
}

#[test]
fn repeated_signals_end_a_worker_whose_output_nobody_takes() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let (mut worker, _reader) = sandbox.stuck("work jobs -- cat");
    until("the worker has ended", || {
        worker.signal("TERM");
        worker.child().try_wait().unwrap().is_some()
    });
    let done = worker.end();
    assert_eq!((done.code, report(&done)), (143, "ipcq: 0 done, 0 retried, 0 dead, 1 given back"));
    assert_eq!(sandbox.ok("get jobs -a"), "a\n");
}

#[test]
fn a_control_c_of_the_terminal_does_not_reach_the_jobs() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let mut command = worker(&sandbox, "jobs", &until_go("touch there", "echo finished"));
    let worker = Running::from(command.process_group(0).spawn().unwrap());
    until_there(&sandbox.path("there"));
    assert_eq!(sandbox.sh(&format!("kill -INT -{}", worker.pid())).code, 0);
    fs::write(sandbox.path("go"), "").unwrap();
    worker.ends(130, "finished\n");
    has(&sandbox, "jobs", 0, 0, 0);
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let script = "trap '' HUP INT; exec ipcq work jobs -- sh -c \"$1\"";
    let mut shell = sandbox.program("sh");
    let worker = Running::from(shell.args(["-c", script, "sh", &until_go("touch there", "echo on")]).spawn().unwrap());
    until_there(&sandbox.path("there"));
    worker.signal("HUP");
    worker.signal("INT");
    sandbox.ok("put jobs b");
    sandbox.ok("close jobs");
    fs::write(sandbox.path("go"), "").unwrap();
    worker.ends(0, "on\non\n");
}

#[test]
fn a_killed_workers_message_is_ready_again_and_its_job_may_outlive_it() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let worker = start(&sandbox, "jobs", &until_go("touch there", "touch outlived"));
    until_there(&sandbox.path("there"));
    let other = sandbox.asleep("get jobs --json");
    worker.signal("KILL");
    other.ends(0, "{\"id\":\"1\",\"attempt\":2,\"body\":\"a\"}\n");
    assert!(!sandbox.path("outlived").exists());
    fs::write(sandbox.path("go"), "").unwrap();
    until_there(&sandbox.path("outlived"));
    sandbox.is_sound("jobs");
}

#[test]
fn a_command_that_cannot_be_run_ends_the_worker_and_loses_nothing() {
    let sandbox = Sandbox::with_queues("jobs");
    fs::write(sandbox.path("script"), "#!/bin/sh\n").unwrap();
    sandbox.ok("put jobs a b");
    for (command, code, why) in [
        ("./nothing", 127, "No such file or directory"),
        ("no-such-program-anywhere", 127, "No such file or directory"),
        ("./script", 126, "Permission denied"),
        ("/", 126, "Permission denied"),
    ] {
        let done = sandbox.run(&format!("work jobs -j 2 -- {command} {{}}"));
        assert_eq!((done.code, done.text()), (code, ""), "{}", done.err);
        assert!(report(&done).starts_with(&format!("ipcq: cannot run '{command}': {why}")), "{}", done.err);
    }
    assert_eq!(sandbox.ok("get jobs -a"), "a\nb\n");
}

#[test]
fn a_message_that_cannot_be_an_argument_is_dead_and_the_others_are_done() {
    let sandbox = Sandbox::with_queues("jobs");
    assert_eq!(sandbox.run_with(["put", "jobs"], b"a\0b").code, 0);
    assert_eq!(sandbox.run_with(["put", "jobs"], &vec![b'x'; 3 << 20]).code, 0);
    sandbox.ok("put jobs good");
    let done = sandbox.run("work jobs -t 0 -- echo {}");
    assert_eq!((done.code, done.text(), report(&done)), (5, "good\n", "ipcq: 1 done, 0 retried, 2 dead"));
    for line in [
        "ipcq: message 1 is dead: exit status 126, attempt 1: the message has a NUL, which no argument can have\n",
        "ipcq: message 2 is dead: exit status 126, attempt 1: the message is too long for an argument\n",
    ] {
        assert!(done.err.contains(line), "{}", done.err);
    }
    has(&sandbox, "jobs", 0, 0, 2);
}

#[test]
fn when_nobody_reads_its_output_a_worker_ends_and_gives_back_what_was_not_seen() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b c");
    fs::write(sandbox.path("job"), until_go("", "cat; echo")).unwrap();
    // The pipe is the shell's: what other tests start at the same time would have one of ours for a moment.
    let done = sandbox.sh("{ ipcq work jobs -j 1 -- sh job; echo $? > code; } | { exec <&-; touch go; }");
    assert_eq!(done.err, "ipcq: 0 done, 0 retried, 0 dead, 1 given back\n");
    assert_eq!(fs::read_to_string(sandbox.path("code")).unwrap(), "141\n");
    assert_eq!(sandbox.ok("get jobs -a"), "a\nb\nc\n");
    let done = sandbox.sh("ipcq put jobs x; ipcq work jobs -t 0 -- cat >&-");
    assert_eq!(done.code, 2);
    assert!(done.err.contains("standard output is closed"), "{}", done.err);
    if Path::new("/dev/full").exists() {
        let done = sandbox.sh("ipcq work jobs -t 0 -- cat > /dev/full");
        assert_eq!(done.code, 2);
        assert_eq!(report(&done), "ipcq: cannot write to standard output: No space left on device (os error 28)");
    }
    assert_eq!(sandbox.ok("get jobs -a"), "x\n");
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

#[test]
fn a_bar_shows_progress_on_a_terminal_and_nowhere_else() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b c");
    let done = sandbox.run("work jobs -t 0 --progress -- true");
    assert_eq!((done.text(), done.err.as_str()), ("", "ipcq: 3 done, 0 retried, 0 dead\n"));
    if !have("script") {
        return;
    }
    sandbox.ok("put jobs a b c");
    let shown = on_a_terminal(&sandbox, "ipcq work jobs -j 1 -t 0 --progress -- sleep 0.15");
    assert!(shown.contains("0/3 ") && shown.contains("1/3 "), "{shown}");
    assert!(shown.contains("/s ") && shown.contains("ETA "), "{shown}");
    assert!(shown.contains("ipcq: 3 done, 0 retried, 0 dead"), "{shown}");
}

/// What a command shows on a terminal, on which lines end with a carriage return as well.
fn on_a_terminal(sandbox: &Sandbox, command: &str) -> String {
    let mut terminal = sandbox.program("script");
    terminal.args(["-q", "-e", "-c", command, "/dev/null"]);
    terminal.env("TERM", "xterm").stdin(Stdio::null());
    Running::from(terminal.spawn().unwrap()).end().text().to_owned()
}

#[test]
fn a_line_that_a_job_has_not_ended_is_ended_before_a_report_and_before_a_bar() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a");
    let done = work(&sandbox, "jobs -t 0", "printf out; printf err >&2; exit 100");
    let expected = "err\nipcq: message 1 is dead: exit status 100, attempt 1: err\nipcq: 0 done, 0 retried, 1 dead\n";
    assert_eq!((done.text(), done.err.as_str()), ("out", expected));
    // Both streams in one pipe.
    sandbox.ok("put jobs b");
    assert_eq!(sandbox.sh("ipcq work jobs -t 0 -- cat 2>&1").text(), "b\nipcq: 1 done, 0 retried, 0 dead\n");
    if !have("script") {
        return;
    }
    sandbox.ok("put jobs c d");
    let shown = on_a_terminal(&sandbox, "ipcq work jobs -j 1 -t 0 --progress -- cat");
    assert!(shown.contains("c\r\n") && shown.contains("d\r\n"), "{shown}");
    sandbox.ok("put jobs e");
    let shown = on_a_terminal(&sandbox, "ipcq work jobs -t 0 --progress --tag -- cat");
    assert!(shown.contains("5\te\r\n"), "the tag and its line are written together: {shown}");
}

#[test]
fn a_worker_that_may_not_open_enough_files_runs_fewer_jobs_and_does_all() {
    let sandbox = Sandbox::with_queues("jobs");
    let numbers: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    sandbox.ok(&format!("put jobs {}", numbers.join(" ")));
    // They are slow enough for those that were started first to run when there are too many.
    let script = "ulimit -n 40; ipcq work jobs -t 0 -j 60 -- sh -c 'sleep 0.1; echo $IPCQ_ID $IPCQ_ATTEMPT'";
    let done = sandbox.sh(script);
    assert_eq!((done.code, report(&done)), (0, "ipcq: 60 done, 0 retried, 0 dead"), "{}", done.err);
    let mut ran = sorted(&done);
    ran.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(ran, numbers.iter().map(|number| format!("{number} 1")).collect::<Vec<_>>());
    let told: Vec<&str> = done.err.lines().filter(|line| line.contains("Too many open files")).collect();
    assert!(matches!(told[..], [line] if line.starts_with("ipcq: fewer jobs run at a time, now ")), "{}", done.err);
    // Where not even one can run, it says so and gives the message back, whatever files it has inherited.
    sandbox.ok("put jobs last");
    let done = sandbox.sh("ulimit -n 9; ipcq work jobs -t 0 -- true");
    assert_eq!(done.code, 2);
    assert!(report(&done).contains("Too many open files"), "{}", done.err);
    has(&sandbox, "jobs", 1, 0, 0);
}

#[test]
fn a_worker_that_ends_gives_back_what_it_could_not_start() {
    let sandbox = Sandbox::with_queues("jobs");
    let numbers: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    sandbox.ok(&format!("put jobs {}", numbers.join(" ")));
    let script = "ulimit -n 40; exec ipcq work jobs -t 0 -j 60 -- sh -c 'until test -e go; do sleep 0.01; done'";
    let mut shell = sandbox.program("sh");
    let mut worker = Running::from(shell.args(["-c", script]).spawn().unwrap());
    let mut told = String::new();
    BufReader::new(worker.child().stderr.take().unwrap()).read_line(&mut told).unwrap();
    let running: u64 = told.split_once("now ").unwrap().1.split(':').next().unwrap().parse().unwrap();
    assert!(sandbox.stat("jobs", "leased").as_u64() > Some(running), "{told}");
    worker.signal("TERM");
    until("the others are ready again", || sandbox.stat("jobs", "ready") == 60 - running);
    fs::write(sandbox.path("go"), "").unwrap();
    assert_eq!(worker.end().code, 143);
    has(&sandbox, "jobs", 60 - running, 0, 0);
}

#[test]
fn mistakes_on_the_command_line_are_told_in_a_sentence() {
    let sandbox = Sandbox::with_queues("jobs");
    let cases: [(&[&str], &str); 7] = [
        (&["jobs", "true"], "'true' found; put '--' before the command"),
        (&["jobs", "-j2", "./job", "{}"], "'./job' found; put '--' before the command"),
        (&["jobs"], "<COMMAND>"),
        (&["jobs", "--"], "<COMMAND>"),
        (&["jobs", "-j", "0", "--", "true"], "this cannot be 0"),
        (&["jobs", "-j", "-1", "--", "true"], "this cannot be negative"),
        (&["jobs", "--backoff", "-1s", "--", "true"], "a duration cannot be negative"),
    ];
    for (arguments, what) in cases {
        let arguments = ["work"].iter().chain(arguments).map(OsStr::new);
        let done = sandbox.run_with(arguments, b"");
        assert!(done.refusal(2).contains(what), "{done:?}");
    }
}
