//! Messages that say which one they are, and reading them out of what a consumer wrote.

use crate::harness::Random;
use base64::Engine;
use std::ops::Range;

/// A queue's place in the list of queues, a producer's among the producers, and the message's number among
/// those that this producer meant to put into this queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) queue: usize,
    pub(super) producer: usize,
    pub(super) number: u32,
}

/// How a message was put, which says how it comes out where it is to come out as it was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An argument, or one of several: comes out as a line.
    Argument,
    /// A line of a stream, or what ended with a NUL in one: comes out as a line.
    Record,
    /// The whole of standard input: comes out byte for byte.
    Whole,
}

/// The header: kind, queue, producer, number, bytes of payload.
const HEADER: usize = 1 + 1 + 2 + 8 + 6 + 1;
const QUEUE: Range<usize> = 1..2;
const PRODUCER: Range<usize> = 2..4;
const NUMBER: Range<usize> = 4..12;
const LENGTH: Range<usize> = 12..18;

/// The message `key` of that kind with `length` bytes of payload, any but NUL and newline. All of it follows from
/// what the header says, so one that was torn or mixed up is not this.
pub(super) fn message(key: Key, kind: Kind, length: usize) -> Vec<u8> {
    let Key { queue, producer, number } = key;
    let letter = match kind {
        Kind::Argument => 'a',
        Kind::Record => 'r',
        Kind::Whole => 'w',
    };
    let mut message = format!("{letter}{queue}{producer:02}{number:08}{length:06}:").into_bytes();
    assert_eq!(message.len(), HEADER);
    let seed = u64::from(number) << 32 | (producer << 24 | length) as u64;
    let mut payload = Random::new(seed).bytes(length);
    let is_text = number.is_multiple_of(2);
    for byte in &mut payload {
        match *byte {
            byte_of_text if is_text => *byte = b'a' + byte_of_text % 26,
            0 | b'\n' => *byte = b'x',
            _ => {}
        }
    }
    message.append(&mut payload);
    message
}

/// The form in which a consumer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    AsPut,
    Nul,
    Raw,
    Json,
}

/// A message that a consumer wrote in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) key: Key,
    /// Id and attempt, where the form shows them.
    pub(super) lease: Option<(u64, u32)>,
}

/// What follows the last message that was written in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    /// The start of a message, and of which one if it says so.
    Start(Option<Key>),
    /// What no message starts with.
    Torn(String),
}

/// The messages in `output`, in order, and what is left after them.
pub(super) fn parse(output: &[u8], form: Form) -> (Vec<Received>, Rest) {
    let mut messages = Vec::new();
    let mut left = output;
    while !left.is_empty() {
        let step = if form == Form::Json { parse_object(left) } else { parse_bytes(left, form) };
        match step {
            Ok((received, length)) => {
                messages.push(received);
                left = &left[length..];
            }
            Err(rest) => return (messages, rest),
        }
    }
    (messages, Rest::Nothing)
}

fn torn(what: &str, bytes: &[u8]) -> Rest {
    Rest::Torn(format!("{what}: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)])))
}

/// The first message of `bytes` and its length, or what there is instead.
fn parse_bytes(bytes: &[u8], form: Form) -> Result<(Received, usize), Rest> {
    let Some(header) = bytes.get(..HEADER) else {
        let starts_well = bytes.iter().enumerate().all(|(index, byte)| match index {
            0 => b"arw".contains(byte),
            _ => byte.is_ascii_digit(),
        });
        return Err(if starts_well { Rest::Start(None) } else { torn("no header", bytes) });
    };
    let Some((key, kind, length)) = parse_header(header) else { return Err(torn("no header", bytes)) };
    let mut expected = message(key, kind, length);
    match form {
        Form::Nul => expected.push(0),
        Form::AsPut if kind != Kind::Whole => expected.push(b'\n'),
        _ => {}
    }
    if bytes.starts_with(&expected) {
        return Ok((Received { key, lease: None }, expected.len()));
    }
    Err(if expected.starts_with(bytes) { Rest::Start(Some(key)) } else { torn("not what was put", bytes) })
}

fn parse_header(header: &[u8]) -> Option<(Key, Kind, usize)> {
    let text = std::str::from_utf8(header).ok()?.strip_suffix(':')?;
    let kind = match text.get(..1)? {
        "a" => Kind::Argument,
        "r" => Kind::Record,
        "w" => Kind::Whole,
        _ => return None,
    };
    let number = |range: Range<usize>| text.get(range)?.parse::<u32>().ok();
    let key = Key { queue: number(QUEUE)? as usize, producer: number(PRODUCER)? as usize, number: number(NUMBER)? };
    Some((key, kind, number(LENGTH)? as usize))
}

/// The same for an object on a line.
fn parse_object(bytes: &[u8]) -> Result<(Received, usize), Rest> {
    let Some(length) = bytes.iter().position(|byte| *byte == b'\n') else {
        let start = b"{\"id\":\"";
        let common = start.len().min(bytes.len());
        return Err(if bytes[..common] == start[..common] { Rest::Start(None) } else { torn("no object", bytes) });
    };
    let object: serde_json::Value = serde_json::from_slice(&bytes[..length]).map_err(|_| torn("no object", bytes))?;
    let body = match (object["body"].as_str(), object["body_base64"].as_str()) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(text)) => {
            base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| torn("no base64", bytes))?
        }
        _ => return Err(torn("no body", bytes)),
    };
    let lease = object["id"].as_str().and_then(|id| id.parse().ok()).zip(object["attempt"].as_u64());
    let Some((id, attempt)) = lease else { return Err(torn("no id and attempt", bytes)) };
    match parse_bytes(&body, Form::Raw) {
        Ok((received, whole)) if whole == body.len() => {
            Ok((Received { lease: Some((id, attempt as u32)), ..received }, length + 1))
        }
        _ => Err(torn("not what was put", bytes)),
    }
}
