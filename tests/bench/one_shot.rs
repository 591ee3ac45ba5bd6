//! One process for each message, as shell loops have it.

use crate::tools::{Bench, have, report, until};

const RUNS: usize = 1_500;

pub(crate) fn run(bench: &Bench) {
    bench.prepare("ipcq create one");
    let ipcq = bench.ipcq();
    let ipcq = ipcq.as_str();
    report("put / true", bench.ratio_of_processes(&[ipcq, "put", "one", "x"], &["/bin/true"], RUNS), 1.05);
    report("get / true", bench.ratio_of_processes(&[ipcq, "get", "one", "-t", "0"], &["/bin/true"], RUNS), 1.05);
    if have("redis-server") && have("redis-cli") {
        let socket = bench.path("redis.sock");
        let socket = socket.to_str().unwrap();
        let options = ["--port", "0", "--unixsocket", socket, "--save", ""];
        let mut server = bench.program("redis-server").args(options).spawn().unwrap();
        until(|| std::path::Path::new(socket).exists());
        let push = ["/usr/bin/redis-cli", "-s", socket, "RPUSH", "one", "x"];
        report("put / redis-cli RPUSH", bench.ratio_of_processes(&[ipcq, "put", "one", "x"], &push, RUNS / 3), 0.35);
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
