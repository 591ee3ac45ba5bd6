//! Arguments that several commands share.

use super::completions;
use super::units::parse_duration;
use crate::address::Address;
use crate::error::Result;
use crate::lease::{End, Ended, LeaseId};
use crate::open;
use crate::place::Place;
use crate::queue::{Deadline, Limits, Queue};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// One queue.
#[derive(Args, Debug, Default)]
pub(super) struct QueueArgument {
    /// The queue: a name, a path with a '/', or a redis:// URL
    #[arg(value_name = "QUEUE", add = ArgValueCompleter::new(completions::queues))]
    queue: OsString,
}

impl QueueArgument {
    pub(super) fn new(queue: OsString) -> Self {
        QueueArgument { queue }
    }

    pub(super) fn address(&self) -> Result<Address> {
        Address::parse(&self.queue)
    }
}

/// One or more queues.
#[derive(Args, Debug, Default)]
pub(super) struct QueueArguments {
    /// The queues: names, paths with a '/', or redis:// URLs
    #[arg(value_name = "QUEUE", required = true, add = ArgValueCompleter::new(completions::queues))]
    queues: Vec<OsString>,
}

impl QueueArguments {
    pub(super) fn new(queue: OsString) -> Self {
        QueueArguments { queues: vec![queue] }
    }

    pub(super) fn is_one(&self) -> bool {
        self.queues.len() == 1
    }

    pub(super) fn addresses(&self) -> Result<Vec<Address>> {
        self.queues.iter().map(|queue| Address::parse(queue)).collect()
    }
}

/// How long commands that have nothing else to wait for wait for the lock, which others hold for microseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Leases, by their ids.
#[derive(Args, Debug)]
pub(super) struct LeaseArguments {
    /// The ids of the leases, as 'ipcq get --lease' printed them
    #[arg(value_name = "ID", required = true, allow_negative_numbers = true)]
    ids: Vec<LeaseId>,
}

impl LeaseArguments {
    pub(super) fn ids(&self) -> &[LeaseId] {
        &self.ids
    }

    /// Ends the leases, all of them or none.
    pub(super) fn end(&self, place: &Place, queue: &QueueArgument, end: &End) -> Result<Ended> {
        open::open(place, &queue.address()?)?.end(&self.ids, end, Some(Instant::now() + PATIENCE))
    }
}

/// Whether a queue that is not there is to be made.
#[derive(Args, Debug, Default)]
pub(super) struct CreateIfMissing {
    /// Create the queue if it does not exist
    #[arg(short, long)]
    create: bool,
}

impl CreateIfMissing {
    /// Opens the queue at `address`, or creates it if that is asked for. A server that cannot be reached is tried again
    /// until the deadline, if there is one.
    pub(super) fn open(&self, place: &Place, address: &Address, deadline: Deadline) -> Result<Box<dyn Queue>> {
        match self.create {
            true => open::open_or_create_until(place, address, &Limits::default(), deadline),
            false => open::open_until(place, address, deadline),
        }
    }
}

/// How long to wait.
#[derive(Args, Debug, Default)]
pub(super) struct Patience {
    /// Wait at most this long (1s, 500ms, 2m 30s, 0.5); 0 does not wait
    #[arg(short, long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// Do not wait; the same as --timeout 0
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
}

impl Patience {
    /// To wait at most for `limit`.
    pub(super) fn limited(limit: Duration) -> Self {
        Patience { timeout: Some(limit), no_wait: false }
    }

    /// The time to wait, if it is limited.
    pub(super) fn limit(&self) -> Option<Duration> {
        if self.no_wait { Some(Duration::ZERO) } else { self.timeout }
    }

    /// What is left of it for other waits when one has ended.
    pub(super) fn after(&self, start: Instant) -> Self {
        Patience { timeout: self.limit().map(|limit| limit.saturating_sub(start.elapsed())), no_wait: false }
    }

    /// When a wait that starts now ends.
    pub(super) fn deadline(&self) -> Deadline {
        // A moment that no clock can show is never.
        self.limit().and_then(|limit| Instant::now().checked_add(limit))
    }
}
