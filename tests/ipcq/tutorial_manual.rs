//! What ipcq-tutorial(7) shows is what a terminal shows when it is typed in.

use crate::harness::{Running, Sandbox, have, until};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The number that the page gives the stuck consumer.
const PID: &str = "4711";
/// Longer than the page needs, and shorter than anybody would wait.
const LIMIT: Duration = Duration::from_secs(30);

/// A command, and what the terminal shows after it.
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The steps in the blocks of the page, as they are read.
fn steps() -> Vec<Step> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/ipcq-tutorial.7");
    let page = std::fs::read_to_string(path).expect("man/ipcq-tutorial.7 can be read");
    let mut steps: Vec<Step> = Vec::new();
    for block in page.split(".Bd -literal -offset 2n\n").skip(1) {
        for line in block.split(".Ed\n").next().expect("a block ends").lines() {
            let line = line.replace("\\-", "-");
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                None => steps.last_mut().expect("a block begins with a command").shown.push(line),
            }
        }
    }
    steps
}

/// A line without what is different each time: numbers of processes, times, and in a table rates and widths.
fn lasting(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_row = words.get(6).is_some_and(|bar| bar.chars().all(|c| "#.".contains(c)));
    if words.first() == Some(&"NAME") {
        return words.join(" ");
    }
    if is_row {
        return [&words[..7], &words[words.len() - 1..]].concat().join(" ");
    }
    let mut lasting = words.clone();
    for index in 1..words.len() {
        match (words[index - 1], words[index]) {
            ("process", number) if number.parse::<u32>().is_ok() => lasting[index] = PID,
            ("for", seconds) if seconds.parse::<u32>().is_ok() => lasting[index] = "N",
            ("died", _) => lasting[index] = "N",
            ("59m", _) => lasting[index] = "N",
            _ => {}
        }
    }
    lasting.join(" ")
}

/// The lines that come from a terminal, as they come.
fn lines_of(mut terminal: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while terminal.read(&mut byte).is_ok_and(|length| length == 1) {
            match byte[0] {
                b'\n' => {
                    let text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                    line.clear();
                    if sender.send(text).is_err() {
                        return;
                    }
                }
                other => line.push(other),
            }
        }
    });
    lines
}

#[test]
fn the_terminal_shows_what_the_page_shows() {
    if !have("script") {
        return;
    }
    let steps = steps();
    let worker = steps.iter().find(|step| step.command == "cat worker").expect("the script is shown");
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("worker"), worker.shown.join("\n") + "\n").unwrap();
    nix::unistd::mkfifo(&sandbox.path("typed"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut terminal = sandbox.program("script");
    terminal.args(["-q", "-e", "-c", "stty rows 24 cols 80 -echo; sh < typed", "/dev/null"]);
    terminal.env("TERM", "xterm").env("NO_COLOR", "1");
    let mut terminal = Running::from(terminal.spawn().unwrap());
    let lines = lines_of(terminal.child().stdout.take().unwrap());
    let mut typed = std::fs::OpenOptions::new().write(true).open(sandbox.path("typed")).unwrap();
    let mut pid = PID.to_owned();
    for step in &steps {
        writeln!(typed, "{}", step.command.replace(PID, &pid)).unwrap();
        if step.command.starts_with("kill ") {
            // Nobody types so fast.
            let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            until("it is dead", || stat().is_empty() || stat().contains(") Z "));
        }
        for expected in &step.shown {
            let shown =
                lines.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("after '{}' comes no '{expected}'", step.command));
            assert_eq!(lasting(&shown), lasting(expected), "after '{}'", step.command);
            if let Some((_, after)) = shown.split_once("by process ") {
                pid = after.split(' ').next().unwrap().to_owned();
            }
        }
    }
    drop(typed);
    assert_eq!(terminal.end().code, 0);
    assert_eq!(lines.recv().ok(), None, "there is nothing that the page does not show");
}

#[test]
fn the_page_does_all_that_a_first_hour_is_for() {
    let steps = steps();
    for command in
        ["create", "put", "ls --leases", "peek", "get", "nack", "peek jobs --dead", "retry", "purge jobs --dead"]
    {
        assert!(steps.iter().any(|step| step.command.starts_with(&format!("ipcq {command}"))), "{command}");
    }
}
