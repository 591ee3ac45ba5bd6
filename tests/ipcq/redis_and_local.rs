//! Messages between queues on this machine and queues on a server.

use crate::harness::{Sandbox, until};
use crate::server::Server;

/// A sandbox with a queue `there` on a server, and one in the file `./here`.
fn here_and_there(server: &Server) -> Sandbox {
    let sandbox = Sandbox::with_database(server.url(0));
    ["./here", "there"].iter().for_each(|queue| drop(sandbox.ok(&format!("create {queue}"))));
    sandbox
}

fn numbers(text: &str) -> Vec<usize> {
    let mut numbers: Vec<usize> = text.lines().map(|line| line.parse().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn messages_are_moved_there_and_back_as_they_were_put() {
    let Some(server) = Server::start("") else { return };
    let sandbox = here_and_there(&server);
    sandbox.ok("put ./here a b");
    sandbox.run_with(["put", "./here"], b"any\0bytes");
    sandbox.run_with(["put", "./here", "--json"], b"{ \"k\": 1 }");
    sandbox.ok("mv ./here there");
    assert_eq!(sandbox.stat("./here", "ready"), 0);
    assert_eq!(sandbox.stat("there", "ready"), 4);
    sandbox.ok("mv there ./here");
    assert_eq!(sandbox.run("get ./here -a").out, b"a\nb\nany\0bytes{\"k\":1}\n");
    ["./here", "there"].iter().for_each(|queue| sandbox.is_sound(queue));
    assert!(!server.ask("keys *").contains("handed"), "nothing is left");
}

#[test]
fn a_stream_goes_from_one_to_the_other() {
    let Some(server) = Server::start("") else { return };
    let sandbox = here_and_there(&server);
    let lines: String = (1..=5000).map(|number| format!("{number}\n")).collect();
    sandbox.run_with(["put", "-l", "./here"], lines.as_bytes());
    sandbox.ok("close ./here");
    assert_eq!(sandbox.sh("ipcq get ./here --follow | ipcq put there --lines").code, 0);
    assert!(sandbox.ok("get there -a") == lines);
}

#[test]
fn a_message_is_in_one_of_two_queues_whenever_a_mover_between_them_is_killed() {
    const COUNT: usize = 3000;
    const KILLS: usize = 10;
    let Some(server) = Server::start("") else { return };
    let sandbox = here_and_there(&server);
    let lines: String = (1..=COUNT).map(|number| format!("{number}\n")).collect();
    sandbox.run_with(["put", "-l", "./here"], lines.as_bytes());
    sandbox.kill_movers(["./here", "there"], KILLS, || {});
    let mut all = String::new();
    until("everything is known to be in one of them", || {
        all.push_str(sandbox.run("get ./here -a").text());
        all.push_str(sandbox.run("get there -a").text());
        ["./here", "there"].iter().all(|queue| sandbox.stat(queue, "leased") == 0 && sandbox.stat(queue, "ready") == 0)
    });
    assert!(numbers(&all).into_iter().eq(1..=COUNT), "{} of {COUNT}", numbers(&all).len());
    ["./here", "there"].iter().for_each(|queue| sandbox.is_sound(queue));
}

#[test]
fn a_queue_here_is_a_buffer_for_a_server_that_is_gone_for_a_while() {
    let Some(mut server) = Server::start("--appendonly yes --appendfsync always") else { return };
    let sandbox = here_and_there(&server);
    // As in ipcq-redis(7), until there is nothing more to come.
    let forwarder = "while ipcq wait ./here --ready -t 20s; do ipcq mv ./here there 2>> errors || sleep 0.1; done";
    let forwarder = sandbox.program("sh").args(["-c", forwarder]).spawn().expect("sh starts");
    let mut forwarder = crate::harness::Running::from(forwarder);
    for round in 0..3 {
        for number in 0..20 {
            sandbox.ok(&format!("put ./here {}", round * 20 + number + 1));
        }
        server.kill();
        for number in 0..20 {
            sandbox.ok(&format!("put ./here {}", 1000 + round * 20 + number));
        }
        server.start_again();
    }
    until("everything is there", || sandbox.stat("there", "ready") == 120);
    forwarder.child().kill().unwrap();
    let got = numbers(&sandbox.ok("get there -a"));
    assert!(got.into_iter().eq((1..=60).chain(1000..1060)));
    assert_eq!(sandbox.stat("./here", "ready"), 0);
}
