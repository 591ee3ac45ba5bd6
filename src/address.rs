//! Which queue is meant, as it was typed: a plain name, the path of its file, or the URL of one on a server.

use crate::error::{Error, Result};
use crate::name::{QueueName, bad_name, printable};
use crate::remote::{self, Remote};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What a person types to say which queue: a name, a path with a `/` in it, or a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A queue in the place where named queues live.
    Named(QueueName),
    /// A queue's file itself, wherever it is. Symbolic links and `..` are left to the kernel.
    Path(PathBuf),
    /// A queue on a server.
    Remote(Remote),
}

impl Address {
    /// Reads an address as it was typed.
    ///
    /// # Errors
    /// [`Error::BadName`] when it is neither a queue name nor the path of a file.
    pub fn parse(text: &OsStr) -> Result<Self> {
        if let Some(remote) = Remote::parse(text) {
            return remote.map(Address::Remote).map_err(|reason| bad_url(text, reason));
        }
        if !text.as_bytes().contains(&b'/') {
            return QueueName::parse(text).map(Address::Named);
        }
        match complaint_about_path(text) {
            Some(reason) => Err(bad_name(text, reason.to_owned())),
            None => Ok(Address::Path(PathBuf::from(text))),
        }
    }

    /// The address exactly as it was typed, for output that is not a terminal's; that of a server in full and without
    /// its password.
    pub fn as_os_str(&self) -> &OsStr {
        match self {
            Address::Named(name) => OsStr::new(name.as_str()),
            Address::Path(path) => path.as_os_str(),
            Address::Remote(remote) => OsStr::new(remote.shown()),
        }
    }
}

/// For people: whatever would disturb a terminal is escaped.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Named(name) => name.fmt(formatter),
            Address::Path(path) => formatter.write_str(&printable(path.as_os_str())),
            Address::Remote(remote) => remote.fmt(formatter),
        }
    }
}

/// That `text`, which begins with a scheme of ours, is no URL of a queue. Only the scheme is repeated: the rest may
/// hold a password.
pub(crate) fn bad_url(text: &OsStr, reason: String) -> Error {
    Error::BadName { name: format!("{}…", remote::scheme(text).unwrap_or_default()), reason }
}

fn complaint_about_path(text: &OsStr) -> Option<&'static str> {
    if text.as_bytes().contains(&0) {
        return Some("it contains a NUL byte; no file can be called that");
    }
    match text.as_bytes().rsplit(|byte| *byte == b'/').next() {
        Some(b"") => Some("it ends in '/', which names a directory; add the name of the queue's file"),
        Some(b"." | b"..") => Some("it names a directory; add the name of the queue's file"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: impl AsRef<OsStr>) -> String {
        match Address::parse(text.as_ref()) {
            Err(error @ Error::BadName { .. }) => error.to_string(),
            other => panic!("{:?} gave {other:?}", text.as_ref()),
        }
    }

    #[test]
    fn what_has_neither_a_slash_nor_a_scheme_is_a_name() {
        for text in ["jobs", "a..", "redis"] {
            let address = Address::parse(OsStr::new(text)).unwrap();
            assert_eq!(address, Address::Named(text.parse().unwrap()));
            assert_eq!(address.to_string(), text);
            assert_eq!(address.as_os_str(), text);
        }
        assert!(refusal("").contains("it is empty"));
    }

    #[test]
    fn a_slash_makes_a_path() {
        for text in ["./q", "/var/q", "a/../b", "a/-b", "a/b c\n", "//q", "a/...", "REDIS/q"] {
            assert_eq!(Address::parse(OsStr::new(text)).unwrap(), Address::Path(PathBuf::from(text)));
        }
        let address = Address::parse(OsStr::from_bytes(b"./\xff\n")).unwrap();
        assert_eq!(address.to_string(), "./\u{fffd}\\n");
        assert_eq!(address.as_os_str().as_bytes(), b"./\xff\n");
    }

    #[test]
    fn a_path_that_can_only_be_a_directory_is_refused() {
        for text in ["/", "a/", "a/.", "a/..", "./", "../.."] {
            assert!(refusal(text).contains("names a directory"), "{text}");
        }
        assert!(refusal("a/b\0c").contains("NUL"));
    }

    #[test]
    fn a_url_is_a_queue_on_a_server_and_one_that_is_wrong_is_refused_without_its_password() {
        let address = Address::parse(OsStr::new("redis://:secret@host/2/jobs")).unwrap();
        assert_eq!(address.to_string(), "redis://host:6379/2/jobs");
        assert_eq!(address.as_os_str(), "redis://host:6379/2/jobs");
        let message = refusal("rediss://:secret@host/0/a b");
        assert!(message.starts_with("'rediss://…' is not a queue name: it contains a space"), "{message}");
        assert!(!message.contains("secret"));
    }
}
