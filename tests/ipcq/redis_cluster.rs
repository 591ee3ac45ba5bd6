//! A cluster keeps each queue on one node, and whoever asks another one is sent there.

use crate::harness::{Sandbox, until};
use crate::server::Server;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A node that is not part of a cluster yet, and its port. `None`: there is no server.
fn node() -> Option<(Server, u16)> {
    // Its other port, for the nodes, is 10000 more than the first.
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut ports = std::iter::repeat_with(|| {
        // Other processes begin elsewhere.
        let number = std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed);
        20_000 + (number % 30_000) as u16
    });
    let port = ports.find(|port| free(*port) && free(*port + 10_000))?;
    let options = format!("--cluster-enabled yes --bind 127.0.0.1 --port {port} --cluster-node-timeout 2000");
    Some((Server::start(&options)?, port))
}

fn gives_slots(node: &Server, slots: &str) {
    assert_eq!(node.ask(&format!("cluster addslotsrange {slots}")), "OK\n");
}

fn is_up(node: &Server) -> bool {
    node.ask("cluster info").contains("cluster_state:ok")
}

/// A sandbox whose queues are named by this node.
fn on(node: &Server) -> Sandbox {
    Sandbox::with_database(node.url(0))
}

/// Everything that can be done to queues; none of it may need keys of more than one slot at once.
const EVERYTHING: &str = r#"
    set -e
    ipcq create jobs --max-attempts 2 --max-items 1000
    ipcq put jobs a b c
    seq 100 | ipcq put jobs -l
    test "$(ipcq get jobs -n 3)" = "$(printf 'a\nb\nc')"
    test "$(ipcq get jobs -n 10 | tail -n 1)" = 10
    printf 'x\0y' | ipcq put jobs
    id=$(ipcq get jobs --lease 1h -o body)
    ipcq extend jobs $id 2h
    ipcq nack jobs $id --delay 1h
    ipcq peek jobs --delayed | grep -q '11$'
    ids=$(ipcq get jobs -n 3 --lease 1h -o bodies)
    test "$(ipcq peek jobs --leased | wc -l)" = 3
    ipcq nack jobs $ids
    ids=$(ipcq get jobs -n 3 --lease 1h -o bodies)
    ipcq nack jobs $ids
    test "$(ipcq peek jobs --dead | wc -l)" = 3
    ipcq retry jobs $(set -- $ids; echo ${1%%.*})
    ipcq purge jobs --dead
    ipcq pause jobs
    ipcq resume jobs
    ipcq wait jobs --ready
    ipcq create other
    ipcq mv jobs other -n 5
    ipcq close jobs
    ipcq purge jobs --delayed
    ipcq work jobs -j 2 --out other -- cat 2> out
    ipcq join jobs
    test "$(ipcq stat jobs --json | tr , '\n' | grep '"leased"')" = '"leased":0'
    ipcq create ending --auto-close
    ipcq produce ending -- seq 5
    test "$(ipcq get ending -f | wc -l)" = 5
    for queue in jobs other ending; do ipcq verify $queue > out; done
    ipcq get other -a > all
    ipcq ls > out
    ipcq rm jobs other ending
"#;

#[test]
fn one_node_serves_every_command() {
    let Some((node, _)) = node() else { return };
    gives_slots(&node, "0 16383");
    until("the cluster is up", || is_up(&node));
    let sandbox = on(&node);
    let done = sandbox.sh(EVERYTHING);
    assert_eq!((done.code, done.text()), (0, ""), "{}", done.err);
    let done = sandbox.run(&format!("create {}/jobs", node.url(1)));
    assert!(done.refusal(2).contains("SELECT is not allowed in cluster mode"), "{done:?}");
}

#[test]
fn whichever_node_is_asked_the_queue_is_found_on_its_own() {
    let (Some((one, _)), Some((other, port))) = (node(), node()) else { return };
    gives_slots(&one, "0 8191");
    gives_slots(&other, "8192 16383");
    one.ask(&format!("cluster meet 127.0.0.1 {port}"));
    until("the cluster is up", || is_up(&one) && is_up(&other));
    let (here, there) = (on(&one), on(&other));
    let done = here.sh(EVERYTHING);
    assert_eq!((done.code, done.text()), (0, ""), "{}", done.err);
    for queue in ["a", "b", "c", "d", "e", "f"] {
        here.ok(&format!("create {queue}"));
        let waiter = there.asleep(&format!("get {queue}"));
        here.ok(&format!("put {queue} 1 2"));
        waiter.ends(0, "1\n");
        assert_eq!(there.ok(&format!("get {queue}")), "2\n");
    }
    let names = |sandbox: &Sandbox| sandbox.ok("ls").lines().map(|line| line[..1].to_owned()).collect::<Vec<_>>();
    let (mut all, rest) = (names(&here), names(&there));
    assert!(!all.is_empty() && !rest.is_empty(), "each node has some of them");
    all.extend(rest);
    all.sort_unstable();
    assert_eq!(all.concat(), "abcdef");
}
