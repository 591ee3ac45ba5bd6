//! A queue on disk after a reboot: its file as it was in the middle of things, and nobody left of those who used it.

use crate::harness::{Running, Sandbox};
use ipcq::local::{Field, HOT_FIELDS, LOG_FIELDS, OWNER_FIELDS, REDO_LOGS};
use std::io::PipeReader;
use std::ops::Range;

/// Where the table of owners is, how many entries it has, and how long they are; see ipcq-segment(5).
const OWNER_TABLE: usize = 8192;
const OWNERS: usize = 128;
const OWNER_BYTES: usize = 64;

fn place(fields: &[Field], name: &str) -> Range<usize> {
    let field = fields.iter().find(|field| field.name == name).expect("there is such a field");
    field.offset as usize..(field.offset + field.bytes) as usize
}

fn word(segment: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(segment[at..at + 8].try_into().unwrap())
}

/// The file as it would have been if the process that made `after` of `before` had died in the middle of its last
/// change: committed, and the first `applied` of the pairs in the log stored where they belong.
fn interrupted(before: &[u8], after: &[u8], applied: usize) -> Vec<u8> {
    let mut segment = after.to_vec();
    for at in pairs(after).skip(applied) {
        // What has been in the file only since then was zero.
        let old = before.get(at..at + 8).unwrap_or(&[0; 8]);
        segment[at..at + 8].copy_from_slice(old);
    }
    let commit = place(HOT_FIELDS, "commit");
    let commit = u32::from_ne_bytes(after[commit].try_into().unwrap());
    segment[place(HOT_FIELDS, "applied")].copy_from_slice(&(commit - 1).to_ne_bytes());
    segment
}

/// The offsets in the redo log.
fn pairs(segment: &[u8]) -> impl Iterator<Item = usize> {
    let log = REDO_LOGS[0] as usize;
    let count = word(segment, log + place(LOG_FIELDS, "redo pairs").start) as usize;
    let first = log + place(LOG_FIELDS, "first redo pair").start;
    (0..count).map(move |pair| word(segment, first + pair * 16) as usize)
}

/// A queue on disk with messages of all sizes, of which consumers that live hold some.
fn in_the_middle_of_things() -> (Sandbox, [(Running, PipeReader); 4], String) {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("spool")).unwrap();
    sandbox.ok("create ./spool/mail");
    let lines: Vec<_> = (0..40).map(|number| format!("{number}{}\n", "x".repeat(number * number))).collect();
    sandbox.run_with(["put", "./spool/mail", "-l"], lines.concat().as_bytes());
    for number in 40..45 {
        sandbox.ok(&format!("put ./spool/mail {number}"));
    }
    let consumers = ["-n 3", "-n 1", "-n 20", "-n 1"].map(|count| sandbox.stuck(&format!("get ./spool/mail {count}")));
    assert_eq!(sandbox.stat("./spool/mail", "leased"), 25);
    (sandbox, consumers, lines.concat() + "40\n41\n42\n43\n44\n")
}

#[test]
fn everything_is_ready_again_after_a_reboot() {
    let (sandbox, _consumers, all) = in_the_middle_of_things();
    // Where the file is when the machine is up again; with the same name it would be the same to us.
    std::fs::copy(sandbox.path("spool/mail"), sandbox.path("spool/later")).unwrap();
    let verified = sandbox.ok("verify ./spool/later");
    assert!(verified.contains(" 25 leased"), "nobody has looked yet: {verified}");
    assert_eq!(sandbox.ok("get ./spool/later -a"), all);
    sandbox.still_works("./spool/later");
}

#[test]
fn a_lease_whose_owner_lived_before_the_reboot_is_over() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("spool")).unwrap();
    sandbox.ok("create ./spool/mail");
    sandbox.ok("put ./spool/mail one two");
    // The first process lives, and has the same number again after every boot.
    sandbox.ok("get ./spool/mail --lease --owner 1");
    assert_eq!(sandbox.ok("get ./spool/mail -t 0"), "two\n");
    assert_eq!(sandbox.run("get ./spool/mail -t 0").code, 1, "its owner lives");
    let mut segment = std::fs::read(sandbox.path("spool/mail")).unwrap();
    let (boot, pid) = (place(OWNER_FIELDS, "owner boot"), place(OWNER_FIELDS, "owner pid"));
    let entries = (0..OWNERS).map(|entry| OWNER_TABLE + entry * OWNER_BYTES);
    let entries: Vec<usize> = entries.filter(|entry| word(&segment, entry + pid.start) == 1).collect();
    let [entry] = entries[..] else { panic!("{entries:?}") };
    segment[entry + boot.start] ^= 1;
    std::fs::write(sandbox.path("spool/mail"), segment).unwrap();
    assert_eq!(sandbox.ok("get ./spool/mail -t 0"), "one\n");
    sandbox.still_works("./spool/mail");
}

#[test]
fn a_change_that_was_half_done_is_done_after_a_reboot() {
    for (command, more) in
        [("put ./spool/mail last", "last\n"), ("get ./spool/mail -n 4", ""), ("close ./spool/mail", "")]
    {
        let (sandbox, _consumers, all) = in_the_middle_of_things();
        let segment = || std::fs::read(sandbox.path("spool/mail")).unwrap();
        let before = segment();
        let got = sandbox.ok(command);
        let after = segment();
        let expected = all.replace(&got, "") + more;
        let count = pairs(&after).count();
        assert!(count > 0);
        for applied in 0..=count {
            std::fs::write(sandbox.path("spool/later"), interrupted(&before, &after, applied)).unwrap();
            assert_eq!(sandbox.ok("get ./spool/later -a"), expected, "{command}, {applied} of {count}");
            if command.starts_with("close") {
                assert_eq!(sandbox.run("put ./spool/later more").code, 3);
            } else {
                sandbox.still_works("./spool/later");
            }
        }
    }
}
