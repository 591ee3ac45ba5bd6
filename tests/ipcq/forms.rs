//! Messages as JSON, as shell variables and as bytes: hostile ones come through whole and do nothing.

use crate::harness::{Random, Sandbox, feed, have};
use std::process::Stdio;

/// A sandbox with a queue `jobs`.
fn queue() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create jobs");
    sandbox
}

/// Puts all of `body` as one message.
fn put(sandbox: &Sandbox, body: &[u8]) {
    let done = sandbox.run_with(["put", "jobs"], body);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
}

/// Gets one message as an object.
fn get_object(sandbox: &Sandbox) -> serde_json::Value {
    let text = sandbox.ok("get jobs --json -t 0");
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    serde_json::from_str(&text).expect("a line of JSON")
}

/// Text that means something to some shell.
const HOSTILE: [&str; 24] = [
    "",
    "plain",
    "'",
    "''",
    "'\\''",
    "\"",
    "$(touch ran)",
    "`touch ran`",
    "'; touch ran; '",
    "'$(touch ran)'",
    "\"; touch ran; \"",
    "\\'; touch ran #",
    "a\nb\n\n",
    "\ntouch ran\n",
    "\n",
    "\\",
    "\\\n",
    " two  spaces \t",
    "$PATH ${IFS} ~ * ? [a] {1,2}",
    "!! !$ ^a^b",
    "-n -e \\c \\x41 %s%n",
    "\r\n",
    "\u{1}\u{2}\u{7f}\u{81}\u{88}\u{9b}\u{feff}",
    "é€😀 & | ; < > # = ( )",
];

/// Lines of `set` that differ from one moment to the next in one of the shells by themselves.
const CHANGING: [&str; 12] = [
    "_=",
    "LINENO=",
    "RANDOM=",
    "SRANDOM=",
    "SECONDS=",
    "PIPESTATUS=",
    "BASH_",
    "EPOCH",
    "TTYIDLE=",
    "status=",
    "pipestatus=",
    "'?'=",
];

fn settings(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().filter(|line| !CHANGING.iter().any(|name| line.starts_with(name))).collect::<Vec<_>>().join("\n")
}

/// In every shell and in several locales, evaluates the next message, which `body` is, and checks that the variables
/// in `expected` have these values, that no other variable changed, and that nothing was run.
fn assert_evaluates(body: &[u8], expected: &[(&str, &[u8])]) {
    let sandbox = queue();
    for shell in ["bash", "bash --posix", "dash", "zsh", "busybox sh", "sh"] {
        let words: Vec<_> = shell.split(' ').collect();
        if !have(words[0]) {
            continue;
        }
        for locale in ["C", "C.UTF-8"] {
            put(&sandbox, body);
            let mut script = "assignments=$(ipcq get jobs --shell)\nset > before\neval \"$assignments\"\n".to_owned();
            for (name, _) in expected {
                script.push_str(&format!("printf %s \"${{{name}-unset}}\" > value.{name}\nunset {name}\n"));
            }
            script.push_str("unset ipcq_id ipcq_attempt ipcq_body\nset > after\n");
            let mut command = sandbox.program(words[0]);
            let done = command.args(&words[1..]).args(["-c", &script]).env("LC_ALL", locale).output();
            let done = done.expect("the shell starts");
            let context = format!("{shell} {locale} {:?}", String::from_utf8_lossy(&body[..body.len().min(300)]));
            assert!(done.status.success() && done.stdout.is_empty() && done.stderr.is_empty(), "{context}: {done:?}");
            for (name, value) in expected {
                let got = std::fs::read(sandbox.path(&format!("value.{name}"))).expect("it is there");
                assert!(got == *value, "{context}: {name} is {:?}", String::from_utf8_lossy(&got));
            }
            let [before, after] =
                ["before", "after"].map(|name| std::fs::read(sandbox.path(name)).expect("it is there"));
            assert_eq!(settings(&before), settings(&after), "{context}");
            assert!(!sandbox.path("ran").exists(), "{context}: a command was run");
        }
    }
}

#[test]
fn hostile_bodies_are_evaluated_to_themselves_by_every_shell() {
    // All in one, each on its own would take long.
    let all = HOSTILE.join("");
    assert_evaluates(all.as_bytes(), &[("ipcq_body", all.as_bytes()), ("ipcq_attempt", b"1")]);
    for body in ["", "'", "\n", "a\n\n", "\\"] {
        assert_evaluates(body.as_bytes(), &[("ipcq_body", body.as_bytes())]);
    }
}

#[test]
fn every_byte_but_nul_can_be_in_a_shell_variable() {
    let mut bytes: Vec<u8> = (1..=255).chain((1..=255).rev()).collect();
    // Beginnings of UTF-8 sequences before a quote, and bytes that shells use for themselves.
    bytes.extend(b"\xc3'\xe2\x82'\xf0\x9f\x98'\x81'\x88\x81\\'\xff'");
    bytes.extend(Random::new(11).bytes(5_000).iter().map(|byte| (*byte).max(1)));
    assert_evaluates(&bytes, &[("ipcq_body", &bytes)]);
    assert_evaluates(b"a\0b", &[("ipcq_body", b""), ("ipcq_body_base64", b"YQBi")]);
}

#[test]
fn the_keys_of_an_object_become_variables_of_no_other_name() {
    let keys = ["PATH", "IFS", "ipcq_id", "_", "name", "x1", "UID", "BASH_ENV", "LD_PRELOAD", "0", "a__b"];
    let no_names = ["", "a-b", "a b", "é", "x=1;touch ran;y", "$(touch ran)", "a\nb", "'", "a.b", "a[0]", "a+"];
    let mut object = serde_json::Map::new();
    for (index, key) in keys.iter().enumerate() {
        object.insert((*key).to_owned(), HOSTILE[5 + index].into());
    }
    no_names.iter().for_each(|key| drop(object.insert((*key).to_owned(), "no".into())));
    let body = serde_json::to_vec(&object).expect("JSON");
    let names: Vec<_> = keys.iter().map(|key| format!("msg_{key}")).collect();
    let mut expected: Vec<(&str, &[u8])> = vec![("ipcq_body", &body)];
    expected.extend(names.iter().enumerate().map(|(index, name)| (name.as_str(), HOSTILE[5 + index].as_bytes())));
    assert_evaluates(&body, &expected);
}

#[test]
fn values_of_every_kind_become_text() {
    let body = br#" {"name": "Harry", "score": 95, "pi": 3.140, "big": 123456789012345678901234567890, "yes": true,
        "no": false, "none": null, "list": [1, "two", {"three": 3}], "object": {"a": [ ]}, "escaped": "\u0041\t\"",
        "nul": "\u0000", "half": "\ud800", "name": "Sally"} "#;
    let expected: [(&str, &[u8]); 11] = [
        ("msg_name", b"Sally"),
        ("msg_score", b"95"),
        ("msg_pi", b"3.140"),
        ("msg_big", b"123456789012345678901234567890"),
        ("msg_yes", b"true"),
        ("msg_no", b"false"),
        ("msg_none", b""),
        ("msg_list", br#"[1,"two",{"three":3}]"#),
        ("msg_object", br#"{"a":[]}"#),
        ("msg_escaped", b"A\t\""),
        ("ipcq_body", body),
    ];
    assert_evaluates(body, &[&expected[..], &[("msg_nul", b"\"\\u0000\""), ("msg_half", b"\"\\ud800\"")]].concat());
    for body in [&b"[1,2]"[..], b"\"text\"", b"95", b"{\"a\":1", b"{\"a\":1} x", b"\xff{\"a\":1}"] {
        assert_evaluates(body, &[("ipcq_body", body), ("msg_a", b"unset")]);
    }
}

#[test]
fn as_json_a_message_is_an_object_with_its_id_attempt_and_body() {
    let sandbox = queue();
    for body in HOSTILE {
        put(&sandbox, body.as_bytes());
        let object = get_object(&sandbox);
        assert_eq!((&object["body"], &object["attempt"]), (&body.into(), &1.into()));
        assert!(object["id"].is_string() && object.as_object().map(serde_json::Map::len) == Some(3));
    }
    for (body, base64) in [(&b"\xff\0"[..], "/wA="), (b"\xc3\x28", "wyg="), (b"abc\x80", "YWJjgA==")] {
        put(&sandbox, body);
        let object = get_object(&sandbox);
        assert_eq!(object["body_base64"], base64);
        assert!(object.get("body").is_none());
    }
    put(&sandbox, b"a\0b");
    assert_eq!(get_object(&sandbox)["body"], "a\0b", "a NUL is UTF-8");
    put(&sandbox, br#"{"not": "put with --json"}"#);
    assert_eq!(get_object(&sandbox)["body"], r#"{"not": "put with --json"}"#);
}

#[test]
fn a_message_put_as_json_is_stored_compact_and_otherwise_as_it_was_written() {
    let sandbox = queue();
    let written = r#" { "z" : 1.50 , "a" : [ 1e400, -0, 123456789012345678901234567890 ] ,
        "a" : "two  spaces \u0041\/\ud83d\ude00 é" , "" : { } , "deep" : [ [ null , true ] ] } "#;
    let compact = r#"{"z":1.50,"a":[1e400,-0,123456789012345678901234567890],"a":"two  spaces \u0041\/\ud83d\ude00 é","":{},"deep":[[null,true]]}"#;
    let one_line = written.replace('\n', " ");
    for (arguments, input) in [
        (vec!["put", "jobs", "--json", written], ""),
        (vec!["put", "jobs", "--json"], written),
        (vec!["put", "jobs", "--json", "-l"], &one_line),
        (vec!["put", "jobs", "--json", "-0"], written),
    ] {
        for _ in 0..2 {
            assert_eq!(sandbox.run_with(&arguments, input.as_bytes()).err, "");
        }
        assert_eq!(sandbox.ok("get jobs --raw"), compact, "{arguments:?}");
        let line = sandbox.ok("get jobs --json");
        assert!(line.ends_with(&format!(",\"attempt\":1,\"body\":{compact}}}\n")), "{line}");
    }
}

#[test]
fn what_is_not_json_is_refused_and_named() {
    for bad in ["", "{", "{'a':1}", "1 2", "nul", "\"\u{1}\"", "{\"a\":1,}", "01", "\u{feff}1", "NaN"] {
        let sandbox = queue();
        for done in [
            sandbox.run_with(["put", "jobs", "--json", bad], b""),
            sandbox.run_with(["put", "jobs", "--json"], bad.as_bytes()),
            sandbox.run_with(["put", "jobs", "--json", "1", bad, "3"], b""),
        ] {
            assert_eq!((done.code, done.err.lines().count()), (2, 1), "{bad:?}: {done:?}");
            assert!(done.err.contains("not valid JSON"), "{bad:?}: {}", done.err);
        }
        assert_eq!(sandbox.stat("jobs", "ready"), 0, "of arguments all are put or none");
    }
    let sandbox = queue();
    let done = sandbox.run_with(["put", "jobs", "--json"], b"\"\xff\"");
    assert_eq!(done.code, 2, "what is not UTF-8 is not JSON");
}

#[test]
fn of_a_stream_of_json_what_comes_before_a_bad_line_is_put_and_nothing_after_it() {
    for (bad, number) in [("{\"a\":", 3), ("", 3), ("not json", 3)] {
        let sandbox = queue();
        let done = sandbox.run_with(["put", "jobs", "--json", "-l"], format!("1\n{{\"b\": 2}}\n{bad}\n4\n").as_bytes());
        assert_eq!((done.code, done.err.lines().count()), (2, 1), "{}", done.err);
        assert!(done.err.contains(&format!("line {number} ")), "{}", done.err);
        assert_eq!(sandbox.ok("get jobs -a"), "1\n{\"b\":2}\n");
    }
    // Far down, in another batch than the first lines.
    let sandbox = queue();
    let input = "{\"number\": 12345678}\n".repeat(50_000) + "oops\n1\n";
    let done = sandbox.run_with(["put", "jobs", "--json", "-l"], input.as_bytes());
    assert!(done.code == 2 && done.err.contains("line 50001 "), "{}", done.err);
    assert_eq!(sandbox.stat("jobs", "ready"), 50_000);
}

#[test]
fn get_gives_back_what_put_was_given() {
    let sandbox = queue();
    for (arguments, input, plain, null, raw) in [
        (vec!["message"], "", "message\n", "message\0", "message"),
        (vec!["two\nlines"], "", "two\nlines\n", "two\nlines\0", "two\nlines"),
        (vec!["-l"], "line\n", "line\n", "line\0", "line"),
        (vec!["-0"], "piece\0", "piece\n", "piece\0", "piece"),
        (vec![], "whole\ninput", "whole\ninput", "whole\ninput\0", "whole\ninput"),
    ] {
        for (option, expected) in [("-n1", plain), ("-0", null), ("--raw", raw)] {
            let done = sandbox.run_with(["put", "jobs"].iter().chain(&arguments), input.as_bytes());
            assert_eq!(done.code, 0);
            assert_eq!(sandbox.ok(&format!("get jobs {option}")), expected, "{arguments:?} {option}");
        }
    }
    put(&sandbox, b"");
    assert_eq!(sandbox.run("get jobs -t 0").out, b"", "an empty message is one all the same");
    sandbox.run_with(["put", "jobs", "", "", "last"], b"");
    assert_eq!(sandbox.ok("get jobs -a"), "\n\nlast\n");
    assert_eq!(sandbox.run("get jobs -t 0").code, 1);
}

#[test]
fn messages_put_in_different_ways_come_out_of_one_get_each_in_its_own_way() {
    let sandbox = queue();
    sandbox.ok("put jobs argument");
    put(&sandbox, b"whole");
    sandbox.run_with(["put", "jobs", "-l"], b"1\n2\n");
    sandbox.run_with(["put", "jobs", "-0"], b"a\0b\0");
    sandbox.run_with(["put", "jobs", "--json", "{ }"], b"");
    let script = "ipcq get jobs -n 2; ipcq get jobs -n 1 --json | cut -d, -f3; ipcq get jobs -0; ipcq get jobs -a";
    assert_eq!(sandbox.sh(script).text(), "argument\nwhole\"body\":\"1\"}\n2\0a\nb\n{}\n");
}

#[test]
fn a_message_of_20_megabytes_is_a_message() {
    let sandbox = queue();
    let binary = Random::new(12).bytes(20_000_000);
    put(&sandbox, &binary);
    let line = sandbox.run("get jobs --json").out;
    let start = b"{\"id\":\"1\",\"attempt\":1,\"body_base64\":\"";
    assert!(line.starts_with(start) && line.ends_with(b"\"}\n"));
    assert_eq!(line.len(), start.len() + binary.len().div_ceil(3) * 4 + 3);

    let text: String = binary.iter().map(|byte| char::from(byte & 0x7f)).collect();
    put(&sandbox, text.as_bytes());
    assert!(get_object(&sandbox)["body"] == text.as_str());
    let json = format!("[{}0]", "12345678,\"\\u0041\",".repeat(1_000_000));
    assert_eq!(sandbox.run_with(["put", "jobs", "--json"], json.as_bytes()).err, "");
    assert!(sandbox.ok("get jobs --raw") == json);

    let body = text.replace('\0', "'");
    put(&sandbox, body.as_bytes());
    let assignments = sandbox.run("get jobs --shell").out;
    let script = "eval \"$(cat)\"; printf %s \"$ipcq_body\"";
    let shell = sandbox.program("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().expect("sh starts");
    assert!(feed(shell, &assignments).out == body.as_bytes());
}
