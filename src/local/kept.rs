//! Stub.
use super::LocalQueue;
use crate::error::{Error, Result};
use crate::lease::{End, Ended, LeaseId, Peeked, Shelf, Terms};
use crate::queue::{Deadline, Status};
use std::time::Duration;
fn stub<T>() -> Result<T> { Err(Error::Other("not yet".into())) }
impl LocalQueue {
    pub(super) fn keep_leases(&mut self, _: u64, _: Terms, _: bool, _: Deadline) -> Result<()> { stub() }
    pub(super) fn end_leases(&mut self, _: &[LeaseId], _: &End, _: Deadline) -> Result<Ended> { stub() }
    pub(super) fn extend_leases(&mut self, _: &[LeaseId], _: Duration, _: Deadline) -> Result<()> { stub() }
    pub(super) fn peek_at(&mut self, _: Shelf, _: usize, _: Deadline) -> Result<Vec<Peeked>> { stub() }
    pub(super) fn retry_dead(&mut self, _: Option<&[u64]>, _: Deadline) -> Result<u64> { stub() }
    pub(super) fn purge_shelf(&mut self, _: Shelf, _: Deadline) -> Result<u64> { stub() }
    pub(super) fn wait_until_finished(&mut self, _: Deadline, _: &mut dyn FnMut(&Status)) -> Result<bool> { stub() }
    pub(super) fn become_producer(&mut self, _: Deadline) -> Result<()> { stub() }
}
