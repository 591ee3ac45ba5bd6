//! `ipcq verify`: checks that queues are sound.

use super::Outcome;
use super::arguments::QueueArguments;
use super::exit::{Exit, report};
use super::{json, output};
use crate::name::printable;
use crate::open;
use crate::place::Place;
use crate::queue::Verification;
use clap::Args;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How long to wait for a queue whose lock somebody holds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Check that queues are sound: every field, list and message, without changing anything
#[derive(Args, Debug)]
#[command(before_help = "Examples:
  ipcq verify jobs                      exit code 0: sound; 2: damaged, and how
  ipcq verify --json jobs | jq .sound   for programs")]
pub(super) struct Verify {
    #[command(flatten)]
    queues: QueueArguments,
    /// Print one JSON object a line for each queue
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let mut text = Vec::new();
        let mut exit = Exit::Done;
        for address in self.queues.addresses()? {
            match open::verify(place, &address, Instant::now().checked_add(PATIENCE)) {
                Ok(found) => {
                    match self.json {
                        true => object(&address.as_os_str().to_string_lossy(), &found, &mut text),
                        false => text.extend_from_slice(describe(&address.to_string(), &found).as_bytes()),
                    }
                    if !found.is_sound() {
                        let problems = found.findings.len() as u64 + found.more_findings;
                        let path = printable(&found.path);
                        let remedy = "get what can be got from it, then remove it with 'ipcq rm'";
                        report(format_args!(
                            "queue '{path}' is damaged: {} ({remedy})",
                            counted(problems, "problem", "problems")
                        ));
                        exit = exit.or_worse(Exit::Failed);
                    }
                }
                Err(error) => {
                    report(&error);
                    exit = exit.or_worse(Exit::from_error(&error));
                }
            }
        }
        let written = output::print(&text)?;
        Ok(if written == Exit::Done { exit } else { written })
    }
}

fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

fn describe(name: &str, found: &Verification) -> String {
    let state = if found.is_sound() { "sound" } else { "damaged" };
    let ready = counted(found.ready, "message", "messages");
    let mut text = format!("{name}: {state}: {ready} ready, {} leased, ", found.leased);
    for (number, what) in
        [(found.delayed, "delayed"), (found.dead, "dead")].into_iter().filter(|(number, _)| *number > 0)
    {
        // Writing to a String cannot fail.
        let _ = write!(text, "{number} {what}, ");
    }
    let _ = writeln!(text, "{}", counted(found.bytes, "byte", "bytes"));
    for finding in &found.findings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {} {}", finding.field, finding.problem);
    }
    if found.more_findings > 0 {
        let _ = writeln!(text, "  and {} more", found.more_findings);
    }
    if found.unfinished {
        text.push_str("  note: a process died in the middle of a change; the next command finishes it\n");
    }
    if found.dead_owners > 0 {
        let processes = counted(found.dead_owners, "process", "processes");
        let _ = writeln!(text, "  note: {processes} died with messages; the next get gives them back");
    }
    text
}

fn object(name: &str, found: &Verification, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"name\":");
    json::string(name, into);
    into.extend_from_slice(b",\"path\":");
    json::string(&found.path.to_string_lossy(), into);
    let figures = format!(
        ",\"sound\":{},\"ready\":{},\"leased\":{},\"delayed\":{},\"dead\":{},\"bytes\":{},\"closed\":{},\"unfinished\":{},\"dead_owners\":{},\"problems\":[",
        found.is_sound(),
        found.ready,
        found.leased,
        found.delayed,
        found.dead,
        found.bytes,
        found.closed,
        found.unfinished,
        found.dead_owners,
    );
    into.extend_from_slice(figures.as_bytes());
    for (index, finding) in found.findings.iter().enumerate() {
        into.extend_from_slice(if index == 0 { b"{\"field\":" } else { b",{\"field\":" });
        json::string(finding.field, into);
        into.extend_from_slice(b",\"problem\":");
        json::string(&finding.problem, into);
        into.push(b'}');
    }
    into.extend_from_slice(format!("],\"more_problems\":{}}}\n", found.more_findings).as_bytes());
}
