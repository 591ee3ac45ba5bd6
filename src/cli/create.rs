//! `ipcq create`: makes a queue.

use super::Outcome;
use super::arguments::QueueArgument;
use super::exit::Exit;
use super::units::{parse_attempts, parse_count, parse_lease, parse_mode, parse_size};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::queue::Limits;
use std::time::Duration;

/// Create a queue
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq create jobs                           with the default limits
  ipcq create jobs --exist-ok                ... or leave the one that is there
  ipcq create jobs --max-items 100           puts wait while 100 messages wait
  ipcq create ./spool/mail --durable         survives a power failure
  ipcq create ./spool/jobs --capacity 1G     in a file of your choice, up to 1 GiB of messages")]
pub(super) struct Create {
    #[command(flatten)]
    queue: QueueArgument,
    /// Let at most N messages wait; put waits for room [default: no limit]
    #[arg(long, value_name = "N", value_parser = parse_count, allow_hyphen_values = true)]
    max_items: Option<u64>,
    /// Let all messages together have at most SIZE bytes (64K, 10M, 1GiB)
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "64M", allow_hyphen_values = true)]
    capacity: u64,
    /// Permissions of the queue's file
    #[arg(long, value_name = "OCTAL", value_parser = parse_mode, default_value = "600", allow_hyphen_values = true)]
    mode: u32,
    /// Let a put that has returned survive a power failure; the queue has to be a file on a disk
    #[arg(long)]
    durable: bool,
    /// Let leases of 'get --lease' run for DUR unless it is said otherwise
    #[arg(long, value_name = "DUR", value_parser = parse_lease, allow_hyphen_values = true)]
    lease: Option<Duration>,
    /// Put a message aside as dead when it has been handed out N times without success [default: never]
    #[arg(long, value_name = "N", value_parser = parse_attempts, allow_hyphen_values = true)]
    max_attempts: Option<u32>,
    /// Close the queue when its last producer ('produce', 'put --lines') is gone
    #[arg(long)]
    auto_close: bool,
    /// Succeed if the queue exists already, and leave it as it is
    #[arg(long)]
    exist_ok: bool,
}

impl Create {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let limits = Limits {
            capacity: self.capacity,
            max_items: self.max_items,
            mode: self.mode,
            durable: self.durable,
            lease: self.lease,
            max_attempts: self.max_attempts,
            auto_close: self.auto_close,
        };
        let address = self.queue.address()?;
        match open::create(place, &address, &limits) {
            Err(exists @ Error::AlreadyExists { .. }) => {
                // It must be a queue that can be used, not merely a file of that name.
                let mut queue = open::open_or_create(place, &address, &limits)?;
                if !self.exist_ok {
                    return Err(exists);
                }
                // Other limits are a matter of degree; this one is a promise.
                if self.durable && !queue.status(None)?.durable {
                    return Err(Error::Other(format!(
                        "queue '{address}' exists already and is not durable: use another name, or remove it with 'ipcq rm'"
                    )));
                }
            }
            other => drop(other?),
        }
        Ok(Exit::Done)
    }
}
