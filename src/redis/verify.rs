//! Verifying: looking at everything in a queue, and changing nothing.

use super::{RedisQueue, script};
use crate::address::Address;
use crate::error::Result;
use crate::place::Place;
use crate::queue::{Deadline, Finding, Verification};
use crate::remote::Remote;
use std::path::PathBuf;

/// Findings that are listed; the others are counted.
const MOST: usize = 20;

/// Verifies the queue `remote`.
///
/// # Errors
/// See [`crate::open::verify`].
pub fn verify(place: &Place, address: &Address, remote: &Remote, deadline: Deadline) -> Result<Verification> {
    let mut queue = RedisQueue::open(place, address, remote, None)?;
    let mut reply = queue.call(&script::VERIFY, &[], deadline)?;
    queue.expect(&reply, "verified")?;
    let mut found = reply.list();
    let mut findings = Vec::new();
    while !found.is_over() {
        findings.push(Finding { field: field(&found.text()), problem: found.text() });
    }
    let more_findings = findings.len().saturating_sub(MOST) as u64;
    findings.truncate(MOST);
    Ok(Verification {
        path: PathBuf::from(remote.shown()),
        findings,
        more_findings,
        unfinished: false,
        dead_owners: reply.number(),
        ready: reply.number(),
        leased: reply.number(),
        delayed: reply.number(),
        dead: reply.number(),
        bytes: reply.number(),
        closed: reply.flag(),
    })
}
/// The field that a finding of the script is about.
fn field(name: &str) -> &'static str {
    const FIELDS: [&str; 9] =
        ["ready", "delayed", "dead", "kept", "leased", "bytes", "frame state", "message count", "owner"];
    FIELDS.into_iter().find(|field| *field == name).unwrap_or("owner")
}
