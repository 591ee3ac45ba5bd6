//! Where queues live: every shell of a user finds the same ones, and nobody else does.

use crate::harness::{Sandbox, are_root, binary};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Commands that use a queue of the default directory, or the directory itself.
const USES: [&str; 7] =
    ["create jobs", "put jobs message --create", "put jobs message", "get jobs", "stat jobs", "rm jobs", "ls"];

/// Asserts that `script` ends well and prints `expected`, where /dev/shm is empty and nobody else's. It has a
/// copy of `ipcq` that every user may run, in /dev/shm/.bin.
fn prints_with_fresh_shared_memory(script: &str, expected: &str) {
    let setup = format!(
        "mount -t tmpfs -o mode=1777 tmpfs /dev/shm && mkdir -m 755 /dev/shm/.bin && cp '{}' /dev/shm/.bin || exit 99
         PATH=/dev/shm/.bin:$PATH
         unset IPCQ_DIR",
        binary().display()
    );
    let Some(done) = Sandbox::new().with_mounts(&format!("{setup}\n{script}")) else { return };
    assert_eq!((done.code, done.text(), done.err.as_str()), (0, expected, ""));
}

/// The same, and the last command is refused with a line that says `why`.
fn is_refused_with_fresh_shared_memory(script: &str, why: &str) {
    let script = format!("mount -t tmpfs -o mode=1777 tmpfs /dev/shm || exit 99\nunset IPCQ_DIR\n{script}");
    let Some(done) = Sandbox::new().with_mounts(&script) else { return };
    let line = done.refusal(2);
    assert!(line.contains(why), "{line}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn the_default_is_in_shared_memory_and_private() {
    prints_with_fresh_shared_memory(
        "ipcq create jobs
         stat --format '%n %a %u' /dev/shm/ipcq-* /dev/shm/ipcq-*/*",
        "/dev/shm/ipcq-0 700 0\n/dev/shm/ipcq-0/jobs 600 0\n",
    );
}

#[test]
fn the_default_depends_on_nothing_else_in_the_environment() {
    prints_with_fresh_shared_memory(
        "ipcq create jobs
         for variable in HOME=/nowhere TMPDIR=/tmp XDG_RUNTIME_DIR=/run USER=nobody LOGNAME=nobody UID=77 IPCQ_DIR= TERM=dumb
         do env \"$variable\" ipcq put jobs \"$variable\"
         done
         cd / && env -i /dev/shm/.bin/ipcq put jobs nothing
         ipcq get jobs --all
         ls -A /dev/shm",
        "HOME=/nowhere\nTMPDIR=/tmp\nXDG_RUNTIME_DIR=/run\nUSER=nobody\nLOGNAME=nobody\nUID=77\nIPCQ_DIR=\nTERM=dumb\n\
         nothing\n.bin\nipcq-0\n",
    );
}

#[test]
fn every_user_has_queues_of_their_own() {
    if !are_root() {
        return;
    }
    prints_with_fresh_shared_memory(
        "as() { user=$1; shift; setpriv --reuid \"$user\" --regid \"$user\" --clear-groups \"$@\"; }
         ipcq create jobs && ipcq put jobs 'of root'
         as 1234 ipcq create jobs && as 1234 ipcq put jobs 'of 1234'
         as 1234 ipcq get jobs
         as 1234 ipcq get /dev/shm/ipcq-0/jobs 2>/dev/null
         echo \"exit code $?\"
         ipcq get jobs
         stat --format '%n %a %u' /dev/shm/ipcq-1234",
        "of 1234\nexit code 2\nof root\n/dev/shm/ipcq-1234 700 1234\n",
    );
}

#[test]
fn without_shared_memory_the_default_is_in_tmpdir_or_tmp() {
    let sandbox = Sandbox::new();
    let script = "
        unset IPCQ_DIR
        mount -t tmpfs tmpfs /tmp && mkdir /tmp/elsewhere && mount -t tmpfs tmpfs /dev || exit 99
        ipcq create one && TMPDIR=/tmp/elsewhere ipcq create two
        ipcq put one hello && ipcq verify one && ipcq get one
        stat --format '%n %a' /tmp/ipcq-0/one /tmp/elsewhere/ipcq-0/two";
    // The binary may be in /tmp, which the script hides; and it has to be started with /tmp as it is.
    let script = format!("cp '{}' /mnt/ipcq && PATH=/mnt:$PATH\n{script}", binary().display());
    let Some(done) = sandbox.with_mounts(&format!("mount -t tmpfs tmpfs /mnt && {script}")) else { return };
    let expected = "one: sound: 1 message ready, 0 leased, 5 bytes\nhello\n\
                    /tmp/ipcq-0/one 600\n/tmp/elsewhere/ipcq-0/two 600\n";
    assert_eq!((done.code, done.text(), done.err.as_str()), (0, expected, ""));
}

#[test]
fn a_default_directory_that_somebody_else_has_made_is_not_trusted() {
    if !are_root() {
        return;
    }
    for command in USES {
        is_refused_with_fresh_shared_memory(
            &format!("mkdir -m 700 /dev/shm/ipcq-0; chown 1234 /dev/shm/ipcq-0; ipcq {command}"),
            "the directory belongs to user 1234, not to you (user 0)",
        );
    }
}

#[test]
fn a_default_directory_that_another_user_has_planted_for_an_ordinary_user_is_not_trusted() {
    if !are_root() {
        return;
    }
    let commands = USES.join("; as 1234 ipcq ");
    let sentence = "ipcq: /dev/shm/ipcq-1234: the directory belongs to user 5678, not to you (user 1234): \
                    have it removed, or set IPCQ_DIR to a directory of your own\n";
    for mode in ["755", "777", "1777"] {
        prints_with_fresh_shared_memory(
            &format!(
                "as() {{ user=$1; shift; setpriv --reuid \"$user\" --regid \"$user\" --clear-groups \"$@\"; }}
                 as 5678 mkdir /dev/shm/ipcq-1234 && as 5678 chmod {mode} /dev/shm/ipcq-1234
                 {{ as 1234 ipcq {commands}; }} 2>&1
                 ls -A /dev/shm/ipcq-1234"
            ),
            &sentence.repeat(USES.len()),
        );
    }
}

#[test]
fn a_default_directory_that_is_a_link_is_not_followed() {
    for command in USES {
        is_refused_with_fresh_shared_memory(
            &format!("mkdir -m 700 /dev/shm/elsewhere; ln -s elsewhere /dev/shm/ipcq-0; ipcq {command}"),
            "is a symbolic link",
        );
    }
}

#[test]
fn a_default_directory_that_others_can_write_is_not_used() {
    for mode in ["770", "702", "1777"] {
        is_refused_with_fresh_shared_memory(
            &format!("mkdir /dev/shm/ipcq-0; chmod {mode} /dev/shm/ipcq-0; ipcq create jobs"),
            "others can write to the directory of your queues",
        );
    }
}

#[test]
fn permissions_do_not_depend_on_the_umask() {
    for umask in ["0", "022", "077", "0777"] {
        for command in ["create jobs", "put jobs message --create", "get jobs --create --timeout 0"] {
            let sandbox = Sandbox::new();
            let done = sandbox.sh(&format!("umask {umask}; ipcq {command}"));
            assert_eq!(done.err, "", "umask {umask}: {command}");
            assert_eq!(mode(&sandbox.queues()), 0o700, "umask {umask}: {command}");
            assert_eq!(mode(&sandbox.queues().join("jobs")), 0o600, "umask {umask}: {command}");
        }
    }
}

#[test]
fn a_mode_that_is_asked_for_is_the_one_there_is() {
    for umask in ["0", "077", "0777"] {
        for (asked, expected) in [("0660", 0o660), ("660", 0o660), ("666", 0o666), ("600", 0o600), ("0644", 0o644)] {
            let sandbox = Sandbox::new();
            let done = sandbox.sh(&format!("umask {umask}; ipcq create jobs --mode {asked}"));
            assert_eq!(done.code, 0, "{done:?}");
            assert_eq!(mode(&sandbox.queues().join("jobs")), expected, "umask {umask}: {asked}");
            assert_eq!(mode(&sandbox.queues()), 0o700);
        }
    }
}

#[test]
fn the_directory_that_was_chosen_is_made_with_its_parents() {
    let sandbox = Sandbox::new();
    let done = sandbox.sh("IPCQ_DIR=a/b/c ipcq create jobs");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(sandbox.path("a/b/c/jobs").is_file());
    assert_eq!(mode(&sandbox.path("a")), 0o700);
}

#[test]
fn the_directory_of_a_path_is_not_made() {
    let sandbox = Sandbox::new();
    let done = sandbox.run("create a/b/jobs");
    assert!(done.refusal(2).contains("there is no directory 'a/b' (make it with 'mkdir -p')"), "{done:?}");
    assert!(!sandbox.path("a").exists());
}

#[test]
fn nothing_but_create_makes_a_directory() {
    for command in [
        "ls",
        "ls --json",
        "put jobs message",
        "get jobs",
        "ack jobs 1",
        "join jobs",
        "produce jobs -- true",
        "peek jobs",
        "close jobs",
        "stat jobs",
        "rm jobs",
    ] {
        let sandbox = Sandbox::new();
        let done = sandbox.run(command);
        assert_eq!((done.code, done.text()), (if command.starts_with("ls") { 0 } else { 4 }, ""), "{command}");
        assert!(!sandbox.queues().exists(), "{command}");
    }
}

#[test]
fn ls_lists_the_queues_by_name_and_nothing_else() {
    let sandbox = Sandbox::new();
    for name in ["b", "a", "C"] {
        sandbox.ok(&format!("create {name} --capacity 1K"));
    }
    sandbox.ok("create ./not-here");
    sandbox.ok("put a one two");
    sandbox.ok("close a");
    fs::create_dir(sandbox.queues().join("directory")).unwrap();
    fs::write(sandbox.queues().join(".hidden"), "").unwrap();
    let expected = "C  0  0  0  0  0  1024  open\na  2  0  0  0  6  1024  closed\nb  0  0  0  0  0  1024  open\n";
    assert_eq!(sandbox.ok("ls"), expected);
    let names: Vec<_> = sandbox
        .ok("ls --json")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].clone())
        .collect();
    assert_eq!(names, ["C", "a", "b"]);
}

#[test]
fn ls_shows_the_good_queues_beside_a_bad_one() {
    let sandbox = Sandbox::new();
    sandbox.ok("create good");
    fs::write(sandbox.queues().join("bad"), "Dear diary,\n").unwrap();
    let done = sandbox.run("ls");
    assert_eq!((done.code, done.text()), (2, "good  0  0  0  0  0  67108864  open\n"));
    assert!(done.err.starts_with("ipcq: 1 queue could not be read: ") && done.err.lines().count() == 1, "{done:?}");
}
