//! What the commands that steer a queue have in common.

use clap::Args;
use std::time::Duration;

/// How long they wait for a queue whose lock somebody holds.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Puts, gets, or both.
#[derive(Args, Debug)]
pub(super) struct Side {
    /// Only puts
    #[arg(long)]
    put: bool,
    /// Only gets
    #[arg(long)]
    get: bool,
}

impl Side {
    /// Whether puts are meant; without an option, both are.
    pub(super) fn puts(&self) -> bool {
        self.put || !self.get
    }

    /// Whether gets are meant.
    pub(super) fn gets(&self) -> bool {
        self.get || !self.put
    }
}
