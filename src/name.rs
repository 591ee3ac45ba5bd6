//! What a queue may be called, and how what was typed is shown.

use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

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

/// That `text`, of which the start is repeated, is no queue name.
pub(crate) fn bad_name(text: &OsStr, reason: String) -> Error {
    let lossy = text.to_string_lossy();
    let mut start: OsString = lossy.chars().take(LONGEST_QUOTE).collect::<String>().into();
    if lossy.chars().nth(LONGEST_QUOTE).is_some() {
        start.push("…");
    }
    Error::BadName { name: printable(start), reason }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: impl AsRef<OsStr>) -> String {
        match QueueName::parse(text.as_ref()) {
            Err(error @ Error::BadName { .. }) => error.to_string(),
            other => panic!("{:?} gave {other:?}", text.as_ref()),
        }
    }

    #[test]
    fn names_of_the_documented_alphabet_are_names() {
        for text in ["a", "_", "0", "jobs", "a.b-c_D9", "a..", "redis", "7-"] {
            let name: QueueName = text.parse().unwrap();
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
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
}
