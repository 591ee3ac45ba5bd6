//! JSON as messages: checking it, storing it compact, and showing any message as an object.

use crate::error::Result;
use crate::lease::LeaseId;
use crate::reserve::reserve;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use std::ffi::OsStr;

/// More than the bytes of a line of output besides those of the body.
const LINE: u64 = 128;

/// Appends `text`, which must be one JSON value, without the white space between its tokens. Every
/// number, string and key stays as it was written.
///
/// # Errors
/// Why it is not JSON, as the end of a sentence.
pub(super) fn compact(text: &[u8], into: &mut Vec<u8>) -> std::result::Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    serde_json::from_str::<&RawValue>(text).map_err(|error| error.to_string())?;
    let (mut in_string, mut escaped) = (false, false);
    for &byte in text.as_bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = byte == b'"';
        }
        into.push(byte);
    }
    Ok(())
}

/// Appends `text` as a JSON string.
pub(super) fn string(text: &str, into: &mut Vec<u8>) {
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(&mut *into, text);
}

/// Appends a message as one line: `{"id":…,"attempt":…,"body":…}`; of a lease, with the queue that it is from.
///
/// # Errors
/// When there is not so much memory.
pub(super) fn message(
    id: LeaseId,
    queue: Option<&OsStr>,
    attempt: u32,
    body: &[u8],
    is_json: bool,
    into: &mut Vec<u8>,
) -> Result<()> {
    into.extend_from_slice(format!("{{\"id\":\"{id}\",").as_bytes());
    if let Some(queue) = queue {
        into.extend_from_slice(b"\"queue\":");
        string(&queue.to_string_lossy(), into);
        into.push(b',');
    }
    into.extend_from_slice(format!("\"attempt\":{attempt},").as_bytes());
    self::body(body, is_json, into)?;
    into.extend_from_slice(b"}\n");
    Ok(())
}

/// Appends the member with a message's body: `"body":…` or `"body_base64":…`.
///
/// # Errors
/// When there is not so much memory.
pub(super) fn body(body: &[u8], is_json: bool, into: &mut Vec<u8>) -> Result<()> {
    match std::str::from_utf8(body) {
        // What says that it is JSON comes from a file, and decides nothing by itself.
        Ok(text) if is_json && is_one_line_of_json(text) => {
            reserve(into, LINE + text.len() as u64)?;
            into.extend_from_slice(b"\"body\":");
            into.extend_from_slice(text.as_bytes());
        }
        Ok(text) => {
            let escaped = body.iter().map(|&byte| if byte < b' ' { 6 } else { 1 + u64::from(b"\"\\".contains(&byte)) });
            reserve(into, LINE + escaped.sum::<u64>())?;
            into.extend_from_slice(b"\"body\":");
            string(text, into);
        }
        Err(_) => {
            into.extend_from_slice(b"\"body_base64\":\"");
            base64(body, into)?;
            into.push(b'"');
        }
    }
    Ok(())
}

fn is_one_line_of_json(text: &str) -> bool {
    !text.contains('\n') && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Appends `bytes` in base64.
///
/// # Errors
/// When there is not so much memory.
pub(super) fn base64(bytes: &[u8], into: &mut Vec<u8>) -> Result<()> {
    let (start, length) = (into.len(), bytes.len().div_ceil(3) * 4);
    reserve(into, LINE + length as u64)?;
    into.resize(start + length, 0);
    // There is just as much room as it takes.
    let _ = STANDARD.encode_slice(bytes, &mut into[start..]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compacted(text: &str) -> std::result::Result<String, String> {
        let mut into = Vec::new();
        compact(text.as_bytes(), &mut into).map(|()| String::from_utf8_lossy(&into).into_owned())
    }

    #[test]
    fn white_space_goes_only_between_tokens() {
        assert_eq!(
            compacted(" { \"a b\" : [ 1.50 , \"c \\\" d\" ,\n true ] } ").as_deref(),
            Ok(r#"{"a b":[1.50,"c \" d",true]}"#)
        );
        assert_eq!(compacted(r#""\\" "#).as_deref(), Ok(r#""\\""#));
        assert_eq!(compacted("1e400").as_deref(), Ok("1e400"));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in ["", "{", "{'a':1}", "1 2", "\"\u{1}\"", "nul"] {
            assert!(compacted(text).is_err(), "{text:?}");
        }
        assert!(compact(b"\"\xff\"", &mut Vec::new()).is_err());
    }

    #[test]
    fn nesting_that_is_deep_is_no_reason_to_crash() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let _ = compacted(&deep);
    }

    #[test]
    fn a_message_that_is_said_to_be_json_and_is_not_is_shown_as_a_string() {
        for (body, shown) in
            [("{\"a\":1}", "{\"a\":1}"), ("1,\"x\":2", "\"1,\\\"x\\\":2\""), ("", "\"\""), ("[\n]", "\"[\\n]\"")]
        {
            let mut line = Vec::new();
            message(LeaseId { message: 7, attempt: 1 }, None, 2, body.as_bytes(), true, &mut line).unwrap();
            assert_eq!(String::from_utf8_lossy(&line), format!("{{\"id\":\"7\",\"attempt\":2,\"body\":{shown}}}\n"));
        }
    }

    #[test]
    fn a_message_that_is_not_utf8_is_shown_in_base64() {
        let mut line = Vec::new();
        message(LeaseId { message: 7, attempt: 1 }, None, 2, b"\xff\0", false, &mut line).unwrap();
        assert_eq!(line, b"{\"id\":\"7\",\"attempt\":2,\"body_base64\":\"/wA=\"}\n");
    }
}
