//! What a queue may be called: a plain name, the path of its file, or the URL of one on a server.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::remote::{self, Remote};

/// The longest queue name, in bytes.
pub const LONGEST_NAME: usize = 200;

/// How much of a refused name an error repeats, in characters.
const LONGEST_QUOTE: usize = 60;

/// What a refused name should have been.
const ADVICE: &str = "use letters, digits, '.', '_' and '-', or a path with a '/'";

/// A queue's plain name: `[A-Za-z0-9_][A-Za-z0-9._-]{0,199}`, safe as a file name, as a word of a
/// shell command and on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(String);

impl QueueName {
    /// Checks `text`, and says precisely what is wrong with it.
    ///
    /// # Errors
    /// [`Error::BadName`] when it is not a queue name.
    pub fn parse(text: &OsStr) -> Result<Self> {
        match (text.to_str(), complaint_about_name(text)) {
            (Some(name), None) => Ok(Self(name.to_owned())),
            (None, None) => Err(bad_name(text, format!("it is not UTF-8; {ADVICE}"))),
            (_, Some(reason)) => Err(bad_name(text, reason)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueueName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(OsStr::new(text))
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

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

/// `text` as it can be shown in a message: control characters and bytes that are not UTF-8 are
/// replaced, so that no file name can drive a terminal or break a line in two.
pub(crate) fn printable(text: impl AsRef<OsStr>) -> String {
    let mut shown = String::new();
    for character in text.as_ref().to_string_lossy().chars() {
        match character {
            '\'' | '"' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

fn bad_name(text: &OsStr, reason: String) -> Error {
    let lossy = text.to_string_lossy();
    let mut start: OsString = lossy.chars().take(LONGEST_QUOTE).collect::<String>().into();
    if lossy.chars().nth(LONGEST_QUOTE).is_some() {
        start.push("…");
    }
    Error::BadName { name: printable(start), reason }
}

/// That `text`, which begins with a scheme of ours, is no URL of a queue. Only the scheme is repeated: the rest may
/// hold a password.
pub(crate) fn bad_url(text: &OsStr, reason: String) -> Error {
    Error::BadName { name: format!("{}…", remote::scheme(text).unwrap_or_default()), reason }
}

fn complaint_about_name(text: &OsStr) -> Option<String> {
    let bytes = text.as_bytes();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    match bytes {
        [] => return Some(format!("it is empty; {ADVICE}")),
        b"." | b".." => return Some(format!("it is a directory; {ADVICE}")),
        _ => {}
    }
    if !bytes.iter().all(allowed) {
        let lossy = text.to_string_lossy();
        let stranger = lossy.chars().find(|character| !u8::try_from(*character).is_ok_and(|byte| allowed(&byte)))?;
        let stranger = match stranger {
            char::REPLACEMENT_CHARACTER if text.to_str().is_none() => "bytes that are not UTF-8".to_owned(),
            ' ' => "a space".to_owned(),
            '\'' => "a single quote".to_owned(),
            _ => format!("'{}'", printable(stranger.to_string())),
        };
        return Some(format!("it contains {stranger}; {ADVICE}"));
    }
    if let Some(first @ (b'.' | b'-')) = bytes.first() {
        let first = char::from(*first);
        return Some(format!("it starts with '{first}'; start it with a letter, a digit or '_'"));
    }
    if bytes.len() > LONGEST_NAME {
        return Some(format!("it is {} bytes long; use at most {LONGEST_NAME}", bytes.len()));
    }
    None
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
    fn names_of_the_documented_alphabet_are_names() {
        for text in ["a", "_", "0", "jobs", "a.b-c_D9", "a..", "redis", "7-"] {
            let address = Address::parse(OsStr::new(text)).unwrap();
            assert_eq!(address, Address::Named(QueueName(text.to_owned())));
            assert_eq!(address.to_string(), text);
            assert_eq!(address.as_os_str(), text);
        }
        assert!("a".repeat(200).parse::<QueueName>().is_ok());
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        assert!(refusal("").contains("it is empty"));
        assert!(refusal(".").contains("it is a directory"));
        assert!(refusal("..").contains("it is a directory"));
        assert!(refusal("-x").contains("it starts with '-'"));
        assert!(refusal(".hidden").contains("it starts with '.'"));
        assert!(refusal("a b").contains("it contains a space"));
        assert!(refusal("a\nb").contains("it contains '\\n'"));
        assert!(refusal("café").contains("it contains 'é'"));
        assert!(refusal("a:b").contains("it contains ':'"));
        assert!(refusal(OsStr::from_bytes(b"a\xff")).contains("it contains bytes that are not UTF-8"));
        assert!(refusal("a\0b").contains("it contains '\\0'"));
        assert!(refusal("a".repeat(201)).contains("it is 201 bytes long; use at most 200"));
        assert!("a/b".parse::<QueueName>().is_err());
    }

    #[test]
    fn a_refused_name_cannot_drive_the_terminal_or_flood_it() {
        let message = refusal("\u{1b}[31m\nx");
        assert!(message.starts_with("'\\u{1b}[31m\\nx' is not a queue name: "), "{message}");
        let message = refusal("a".repeat(300));
        assert!(message.contains(&format!("'{}…'", "a".repeat(60))), "{message}");
        assert!(!message.contains(&"a".repeat(61)));
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
