//! A file that is no queue, or that is not to be trusted, is refused by every command, and left as it is.

use crate::harness::{Done, Running, Sandbox, are_root};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// What is tried on a bad file; `QUEUE` stands for it.
const COMMANDS: [&str; 18] = [
    "put QUEUE message",
    "put QUEUE message --create --timeout 0",
    "put QUEUE --lines",
    "get QUEUE --timeout 0",
    "get QUEUE --create --timeout 0",
    "get QUEUE --lease --timeout 0",
    "ack QUEUE 1",
    "nack QUEUE 1 2.2 --delay 1s",
    "extend QUEUE 1 1s",
    "join QUEUE",
    "produce QUEUE -- true",
    "peek QUEUE",
    "retry QUEUE --all",
    "purge QUEUE",
    "close QUEUE",
    "stat QUEUE",
    "rm QUEUE",
    "create QUEUE --exist-ok",
];

const STRANGER: u32 = 12345;

/// A sandbox whose directory of queues is there, and the path in it of what is going to be `bad`.
fn with_directory() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.queues()).unwrap();
    let path = sandbox.queues().join("bad");
    (sandbox, path)
}

/// A sandbox with a queue that has a message in it, and the path of its file.
fn with_queue() -> (Sandbox, PathBuf) {
    let (sandbox, path) = with_directory();
    sandbox.ok("create bad");
    sandbox.ok("put bad hello");
    (sandbox, path)
}

/// Runs `ipcq` with the words of `arguments`; fails instead of waiting for ever.
fn run(sandbox: &Sandbox, arguments: &str) -> Done {
    sandbox.start(arguments).end()
}

/// Asserts that every command refuses what is at `queues/bad`, by its name and by its path, with a line that says
/// `why`; that create refuses as well; and that it is what it was afterwards.
fn is_refused(sandbox: &Sandbox, path: &Path, why: &str) {
    let before = look(path);
    for queue in ["bad", "./queues/bad"] {
        for command in COMMANDS {
            let done = run(sandbox, &command.replace("QUEUE", queue));
            let line = done.refusal(2);
            assert!(line.contains("queues/bad") && line.contains(why), "{command}: {line}");
        }
        run(sandbox, &format!("create {queue}")).refusal(2);
    }
    assert_eq!(look(path), before);
}

/// Which file it is, of what kind, and the content of a regular one.
fn look(path: &Path) -> (u64, u32, Option<Vec<u8>>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.ino(), metadata.mode(), metadata.is_file().then(|| fs::read(path).unwrap()))
}

#[test]
fn a_directory() {
    let (sandbox, path) = with_directory();
    fs::create_dir(&path).unwrap();
    is_refused(&sandbox, &path, "it is a directory");
}

#[test]
fn a_symbolic_link_to_a_good_queue() {
    let (sandbox, path) = with_directory();
    sandbox.ok("create good");
    symlink("good", &path).unwrap();
    is_refused(&sandbox, &path, "this is a symbolic link, and is not followed");
    assert_eq!(sandbox.stat("good", "put"), 0);
}

#[test]
fn a_symbolic_link_that_leads_nowhere() {
    let (sandbox, path) = with_directory();
    symlink("nowhere", &path).unwrap();
    is_refused(&sandbox, &path, "this is a symbolic link, and is not followed");
    assert!(!sandbox.queues().join("nowhere").exists());
}

#[test]
fn a_fifo_at_whose_other_end_nobody_is() {
    let (sandbox, path) = with_directory();
    assert_eq!(sandbox.sh("mkfifo queues/bad").code, 0);
    is_refused(&sandbox, &path, "it is a fifo");
}

#[test]
fn a_socket() {
    let (sandbox, path) = with_directory();
    let _listener = UnixListener::bind(&path).unwrap();
    is_refused(&sandbox, &path, "it is a socket");
}

#[test]
fn a_device() {
    let sandbox = Sandbox::new();
    for device in ["/dev/null", "/dev/zero", "/dev/tty"] {
        for command in COMMANDS {
            let done = run(&sandbox, &command.replace("QUEUE", device));
            let line = done.refusal(2);
            assert!(line.contains(device) && line.contains("it is a device"), "{line}");
        }
        assert!(Path::new(device).exists());
    }
}

#[test]
fn an_empty_file() {
    let (sandbox, path) = with_directory();
    fs::write(&path, "").unwrap();
    is_refused(&sandbox, &path, "not a usable queue: it is");
}

#[test]
fn a_text_file() {
    let (sandbox, path) = with_directory();
    for text in ["Dear diary,\n", &"All work and no play makes Jack a dull boy.\n".repeat(10_000)] {
        fs::write(&path, text).unwrap();
        is_refused(&sandbox, &path, "not a usable queue: it is");
    }
}

#[test]
fn a_segment_that_was_truncated() {
    for length in [100, 4096, 5000, 16383] {
        let (sandbox, path) = with_queue();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length).unwrap();
        for command in ["put bad message", "get bad --timeout 0", "close bad", "stat bad"] {
            let done = run(&sandbox, command);
            let line = done.refusal(2);
            assert!(
                line.contains("queues/bad") && (line.contains("truncated") || line.contains("too short")),
                "{line}"
            );
        }
        assert_eq!(file.metadata().unwrap().len(), length);
        // It was a queue, so it can be removed like one.
        sandbox.ok("rm bad");
    }
}

#[test]
fn a_segment_of_another_version() {
    let (sandbox, path) = with_queue();
    let mut bytes = fs::read(&path).unwrap();
    // The version follows the magic; see ipcq-segment(5).
    bytes[8] = 99;
    fs::write(&path, &bytes).unwrap();
    for command in ["put bad message", "get bad --timeout 0", "close bad", "stat bad", "create bad --exist-ok"] {
        let done = run(&sandbox, command);
        assert!(done.refusal(2).contains("queues/bad"), "{done:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

/// Runs `ipcq` as a user who may not do what a file's mode forbids, even if we are root.
fn without_privileges(sandbox: &Sandbox, arguments: &str) -> Done {
    let mut command = if are_ordinary() {
        sandbox.ipcq(arguments.split(' '))
    } else {
        let mut command = sandbox.program("setpriv");
        command.args(["--bounding-set=-dac_override,-dac_read_search", "ipcq"]).args(arguments.split(' '));
        command
    };
    Running::from(command.spawn().expect("ipcq starts")).end()
}

fn are_ordinary() -> bool {
    !nix::unistd::geteuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_queue_that_may_not_be_read_or_not_be_written() {
    for mode in [0o000, 0o400, 0o200, 0o066] {
        let (sandbox, path) = with_queue();
        set_mode(&path, mode);
        for command in COMMANDS {
            let done = without_privileges(&sandbox, &command.replace("QUEUE", "bad"));
            if mode == 0o400 && ["peek QUEUE", "stat QUEUE"].contains(&command) {
                assert_eq!(done.code, 0, "who only looks need not write: {done:?}");
                continue;
            }
            let line = done.refusal(2);
            assert!(line.contains("queues/bad") && line.contains("you may not read and write it"), "{command}: {line}");
        }
        set_mode(&path, 0o600);
        assert_eq!(sandbox.ok("get bad"), "hello\n");
    }
}

#[test]
fn a_queue_in_a_directory_that_may_not_be_entered() {
    let (sandbox, _) = with_queue();
    set_mode(&sandbox.queues(), 0o000);
    let refusals = COMMANDS.map(|command| without_privileges(&sandbox, &command.replace("QUEUE", "bad")));
    let listing = without_privileges(&sandbox, "ls");
    set_mode(&sandbox.queues(), 0o700);
    for done in &refusals {
        assert!(done.refusal(2).to_lowercase().contains("permission denied"), "{done:?}");
    }
    assert!(listing.refusal(2).to_lowercase().contains("permission denied"), "{listing:?}");
    assert_eq!(sandbox.ok("get bad"), "hello\n");
}

#[test]
fn a_new_queue_in_a_directory_that_may_not_be_written() {
    let (sandbox, _) = with_directory();
    set_mode(&sandbox.queues(), 0o500);
    let done = without_privileges(&sandbox, "create jobs");
    set_mode(&sandbox.queues(), 0o700);
    assert!(done.refusal(2).contains("you may not write to"), "{done:?}");
}

#[test]
fn a_queue_in_a_directory_that_may_only_be_entered_is_good() {
    let (sandbox, _) = with_queue();
    set_mode(&sandbox.queues(), 0o100);
    let done = without_privileges(&sandbox, "get bad");
    set_mode(&sandbox.queues(), 0o700);
    assert_eq!((done.code, done.text()), (0, "hello\n"), "{done:?}");
}

#[test]
fn a_queue_of_another_user() {
    if !are_root() {
        return;
    }
    for mode in [0o600, 0o666, 0o644] {
        let (sandbox, path) = with_queue();
        chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
        set_mode(&path, mode);
        is_refused(&sandbox, &path, "the queue belongs to user 12345, not to you (user 0)");
    }
}

#[test]
fn a_queue_of_another_user_that_anyone_can_write() {
    if !are_root() {
        return;
    }
    let (sandbox, path) = with_queue();
    chown(&path, Some(STRANGER), None).unwrap();
    set_mode(&path, 0o666);
    is_refused(&sandbox, &path, "anyone can write to it");
}

#[test]
fn a_queue_that_another_user_shares_with_our_group_is_good() {
    if !are_root() {
        return;
    }
    let (sandbox, path) = with_queue();
    chown(&path, Some(STRANGER), None).unwrap();
    set_mode(&path, 0o660);
    assert_eq!(sandbox.ok("get bad"), "hello\n");
}

#[test]
fn a_queue_that_another_user_shares_with_our_group_where_anyone_can_have_put_it() {
    if !are_root() {
        return;
    }
    let (sandbox, path) = with_queue();
    chown(&path, Some(STRANGER), None).unwrap();
    set_mode(&path, 0o660);
    set_mode(&sandbox.queues(), 0o1777);
    is_refused(&sandbox, &path, "anyone could have put it into this directory");
}

#[test]
fn a_symbolic_link_on_the_way_that_others_can_have_put_there() {
    let (sandbox, _) = with_queue();
    fs::create_dir(sandbox.path("shared")).unwrap();
    symlink("../queues", sandbox.path("shared/link")).unwrap();
    assert_eq!(run(&sandbox, "stat shared/link/bad").code, 0);
    for mode in [0o770, 0o2775, 0o1777] {
        set_mode(&sandbox.path("shared"), mode);
        for command in COMMANDS {
            let done = run(&sandbox, &command.replace("QUEUE", "shared/link/bad"));
            let line = done.refusal(2);
            assert!(
                line.contains("shared/link: this symbolic link is in a directory that others can write to"),
                "{line}"
            );
        }
    }
    set_mode(&sandbox.path("shared"), 0o755);
    assert_eq!(sandbox.ok("get shared/link/bad"), "hello\n");
}

#[test]
fn a_symbolic_link_of_another_user_on_the_way() {
    if !are_root() {
        return;
    }
    let (sandbox, _) = with_queue();
    symlink("queues", sandbox.path("link")).unwrap();
    assert_eq!(run(&sandbox, "stat link/bad").code, 0);
    std::os::unix::fs::lchown(sandbox.path("link"), Some(STRANGER), None).unwrap();
    for command in COMMANDS {
        let done = run(&sandbox, &command.replace("QUEUE", "link/bad"));
        assert!(done.refusal(2).contains("this symbolic link belongs to user 12345, and is not followed"), "{done:?}");
    }
}

#[test]
fn a_directory_where_anyone_can_replace_files() {
    let (sandbox, path) = with_queue();
    set_mode(&sandbox.queues(), 0o777);
    for command in COMMANDS {
        let done = run(&sandbox, &command.replace("QUEUE", "bad"));
        assert!(done.refusal(2).contains("anyone can replace files in this directory"), "{done:?}");
    }
    assert!(path.exists());
}

#[test]
fn a_path_through_a_file() {
    let (sandbox, _) = with_queue();
    for command in COMMANDS {
        let done = run(&sandbox, &command.replace("QUEUE", "./queues/bad/queue"));
        assert!(done.refusal(2).contains("'./queues/bad' is not a directory"), "{done:?}");
    }
}
