//! The command that is run for each message: its words, with the message in place of `{}`, and its environment.

use memchr::memmem;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What the message takes the place of.
const PLACEHOLDER: &[u8] = b"{}";

/// The variables in the environment of a command that tell it what it works on.
const VARIABLES: [&str; 3] = ["IPCQ_ID", "IPCQ_QUEUE", "IPCQ_ATTEMPT"];

/// A word of a command.
enum Word {
    /// The same for every message.
    Fixed(CString),
    /// The pieces between which the message is put.
    Pieces(Vec<Vec<u8>>),
}

/// A command for messages that are not known yet.
pub(super) struct Template {
    words: Vec<Word>,
    environment: Vec<CString>,
}

/// The command for one message.
pub(super) struct Command {
    /// Its words, the first of which is the program.
    pub(super) words: Vec<CString>,
    /// Its environment.
    pub(super) environment: Vec<CString>,
}

impl Template {
    /// The command with these words, for messages of the queue with this name. The first word stays as it is: no
    /// message decides which program is run.
    pub(super) fn new(words: &[OsString], queue: &str) -> Self {
        let words = words.iter().enumerate().map(|(index, word)| {
            let pieces: Vec<Vec<u8>> = pieces(word.as_bytes());
            if index == 0 || pieces.len() == 1 { Word::Fixed(c_string(word.as_bytes())) } else { Word::Pieces(pieces) }
        });
        let is_ours = |name: &OsStr| VARIABLES.iter().any(|variable| name == *variable);
        let mut environment: Vec<CString> = std::env::vars_os()
            .filter(|(name, _)| !is_ours(name))
            .map(|(name, value)| c_string(&[&name.into_vec(), &b"="[..], value.as_bytes()].concat()))
            .collect();
        environment.push(c_string(format!("IPCQ_QUEUE={queue}").as_bytes()));
        Template { words: words.collect(), environment }
    }

    /// Whether the message is part of a word.
    pub(super) fn has_placeholder(&self) -> bool {
        self.words.iter().any(|word| matches!(word, Word::Pieces(_)))
    }

    /// The command for a message; `None` if it would be part of a word and has a NUL, which no word can have.
    pub(super) fn command(&self, id: u64, attempt: u32, body: &[u8]) -> Option<Command> {
        let words = self.words.iter().map(|word| match word {
            Word::Fixed(word) => Some(word.clone()),
            Word::Pieces(pieces) => CString::new(pieces.join(body)).ok(),
        });
        let mut environment = self.environment.clone();
        environment.push(c_string(format!("IPCQ_ID={id}").as_bytes()));
        environment.push(c_string(format!("IPCQ_ATTEMPT={attempt}").as_bytes()));
        Some(Command { words: words.collect::<Option<_>>()?, environment })
    }
}

/// What is between the placeholders of `word`.
fn pieces(word: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for place in memmem::find_iter(word, PLACEHOLDER) {
        pieces.push(word[start..place].to_vec());
        start = place + PLACEHOLDER.len();
    }
    pieces.push(word[start..].to_vec());
    pieces
}

/// Text that came from arguments, the environment or ourselves, and so has no NUL.
fn c_string(text: &[u8]) -> CString {
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(template: &[&str], body: &[u8]) -> Option<Vec<Vec<u8>>> {
        let template: Vec<OsString> = template.iter().map(OsString::from).collect();
        let command = Template::new(&template, "jobs").command(7, 2, body)?;
        Some(command.words.into_iter().map(CString::into_bytes).collect())
    }

    #[test]
    fn every_placeholder_but_in_the_program_becomes_the_message() {
        let body = b"a {} b\n\xff";
        let expected: [&[u8]; 5] = [b"{}", b"x", b"a {} b\n\xff", b"<a {} b\n\xff>a {} b\n\xff", b"{ }"];
        assert_eq!(words(&["{}", "x", "{}", "<{}>{}", "{ }"], body).unwrap(), expected);
        assert_eq!(words(&["x", "{{}}"], b"").unwrap(), [&b"x"[..], b"{}"]);
    }

    #[test]
    fn a_message_with_a_nul_is_no_word_but_may_be_input() {
        assert_eq!(words(&["x", "{}"], b"a\0b"), None);
        assert_eq!(words(&["x"], b"a\0b").unwrap(), [b"x"]);
    }

    #[test]
    fn the_environment_says_what_is_worked_on() {
        let template = Template::new(&["x".into()], "a/b");
        let command = template.command(7, 2, b"").unwrap();
        let ours: Vec<_> = command.environment.iter().filter(|text| text.as_bytes().starts_with(b"IPCQ_")).collect();
        for text in [c"IPCQ_ID=7", c"IPCQ_ATTEMPT=2", c"IPCQ_QUEUE=a/b"] {
            assert_eq!(ours.iter().filter(|ours| ours.as_c_str() == text).count(), 1, "{text:?}");
        }
    }
}
