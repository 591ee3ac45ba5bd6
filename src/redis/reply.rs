//! What scripts answer: a word that says what came of it, and values.

use redis::Value;

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    word: String,
    values: std::vec::IntoIter<Value>,
}

impl Reply {
    /// The answer in `value`; the word is empty if it is none.
    pub(super) fn new(value: Value) -> Self {
        let Value::Array(values) = value else { return Reply::default() };
        let mut values = values.into_iter();
        let word = values.next().map(text).unwrap_or_default();
        Reply { word, values }
    }

    /// What came of it.
    pub(super) fn word(&self) -> &str {
        &self.word
    }

    /// Whether there are more values.
    pub(super) fn is_over(&self) -> bool {
        self.values.as_slice().is_empty()
    }

    /// The next value as a number; 0 if it is none.
    pub(super) fn signed(&mut self) -> i64 {
        match self.values.next() {
            Some(Value::Int(number)) => number,
            Some(value) => text(value).parse().unwrap_or(0),
            None => 0,
        }
    }

    /// The same, if it cannot be less than 0.
    pub(super) fn number(&mut self) -> u64 {
        u64::try_from(self.signed()).unwrap_or(0)
    }

    /// The next value as a number that is 0 for no and 1 for yes.
    pub(super) fn flag(&mut self) -> bool {
        self.signed() == 1
    }

    /// The next value as bytes; none if it has none.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        self.values.next().map(bytes).unwrap_or_default()
    }

    /// The next value as text.
    pub(super) fn text(&mut self) -> String {
        self.values.next().map(text).unwrap_or_default()
    }

    /// The next value as a list of values.
    pub(super) fn list(&mut self) -> Reply {
        match self.values.next() {
            Some(Value::Array(values)) => Reply { word: String::new(), values: values.into_iter() },
            _ => Reply::default(),
        }
    }
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        _ => Vec::new(),
    }
}

fn text(value: Value) -> String {
    String::from_utf8_lossy(&bytes(value)).into_owned()
}
