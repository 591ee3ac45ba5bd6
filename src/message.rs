//! What travels through a queue: runs of whole messages, and how each message ends.

use crate::delimiter;

/// How the messages of a run are told apart, and with it how a message is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Framing {
    /// One message, which is all of the bytes; it comes out byte for byte.
    Whole = 1,
    /// Each message is followed by a newline and holds none.
    Newline = 2,
    /// Each message is followed by a NUL and holds none.
    Nul = 3,
}

impl Framing {
    /// The framing that a stored number stands for, if it is one.
    pub fn from_number(number: u8) -> Option<Self> {
        [Framing::Whole, Framing::Newline, Framing::Nul].into_iter().find(|framing| *framing as u8 == number)
    }

    /// The byte that ends each message, where there is one.
    pub fn delimiter(self) -> Option<u8> {
        match self {
            Framing::Whole => None,
            Framing::Newline => Some(b'\n'),
            Framing::Nul => Some(0),
        }
    }
}

/// One or more consecutive messages in the form in which they are stored and moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    bytes: &'a [u8],
    framing: Framing,
    count: u64,
    /// Every message is a compact JSON value.
    pub json: bool,
}

impl<'a> Run<'a> {
    /// One message, given back byte for byte.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Run { bytes, framing: Framing::Whole, count: 1, json: false }
    }

    /// The messages in `bytes`, each ended by the framing's delimiter. Bytes after the last
    /// delimiter are left out: they are not a message yet.
    pub fn delimited(bytes: &'a [u8], framing: Framing) -> Self {
        let Some(delimiter) = framing.delimiter() else { return Run::whole(bytes) };
        let end = delimiter::last(bytes, delimiter).map_or(0, |last| last + 1);
        let bytes = &bytes[..end];
        Run { bytes, framing, count: delimiter::count(bytes, delimiter), json: false }
    }

    /// The same run, marked as holding JSON.
    pub fn with_json(self, json: bool) -> Self {
        Run { json, ..self }
    }

    /// A run that was stored: `count` is what was counted when it was put.
    pub(crate) fn stored(bytes: &'a [u8], framing: Framing, count: u64, json: bool) -> Self {
        Run { bytes, framing, count, json }
    }

    /// Everything, delimiters included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How the messages are told apart.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Number of messages.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of the messages themselves, without their delimiters.
    pub fn message_bytes(&self) -> u64 {
        match self.framing {
            Framing::Whole => self.bytes.len() as u64,
            _ => (self.bytes.len() as u64).saturating_sub(self.count),
        }
    }

    /// Each message, without its delimiter.
    pub fn messages(&self) -> Messages<'a> {
        Messages { rest: self.bytes, delimiter: self.framing.delimiter(), left: self.count }
    }

    /// The longest prefix of at most `count` messages that together have at most `bytes` bytes.
    pub fn prefix(&self, count: u64, bytes: u64) -> Run<'a> {
        if self.count <= count && self.message_bytes() <= bytes {
            return *self;
        }
        let (mut taken, mut used, mut end) = (0, 0, 0);
        for message in self.messages() {
            if taken == count || used + message.len() as u64 > bytes {
                break;
            }
            taken += 1;
            used += message.len() as u64;
            end += message.len() + usize::from(self.framing.delimiter().is_some());
        }
        // A run that was stored may lack the last delimiter.
        Run { bytes: &self.bytes[..end.min(self.bytes.len())], count: taken, ..*self }
    }

    /// What remains after `prefix`, which must have come from [`Run::prefix`] of this run.
    pub fn after(&self, prefix: &Run<'a>) -> Run<'a> {
        Run { bytes: &self.bytes[prefix.bytes.len()..], count: self.count - prefix.count, ..*self }
    }
}

/// The messages of a [`Run`], in order.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
    delimiter: Option<u8>,
    left: u64,
}

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let end = match self.delimiter {
            // The last one ends where the run does: no need to search.
            Some(delimiter) if self.left == 0 => self.rest.strip_suffix(&[delimiter]).map(<[u8]>::len),
            Some(delimiter) => delimiter::first(self.rest, delimiter),
            None => None,
        };
        let message = &self.rest[..end.unwrap_or(self.rest.len())];
        self.rest = end.map_or(&[], |end| &self.rest[end + 1..]);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimited_run_leaves_out_the_unfinished_line() {
        let run = Run::delimited(b"a\n\nbc\nrest", Framing::Newline);
        assert_eq!((run.count(), run.message_bytes(), run.bytes()), (3, 3, &b"a\n\nbc\n"[..]));
        assert_eq!(run.messages().collect::<Vec<_>>(), [&b"a"[..], b"", b"bc"]);
    }

    #[test]
    fn a_prefix_and_what_is_after_it_make_the_run() {
        let run = Run::delimited(b"a\0bb\0\0cccc\0", Framing::Nul);
        for count in 0..6 {
            for bytes in 0..9 {
                let prefix = run.prefix(count, bytes);
                assert!(prefix.count() <= count && prefix.message_bytes() <= bytes);
                let all: Vec<_> = prefix.messages().chain(run.after(&prefix).messages()).collect();
                assert_eq!(all, run.messages().collect::<Vec<_>>());
            }
        }
        assert_eq!(run.prefix(9, 3).count(), 3);
    }

    #[test]
    fn a_stored_run_that_is_not_what_it_says_can_be_cut_all_the_same() {
        let run = Run::stored(b"a\nb", Framing::Newline, 5, false);
        assert_eq!(run.messages().collect::<Vec<_>>(), [&b"a"[..], b"b", b"", b"", b""]);
        for count in 0..6 {
            assert!(run.prefix(count, u64::MAX).bytes().len() <= 3);
        }
    }

    #[test]
    fn a_whole_message_keeps_every_byte() {
        let run = Run::whole(b"a\n\0");
        assert_eq!((run.count(), run.message_bytes()), (1, 3));
        assert_eq!(run.messages().next(), Some(&b"a\n\0"[..]));
        assert_eq!(run.prefix(1, 2).count(), 0);
    }
}
