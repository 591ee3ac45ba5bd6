//! Two hosts, which are namespaces of the network here, whose link is cut for a while.

use crate::harness::{Running, Sandbox, are_root, have, skip, until};
use crate::server::Server;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A namespace for the other host, with a link to it.
struct Link {
    namespace: String,
    ours: String,
    theirs: String,
}

impl Link {
    /// `None`: no namespace can be made here.
    fn new() -> Option<Self> {
        let number = std::process::id() % 60_000;
        let link =
            Link { namespace: format!("ipcq{number}"), ours: format!("iqa{number}"), theirs: format!("iqb{number}") };
        let (a, b) = (number / 250, number % 250);
        let Link { namespace, ours, theirs } = &link;
        for words in [
            format!("netns add {namespace}"),
            format!("link add {ours} type veth peer name {theirs}"),
            format!("link set {theirs} netns {namespace}"),
            format!("addr add 10.{a}.{b}.1/30 dev {ours}"),
            format!("link set {ours} up"),
            format!("-n {namespace} addr add 10.{a}.{b}.2/30 dev {theirs}"),
            format!("-n {namespace} link set {theirs} up"),
        ] {
            if !ip(&words) {
                skip("no namespace of the network can be made");
                return None;
            }
        }
        Some(link)
    }

    /// Our address.
    fn address(&self) -> String {
        let number = std::process::id() % 60_000;
        format!("10.{}.{}.1", number / 250, number % 250)
    }

    fn set(&self, state: &str) {
        assert!(ip(&format!("link set {} {state}", self.ours)));
    }

    /// A command of the other host.
    fn on_the_other_host(&self, sandbox: &Sandbox, words: &str) -> Command {
        let mut command = sandbox.program("ip");
        command.args(["netns", "exec", &self.namespace, "ipcq"]).args(words.split(' '));
        command
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.ours));
        ip(&format!("netns del {}", self.namespace));
    }
}

fn ip(words: &str) -> bool {
    let done = Command::new("ip").args(words.split(' ')).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

#[test]
fn a_stream_and_a_worker_go_on_after_the_link_was_cut_for_five_seconds() {
    if !have("ip") || !are_root() {
        return;
    }
    let Some(server) = Server::start("--bind 0.0.0.0 --protected-mode no") else { return };
    let Some(link) = Link::new() else { return };
    let port = server.listen();
    let mut sandbox = Sandbox::with_database(format!("redis://{}:{port}/0", link.address()));
    sandbox.presence("15s");
    let local = Sandbox::with_database(server.url(0));
    local.ok("create jobs");
    let put = link.on_the_other_host(&sandbox, "put jobs --lines").stdin(Stdio::piped()).spawn();
    let mut put = put.expect("ip starts");
    let mut lines = put.stdin.take().expect("stdin is a pipe");
    let worker = link.on_the_other_host(&sandbox, "work jobs -j 2 -- echo {}").spawn();
    let worker = Running::from(worker.expect("ip starts"));
    let mut number = 0;
    let mut write = |count: u32, pause: u64| {
        for _ in 0..count {
            number += 1;
            writeln!(lines, "{number}").expect("it goes on");
            std::thread::sleep(Duration::from_millis(pause));
        }
    };
    write(100, 5);
    until("some are done", || local.stat("jobs", "got").as_u64().is_some_and(|got| got > 10));
    link.set("down");
    // More than what fits into one of its reads.
    write(200, 25);
    link.set("up");
    write(100, 5);
    drop(lines);
    let put = Running::from(put).end();
    assert_eq!((put.code, put.err.as_str()), (0, ""));
    local.ok("close jobs");
    let done = worker.end();
    let mut got: Vec<u32> = done.text().lines().map(|line| line.parse().expect("a number")).collect();
    got.sort_unstable();
    got.dedup();
    assert_eq!((done.code, got), (0, (1..=400).collect()), "{}", done.err);
    local.is_sound("jobs");
}
