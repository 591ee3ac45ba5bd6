//! A script that has used queues, and what it has started meanwhile, hold nothing of them: no file, no lock.

use crate::harness::{Running, Sandbox, have, until};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

/// The processes that descend from `pid`, and that itself.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(|child| child.parse().unwrap());
    [pid].into_iter().chain(children.flat_map(family)).collect()
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// The names of the processes that have something open in the sandbox's directory of queues, whoever they
/// descend from.
fn holders(sandbox: &Sandbox) -> Vec<String> {
    let has_open = |process: &Path| {
        // Those of others cannot be read, and some end meanwhile.
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        targets.any(|target| target.starts_with(sandbox.queues()))
    };
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let holders = processes.filter(|process| has_open(process));
    holders.map(|process| fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned()).collect()
}

/// Runs a script up to where it has printed `ready`; it then waits.
fn until_ready(sandbox: &Sandbox, shell: &str, script: &str) -> Running {
    let script = format!("{script}\necho ready > flag; read -r _");
    let mut command = sandbox.program(shell);
    let running = Running::from(command.args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap());
    until("the script is ready", || sandbox.path("flag").exists());
    running
}

#[test]
fn a_script_and_its_children_hold_nothing_of_a_queue_that_they_have_used() {
    for shell in ["sh", "bash", "dash"] {
        if !have(shell) {
            continue;
        }
        let sandbox = Sandbox::with_queues("jobs");
        let script = "
            sleep 1000 &
            ipcq put jobs one two three four
            test \"$(ipcq get jobs)\" = one || exit
            ipcq get jobs | { read -r two; test \"$two\" = two || exit; sleep 1000 & } > out 2>&1
            sleep 1000 &
            (ipcq get jobs > out; sleep 1000) &
            for i in 1 2 3; do ipcq put jobs more & done
            ipcq get jobs -n 4 > out; sleep 1000 &
            until test \"$(ipcq stat jobs --json | grep '\"ready\":0,\"leased\":0')\"; do :; done";
        let script = until_ready(&sandbox, shell, script);
        let family = family(script.pid());
        assert!(family.len() >= 5, "{family:?}");
        until("the last ipcq has ended", || family.iter().all(|pid| name(*pid) != "ipcq"));
        assert_eq!(holders(&sandbox), Vec::<String>::new());
        let inode = format!(":{} ", fs::metadata(sandbox.queues().join("jobs")).unwrap().ino());
        let locks = fs::read_to_string("/proc/locks").unwrap();
        assert!(!locks.contains(&inode), "{locks}");
        sandbox.still_works("jobs");
        end_all(script);
    }
}

#[test]
fn what_a_loop_over_a_follower_starts_does_not_keep_the_messages_of_the_follower() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs one two three");
    let script = until_ready(
        &sandbox,
        "sh",
        "ipcq get jobs -f | while read -r job; do sleep 1000 & echo $job >> seen; done & until test -f seen; do :; done",
    );
    until("all were seen", || fs::read_to_string(sandbox.path("seen")).is_ok_and(|seen| seen.lines().count() == 3));
    // They have been started, and may have to become what they are to be.
    until("all sleep", || family(script.pid()).into_iter().filter(|pid| name(*pid) == "sleep").count() == 3);
    assert_eq!(holders(&sandbox), ["ipcq"], "the follower");
    end_all(script);
    sandbox.still_works("jobs");
}

/// Kills a script and all that it has started.
fn end_all(script: Running) {
    for pid in family(script.pid()).into_iter().skip(1) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL);
    }
    drop(script);
}
