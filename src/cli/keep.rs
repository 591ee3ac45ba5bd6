//! `get --lease`: what has been written stays in the queue, leased, until somebody says what became of it.

use super::exit::Exit;
use super::output::{Output, Unwritten};
use crate::error::Result;
use crate::lease::{Cause, End, Holder, LeaseId, Reason, Terms};
use crate::queue::{Deadline, Queue};
use std::time::{Duration, SystemTime};

/// How long a lease runs if nothing says so: neither the command line nor the queue nor the life of a process.
const TIME: Duration = Duration::from_secs(5 * 60);

/// On what terms leases are kept, and how their ids are told.
pub(super) struct Keeping {
    /// How long they run, if that is said.
    pub(super) time: Option<Duration>,
    /// Whose death ends them.
    pub(super) holder: Holder,
    /// Where the ids are printed, a line each, if the messages themselves do not go there.
    pub(super) ids: Option<Output>,
}

impl Keeping {
    /// Keeps `leases`, which are the first of those taken from `queue`; the others are ready again. If their ids
    /// cannot be told, they are as well: nobody could end them.
    pub(super) fn keep(
        &mut self,
        queue: &mut dyn Queue,
        leases: &[LeaseId],
        stay: bool,
        deadline: Deadline,
    ) -> Result<Exit> {
        queue.keep(leases.len() as u64, self.terms(queue), stay, deadline)?;
        let Some(ids) = &mut self.ids else { return Ok(Exit::Done) };
        let text: String = leases.iter().map(|lease| format!("{lease}\n")).collect();
        let Err(Unwritten { written, error }) = ids.write(text.as_bytes()) else { return Ok(Exit::Done) };
        let told = text.as_bytes()[..written].iter().filter(|byte| **byte == b'\n').count();
        queue.end(&leases[told..], &untold(), deadline)?;
        error.map_or(Ok(Exit::BrokenPipe), Err)
    }

    fn terms(&self, queue: &dyn Queue) -> Terms {
        let otherwise = Some(TIME).filter(|_| self.holder == Holder::Nobody);
        let time = self.time.or(queue.default_lease()).or(otherwise);
        // A moment that no clock can show is never.
        Terms { until: time.and_then(|time| SystemTime::now().checked_add(time)), holder: self.holder }
    }
}

/// How the lease of a message ends that nobody has heard of: the message has not failed.
fn untold() -> End {
    let reason = Reason { cause: Cause::Returned, text: Vec::new() };
    End::Again { delay: Duration::ZERO, max_attempts: Some(u32::MAX), reason }
}
