//! Where queues live: from an address to the file, or to the server.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::address::{Address, bad_url};
use crate::error::Result;
use crate::remote::{Remote, Secret, Server};

/// What decides where named queues live. The caller fills it in from its environment; the library
/// never reads that by itself.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// `$IPCQ_DIR`: the directory of named queues, or the URL of the database that they are in, if one was chosen.
    pub ipcq_dir: Option<OsString>,
    /// What is needed to use queues on servers.
    pub access: Access,
    /// `$TMPDIR`: stands in for `/tmp` on systems without shared memory.
    pub tmpdir: Option<OsString>,
    /// The user the queues belong to.
    pub uid: u32,
    /// Where shared memory is mounted, normally `/dev/shm`.
    pub shared_memory: PathBuf,
}

/// The directory, or the database of a server, that named queues live in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
    is_default: bool,
    access: Access,
}

/// What is needed to use queues on servers, besides their URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// `$IPCQ_REDIS_PASSWORD`: the password for servers whose URL has none.
    pub password: Option<Secret>,
    /// `$IPCQ_REDIS_PASSWORD_FILE`: a file whose first line is that password.
    pub password_file: Option<PathBuf>,
    /// `$IPCQ_REDIS_PRESENCE`: how long a process that a server does not hear from keeps its messages, as it was written.
    pub presence: Option<String>,
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
        let access = surroundings.access.clone();
        if let Some(directory) = not_empty(&surroundings.ipcq_dir) {
            return Self { directory: directory.into(), is_default: false, access };
        }
        // Nothing else in the environment counts, so that cron, make and a login shell meet.
        let parent = if surroundings.shared_memory.is_dir() {
            surroundings.shared_memory.clone()
        } else {
            not_empty(&surroundings.tmpdir).map_or_else(|| PathBuf::from("/tmp"), PathBuf::from)
        };
        Self { directory: parent.join(format!("ipcq-{}", surroundings.uid)), is_default: true, access }
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

    /// The server whose queues those of plain names are, if they are on one.
    ///
    /// # Errors
    /// `BadName` if what was chosen looks like the URL of a server and is none.
    pub fn server(&self) -> Result<Option<Server>> {
        let text = self.directory.as_os_str();
        Server::parse(text).map(|server| server.map_err(|reason| bad_url(text, reason))).transpose()
    }

    /// The queue on a server that `address` means, if it means one.
    ///
    /// # Errors
    /// Those of [`Place::server`].
    pub fn remote(&self, address: &Address) -> Result<Option<Remote>> {
        match address {
            Address::Remote(remote) => Ok(Some(remote.clone())),
            Address::Named(name) if !self.is_default => Ok(self.server()?.map(|server| server.queue(name.clone()))),
            Address::Named(_) | Address::Path(_) => Ok(None),
        }
    }

    /// What is needed to use queues on servers, besides their URLs.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The segment file of `address`, whether it exists or not.
    pub fn segment_path(&self, address: &Address) -> PathBuf {
        match address {
            Address::Named(name) => self.directory.join(name.as_str()),
            Address::Path(path) => path.clone(),
            // It has none; no file has such a path.
            Address::Remote(remote) => PathBuf::from(remote.shown()),
        }
    }

    /// What kind of directory the segment file of `address` is in.
    pub fn home(&self, address: &Address) -> Home {
        match address {
            Address::Path(_) | Address::Remote(_) => Home::OnThePath,
            Address::Named(_) => self.home_of_names(),
        }
    }

    /// What kind of directory that of named queues is.
    pub fn home_of_names(&self) -> Home {
        if self.is_default { Home::Private } else { Home::Chosen }
    }
}

fn not_empty(variable: &Option<OsString>) -> Option<&OsString> {
    variable.as_ref().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn surroundings(shared_memory: &Path) -> Surroundings {
        Surroundings {
            ipcq_dir: None,
            access: Access::default(),
            tmpdir: None,
            uid: 1234,
            shared_memory: shared_memory.to_owned(),
        }
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
    fn ipcq_dir_can_be_a_database_of_a_server() {
        let place = chosen(Path::new("redis://:secret@host/2"));
        assert_eq!(place.remote(&address("jobs")).unwrap().unwrap().shown(), "redis://host:6379/2/jobs");
        assert_eq!(place.remote(&address("./jobs")).unwrap(), None);
        let message = chosen(Path::new("redis://:secret@host/x")).remote(&address("jobs")).unwrap_err().to_string();
        assert!(message.contains("redis://…") && !message.contains("secret"), "{message}");
        assert_eq!(chosen(Path::new("queues")).remote(&address("jobs")).unwrap(), None);
        let local = chosen(Path::new("queues"));
        assert_eq!(local.remote(&address("redis://host/jobs")).unwrap().unwrap().shown(), "redis://host:6379/0/jobs");
    }
}
