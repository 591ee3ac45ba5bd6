//! The directory a queue's file is in: reached over no stranger's symbolic link, and fit to hold it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::libc::{S_IFDIR, S_IFLNK, S_IFMT, S_ISVTX, S_IWGRP, S_IWOTH};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmodat, fstat, mkdirat};
use nix::unistd::{Gid, geteuid};

use crate::error::{Error, Result};
use crate::name::printable;
use crate::place::Home;

/// As many symbolic links as the kernel itself would follow.
const MOST_LINKS: usize = 40;

/// The mode of every directory that is made.
const PRIVATE_MODE: Mode = Mode::S_IRWXU;

/// Only a place to name files in: nothing is read from it, so its read permission is not needed.
const AS_A_PLACE: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// An open directory that has passed every check. What is done relative to it happens in it, even
/// if its path names another one by now.
#[derive(Debug)]
pub(crate) struct Directory {
    descriptor: OwnedFd,
    group: u32,
    mode: u32,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Directory {
    /// Opens the directory `path`; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Error::Untrusted`] when a symbolic link on the way, or the directory itself, is not safe;
    /// [`Error::Other`] when it cannot be reached.
    pub(crate) fn open(path: &Path, home: Home) -> Result<Option<Self>> {
        let Some(descriptor) = reach(path, home)? else { return Ok(None) };
        let status = fstat(&descriptor).map_err(|errno| unreachable_directory(path, errno))?;
        check(path, home, &status)?;
        Ok(Some(Self { descriptor, group: status.st_gid, mode: status.st_mode }))
    }

    /// Waits until the names in the directory are on the disk.
    ///
    /// # Errors
    /// Those of openat(2) and fsync(2).
    pub(crate) fn sync(&self) -> io::Result<()> {
        // A place to name files in cannot be synced, a directory that is open for reading can.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        File::from(openat(self, ".", flags, Mode::empty())?).sync_all()
    }

    /// Opens the directory `path`, and first makes it and its parents, all with mode 0700,
    /// where they are missing.
    ///
    /// # Errors
    /// Those of [`Directory::open`]; [`Error::Other`] when it cannot be made.
    pub(crate) fn open_or_make(path: &Path, home: Home) -> Result<Self> {
        if let Some(directory) = Self::open(path, home)? {
            return Ok(directory);
        }
        make(path, home)?;
        // Whoever made it, and if it is a link that leads nowhere, the checks decide.
        Self::open(path, home)?.ok_or_else(|| cannot_make(path, Errno::ENOENT))
    }

    /// Whether anybody at all can put a file here.
    pub(crate) fn is_open_to_all(&self) -> bool {
        self.mode & S_IWOTH != 0
    }

    /// The group whose members, and nobody else, share this directory, if there is one.
    pub(crate) fn sharing_group(&self) -> Option<Gid> {
        (self.mode & (S_IWGRP | S_IWOTH) == S_IWGRP).then_some(Gid::from_raw(self.group))
    }
}

/// The path of a directory and the last component in it; the directory of a bare name is `.`.
pub(crate) fn split(path: &Path) -> (PathBuf, OsString) {
    let bytes = path.as_os_str().as_bytes();
    let (directory, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (&b"/"[..], &bytes[1..]),
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
        None => (&b"."[..], bytes),
    };
    (PathBuf::from(OsStr::from_bytes(directory)), OsStr::from_bytes(name).to_owned())
}

/// Opens `path` without following a link that anyone but us and root can have made; `None` when it does not exist.
fn reach(path: &Path, home: Home) -> Result<Option<OwnedFd>> {
    let how = OpenHow::new().flags(AS_A_PLACE).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(AT_FDCWD, path, how) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(Errno::ENOENT) => Ok(None),
        // A link is on the way; or this kernel, or the sandbox around us, knows no openat2.
        Err(Errno::ELOOP | Errno::ENOSYS | Errno::EPERM) => walk(path, home),
        Err(errno) => Err(unreachable_directory(path, errno)),
    }
}

/// Does what the kernel does to resolve a path, one component after the other, and looks at
/// every link before it is followed: `/var/run -> /run` is an administrator's work, a link in `/tmp`
/// may be a trap.
fn walk(path: &Path, home: Home) -> Result<Option<OwnedFd>> {
    let failed = |errno| unreachable_directory(path, errno);
    let start = |path: &Path| {
        let root_or_here = if path.is_absolute() { "/" } else { "." };
        openat(AT_FDCWD, root_or_here, AS_A_PLACE, Mode::empty()).map_err(failed)
    };
    let mut reached = start(path)?;
    let mut shown = if path.is_absolute() { PathBuf::from("/") } else { PathBuf::new() };
    let mut ahead: VecDeque<OsString> = components(path).collect();
    let mut links = 0;
    while let Some(component) = ahead.pop_front() {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let next = match openat(&reached, component.as_os_str(), flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let status = fstat(&next).map_err(failed)?;
        match status.st_mode & S_IFMT {
            S_IFDIR => {
                reached = next;
                shown.push(component);
            }
            S_IFLNK => {
                let is_queue_directory = home == Home::Private && ahead.is_empty();
                let place = fstat(&reached).map_err(failed)?;
                check_link(&shown.join(component), is_queue_directory, &status, &place)?;
                links += 1;
                if links > MOST_LINKS {
                    return Err(failed(Errno::ELOOP));
                }
                let target = PathBuf::from(readlinkat(&next, "").map_err(failed)?);
                if target.is_absolute() {
                    reached = start(&target)?;
                    shown = PathBuf::from("/");
                }
                for component in components(&target).rev() {
                    ahead.push_front(component);
                }
            }
            _ => return Err(failed(Errno::ENOTDIR)),
        }
    }
    Ok(Some(reached))
}

/// The components of `path` as they stand, `..` among them.
fn components(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    let parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
    parts.map(|part| OsString::from_vec(part.to_vec()))
}

/// Makes the directory `path`, and its parents where they are missing. One that somebody else
/// makes at the same moment is as good.
fn make(path: &Path, home: Home) -> Result<()> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let (parent_path, name) = split(Path::new(OsStr::from_bytes(&bytes[..end])));
    if name.is_empty() {
        return Err(cannot_make(path, Errno::ENOENT));
    }
    // A parent need not be private, only reached safely.
    let parent_home = if home == Home::Private { Home::Chosen } else { home };
    let parent = match reach(&parent_path, parent_home)? {
        Some(parent) => parent,
        None => {
            make(&parent_path, parent_home)?;
            let missing = || cannot_make(&parent_path, Errno::ENOENT);
            reach(&parent_path, parent_home)?.ok_or_else(missing)?
        }
    };
    match mkdirat(&parent, name.as_os_str(), PRIVATE_MODE) {
        Ok(()) => {
            // The umask may have taken permissions away that we need ourselves.
            fchmodat(&parent, name.as_os_str(), PRIVATE_MODE, FchmodatFlags::NoFollowSymlink)
                .map_err(|errno| cannot_make(path, errno))
        }
        Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(cannot_make(path, errno)),
    }
}

/// Whether queues may live in the directory whose status is `status`. A directory of someone else
/// is fit, unless it has to be ours alone or is open to all: every file in it is checked for its own owner.
fn check(path: &Path, home: Home, status: &FileStat) -> Result<()> {
    let untrusted = |reason: String| Err(Error::Untrusted { path: printable(path), reason });
    let is_open_to = |bits| status.st_mode & bits != 0;
    let user = geteuid().as_raw();
    if home == Home::Private && status.st_uid != user {
        let owner = status.st_uid;
        return untrusted(format!(
            "the directory belongs to user {owner}, not to you (user {user}): \
             have it removed, or set IPCQ_DIR to a directory of your own"
        ));
    }
    if home == Home::Private && is_open_to(S_IWGRP | S_IWOTH) {
        return untrusted("others can write to the directory of your queues: make it private with 'chmod 0700'".into());
    }
    if is_open_to(S_IWOTH) && !is_open_to(S_ISVTX) {
        return untrusted(
            "anyone can replace files in this directory: take that away with 'chmod o-w', or with 'chmod +t'".into(),
        );
    }
    if is_open_to(S_IWOTH) && !is_ours_or_of_root(status) {
        let owner = status.st_uid;
        return untrusted(format!(
            "the directory belongs to user {owner}, not to you (user {user}), who lets anyone put files there and can \
             replace them: use a directory of your own"
        ));
    }
    Ok(())
}

/// Whether a link whose status is `status` may be followed, in the directory whose status is `place`: nobody but
/// us and root can have put it there.
fn check_link(link: &Path, is_queue_directory: bool, status: &FileStat, place: &FileStat) -> Result<()> {
    let reason = if is_queue_directory {
        // The default directory is ours to make, and we make no links.
        "the directory of your queues is a symbolic link: remove the link, or set IPCQ_DIR to where it leads".to_owned()
    } else if !is_ours_or_of_root(status) {
        let owner = status.st_uid;
        format!("this symbolic link belongs to user {owner}, and is not followed: name the place it leads to")
    } else if !is_ours_or_of_root(place) || place.st_mode & (S_IWGRP | S_IWOTH) != 0 {
        "this symbolic link is in a directory that others can write to, and is not followed: \
         name the place it leads to"
            .to_owned()
    } else {
        return Ok(());
    };
    Err(Error::Untrusted { path: printable(link), reason })
}

fn is_ours_or_of_root(status: &FileStat) -> bool {
    [0, geteuid().as_raw()].contains(&status.st_uid)
}

/// Why a directory cannot be reached; [`Errno::ENOENT`] is not among the reasons.
pub(super) fn unreachable_directory(path: &Path, errno: Errno) -> Error {
    let path = printable(path);
    Error::Other(match errno {
        Errno::ENOTDIR => format!("'{path}' is not a directory, so it holds no queues: check the path"),
        Errno::EACCES => {
            format!("cannot enter the directory '{path}': permission denied; use a directory of your own")
        }
        Errno::ELOOP => {
            format!("cannot enter the directory '{path}': its symbolic links go round in a circle")
        }
        _ => return Error::io(format!("enter the directory '{path}'"), errno),
    })
}

fn cannot_make(path: &Path, errno: Errno) -> Error {
    let path = printable(path);
    Error::Other(match errno {
        Errno::EACCES => {
            format!("cannot make the directory '{path}': permission denied; set IPCQ_DIR to one of your own")
        }
        Errno::EROFS => {
            format!("cannot make the directory '{path}' on a read-only file system; set IPCQ_DIR to another")
        }
        Errno::ENOSPC | Errno::EDQUOT => {
            format!("cannot make the directory '{path}': no space is left; free some")
        }
        _ => return Error::io(format!("make the directory '{path}'"), errno),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use nix::fcntl::AtFlags;
    use nix::unistd::{Uid, fchownat};
    use tempfile::tempdir;

    use super::*;

    const STRANGER: u32 = 12345;

    /// Gives `path` itself, even if it is a link, to a stranger; false where we may not.
    fn give_away(path: &Path) -> bool {
        geteuid().is_root()
            && fchownat(AT_FDCWD, path, Some(Uid::from_raw(STRANGER)), None, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(path: &Path, home: Home) -> String {
        match Directory::open(path, home) {
            Err(error @ Error::Untrusted { .. }) => error.to_string(),
            other => panic!("{} gave {other:?}", path.display()),
        }
    }

    fn inode(descriptor: impl AsFd) -> u64 {
        fstat(descriptor).unwrap().st_ino
    }

    #[test]
    fn a_path_splits_into_directory_and_name() {
        let parts = |path: &str| split(Path::new(path));
        assert_eq!(parts("a/b/c"), ("a/b".into(), "c".into()));
        assert_eq!(parts("/c"), ("/".into(), "c".into()));
        assert_eq!(parts("c"), (".".into(), "c".into()));
        assert_eq!(parts("a/../c"), ("a/..".into(), "c".into()));
    }

    #[test]
    fn a_missing_directory_is_made_private_with_its_parents() {
        let top = tempdir().unwrap();
        let path = top.path().join("a/b//c/");
        for home in [Home::Private, Home::Chosen] {
            assert!(Directory::open(&path, home).unwrap().is_none());
            Directory::open_or_make(&path, home).unwrap();
            for made in ["a", "a/b", "a/b/c"] {
                assert_eq!(mode(&top.path().join(made)), 0o700, "{made}");
            }
            Directory::open_or_make(&path, home).unwrap();
            fs::remove_dir_all(top.path().join("a")).unwrap();
        }
    }

    #[test]
    fn many_may_make_the_same_directory_at_once() {
        let top = tempdir().unwrap();
        let path = top.path().join("a/b/c");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| Directory::open_or_make(&path, Home::Private).unwrap());
            }
        });
    }

    #[test]
    fn our_own_links_are_followed_and_a_strangers_are_not() {
        let top = tempdir().unwrap();
        fs::create_dir_all(top.path().join("real/inner")).unwrap();
        symlink("real", top.path().join("relative")).unwrap();
        symlink(top.path().join("relative/inner"), top.path().join("absolute")).unwrap();
        let real = fs::metadata(top.path().join("real/inner")).unwrap().ino();
        for path in ["relative/inner", "absolute", "absolute/../inner", "./relative//inner/."] {
            let directory = Directory::open(&top.path().join(path), Home::OnThePath).unwrap().unwrap();
            assert_eq!(inode(&directory), real, "{path}");
        }
        if give_away(&top.path().join("relative")) {
            for path in ["relative/inner", "absolute"] {
                let message = refusal(&top.path().join(path), Home::OnThePath);
                assert!(message.contains("/relative: this symbolic link belongs to user 12345"), "{message}");
            }
        }
    }

    #[test]
    fn a_link_that_others_can_have_put_there_is_not_followed_whoever_it_belongs_to() {
        let top = tempdir().unwrap();
        let shared = top.path().join("shared");
        fs::create_dir_all(top.path().join("real/inner")).unwrap();
        fs::create_dir(&shared).unwrap();
        symlink("../real", shared.join("link")).unwrap();
        symlink("shared/link", top.path().join("first")).unwrap();
        let paths = ["shared/link", "shared/link/inner", "first", "first/inner", "shared/../shared/link"];
        let all_are = |followed: bool, why: &str| {
            for path in paths.map(|path| top.path().join(path)) {
                match Directory::open(&path, Home::OnThePath) {
                    Ok(Some(_)) => assert!(followed, "{}: {why}", path.display()),
                    Ok(None) => panic!("{} is there", path.display()),
                    Err(error) => {
                        let sentence = "/shared/link: this symbolic link is in a directory that others can write to";
                        assert!(!followed && error.to_string().contains(sentence), "{error}: {why}");
                    }
                }
            }
        };
        for (mode, followed) in [
            (0o700, true),
            (0o755, true),
            (0o1755, true),
            (0o770, false),
            (0o2775, false),
            (0o1770, false),
            (0o1777, false),
            (0o702, false),
        ] {
            set_mode(&shared, mode);
            all_are(followed, &format!("{mode:o}"));
        }
        set_mode(&shared, 0o755);
        if give_away(&shared) {
            all_are(false, "of another owner");
        }
    }

    #[test]
    fn the_default_directory_is_never_a_link_itself() {
        let top = tempdir().unwrap();
        fs::create_dir_all(top.path().join("real/inner")).unwrap();
        set_mode(&top.path().join("real/inner"), 0o700);
        symlink("real", top.path().join("link")).unwrap();
        assert!(refusal(&top.path().join("link"), Home::Private).contains("is a symbolic link"));
        assert!(Directory::open(&top.path().join("link/inner"), Home::Private).unwrap().is_some());
    }

    #[test]
    fn a_walk_finds_what_the_kernel_finds() {
        let top = tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/b")).unwrap();
        fs::write(top.path().join("file"), "").unwrap();
        let a = fs::metadata(top.path().join("a")).unwrap().ino();
        for path in ["a", "a/", "a/b/..", "./a/.", "a/b/../../a"] {
            let found = walk(&top.path().join(path), Home::Private).unwrap().unwrap();
            assert_eq!(inode(found), a, "{path}");
        }
        assert_eq!(inode(walk(Path::new("/"), Home::OnThePath).unwrap().unwrap()), fs::metadata("/").unwrap().ino());
        assert_eq!(inode(walk(Path::new("."), Home::OnThePath).unwrap().unwrap()), fs::metadata(".").unwrap().ino());
        assert_eq!(inode(walk(Path::new(".."), Home::OnThePath).unwrap().unwrap()), fs::metadata("..").unwrap().ino());
        assert!(walk(&top.path().join("missing/x"), Home::OnThePath).unwrap().is_none());
        assert!(walk(&top.path().join("file/x"), Home::OnThePath).is_err());
    }

    #[test]
    fn a_circle_of_links_ends_in_a_sentence() {
        let top = tempdir().unwrap();
        symlink("b", top.path().join("a")).unwrap();
        symlink("a", top.path().join("b")).unwrap();
        let error = Directory::open(&top.path().join("a/x"), Home::OnThePath).unwrap_err();
        assert!(error.to_string().contains("in a circle"), "{error}");
    }

    #[test]
    fn a_link_to_nowhere_is_not_replaced_by_a_directory() {
        let top = tempdir().unwrap();
        symlink("missing", top.path().join("link")).unwrap();
        assert!(Directory::open(&top.path().join("link"), Home::Chosen).unwrap().is_none());
        assert!(Directory::open_or_make(&top.path().join("link"), Home::Chosen).is_err());
        assert!(!top.path().join("missing").exists());
    }

    #[test]
    fn a_file_is_no_directory() {
        let top = tempdir().unwrap();
        fs::write(top.path().join("file"), "").unwrap();
        for path in ["file", "file/x"] {
            let error = Directory::open(&top.path().join(path), Home::OnThePath).unwrap_err();
            assert!(error.to_string().contains("is not a directory"), "{error}");
        }
    }

    #[test]
    fn where_anyone_can_replace_files_no_queue_is_safe() {
        let top = tempdir().unwrap();
        set_mode(top.path(), 0o777);
        for home in [Home::Chosen, Home::OnThePath] {
            assert!(refusal(top.path(), home).contains("anyone can replace files"));
        }
        set_mode(top.path(), 0o1777);
        for home in [Home::Chosen, Home::OnThePath] {
            assert!(Directory::open(top.path(), home).unwrap().is_some());
        }
        if give_away(top.path()) {
            for home in [Home::Chosen, Home::OnThePath] {
                let message = refusal(top.path(), home);
                assert!(
                    message.contains("belongs to user 12345, not to you (user 0), who lets anyone put"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn the_default_directory_is_ours_alone() {
        let top = tempdir().unwrap();
        for (mode, trusted) in [(0o700, true), (0o755, true), (0o770, false), (0o1777, false), (0o702, false)] {
            set_mode(top.path(), mode);
            assert_eq!(Directory::open(top.path(), Home::Private).is_ok(), trusted, "{mode:o}");
        }
        set_mode(top.path(), 0o700);
        if give_away(top.path()) {
            assert!(refusal(top.path(), Home::Private).contains("belongs to user 12345"));
            assert!(Directory::open(top.path(), Home::OnThePath).unwrap().is_some());
        }
    }
}
