//! Words as somebody may type them: names, durations, sizes, modes and options are understood or refused in one line.
#![no_main]

use ipcq::address::Address;
use ipcq::name::QueueName;
use libfuzzer_sys::fuzz_target;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What the fuzzer need not find out: each byte from 128 on stands for one of these.
const WORDS: [&str; 48] = [
    "create",
    "put",
    "get",
    "close",
    "rm",
    "ls",
    "stat",
    "completions",
    "-t",
    "--timeout",
    "--no-wait",
    "-n",
    "-a",
    "--all",
    "-f",
    "--follow",
    "-0",
    "--null",
    "-l",
    "--lines",
    "--raw",
    "--json",
    "--shell",
    "-o",
    "--output",
    "--create",
    "--max-items",
    "--capacity",
    "--mode",
    "--exist-ok",
    "--force",
    "--",
    "1s",
    "500ms",
    "2m 30s",
    "0.5",
    "64K",
    "10MiB",
    "1G",
    "660",
    "0",
    "18446744073709551615",
    "--help",
    "q",
    "./q",
    "redis://",
    "-1",
    "1e9",
];

fn words(bytes: &[u8]) -> Vec<OsString> {
    let word = |piece: &[u8]| {
        let mut word = Vec::new();
        for byte in piece {
            match byte.checked_sub(128) {
                Some(index) if usize::from(index) < WORDS.len() => word.extend(WORDS[usize::from(index)].bytes()),
                _ => word.push(*byte),
            }
        }
        OsString::from_vec(word)
    };
    bytes.split(|byte| *byte == 0).take(12).map(word).collect()
}

/// Whether `text` can be a part of one line on a terminal.
fn is_tame(text: &str) -> bool {
    !text.contains(char::is_control)
}

fn check_name(word: &OsStr) {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let bytes = word.as_bytes();
    let is_name = (1..=200).contains(&bytes.len()) && bytes.iter().all(allowed) && !b".-".contains(&bytes[0]);
    match QueueName::parse(word) {
        Ok(name) => assert!(is_name && name.as_str().as_bytes() == bytes),
        Err(error) => assert!(!is_name && is_tame(&error.to_string()), "{error:?}"),
    }
    match Address::parse(word) {
        Ok(address) => {
            let shown = address.as_os_str();
            // That of a server is shown in full and without its password; what is shown means the same.
            let again = Address::parse(shown).map(|again| again.as_os_str() == shown);
            let is_same = if matches!(address, Address::Remote(_)) { again.unwrap_or(false) } else { shown == word };
            assert!(is_same && is_tame(&address.to_string()), "{word:?} is shown as {shown:?}");
        }
        Err(error) => assert!(!is_name && is_tame(&error.to_string()), "{error:?}"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let words = words(bytes);
    words.iter().for_each(|word| check_name(word));
    let line = [OsString::from("ipcq")].into_iter().chain(words);
    // What it says is for the command to put into one line; it must not panic over it.
    if let Err(error) = ipcq::cli::definition().try_get_matches_from(line) {
        let _ = error.to_string();
    }
});
