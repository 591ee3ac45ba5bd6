//! A read-only or a full file system is an error that says so; what is in the queues there stays.

use crate::harness::{Done, Sandbox};

/// Runs `script` with the directory of queues on a file system of 64 KiB of its own. The script may call
/// `fill`, which takes all space that is left, and `protect`, which makes it read-only.
fn on_small_file_system(script: &str) -> Option<Done> {
    const FUNCTIONS: &str = "
        fill() { ! cat /dev/zero > \"$IPCQ_DIR/.fill\" 2>/dev/null; }
        protect() { mount -o remount,bind,ro \"$IPCQ_DIR\"; }
        mkdir \"$IPCQ_DIR\" && mount -t tmpfs -o size=64k,mode=700 tmpfs \"$IPCQ_DIR\" || exit 99
    ";
    // Whatever happens to them, the queues there are sound afterwards.
    const CHECK: &str = "
        code=$?
        for queue in $(ipcq ls 2>/dev/null | cut -d ' ' -f 1); do ipcq verify \"$queue\" >/dev/null || exit 98; done
        exit $code
    ";
    Sandbox::new().with_mounts(&format!("{FUNCTIONS}\n{script}\n{CHECK}"))
}

/// Asserts that the last command of `script` is refused for want of space.
fn has_no_space(script: &str) {
    let Some(done) = on_small_file_system(script) else { return };
    let line = done.refusal(2).to_lowercase();
    assert!(line.contains("no space"), "{line}");
}

/// Asserts that `script` ends well and prints `expected`.
fn prints(script: &str, expected: &str) {
    let Some(done) = on_small_file_system(script) else { return };
    assert_eq!((done.code, done.text(), done.err.as_str()), (0, expected, ""));
}

#[test]
fn create_on_a_full_file_system() {
    has_no_space("fill; ipcq create jobs");
    has_no_space("fill; ipcq put jobs message --create");
    has_no_space("fill; ipcq get jobs --create");
}

#[test]
fn a_directory_cannot_be_made_on_a_full_file_system() {
    has_no_space("fill; IPCQ_DIR=$IPCQ_DIR/new ipcq create jobs");
}

#[test]
fn a_failed_create_leaves_nothing_behind() {
    prints("fill; ipcq create jobs 2>/dev/null; ls -A \"$IPCQ_DIR\"", ".fill\n");
}

#[test]
fn put_into_an_empty_queue_that_cannot_grow() {
    has_no_space("ipcq create jobs; fill; head -c 30000 /dev/zero | ipcq put jobs");
    has_no_space("ipcq create jobs; head -c 100000 /dev/zero | ipcq put jobs");
}

#[test]
fn a_queue_that_could_not_grow_goes_on_with_what_it_has() {
    prints(
        "ipcq create jobs
         head -c 100000 /dev/zero | ipcq put jobs 2>/dev/null
         ipcq put jobs one two
         ipcq get jobs --all",
        "one\ntwo\n",
    );
}

#[test]
fn a_queue_on_a_full_file_system_can_be_emptied_and_filled_again() {
    prints(
        "ipcq create jobs
         until ! ipcq put jobs \"$(printf %01000d 1)\" --timeout 0 2>/dev/null; do put=$((put + 1)); done
         fill
         ipcq put jobs \"$(printf %01000d 1)\" --timeout 0 2>/dev/null
         echo \"put: exit code $?\"
         test \"$(ipcq get jobs --all | wc -l)\" -eq \"$put\" && echo 'got as many as were put'
         ipcq put jobs again && ipcq get jobs
         ipcq close jobs && ipcq rm jobs && ipcq ls",
        "put: exit code 1\ngot as many as were put\nagain\n",
    );
}

#[test]
fn leases_need_no_space() {
    // One that was put alone, and one out of a run, whose longest messages share a unit with the next.
    for put in [
        "ipcq put jobs \"$(printf %0200d 1)\" && ipcq put jobs two && ipcq put jobs three",
        "printf '%0200d\\ntwo\\nthree\\n' 1 | ipcq put jobs --lines",
    ] {
        prints(
            &format!(
                "ipcq create jobs --max-attempts 1
                 {put}
                 fill
                 until ! ipcq put jobs \"$(printf %01000d 1)\" --timeout 0 2>/dev/null; do :; done
                 sleep 1000 & owner=$!
                 ipcq get jobs --lease 1h -n 2 -o /dev/null --owner $owner
                 ipcq get jobs --lease 1h
                 ipcq ack jobs 1
                 ipcq extend jobs 3 2h
                 ipcq nack jobs 3
                 kill $owner
                 wait
                 ipcq peek jobs --dead --json -n 1 | grep -o '\"body\":[^,]*'
                 ipcq retry jobs --all
                 ipcq get jobs -n 2",
            ),
            "1\n2\nthree\n\"body\":\"three\"\ntwo\nthree\n",
        );
    }
}

#[test]
fn those_who_only_look_work_on_a_read_only_file_system() {
    prints("ipcq create jobs && ipcq put jobs hello && protect && ipcq peek jobs", "hello\n");
    for command in ["stat jobs", "ls", "verify jobs"] {
        let script = format!("ipcq create jobs; ipcq put jobs hello; protect; ipcq {command}");
        let Some(done) = on_small_file_system(&script) else { return };
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{command}");
    }
}

#[test]
fn every_command_that_changes_something_on_a_read_only_file_system() {
    for command in [
        "put jobs message",
        "put jobs message --create --timeout 0",
        "get jobs",
        "get jobs --create",
        "get jobs --lease",
        "ack jobs 1",
        "nack jobs 1",
        "extend jobs 1 1s",
        "join jobs",
        "produce jobs -- true",
        "retry jobs --all",
        "purge jobs",
        "close jobs",
        "rm jobs",
        "create other",
        "put other message --create",
    ] {
        let script = format!("ipcq create jobs; ipcq put jobs hello; protect; ipcq {command}");
        let Some(done) = on_small_file_system(&script) else { return };
        let line = done.refusal(2);
        assert!(line.contains("on a read-only file system"), "{command}: {line}");
    }
}

#[test]
fn a_directory_cannot_be_made_on_a_read_only_file_system() {
    let Some(done) = on_small_file_system("protect; IPCQ_DIR=$IPCQ_DIR/new ipcq create jobs") else { return };
    assert!(done.refusal(2).contains("on a read-only file system"), "{done:?}");
}

#[test]
fn what_was_put_before_is_there_when_the_file_system_can_be_written_again() {
    prints(
        "ipcq create jobs && ipcq put jobs hello && protect
         ipcq get jobs 2>/dev/null
         mount -o remount,bind,rw \"$IPCQ_DIR\" && ipcq get jobs",
        "hello\n",
    );
}
