//! Which queues are in a place: the regular files of its directory that have the name of a queue.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::libc::{S_IFMT, S_IFREG};
use nix::sys::stat::{Mode, fstatat};

use super::directory::Directory;
use crate::error::{Error, Result};
use crate::name::{QueueName, printable};
use crate::place::Place;

/// The names of the queues in `place`, sorted by their bytes. A directory that does not exist has none, and is not made.
///
/// # Errors
/// [`Error::Untrusted`] when the directory, or the way to it, is not safe; [`Error::Io`] when it cannot be read.
pub fn list(place: &Place) -> Result<Vec<QueueName>> {
    let failed = |errno: Errno| Error::io(format!("list the directory '{}'", printable(place.directory())), errno);
    let Some(directory) = Directory::open(place.directory(), place.home_of_names())? else { return Ok(Vec::new()) };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut entries = Dir::openat(&directory, ".", flags, Mode::empty()).map_err(failed)?;
    let mut names = Vec::new();
    for entry in entries.iter() {
        let entry = entry.map_err(failed)?;
        let Ok(name) = QueueName::parse(OsStr::from_bytes(entry.file_name().to_bytes())) else { continue };
        let is_file = match entry.file_type() {
            Some(kind) => kind == Type::File,
            None => is_regular(&directory, entry.file_name()).map_err(failed)?,
        };
        if is_file {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// For file systems whose directories do not say of what kind their files are.
fn is_regular(directory: &Directory, name: &CStr) -> nix::Result<bool> {
    match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(status) => Ok(status.st_mode & S_IFMT == S_IFREG),
        // Removed while we looked.
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;
    use crate::place::Surroundings;

    fn list(directory: &Path) -> Result<Vec<QueueName>> {
        super::list(&Place::from(&Surroundings {
            ipcq_dir: Some(directory.into()),
            access: Default::default(),
            tmpdir: None,
            uid: 1234,
            shared_memory: "/none".into(),
        }))
    }

    #[test]
    fn the_list_is_sorted_and_has_only_regular_files_with_queue_names() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b", "a", "B", ".ipcq.1.0.tmp", "not a name", "-x"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("folder")).unwrap();
        symlink("a", directory.path().join("link")).unwrap();
        let names = list(directory.path()).unwrap();
        assert_eq!(names.iter().map(QueueName::as_str).collect::<Vec<_>>(), ["B", "a", "b"]);
    }

    #[test]
    fn what_a_directory_does_not_say_of_a_file_the_file_says() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("file"), "").unwrap();
        symlink("file", top.path().join("link")).unwrap();
        let directory = Directory::open(top.path(), crate::place::Home::Chosen).unwrap().unwrap();
        assert_eq!(is_regular(&directory, c"file"), Ok(true));
        assert_eq!(is_regular(&directory, c"link"), Ok(false));
        assert_eq!(is_regular(&directory, c"missing"), Ok(false));
    }

    #[test]
    fn listing_a_missing_place_finds_nothing_and_makes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert_eq!(list(&missing).unwrap(), []);
        assert!(!missing.exists());
    }

    #[test]
    fn listing_something_that_is_no_directory_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = list(file.path()).unwrap_err().to_string();
        assert!(message.contains("is not a directory, so it holds no queues"), "{message}");
    }

    #[test]
    fn a_place_that_is_not_safe_is_not_listed() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(list(directory.path()), Err(Error::Untrusted { .. })));
    }
}
