//! Signals end, stop and continue a waiter as a shell expects, and no message is lost on the way.

use crate::harness::{Running, Sandbox, have, until};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn until_stopped(pid: u32) {
    until("the process is stopped", || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    });
}

#[test]
fn a_waiter_dies_of_a_signal_as_the_shell_expects_and_loses_nothing() {
    for (signal, code) in [("INT", "130"), ("TERM", "143")] {
        let sandbox = Sandbox::with_queues("jobs other");
        sandbox.ok("create full --max-items 1");
        sandbox.ok("put full x");
        for command in ["get jobs", "get jobs -f", "get jobs other", "put full y"] {
            let script = format!("sh -c 'echo $$ > pid; exec ipcq {command}'; echo $?");
            let shell: Running = sandbox.program("sh").args(["-c", &script]).spawn().expect("sh starts").into();
            let mut pid = String::new();
            until("the waiter sleeps", || {
                pid = std::fs::read_to_string(sandbox.path("pid")).unwrap_or_default().trim().to_owned();
                let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                name == "ipcq\n" && ["202 ", "98 ", "449 "].iter().any(|number| call.starts_with(number))
            });
            assert_eq!(sandbox.sh(&format!("kill -{signal} {pid}")).code, 0);
            shell.ends(0, &format!("{code}\n"));
            std::fs::remove_file(sandbox.path("pid")).expect("it is there");
        }
        sandbox.ok("put jobs one");
        assert_eq!(sandbox.ok("get jobs -t 0"), "one\n");
        assert_eq!(sandbox.ok("get full -a"), "x\n");
    }
}

#[test]
fn a_stopped_waiter_keeps_no_message_from_others_and_goes_on_later() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("create full --max-items 1");
    sandbox.ok("put full x");
    for _ in 0..5 {
        let stopped = [sandbox.asleep("get jobs"), sandbox.asleep("get jobs -f")];
        let producer = sandbox.asleep("put full later");
        for waiter in stopped.iter().chain([&producer]) {
            waiter.signal("STOP");
            until_stopped(waiter.pid());
        }
        let other = sandbox.asleep("get jobs");
        sandbox.ok("put jobs one");
        other.ends(0, "one\n");
        sandbox.ok("put jobs two");
        assert_eq!(sandbox.ok("get jobs"), "two\n");
        assert_eq!(sandbox.ok("get full"), "x\n");
        sandbox.ok("put full x");

        stopped.iter().chain([&producer]).for_each(|waiter| waiter.signal("CONT"));
        assert_eq!(sandbox.ok("get full -n 2"), "x\nlater\n");
        producer.ends(0, "");
        sandbox.ok("put full x");
        let [one, follower] = stopped;
        follower.signal("TERM");
        follower.ends(143, "");
        one.until_asleep();
        sandbox.ok("put jobs three");
        one.ends(0, "three\n");
    }
}

#[test]
fn a_deadline_passes_while_a_waiter_is_stopped() {
    let sandbox = Sandbox::with_queues("jobs");
    let waiter = sandbox.asleep("get jobs -t 0.5");
    waiter.signal("STOP");
    let start = Instant::now();
    until_stopped(waiter.pid());
    until("the deadline has passed", || start.elapsed() > Duration::from_millis(600));
    waiter.signal("CONT");
    waiter.ends(1, "");
}

#[test]
fn control_z_and_fg_work_in_an_interactive_shell() {
    if !have("script") || !have("bash") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    let mut command = sandbox.program("script");
    command.args(["-q", "-e", "-c", "bash --norc --noprofile -i", "/dev/null"]).env("TERM", "dumb").env("PS1", "> ");
    let mut terminal = Running::from(command.stdin(Stdio::piped()).spawn().expect("script starts"));
    let mut keys = terminal.child().stdin.take().expect("stdin is a pipe");
    let mut type_in = |text: &str| keys.write_all(text.as_bytes()).expect("the terminal takes it");
    type_in("sh -c 'echo $$ > pid; exec ipcq get jobs'\n");
    let mut pid = 0;
    until("the waiter sleeps", || {
        let text = std::fs::read_to_string(sandbox.path("pid")).unwrap_or_default();
        pid = text.trim().parse().unwrap_or(0);
        std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|place| place.contains("futex"))
    });
    type_in("\x1a");
    until_stopped(pid);
    sandbox.ok("put jobs 'first'");
    assert_eq!(sandbox.ok("get jobs"), "'first'\n");
    type_in("fg\n");
    until("it has gone on", || {
        std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|place| place.contains("futex"))
            && std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| text.contains(") S "))
    });
    sandbox.ok("put jobs second-message");
    until("it has ended", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    type_in("echo code=$?.\nexit\n");
    drop(keys);
    let done = terminal.end();
    assert!(done.text().contains("second-message\r\n") && done.text().contains("code=0."), "{}", done.text());
}
