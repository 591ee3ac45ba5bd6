//! A segment's file is created whole or not at all, and trusted only when it is safe.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::AtomicUsize;

use nix::sys::stat::umask;
use nix::unistd::{Gid, Uid, chown, mkfifo};
use tempfile::{TempDir, tempdir};

use super::*;
use crate::place::Surroundings;

const STRANGER: u32 = 12345;

fn place(directory: &Path) -> Place {
    Place::from(&Surroundings {
        ipcq_dir: Some(directory.into()),
        access: Default::default(),
        tmpdir: None,
        uid: geteuid().as_raw(),
        shared_memory: "/missing".into(),
    })
}

fn named(directory: &Path, name: &str) -> SegmentFile {
    SegmentFile::new(&place(directory), &Address::parse(OsStr::new(name)).unwrap())
}

fn on_the_path(path: &Path) -> SegmentFile {
    SegmentFile::new(&place(Path::new("/missing")), &Address::parse(path.as_os_str()).unwrap())
}

/// A queue in the default directory, whose parent is `memory`.
fn private(memory: &TempDir, name: &str) -> SegmentFile {
    let surroundings = Surroundings {
        ipcq_dir: None,
        access: Default::default(),
        tmpdir: None,
        uid: 7,
        shared_memory: memory.path().into(),
    };
    SegmentFile::new(&Place::from(&surroundings), &Address::parse(OsStr::new(name)).unwrap())
}

fn every_home(top: &TempDir, name: &str) -> [SegmentFile; 3] {
    let directory = top.path().join("ipcq-7");
    [private(top, name), named(&directory, name), on_the_path(&directory.join(name))]
}

fn nothing(_: &File) -> io::Result<()> {
    Ok(())
}

fn greeting(mut file: &File) -> io::Result<()> {
    file.write_all(b"hello")
}

/// The same, as the ways to create a file have it from `create`.
fn greeted(file: &File) -> Result<()> {
    greeting(file).map_err(|error| Error::io("write", error))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn files_in(directory: &Path) -> Vec<OsString> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn what_is_created_can_be_opened_complete_and_private() {
    for home in 0..3 {
        let top = tempdir().unwrap();
        fs::create_dir(top.path().join("ipcq-7")).unwrap();
        set_mode(&top.path().join("ipcq-7"), 0o700);
        let segment = &every_home(&top, "q")[home];
        assert!(matches!(segment.open(), Err(Error::NoSuchQueue { name, .. }) if name == segment.name));
        segment.create(0o600, false, greeting).unwrap();
        let mut content = String::new();
        segment.open().unwrap().read_to_string(&mut content).unwrap();
        assert_eq!(content, "hello");
        assert_eq!(mode(segment.path()), 0o600);
        assert!(matches!(segment.create(0o600, false, nothing), Err(Error::AlreadyExists { .. })));
        segment.unlink().unwrap();
        assert!(matches!(segment.unlink(), Err(Error::NoSuchQueue { .. })));
    }
}

#[test]
fn the_directory_of_a_name_is_made_and_that_of_a_path_is_not() {
    let top = tempdir().unwrap();
    let directory = top.path().join("a/b");
    assert!(matches!(named(&directory, "q").open(), Err(Error::NoSuchQueue { .. })));
    let error = on_the_path(&directory.join("q")).create(0o600, false, nothing).unwrap_err();
    assert!(error.to_string().contains("there is no directory '"), "{error}");
    assert!(!top.path().join("a").exists());
    named(&directory, "q").create(0o600, false, nothing).unwrap();
    assert_eq!((mode(&top.path().join("a")), mode(&directory)), (0o700, 0o700));
    private(&top, "q").create(0o600, false, nothing).unwrap();
    assert_eq!(mode(&top.path().join("ipcq-7")), 0o700);
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    let top = tempdir().unwrap();
    let segment = named(top.path(), "q");
    let directory = Directory::open(top.path(), Home::Chosen).unwrap().unwrap();
    let full = |_: &File| Err(io::Error::from(Errno::ENOSPC));
    assert!(segment.create(0o600, false, full).unwrap_err().to_string().contains("no space is left in"));
    let fail = |_: &File| Err(Error::Other("no".into()));
    assert_eq!(segment.create_under_temporary_name(&directory, fail).unwrap_err().to_string(), "no");
    assert!(files_in(top.path()).is_empty());
}

#[test]
fn of_many_creators_one_wins_and_nobody_sees_an_unfinished_file() {
    let top = tempdir().unwrap();
    let directory = Directory::open(top.path(), Home::Chosen).unwrap().unwrap();
    for with_temporary_names in [false, true] {
        let segment = named(top.path(), &format!("q{with_temporary_names}"));
        let winners = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let created = if with_temporary_names {
                        segment.create_under_temporary_name(&directory, greeted)
                    } else {
                        segment.create(0o600, false, greeting)
                    };
                    match created {
                        Ok(_) => drop(winners.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => assert!(matches!(error, Error::AlreadyExists { .. }), "{error}"),
                    }
                    assert_eq!(fs::read(segment.path()).unwrap(), b"hello");
                });
            }
        });
        assert_eq!(winners.into_inner(), 1);
    }
    assert_eq!(files_in(top.path()).len(), 2);
    assert_eq!(fs::metadata(top.path().join("qtrue")).unwrap().nlink(), 1);
}

#[test]
fn a_temporary_name_that_was_left_behind_is_passed_over() {
    let top = tempdir().unwrap();
    let segment = named(top.path(), "q");
    let directory = Directory::open(top.path(), Home::Chosen).unwrap().unwrap();
    let (_file, left_behind) = segment.create_temporary(&directory).unwrap();
    segment.create_under_temporary_name(&directory, |_| Ok(())).unwrap();
    assert_eq!(crate::local::list(&place(top.path())).unwrap().len(), 1);
    assert!(top.path().join(left_behind).exists());
}

#[test]
fn the_mode_is_the_one_asked_for_whatever_the_umask() {
    let top = tempdir().unwrap();
    let segment = named(top.path(), "q");
    // The umask is the whole process's; other tests at the same moment do not mind this one.
    let before = umask(Mode::from_bits_truncate(0o077));
    let created = segment.create(0o666, false, nothing);
    umask(before);
    created.unwrap();
    assert_eq!(mode(segment.path()), 0o666);
}

#[test]
fn what_is_not_a_regular_file_is_named() {
    let top = tempdir().unwrap();
    let directory = top.path().join("ipcq-7");
    fs::create_dir_all(directory.join("folder")).unwrap();
    set_mode(&directory, 0o700);
    mkfifo(&directory.join("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(directory.join("socket")).unwrap();
    for (name, kind) in [("folder", "a directory"), ("fifo", "a fifo"), ("socket", "a socket")] {
        for segment in every_home(&top, name) {
            let attempts =
                [segment.open(), segment.create(0o600, false, nothing), segment.unlink().map(|()| unreachable!())];
            for error in attempts.into_iter().map(Result::unwrap_err) {
                assert!(matches!(error, Error::Unusable { .. }), "{error}");
                assert!(error.to_string().ends_with(&format!("it is {kind}")), "{error}");
            }
        }
    }
    let error = on_the_path(Path::new("/dev/null")).open().unwrap_err();
    assert!(error.to_string().ends_with("it is a device"), "{error}");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn a_link_in_place_of_the_file_is_not_followed_even_if_it_is_ours() {
    let top = tempdir().unwrap();
    let directory = top.path().join("ipcq-7");
    private(&top, "real").create(0o600, false, nothing).unwrap();
    symlink("real", directory.join("link")).unwrap();
    symlink("missing", directory.join("dangling")).unwrap();
    for name in ["link", "dangling"] {
        for segment in every_home(&top, name) {
            let errors = [segment.open().unwrap_err(), segment.create(0o600, false, nothing).unwrap_err()];
            for error in errors {
                assert!(matches!(error, Error::Untrusted { .. }), "{error}");
                assert!(error.to_string().contains("this is a symbolic link"), "{error}");
            }
        }
    }
    assert!(!directory.join("missing").exists());
}

#[test]
fn a_strangers_file_is_trusted_only_when_a_group_of_ours_shares_it() {
    if !geteuid().is_root() {
        return; // Only root can give files away.
    }
    let top = tempdir().unwrap();
    private(&top, "q").create(0o600, false, nothing).unwrap();
    let path = top.path().join("ipcq-7/q");
    let ours = getegid().as_raw();
    let cases = [
        (ours, 0o600, false),
        (ours, 0o640, false),
        (ours, 0o620, false),
        (ours, 0o660, true),
        (ours, 0o664, true),
        (ours, 0o666, false),
        (STRANGER, 0o660, false),
        (STRANGER, 0o666, false),
    ];
    for (group, mode, trusted) in cases {
        chown(&path, Some(Uid::from_raw(STRANGER)), Some(Gid::from_raw(group))).unwrap();
        set_mode(&path, mode);
        let [private, named, on_the_path] = every_home(&top, "q").map(|segment| segment.open());
        for opened in [named, on_the_path] {
            assert_eq!(opened.is_ok(), trusted, "group {group} mode {mode:o}");
            if let Err(error) = opened {
                assert!(matches!(error, Error::Untrusted { .. }), "{error}");
                assert!(error.to_string().contains("belongs to user 12345, not to you (user 0)"), "{error}");
            }
        }
        assert!(matches!(private, Err(Error::Untrusted { .. })), "group {group} mode {mode:o}");
    }
}

#[test]
fn a_shared_file_is_trusted_only_where_nobody_but_its_group_can_have_put_it() {
    if !geteuid().is_root() {
        return; // Only root can give files away.
    }
    let top = tempdir().unwrap();
    let segment = named(top.path(), "q");
    for (mode, trusted) in [(0o700, true), (0o755, true), (0o2770, true), (0o1775, true), (0o1777, false)] {
        set_mode(top.path(), mode);
        segment.create(0o660, false, nothing).unwrap();
        segment.open().unwrap();
        chown(segment.path(), Some(Uid::from_raw(STRANGER)), None).unwrap();
        match segment.open() {
            Ok(_) => assert!(trusted, "{mode:o}"),
            Err(error) => {
                assert!(!trusted && matches!(error, Error::Untrusted { .. }), "{mode:o}: {error}");
                assert!(error.to_string().contains("anyone could have put it into this directory"), "{error}");
            }
        }
        segment.unlink().unwrap();
    }
}

#[test]
fn what_a_group_may_use_belongs_to_the_group_that_shares_the_directory() {
    if !geteuid().is_root() {
        return; // Only root can give files to a group that it is no member of.
    }
    let top = tempdir().unwrap();
    chown(top.path(), None, Some(Gid::from_raw(STRANGER))).unwrap();
    let ours = getegid().as_raw();
    for (directory, file, group) in [
        (0o770, 0o660, STRANGER),
        (0o2770, 0o660, STRANGER),
        (0o775, 0o664, STRANGER),
        (0o770, 0o600, ours),
        (0o770, 0o640, ours),
        (0o755, 0o660, ours),
        (0o1777, 0o660, ours),
    ] {
        set_mode(top.path(), directory);
        let segment = named(top.path(), "q");
        let status = segment.create(file, false, nothing).unwrap().metadata().unwrap();
        assert_eq!((status.gid(), status.mode() & 0o7777), (group, file), "{directory:o} {file:o}");
        segment.unlink().unwrap();
    }
}

#[test]
fn where_anyone_can_replace_files_nothing_is_opened_created_or_removed() {
    let top = tempdir().unwrap();
    let segment = named(top.path(), "q");
    segment.create(0o600, false, nothing).unwrap();
    set_mode(top.path(), 0o777);
    assert!(matches!(segment.open(), Err(Error::Untrusted { .. })));
    assert!(matches!(segment.unlink(), Err(Error::Untrusted { .. })));
    assert!(matches!(named(top.path(), "new").create(0o600, false, nothing), Err(Error::Untrusted { .. })));
    set_mode(top.path(), 0o1777);
    segment.open().unwrap();
}

#[test]
fn a_file_has_a_name_until_it_is_removed_or_replaced() {
    let top = tempdir().unwrap();
    let segment = named(&top.path().join("queues"), "q");
    let first = segment.create(0o600, false, nothing).unwrap();
    assert_eq!(length_if_named(&first).unwrap(), Some(0));
    assert_eq!(length_if_named(&segment.open().unwrap()).unwrap(), Some(0));
    segment.unlink().unwrap();
    assert_eq!(length_if_named(&first).unwrap(), None);
    let second = segment.create(0o600, false, nothing).unwrap();
    assert!(length_if_named(&second).unwrap().is_some());
    fs::write(top.path().join("other"), "").unwrap();
    fs::rename(top.path().join("other"), segment.path()).unwrap();
    assert_eq!(length_if_named(&second).unwrap(), None);
}

#[test]
fn failures_of_the_system_are_sentences() {
    let segment = named(Path::new("/queues"), "q");
    for errno in [Errno::ENOSPC, Errno::EROFS, Errno::EACCES, Errno::EDQUOT, Errno::EPERM, Errno::ENAMETOOLONG] {
        let message = segment.cannot_create(errno).to_string();
        assert!(message.starts_with("cannot create queue 'q': ") && message.contains("; "), "{message}");
    }
    let directory = Directory::open(Path::new("/"), Home::OnThePath).unwrap().unwrap();
    let message = segment.cannot_open(&directory, Errno::EROFS).to_string();
    assert!(message.contains("read-only file system"), "{message}");
    let message = segment.cannot_open(&directory, Errno::EIO).to_string();
    assert!(message.starts_with("cannot open '/queues/q': "), "{message}");
    let long = on_the_path(Path::new(&format!("./{}", "x".repeat(300))));
    assert!(long.open().is_err() && long.create(0o600, false, nothing).is_err());
}
