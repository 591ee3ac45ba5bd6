//! `--shell`: a message as assignments that a shell can `eval`, whatever its producer put into it.

use super::json;
use crate::error::Result;
use crate::lease::LeaseId;
use crate::reserve::reserve;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Appends the assignments of one message, a line each; of a lease, with the queue that it is from.
///
/// Every value is quoted, every name is ours: `ipcq_…`, or `msg_` and a key. A body that a shell
/// variable cannot hold, because it has a NUL, is given as `ipcq_body_base64`, with an empty `ipcq_body`.
///
/// # Errors
/// When there is not so much memory.
pub(super) fn assignments(
    id: LeaseId,
    queue: Option<&OsStr>,
    attempt: u32,
    body: &[u8],
    into: &mut Vec<u8>,
) -> Result<()> {
    assign("ipcq_id", id.to_string().as_bytes(), into)?;
    if let Some(queue) = queue {
        assign("ipcq_queue", queue.as_bytes(), into)?;
    }
    assign("ipcq_attempt", attempt.to_string().as_bytes(), into)?;
    if body.contains(&0) {
        assign("ipcq_body", b"", into)?;
        into.extend_from_slice(b"ipcq_body_base64='");
        json::base64(body, into)?;
        into.extend_from_slice(b"'\n");
        return Ok(());
    }
    assign("ipcq_body", body, into)?;
    // The parser would die of a failed allocation, so what it may need, for copies of two values, is tried out.
    reserve(&mut Vec::new(), 4 * body.len() as u64)?;
    let Ok(object) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(body) else { return Ok(()) };
    for (key, value) in &object {
        if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            assign(&format!("msg_{key}"), &as_text(value), into)?;
        }
    }
    Ok(())
}

/// A value as a script wants it: strings without their quotes, null as nothing, the rest as compact JSON.
fn as_text(value: &RawValue) -> Vec<u8> {
    let text = value.get();
    if text == "null" {
        return Vec::new();
    }
    if text.starts_with('"') {
        // A string that no shell variable can hold, or that is not Unicode, is given as it is written.
        match serde_json::from_str::<String>(text) {
            Ok(string) if !string.contains('\0') => return string.into_bytes(),
            _ => return text.as_bytes().to_vec(),
        }
    }
    let mut compact = Vec::new();
    match json::compact(text.as_bytes(), &mut compact) {
        Ok(()) => compact,
        Err(_) => text.as_bytes().to_vec(),
    }
}

/// In single quotes nothing means anything to a shell but the single quote itself.
fn assign(name: &str, value: &[u8], into: &mut Vec<u8>) -> Result<()> {
    let quotes = bytecount::count(value, b'\'');
    reserve(into, (name.len() + value.len() + 3 * quotes + 4) as u64)?;
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(b"='");
    for &byte in value {
        match byte {
            b'\'' => into.extend_from_slice(br"'\''"),
            _ => into.push(byte),
        }
    }
    into.extend_from_slice(b"'\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &[u8]) -> String {
        let mut into = Vec::new();
        assignments(LeaseId { message: 1, attempt: 1 }, None, 1, body, &mut into).unwrap();
        String::from_utf8_lossy(&into).into_owned()
    }

    #[test]
    fn the_keys_of_an_object_become_variables() {
        let text =
            shown(br#"{"name": "Harry", "score": 95, "PATH": "x", "a b": 1, "": 2, "list": [1, 2], "none": null}"#);
        let lines: Vec<_> = text.lines().skip(3).collect();
        assert_eq!(lines, ["msg_PATH='x'", "msg_list='[1,2]'", "msg_name='Harry'", "msg_none=''", "msg_score='95'"]);
    }

    #[test]
    fn quotes_cannot_be_left() {
        assert!(shown(b"it's $(rm) `x`").ends_with("ipcq_body='it'\\''s $(rm) `x`'\n"));
    }

    #[test]
    fn a_nul_goes_into_base64() {
        assert!(shown(b"a\0b").ends_with("ipcq_body=''\nipcq_body_base64='YQBi'\n"));
        assert!(shown(br#"{"a":"\u0000"}"#).ends_with("msg_a='\"\\u0000\"'\n"));
    }
}
