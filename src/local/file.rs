//! A segment's file: found, created complete or not at all, and trusted only when it is safe.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::libc::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, S_IRGRP, S_IWGRP, S_IWOTH};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, fchown, getegid, geteuid, getgroups, linkat, unlinkat};

use super::directory::{Directory, split, unreachable_directory};
use super::file_system;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::name::printable;
use crate::place::{Home, Place};

/// How often another temporary name is tried; each is tried once, and is unique to this process.
const MOST_TEMPORARY_NAMES: u32 = 100;

/// Neither waits for a fifo's other end, nor takes over a terminal, nor follows a link.
const EXISTING: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// Where a queue's segment is, or is to be, in the file system.
#[derive(Debug, Clone)]
pub(crate) struct SegmentFile {
    /// The queue as it was asked for, for messages.
    name: String,
    path: PathBuf,
    directory: PathBuf,
    file_name: OsString,
    home: Home,
}

impl SegmentFile {
    /// The file of the queue `address` in `place`. Touches nothing.
    pub(crate) fn new(place: &Place, address: &Address) -> Self {
        let path = place.segment_path(address);
        let (directory, file_name) = split(&path);
        Self { name: address.to_string(), path, directory, file_name, home: place.home(address) }
    }

    /// The file of the queue at a path. Touches nothing.
    pub(crate) fn at(path: &Path) -> Self {
        let (directory, file_name) = split(path);
        let name = printable(path);
        Self { name, path: path.to_owned(), directory, file_name, home: Home::OnThePath }
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that the file is in.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens the file that is there, for reading and writing. It is a regular file that can be
    /// trusted; what is in it is not looked at.
    ///
    /// # Errors
    /// [`Error::NoSuchQueue`] when there is none; [`Error::Untrusted`] when it, or the way to it,
    /// is under somebody else's control; [`Error::Unusable`] when it is something else than a
    /// regular file, may not be written, or is on a network file system.
    pub(crate) fn open(&self) -> Result<File> {
        self.open_with(OFlag::O_RDWR)
    }

    /// The same, for reading only.
    ///
    /// # Errors
    /// Those of [`SegmentFile::open`].
    pub(crate) fn open_to_read(&self) -> Result<File> {
        self.open_with(OFlag::O_RDONLY)
    }

    fn open_with(&self, access: OFlag) -> Result<File> {
        let directory = Directory::open(&self.directory, self.home)?.ok_or_else(|| self.no_such_queue())?;
        // Merely opening some devices and fifos has effects, and others may have put one there.
        if self.home != Home::Private {
            let status = self.look(&directory)?.ok_or_else(|| self.no_such_queue())?;
            self.check_kind(&status)?;
        }
        let file = match openat(&directory, self.file_name.as_os_str(), EXISTING | access, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(errno) => return Err(self.cannot_open(&directory, errno)),
        };
        let status = fstat(&file).map_err(|errno| self.system_failure("open", errno))?;
        self.check_kind(&status)?;
        self.check_owner(&directory, &status)?;
        if self.home != Home::Private {
            self.check_file_system(&file)?;
        }
        Ok(file)
    }

    /// Creates the file with permissions `mode`, whatever the umask. `fill` sets its size and
    /// content while nobody else can see it; of many who create at once, one succeeds. The
    /// directory of a named queue is made when it is missing. What a group may use belongs to the group
    /// that the directory is shared with. A `durable` file is on the disk, with its name, when this returns.
    ///
    /// `fill` may be called twice, with a new empty file each time.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when there is one; those of `fill`; [`Error::Untrusted`] when the
    /// directory is not safe; [`Error::Unusable`] on a network file system or where something
    /// else is in the way; [`Error::Other`] when there is no space or no permission.
    pub(crate) fn create(&self, mode: u32, durable: bool, fill: impl Fn(&File) -> io::Result<()>) -> Result<File> {
        let directory = self.directory_for_creation()?;
        // Linking decides; looking first only spares the work, and names what is in the way.
        if let Some(status) = self.look(&directory)? {
            self.check_kind(&status)?;
            return Err(self.already_exists());
        }
        if self.home != Home::Private {
            self.check_file_system(&directory)?;
        }
        if durable {
            self.check_keeps(&directory)?;
        }
        let fill = |file: &File| {
            fill(file).map_err(|error| self.cannot_fill(&error))?;
            share_with_group_of(&directory, file, mode);
            fchmod(file, Mode::from_bits_truncate(mode)).map_err(|errno| self.cannot_create(errno))?;
            if durable { file.sync_all().map_err(|error| self.cannot_fill(&error)) } else { Ok(()) }
        };
        let file = match self.create_unnamed(&directory, fill)? {
            Some(file) => file,
            None => self.create_under_temporary_name(&directory, fill)?,
        };
        if durable && let Err(error) = directory.sync() {
            // It may not be there after a power failure, so it had better not be there now.
            let _ = unlinkat(&directory, self.file_name.as_os_str(), UnlinkatFlags::NoRemoveDir);
            return Err(self.cannot_fill(&error));
        }
        Ok(file)
    }

    /// Refuses file systems in memory: what has to survive a power failure cannot be there.
    fn check_keeps(&self, directory: &Directory) -> Result<()> {
        match file_system::in_memory(directory).map_err(|errno| self.system_failure("look at", errno))? {
            None => Ok(()),
            Some(kind) => Err(Error::Other(format!(
                "cannot create queue '{}' as durable: '{}' is on {kind}, which is in memory and keeps nothing when the \
                 power fails; name a file on a disk, as ./{}",
                self.name,
                printable(&self.directory),
                printable(Path::new(&self.file_name)),
            ))),
        }
    }

    /// Takes the file's name away; who has it open keeps it.
    ///
    /// # Errors
    /// [`Error::NoSuchQueue`] when there is none; [`Error::Untrusted`] when the directory is not
    /// safe; [`Error::Unusable`] when it is something else than a regular file; [`Error::Io`].
    pub(crate) fn unlink(&self) -> Result<()> {
        let directory = Directory::open(&self.directory, self.home)?.ok_or_else(|| self.no_such_queue())?;
        let status = self.look(&directory)?.ok_or_else(|| self.no_such_queue())?;
        self.check_kind(&status)?;
        match unlinkat(&directory, self.file_name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(()),
            Err(Errno::ENOENT) => Err(self.no_such_queue()),
            Err(errno) => Err(self.system_failure("remove", errno)),
        }
    }

    /// What is there under the file's name, without opening it.
    fn look(&self, directory: &Directory) -> Result<Option<FileStat>> {
        match fstatat(directory, self.file_name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::EACCES) => Err(unreachable_directory(&self.directory, Errno::EACCES)),
            Err(errno) => Err(self.system_failure("look at", errno)),
        }
    }

    fn check_kind(&self, status: &FileStat) -> Result<()> {
        let kind = match status.st_mode & S_IFMT {
            S_IFREG => return Ok(()),
            S_IFLNK => {
                return Err(self.untrusted("this is a symbolic link, and is not followed: name the file it leads to"));
            }
            S_IFDIR => "a directory",
            S_IFIFO => "a fifo",
            S_IFSOCK => "a socket",
            S_IFCHR | S_IFBLK => "a device",
            _ => "not a regular file",
        };
        Err(self.unusable(format!("it is {kind}")))
    }

    /// Somebody else's file may be a trap, for root too; but a group may share one, in a directory where nobody
    /// else can have put it.
    fn check_owner(&self, directory: &Directory, status: &FileStat) -> Result<()> {
        let user = geteuid().as_raw();
        let owner = status.st_uid;
        if owner == user {
            return Ok(());
        }
        if self.home == Home::Private || !is_shared(status.st_mode) || !is_group_of_ours(status.st_gid) {
            return Err(self.untrusted(format!(
                "the queue belongs to user {owner}, not to you (user {user}), and is not shared with \
                 a group of yours: use a queue of your own, or one of mode 0660 and a common group"
            )));
        }
        if status.st_mode & S_IWOTH != 0 {
            return Err(self.untrusted(format!(
                "the queue belongs to user {owner}, not to you (user {user}), and anyone can write to it: \
                 have its mode changed to 0660"
            )));
        }
        if directory.is_open_to_all() {
            return Err(self.untrusted(format!(
                "the queue belongs to user {owner}, not to you (user {user}), and anyone could have put it into this \
                 directory: share a queue in a directory that only its group can write to"
            )));
        }
        Ok(())
    }

    fn check_file_system(&self, on: impl AsFd) -> Result<()> {
        match file_system::of_a_network(on).map_err(|errno| self.system_failure("look at", errno))? {
            None => Ok(()),
            Some(kind) => Err(self.unusable(format!(
                "it is on {kind}, a network file system, where locks and shared memory do not \
                 reach every machine; use a local directory"
            ))),
        }
    }

    fn directory_for_creation(&self) -> Result<Directory> {
        match self.home {
            Home::Private | Home::Chosen => Directory::open_or_make(&self.directory, self.home),
            Home::OnThePath => Directory::open(&self.directory, self.home)?.ok_or_else(|| {
                let directory = printable(&self.directory);
                Error::Other(format!(
                    "cannot create queue '{}': there is no directory '{directory}' (make it with 'mkdir -p')",
                    self.name
                ))
            }),
        }
    }

    /// Creates a file without a name, fills it, and gives it the name. `None` where the file
    /// system has no such files, or where they cannot be named.
    fn create_unnamed(&self, directory: &Directory, fill: impl Fn(&File) -> Result<()>) -> Result<Option<File>> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let file = match openat(directory, ".", flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(descriptor) => File::from(descriptor),
            // What the kernels and file systems that know no O_TMPFILE say.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => return Ok(None),
            Err(errno) => return Err(self.cannot_create(errno)),
        };
        fill(&file)?;
        let name = self.file_name.as_os_str();
        // The direct way needs a privilege on older kernels, the other one a mounted /proc.
        let linked = match linkat(&file, "", directory, name, AtFlags::AT_EMPTY_PATH) {
            Err(Errno::ENOENT | Errno::EPERM | Errno::EINVAL) => {
                let link = format!("/proc/self/fd/{}", file.as_raw_fd());
                linkat(AT_FDCWD, link.as_str(), directory, name, AtFlags::AT_SYMLINK_FOLLOW)
            }
            done => done,
        };
        match linked {
            Ok(()) => Ok(Some(file)),
            Err(Errno::ENOENT | Errno::EPERM | Errno::EOPNOTSUPP | Errno::EXDEV) => Ok(None),
            Err(errno) => Err(self.cannot_create(errno)),
        }
    }

    /// Creates a file under a name that no queue has, fills it, and gives it the name it is for.
    fn create_under_temporary_name(&self, directory: &Directory, fill: impl Fn(&File) -> Result<()>) -> Result<File> {
        let (file, temporary) = self.create_temporary(directory)?;
        let linked = fill(&file).and_then(|()| {
            let (from, to) = (temporary.as_os_str(), self.file_name.as_os_str());
            linkat(directory, from, directory, to, AtFlags::empty()).map_err(|errno| self.cannot_create(errno))
        });
        // A name left behind is no queue's and harms nobody, so failing to remove it is no failure.
        let _ = unlinkat(directory, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        linked.map(|()| file)
    }

    fn create_temporary(&self, directory: &Directory) -> Result<(File, OsString)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        for _ in 0..MOST_TEMPORARY_NAMES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            // Without the queue's name, which may be as long as a file name can be.
            let name = OsString::from(format!(".ipcq.{}.{number}.tmp", process::id()));
            match openat(directory, name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(descriptor) => return Ok((File::from(descriptor), name)),
                // Left behind by a killed process of the same number, or of another PID namespace.
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(self.cannot_create(errno)),
            }
        }
        Err(self.cannot_create(Errno::EEXIST))
    }

    fn no_such_queue(&self) -> Error {
        Error::NoSuchQueue { name: self.name.clone(), meant: None }
    }

    fn already_exists(&self) -> Error {
        Error::AlreadyExists { name: self.name.clone() }
    }

    fn untrusted(&self, reason: impl Into<String>) -> Error {
        Error::Untrusted { path: printable(&self.path), reason: reason.into() }
    }

    fn unusable(&self, reason: impl Into<String>) -> Error {
        Error::Unusable { path: printable(&self.path), reason: reason.into() }
    }

    fn system_failure(&self, verb: &str, errno: Errno) -> Error {
        Error::io(format!("{verb} '{}'", printable(&self.path)), errno)
    }

    fn cannot_open(&self, directory: &Directory, errno: Errno) -> Error {
        match errno {
            Errno::ENOENT => return self.no_such_queue(),
            Errno::EROFS => {
                return self.unusable("it is on a read-only file system, and a queue has to be written");
            }
            _ => {}
        }
        // What it is says more than what the system says of it.
        let Ok(Some(status)) = self.look(directory) else { return self.system_failure("open", errno) };
        if let Err(error) = self.check_kind(&status).and_then(|()| self.check_owner(directory, &status)) {
            return error;
        }
        match errno {
            Errno::EACCES => self.unusable("you may not read and write it: allow that with 'chmod u+rw'"),
            Errno::EPERM => self.unusable("it cannot be changed; its file attributes forbid it (see 'lsattr')"),
            _ => self.system_failure("open", errno),
        }
    }

    fn cannot_fill(&self, error: &io::Error) -> Error {
        self.cannot_create(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    fn cannot_create(&self, errno: Errno) -> Error {
        let directory = printable(&self.directory);
        let reason = match errno {
            Errno::EEXIST => return self.already_exists(),
            Errno::ENOSPC => {
                format!("no space is left in '{directory}'; free some, or use another directory")
            }
            Errno::EDQUOT => {
                format!("your disk quota in '{directory}' is used up; free some, or use another directory")
            }
            Errno::EROFS => format!("'{directory}' is on a read-only file system; use another directory"),
            Errno::EACCES => format!("you may not write to '{directory}'; use a directory of your own"),
            Errno::EPERM => {
                format!("the file system of '{directory}' has no hard links; use another directory")
            }
            Errno::ENAMETOOLONG => "its file name is too long; use a shorter one".to_owned(),
            _ => return self.system_failure("create", errno),
        };
        Error::Other(format!("cannot create queue '{}': {reason}", self.name))
    }
}

/// The length of the open `file` in bytes, if it still has a name: it has none once it was removed, or
/// another file was moved over it.
///
/// # Errors
/// When the system cannot tell.
pub(crate) fn length_if_named(file: &File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    Ok(Some(metadata.len()).filter(|_| metadata.nlink() > 0))
}

fn is_shared(mode: u32) -> bool {
    let shared = S_IRGRP | S_IWGRP;
    mode & shared == shared
}

/// Gives a new file that its group is to share to the group that shares the directory, as directories with the
/// set-group-ID bit do by themselves.
fn share_with_group_of(directory: &Directory, file: &File, mode: u32) {
    if let Some(group) = directory.sharing_group()
        && is_shared(mode)
    {
        // Who is not in that group may not do this, and creates the queue for a group of their own.
        let _ = fchown(file, None, Some(group));
    }
}

fn is_group_of_ours(group: u32) -> bool {
    getegid().as_raw() == group || getgroups().is_ok_and(|groups| groups.iter().any(|member| member.as_raw() == group))
}

#[cfg(test)]
mod tests;
