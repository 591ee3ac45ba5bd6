//! Where queues live: from an address to the file, and which queues are there.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::name::{Address, QueueName, printable};

/// What decides where named queues live. The caller fills it in from its environment; the library
/// never reads that by itself.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// `$IPCQ_DIR`: the directory of named queues, if one was chosen.
    pub ipcq_dir: Option<OsString>,
    /// `$TMPDIR`: stands in for `/tmp` on systems without shared memory.
    pub tmpdir: Option<OsString>,
    /// The user the queues belong to.
    pub uid: u32,
    /// Where shared memory is mounted, normally `/dev/shm`.
    pub shared_memory: PathBuf,
}

/// The directory that named queues live in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
    is_default: bool,
}

/// What kind of directory a queue's file is in: it decides what may be made and whom to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// The default directory of named queues: ours alone, and made when it is missing.
    Private,
    /// The directory that `$IPCQ_DIR` names: may be shared, and is made when it is missing.
    Chosen,
    /// The directory on the way to a path that was typed: may be shared, and is never made.
    OnThePath,
}

impl From<&Surroundings> for Place {
    fn from(surroundings: &Surroundings) -> Self {
        if let Some(directory) = not_empty(&surroundings.ipcq_dir) {
            return Self { directory: directory.into(), is_default: false };
        }
        // Nothing else in the environment counts, so that cron, make and a login shell meet.
        let parent = if surroundings.shared_memory.is_dir() {
            surroundings.shared_memory.clone()
        } else {
            not_empty(&surroundings.tmpdir).map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
        };
        Self { directory: parent.join(format!("ipcq-{}", surroundings.uid)), is_default: true }
    }
}

impl Place {
    /// The directory of named queues; it may not exist yet.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether that is the default directory, which is ours alone, and not one that was chosen.
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// The segment file of `address`, whether it exists or not.
    pub fn segment_path(&self, address: &Address) -> PathBuf {
        match address {
            Address::Named(name) => self.directory.join(name.as_str()),
            Address::Path(path) => path.clone(),
        }
    }

    /// What kind of directory the segment file of `address` is in.
    pub fn home(&self, address: &Address) -> Home {
        match address {
            Address::Path(_) => Home::OnThePath,
            Address::Named(_) if self.is_default => Home::Private,
            Address::Named(_) => Home::Chosen,
        }
    }

    /// The names of the queues in this place, sorted by their bytes: its regular files that have
    /// the name of a queue. A directory that does not exist has none, and is not made.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be read.
    pub fn list(&self) -> Result<Vec<QueueName>> {
        let failed = |error| Error::io(format!("list the directory '{}'", printable(&self.directory)), error);
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Ok(name) = QueueName::parse(&entry.file_name()) else { continue };
            match entry.file_type() {
                Ok(kind) if kind.is_file() => names.push(name),
                Ok(_) => {}
                // Removed while we looked.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        names.sort();
        Ok(names)
    }
}

fn not_empty(variable: &Option<OsString>) -> Option<&OsString> {
    variable.as_ref().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;

    use super::*;

    fn surroundings(shared_memory: &Path) -> Surroundings {
        Surroundings { ipcq_dir: None, tmpdir: None, uid: 1234, shared_memory: shared_memory.to_owned() }
    }

    fn address(text: &str) -> Address {
        Address::parse(OsStr::new(text)).unwrap()
    }

    fn chosen(directory: &Path) -> Place {
        Place::from(&Surroundings { ipcq_dir: Some(directory.into()), ..surroundings(Path::new("/none")) })
    }

    #[test]
    fn the_default_is_in_shared_memory_where_there_is_some() {
        let memory = tempfile::tempdir().unwrap();
        let mut surroundings = surroundings(memory.path());
        surroundings.tmpdir = Some("/scratch".into());
        let place = Place::from(&surroundings);
        assert_eq!(place.directory(), memory.path().join("ipcq-1234"));
        assert!(place.is_default());
    }

    #[test]
    fn without_shared_memory_the_default_is_in_tmpdir_or_tmp() {
        let none = tempfile::tempdir().unwrap();
        let mut surroundings = surroundings(&none.path().join("missing"));
        assert_eq!(Place::from(&surroundings).directory(), Path::new("/tmp/ipcq-1234"));
        surroundings.tmpdir = Some("".into());
        assert_eq!(Place::from(&surroundings).directory(), Path::new("/tmp/ipcq-1234"));
        surroundings.tmpdir = Some("/scratch".into());
        assert_eq!(Place::from(&surroundings).directory(), Path::new("/scratch/ipcq-1234"));
        assert!(Place::from(&surroundings).is_default());
    }

    #[test]
    fn ipcq_dir_wins_unless_it_is_empty() {
        let memory = tempfile::tempdir().unwrap();
        let mut surroundings = surroundings(memory.path());
        surroundings.ipcq_dir = Some("queues".into());
        let place = Place::from(&surroundings);
        assert_eq!(place.directory(), Path::new("queues"));
        assert!(!place.is_default());
        surroundings.ipcq_dir = Some("".into());
        assert!(Place::from(&surroundings).is_default());
    }

    #[test]
    fn a_name_is_a_file_of_the_place_and_a_path_is_itself() {
        let place = chosen(Path::new("queues"));
        assert_eq!(place.segment_path(&address("jobs")), Path::new("queues/jobs"));
        assert_eq!(place.segment_path(&address("a/../b")), Path::new("a/../b"));
        assert_eq!(place.home(&address("jobs")), Home::Chosen);
        assert_eq!(place.home(&address("./jobs")), Home::OnThePath);
        let default = Place::from(&surroundings(Path::new("/none")));
        assert_eq!(default.home(&address("jobs")), Home::Private);
        assert_eq!(default.home(&address("./jobs")), Home::OnThePath);
    }

    #[test]
    fn the_list_is_sorted_and_has_only_regular_files_with_queue_names() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b", "a", "B", ".ipcq.1.0.tmp", "not a name", "-x"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("folder")).unwrap();
        symlink("a", directory.path().join("link")).unwrap();
        let names = chosen(directory.path()).list().unwrap();
        assert_eq!(names.iter().map(QueueName::as_str).collect::<Vec<_>>(), ["B", "a", "b"]);
    }

    #[test]
    fn listing_a_missing_place_finds_nothing_and_makes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert_eq!(chosen(&missing).list().unwrap(), []);
        assert!(!missing.exists());
    }

    #[test]
    fn listing_something_that_is_no_directory_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = chosen(file.path()).list().unwrap_err().to_string();
        assert!(message.starts_with("cannot list the directory '"), "{message}");
    }
}
