//! Messages of any bytes, through a queue and out again in every form: none is lost, changed or shown as anything else.
#![no_main]

use arbitrary::Arbitrary;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipcq::message::{Framing, Run};
use ipcq::open;
use ipcq::queue::{Limits, Queue};
use ipcq_fuzz::{Queues, address};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;
use std::time::Instant;

#[derive(Arbitrary, Debug)]
struct Input {
    puts: Vec<Put>,
    form: Form,
    count: Option<u8>,
}

#[derive(Arbitrary, Debug)]
struct Put {
    kind: Kind,
    bytes: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Whole,
    Lines,
    Pieces,
    /// Through the command line, which puts it if it is JSON.
    Json,
    /// As a library may do: said to be JSON, and anything.
    SaidToBeJson,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Form {
    Nul,
    Raw,
    Json,
    Shell,
}

static QUEUES: LazyLock<Queues> = LazyLock::new(|| {
    let queues = Queues::new();
    // SAFETY: the fuzzer has one thread.
    unsafe { std::env::set_var("IPCQ_DIR", queues.place().directory()) };
    queues
});

fn run<S: AsRef<OsStr>>(arguments: &[S]) -> u8 {
    let arguments = arguments.iter().map(|argument| argument.as_ref().to_owned());
    ipcq::cli::main(std::iter::once(OsString::from("ipcq")).chain(arguments))
}

/// Puts what there is to put, and returns the messages, each with whether it is shown as JSON.
fn put(put: &Put, queue: &mut dyn Queue) -> Vec<(Vec<u8>, bool)> {
    let bytes = &put.bytes;
    let run = match put.kind {
        Kind::Json => return put_json(bytes),
        Kind::Whole => Run::whole(bytes),
        Kind::Lines => Run::delimited(bytes, Framing::Newline),
        Kind::Pieces => Run::delimited(bytes, Framing::Nul),
        Kind::SaidToBeJson => Run::delimited(bytes, Framing::Nul).with_json(true),
    };
    parts_make_the_whole(&run);
    let done = queue.put(&run, true, Some(Instant::now())).expect("it can be put");
    assert_eq!(done, run.count());
    let shown_as_json = |message: &[u8]| run.json && !message.contains(&b'\n') && is_json(message);
    run.messages().map(|message| (message.to_vec(), shown_as_json(message))).collect()
}

fn put_json(bytes: &[u8]) -> Vec<(Vec<u8>, bool)> {
    if bytes.contains(&0) {
        return Vec::new();
    }
    let is_json = is_json(bytes);
    let words = ["put", "q", "--json", "--"].map(OsStr::new);
    let code = run(&words.into_iter().chain([OsStr::from_bytes(bytes)]).collect::<Vec<_>>());
    assert_eq!(code, if is_json { 0 } else { 2 });
    if is_json { vec![(bytes.to_vec(), true)] } else { Vec::new() }
}

/// Any prefix of a run and what is after it have its messages.
fn parts_make_the_whole(run: &Run<'_>) {
    let all: Vec<_> = run.messages().collect();
    assert_eq!(all.len() as u64, run.count());
    assert_eq!(all.iter().map(|message| message.len() as u64).sum::<u64>(), run.message_bytes());
    for count in [0, 1, run.count() / 2, run.count(), u64::MAX] {
        for bytes in [0, 1, run.message_bytes() / 2, u64::MAX] {
            let prefix = run.prefix(count, bytes);
            assert!(prefix.count() <= count && prefix.message_bytes() <= bytes);
            let parts: Vec<_> = prefix.messages().chain(run.after(&prefix).messages()).collect();
            assert_eq!(parts, all);
        }
    }
}

/// JSON text without white space between its tokens, by which two texts are compared.
fn compact(text: &[u8]) -> Vec<u8> {
    let (mut in_string, mut escaped, mut compact) = (false, false, Vec::new());
    for &byte in text {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = byte == b'"';
        }
        compact.push(byte);
    }
    compact
}

/// Whether `text` is one value of JSON.
fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// Checks the lines of `--json` against the messages.
fn check_json(out: &[u8], messages: &[(Vec<u8>, bool)]) {
    let lines: Vec<_> = out.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), messages.len());
    for (line, (message, is_json)) in lines.iter().zip(messages) {
        let line = line.strip_suffix(b"\n").expect("a line has an end");
        if *is_json {
            let start = line.windows(7).position(|window| window == b"\"body\":").expect("there is a body") + 7;
            assert_eq!(compact(&line[start..line.len() - 1]), compact(message));
            continue;
        }
        let object: serde_json::Value = serde_json::from_slice(line).expect("a line is JSON");
        let body = match (&object["body"], &object["body_base64"]) {
            (serde_json::Value::String(text), _) => text.clone().into_bytes(),
            (_, serde_json::Value::String(text)) => STANDARD.decode(text).expect("it is base64"),
            _ => panic!("no body in {object}"),
        };
        assert_eq!(body, *message);
    }
}

/// Checks that a shell would do nothing but assign to `ipcq_…` and `msg_…`.
fn check_shell(mut out: &[u8], messages: &[(Vec<u8>, bool)]) {
    let mut bodies = Vec::new();
    while !out.is_empty() {
        let end = out.iter().position(|byte| *byte == b'=').expect("an assignment");
        let name = std::str::from_utf8(&out[..end]).expect("a name is text");
        assert!(name.starts_with("ipcq_") || name.starts_with("msg_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
        out = out[end + 1..].strip_prefix(b"'").expect("a quote");
        let mut value = Vec::new();
        loop {
            let end = out.iter().position(|byte| *byte == b'\'').expect("the quote has an end");
            value.extend_from_slice(&out[..end]);
            out = &out[end + 1..];
            match out.strip_prefix(br"\''") {
                Some(rest) => (out, value) = (rest, [&value[..], b"'"].concat()),
                None => break,
            }
        }
        out = out.strip_prefix(b"\n").expect("the end of a line");
        if name == "ipcq_body" {
            bodies.push(value);
        } else if name == "ipcq_body_base64" {
            bodies.pop();
            bodies.push(STANDARD.decode(value).expect("it is base64"));
        }
    }
    let same = |(body, (message, is_json)): (&Vec<u8>, &(Vec<u8>, bool))| {
        body == message || (*is_json && compact(body) == compact(message))
    };
    assert_eq!(bodies.len(), messages.len());
    assert!(bodies.iter().zip(messages).all(same));
}

fuzz_target!(|input: Input| {
    let queues = &*QUEUES;
    let limits = Limits::default();
    let mut queue = open::open_or_create(queues.place(), &address("q"), &limits).expect("a queue");
    let mut messages: Vec<_> = input.puts.iter().take(6).flat_map(|each| put(each, queue.as_mut())).collect();
    drop(queue);
    let option = match input.form {
        Form::Nul => "--null",
        Form::Raw => "--raw",
        Form::Json => "--json",
        Form::Shell => "--shell",
    };
    let file = queues.other_file("out");
    let count = input.count.map_or("-a".to_owned(), |count| format!("-n{}", u64::from(count) + 1));
    messages.truncate(input.count.map_or(usize::MAX, |count| usize::from(count) + 1));
    let is_empty = messages.is_empty();
    let words = ["get", "q", &count, option, "-t", "0", "-o"];
    let words = words.map(OsStr::new).into_iter().chain([file.as_os_str()]).collect::<Vec<_>>();
    assert_eq!(run(&words), u8::from(is_empty));
    if !is_empty {
        let out = std::fs::read(&file).expect("there is output");
        let plain = |end: &[u8]| messages.iter().flat_map(|(message, _)| [message, end].concat()).collect::<Vec<u8>>();
        match input.form {
            Form::Json => check_json(&out, &messages),
            Form::Shell => check_shell(&out, &messages),
            _ if messages.iter().any(|(_, is_json)| *is_json) => {}
            Form::Nul => assert_eq!(out, plain(b"\0")),
            Form::Raw => assert_eq!(out, plain(b"")),
        }
    }
    open::remove(queues.place(), &address("q")).expect("it can be removed");
});
