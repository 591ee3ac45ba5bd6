//! What can be wrong with a server is a sentence, and what passes is waited for.

use crate::harness::{CLOCK_NANOSLEEP, Done, RECVFROM, Running, Sandbox, system_call, until};
use crate::server::Server;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// A sandbox whose queues are on this server, in database 0.
fn on(server: &Server) -> Sandbox {
    Sandbox::with_database(server.url(0))
}

/// A server that saves each change at once, so that it can be killed.
fn safe() -> Option<Server> {
    Server::start("--appendonly yes --appendfsync always")
}

/// Runs `ipcq` with these words and variables.
fn run_with(sandbox: &Sandbox, words: &str, variables: &[(&str, &str)]) -> Done {
    let mut command = sandbox.ipcq(words.split_whitespace());
    command.envs(variables.iter().copied());
    Running::from(command.spawn().expect("ipcq starts")).end()
}

#[test]
fn a_server_that_is_not_there_is_a_sentence_for_every_command() {
    let sandbox = Sandbox::with_database("redis+unix:///nowhere/redis.sock/0".into());
    for command in [
        "create jobs",
        "put jobs a",
        "get jobs -t 5s",
        "stat jobs",
        "ls",
        "rm jobs",
        "verify jobs",
        "wait jobs --exists",
    ] {
        let done = sandbox.run(command);
        let line = done.refusal(2);
        assert!(line.contains("server redis+unix:///nowhere/redis.sock/0: nobody answers there"), "{line}");
    }
    let start = Instant::now();
    let done = sandbox.run("put redis://127.0.0.1:1/0/jobs a");
    assert!(done.refusal(2).contains("Connection refused; is the server running?"), "{done:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    let done = sandbox.run("put redis://no-such-host.invalid/0/jobs a");
    assert!(done.refusal(2).contains("'no-such-host.invalid': "), "{done:?}");
    let done = sandbox.run("put rediss://127.0.0.1/0/jobs a");
    assert!(done.refusal(2).contains("no TLS"), "{done:?}");
}

#[test]
fn a_name_is_resolved_without_the_c_librarys_resolver() {
    let Some(server) = Server::start("--bind 127.0.0.1") else { return };
    let port = server.listen();
    let sandbox = on(&server);
    sandbox.ok("create jobs");
    // The first is an address, the second in /etc/hosts or known, the third is for getent alone.
    for name in ["127.0.0.1", "localhost"] {
        assert_eq!(sandbox.ok(&format!("put redis://{name}:{port}/0/jobs {name}")), "");
        assert_eq!(sandbox.ok(&format!("get redis://{name}:{port}/jobs")), format!("{name}\n"));
    }
    fs::write(
        sandbox.path("getent"),
        "#!/bin/sh\n[ \"$*\" = 'ahosts far.example' ] && echo '127.0.0.1 STREAM far.example'\n",
    )
    .unwrap();
    fs::set_permissions(sandbox.path("getent"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", sandbox.path("").display());
    let url = format!("redis://far.example:{port}/0/jobs");
    assert_eq!(run_with(&sandbox, &format!("put {url} x"), &[("PATH", &path)]).code, 0);
    assert_eq!(run_with(&sandbox, &format!("get {url}"), &[("PATH", &path)]).text(), "x\n");
    let done = run_with(&sandbox, &format!("get {url}"), &[("PATH", "/nowhere")]);
    assert!(done.refusal(2).contains("getent(1), which would know others, cannot be run"), "{done:?}");
}

#[test]
fn passwords_come_from_the_url_the_environment_or_a_file_and_are_never_shown() {
    let Some(server) = Server::start("--requirepass secret") else { return };
    let url = server.url(0);
    let sandbox = Sandbox::with_database(url.clone());
    let (right, wrong) = (format!("{url}/jobs?pass=secret"), format!("{url}/jobs?pass=public"));
    assert_eq!(run_with(&sandbox, &format!("create {right}"), &[]).code, 0);
    fs::write(sandbox.path("password"), "secret\n").unwrap();
    for variable in [("IPCQ_REDIS_PASSWORD", "secret"), ("IPCQ_REDIS_PASSWORD_FILE", "password")] {
        assert_eq!(run_with(&sandbox, "put jobs a", &[variable]).code, 0, "{variable:?}");
        assert_eq!(run_with(&sandbox, "ls", &[variable]).text().split(' ').next(), Some("jobs"));
    }
    for (words, variable) in [
        (format!("put {wrong} a"), ("NOTHING", "")),
        ("put jobs a".into(), ("NOTHING", "")),
        ("put jobs a".into(), ("IPCQ_REDIS_PASSWORD", "public")),
        ("ls".into(), ("IPCQ_REDIS_PASSWORD", "public")),
    ] {
        let done = run_with(&sandbox, &words, &[variable]);
        let line = done.refusal(2);
        assert!(line.contains("$IPCQ_REDIS_PASSWORD") && !line.contains("public"), "{line}");
    }
    let done = run_with(&sandbox, "put jobs a", &[("IPCQ_REDIS_PASSWORD_FILE", "nothing")]);
    assert!(done.refusal(2).contains("cannot read the password in 'nothing'"), "{done:?}");
    for words in ["stat", "stat --json", "get --json --lease 1s", "verify", "peek"] {
        let done = run_with(&sandbox, &format!("{words} {right}"), &[]);
        assert!(done.code == 0 && !done.text().contains("secret"), "{done:?}");
    }
    let done = run_with(&sandbox, &format!("get {right}x"), &[]);
    assert!(!done.refusal(2).contains("secretx"), "{done:?}");
}

#[test]
fn a_stream_and_a_worker_outlive_a_server_that_is_killed_and_started_again() {
    let Some(mut server) = safe() else { return };
    let sandbox = on(&server);
    ["jobs", "full"].iter().for_each(|queue| drop(sandbox.ok(&format!("create {queue} --max-items 1"))));
    sandbox.ok("put full x");
    let mut stream = sandbox.ipcq(["put", "jobs", "-l"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = stream.stdin.take().unwrap();
    let waiter = sandbox.asleep("put full y");
    let worker = sandbox.asleep("work jobs -j 2 -- echo {}");
    let mut expected = Vec::new();
    for round in 0..3 {
        for number in 0..5 {
            writeln!(lines, "{round}.{number}").unwrap();
            expected.push(format!("{round}.{number}"));
        }
        server.kill();
        server.start_again();
    }
    drop(lines);
    assert_eq!(Running::from(stream).end(), Done { code: 0, out: Vec::new(), err: String::new() });
    assert_eq!(sandbox.ok("get full"), "x\n");
    waiter.ends(0, "");
    sandbox.ok("close jobs");
    let done = worker.end();
    let mut got: Vec<&str> = done.text().lines().collect();
    got.sort_unstable();
    got.dedup();
    assert_eq!((done.code, got), (0, expected.iter().map(String::as_str).collect()), "{}", done.err);
    ["jobs", "full"].iter().for_each(|queue| sandbox.is_sound(queue));
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for_as_long_as_wanted() {
    let Some(mut server) = safe() else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs --max-items 2");
    server.kill();
    for command in ["put jobs x", "get jobs", "get jobs -t 0", "put jobs x --no-wait", "put jobs x -t 0.2"] {
        assert!(sandbox.run(command).refusal(2).contains("nobody answers there"), "{command}");
    }
    let waiting = ["put jobs a -t 1m", "get jobs -n 2 -t 1m", "wait jobs --closed -t 1m", "put other b -c -t 1m"];
    let waiting = waiting.map(|command| sandbox.start(command));
    for waiting in &waiting {
        // It has tried once, and pauses.
        until("it sleeps", || system_call(waiting.pid()) == CLOCK_NANOSLEEP);
    }
    server.start_again();
    sandbox.ok("put jobs b");
    let [put, get, closed, created] = waiting;
    put.ends(0, "");
    let done = get.end();
    assert_eq!((done.code, done.out.len()), (0, 4), "{done:?}");
    sandbox.ok("close jobs");
    closed.ends(0, "");
    created.ends(0, "");
    assert_eq!(sandbox.ok("get other"), "b\n");
}

#[test]
fn a_follower_that_was_taken_for_dead_says_so_and_goes_on() {
    let Some(server) = Server::start("") else { return };
    let mut sandbox = on(&server);
    sandbox.presence("0.5s");
    sandbox.ok("create jobs");
    sandbox.ok("put jobs a");
    let (mut follower, mut reader) = sandbox.stuck("get jobs -f");
    let errors = follower.child().stderr.take().unwrap();
    follower.signal("STOP");
    assert_eq!(sandbox.ok("get jobs -t 10"), "a\n", "it is given to another");
    sandbox.ok("put jobs b");
    sandbox.ok("close jobs");
    follower.signal("CONT");
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    assert!(text.ends_with(b"a\nb\n"));
    assert_eq!(follower.end().code, 0);
    let said = std::io::read_to_string(errors).unwrap();
    let server = server.url(0);
    let expected =
        format!("ipcq: server {server} has not heard of us for so long that 1 message was given to others as well\n");
    assert_eq!(said, expected);
    sandbox.is_sound("jobs");
}

#[test]
fn a_server_that_does_not_come_back_in_time_is_a_sentence() {
    let Some(mut server) = safe() else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs");
    let waiter = sandbox.asleep("get jobs -t 2s");
    server.kill();
    let start = Instant::now();
    let done = waiter.end();
    assert!(done.refusal(2).contains("nobody answers there"), "{done:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn time_outs_hold_while_a_server_does_not_answer() {
    let Some(server) = Server::start("") else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs");
    let waiter = sandbox.asleep("get jobs -t 1s");
    server.signal("STOP");
    let start = Instant::now();
    let done = waiter.end();
    assert!(done.refusal(2).contains("it does not answer"), "{done:?}");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    server.signal("CONT");
    sandbox.ok("put jobs a");
    assert_eq!(sandbox.ok("get jobs"), "a\n");
}

/// Whether a signal has stopped a process.
fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|fields| fields.starts_with('T'))
}

#[test]
fn who_is_stopped_while_a_server_does_not_answer_goes_on_afterwards() {
    let Some(server) = Server::start("") else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs");
    sandbox.ok("create old");
    for (command, output) in [
        ("create new", ""),
        ("put jobs a", ""),
        ("get jobs", "a\n"),
        ("stat jobs --json", "{"),
        ("rm old", ""),
        ("ls", ""),
    ] {
        server.signal("STOP");
        let stopped = sandbox.start(command);
        until("it waits for an answer", || system_call(stopped.pid()) == RECVFROM);
        // With a limit to how long it takes, receiving ends with that (signal(7)).
        stopped.signal("STOP");
        until("it is stopped", || is_stopped(stopped.pid()));
        stopped.signal("CONT");
        server.signal("CONT");
        let done = stopped.end();
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{command}");
        assert!(done.text().starts_with(output), "{command}: {}", done.text());
    }
    assert_eq!((sandbox.run("stat new").code, sandbox.run("stat old").code), (0, 4));
}

#[test]
fn a_server_without_memory_refuses_puts_and_nothing_else() {
    let Some(server) = Server::start("--maxmemory-policy noeviction") else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs");
    sandbox.ok("put jobs a b c d");
    sandbox.ok("put jobs e f");
    assert!(server.ask("config set maxmemory 1").contains("OK"));
    let line = sandbox.run("put jobs g").refusal(2).to_owned();
    assert!(line.contains("it is out of memory, so nothing was put"), "{line}");
    assert!(sandbox.run("create more").refusal(2).contains("out of memory"));
    assert_eq!(sandbox.ok("get jobs"), "a\n");
    sandbox.ok("get jobs --lease 1h -o body");
    sandbox.ok("nack jobs 2");
    sandbox.ok("get jobs --lease 1h -o body");
    sandbox.ok("extend jobs 2.2 1h");
    sandbox.ok("ack jobs 2.2");
    sandbox.ok("pause jobs");
    sandbox.ok("resume jobs");
    assert_eq!(sandbox.ok("get jobs -n 2"), "c\nd\n");
    sandbox.ok("close jobs");
    assert_eq!(sandbox.ok("get jobs -f"), "e\nf\n");
    sandbox.is_sound("jobs");
    sandbox.ok("rm jobs");
    assert!(server.ask("config set maxmemory 0").contains("OK"));
    assert_eq!(server.ask("dbsize"), "0\n", "nothing is left");
}

#[test]
fn keys_of_others_and_queues_of_other_versions_are_left_alone() {
    let Some(server) = Server::start("") else { return };
    let sandbox = on(&server);
    server.ask("set {ipcq:text}:meta x");
    server.ask("hset {ipcq:hash}:meta field x");
    server.ask("hset {ipcq:newer}:meta version 2 uuid x");
    for command in ["put", "create", "rm", "stat", "get"] {
        let rest = if command == "put" { " x" } else { "" };
        for queue in ["text", "hash", "newer"] {
            if (command, queue) == ("rm", "newer") {
                continue;
            }
            let done = sandbox.run(&format!("{command} {queue}{rest}"));
            assert!(matches!(done.code, 2 | 4), "{command} {queue}: {done:?}");
        }
    }
    assert!(sandbox.run("put text x").refusal(2).contains("a key of the queue holds something else"));
    assert!(sandbox.run("put newer x").refusal(2).contains("another version of ipcq"));
    assert_eq!(server.ask("get {ipcq:text}:meta"), "x\n");
    assert_eq!(server.ask("hlen {ipcq:hash}:meta"), "1\n");
    sandbox.ok("rm newer");
}

#[test]
fn a_replica_is_refused_in_the_end_and_found_to_be_none_before_that() {
    let Some(server) = Server::start("") else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs");
    let waiter = sandbox.asleep("get jobs");
    // As if another had become the primary; before it is too late, this one is that again.
    server.ask("replicaof 127.0.0.1 1");
    let put = sandbox.start("put jobs a");
    until("it has been refused", || server.ask("info errorstats").contains("errorstat_READONLY"));
    server.ask("replicaof no one");
    put.ends(0, "");
    waiter.ends(0, "a\n");
}

#[test]
fn a_replica_can_be_looked_at() {
    let (Some(primary), Some(replica)) = (Server::start(""), Server::start("")) else { return };
    let (there, here) = (on(&primary), on(&replica));
    there.ok("create jobs --max-attempts 1");
    there.ok("put jobs a b c d e");
    there.ok("get jobs --lease 1h -n 3 -o bodies");
    there.ok("nack jobs 1");
    there.ok("nack jobs 2");
    let (holder, _reader) = there.stuck("get jobs");
    replica.ask(&format!("replicaof 127.0.0.1 {}", primary.listen()));
    until("all is copied", || replica.ask("info replication").contains("master_link_status:up"));
    // Moments rather than durations: time passes between the two looks.
    for look in ["ls", "peek jobs", "peek jobs --dead --json", "peek jobs --leased --json", "verify jobs"] {
        let shown = there.ok(look);
        assert!(!shown.is_empty() && here.ok(look) == shown, "{look}");
    }
    assert_eq!(here.stat("jobs", "dead"), 2);
    // What is due is seen to be due, and nobody is there who could do it.
    holder.signal("KILL");
    holder.end();
    until("it is ready", || here.stat("jobs", "ready") == 2);
    assert_eq!(here.ok("peek jobs"), "d\ne\n");
    for change in ["put jobs x -t 0.1", "get jobs -t 0.1"] {
        assert!(here.run(change).refusal(2).contains("it is a replica that refuses changes; use the address"));
    }
}

#[test]
fn scripts_that_a_server_has_forgotten_are_told_again() {
    let Some(server) = Server::start("") else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs");
    let waiter = sandbox.asleep("get jobs -n 2");
    server.ask("script flush");
    sandbox.ok("put jobs a");
    server.ask("script flush");
    sandbox.ok("put jobs b");
    waiter.ends(0, "a\nb\n");
}

#[test]
fn a_connection_that_is_cut_is_made_again_and_nothing_is_done_twice() {
    let Some(server) = Server::start("") else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs --max-items 50");
    let lines: String = (0..2000).map(|number| format!("{number}\n")).collect();
    let mut put = sandbox.ipcq(["put", "jobs", "-l"]);
    let put = put.stdin(fs::File::open(write(&sandbox, &lines)).unwrap()).spawn().unwrap();
    let get = sandbox.start("get jobs -n 2000");
    let get_pid = get.pid();
    let cutter = std::thread::spawn(move || {
        let mut cuts = 0;
        while std::path::Path::new(&format!("/proc/{get_pid}/fd/0")).exists() && cuts < 300 {
            server.ask("client kill type normal");
            cuts += 1;
        }
        server
    });
    let done = get.end();
    assert_eq!((done.code, done.text() == lines), (0, true), "{}", done.err);
    assert_eq!(Running::from(put).end(), Done { code: 0, out: Vec::new(), err: String::new() });
    let _server = cutter.join().unwrap();
    sandbox.is_sound("jobs");
}

/// Listens at `path`, closes the first connections as soon as something was asked, and leads the others to `server`.
fn lead_to(server: &Server, path: &std::path::Path, cuts: usize) {
    let listener = UnixListener::bind(path).unwrap();
    let socket = server.socket();
    std::thread::spawn(move || {
        for (number, here) in listener.incoming().map_while(Result::ok).enumerate() {
            if number < cuts {
                let _ = (&here).read(&mut [0]);
                continue;
            }
            let there = UnixStream::connect(&socket).unwrap();
            for (mut from, mut to) in
                [(&here, &there), (&there, &here)].map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    to.shutdown(std::net::Shutdown::Both)
                });
            }
        }
    });
}

#[test]
fn every_command_tries_again_while_a_server_that_is_there_closes_the_connection() {
    let Some(server) = Server::start("") else { return };
    let sandbox = on(&server);
    for (number, (command, says)) in
        [("create", ""), ("put", ""), ("get", "a\n"), ("join", ""), ("rm", "")].into_iter().enumerate()
    {
        let path = sandbox.path(&number.to_string());
        lead_to(&server, &path, 4);
        let message = if command == "put" { " a" } else { "" };
        assert_eq!(sandbox.ok(&format!("{command} redis+unix://{}/0/jobs{message}", path.display())), says);
    }
    // Nor did one of them do twice what was asked for.
    assert!(sandbox.run("stat jobs").refusal(4).contains("no queue 'jobs'"));
}

fn write(sandbox: &Sandbox, text: &str) -> std::path::PathBuf {
    fs::write(sandbox.path("lines"), text).unwrap();
    sandbox.path("lines")
}

#[test]
fn nothing_is_left_of_a_queue_that_was_removed() {
    let Some(server) = Server::start("") else { return };
    let sandbox = on(&server);
    sandbox.ok("create jobs --max-attempts 1");
    sandbox.ok("put jobs a b c d e");
    sandbox.ok("get jobs --lease 1h -n 3 -o bodies");
    sandbox.ok("nack jobs 1");
    sandbox.ok("nack jobs 2 --delay 1h");
    let (holder, _reader) = sandbox.stuck("get jobs");
    sandbox.ok("rm jobs");
    holder.signal("KILL");
    assert!(!server.ask("keys *").contains("{ipcq:jobs}:f:"), "{}", server.ask("keys *"));
    assert!(!server.ask("keys *").contains("{ipcq:jobs}:o:"));
}
