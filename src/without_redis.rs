//! What stands in for queues on servers where the program is built without them.

use crate::address::Address;
use crate::error::{Error, Result};
use crate::lease::Source;
use crate::name::QueueName;
use crate::place::{Access, Place};
use crate::queue::{Deadline, Limits, Queue, Verification};
use crate::remote::{Remote, Server};
use std::time::Instant;

pub(crate) fn open(_: &Place, _: &Address, remote: &Remote, _: Option<Instant>) -> Result<Box<dyn Queue>> {
    Err(refusal(&remote.server))
}

pub(crate) fn create(_: &Place, _: &Address, remote: &Remote, _: &Limits) -> Result<Box<dyn Queue>> {
    Err(refusal(&remote.server))
}

pub(crate) fn remove(_: &Place, _: &Address, remote: &Remote) -> Result<()> {
    Err(refusal(&remote.server))
}

pub(crate) fn verify(_: &Place, _: &Address, remote: &Remote, _: Deadline) -> Result<Verification> {
    Err(refusal(&remote.server))
}

pub(crate) fn wait_until_it_exists(_: &Place, _: &Address, remote: &Remote, _: Deadline) -> Result<bool> {
    Err(refusal(&remote.server))
}

pub(crate) fn list(server: &Server, _: &Access) -> Result<Vec<QueueName>> {
    Err(refusal(server))
}

pub(crate) fn was_handed_on(_: &Place, _: &Remote, _: &Source, _: bool) -> Option<bool> {
    None
}

pub(crate) fn url_of(source: &Source) -> &[u8] {
    &source.path
}

fn refusal(server: &Server) -> Error {
    Error::Other(format!(
        "this build of ipcq has no Redis backend, so '{}' cannot be used: build it with the feature 'redis', or use a NAME or a PATH on this machine",
        server.shown()
    ))
}
