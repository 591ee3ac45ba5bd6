//! `ipcq get`: takes messages, writes them, and only then lets go of them.

use super::Outcome;
use super::arguments::{CreateIfMissing, Patience, QueueArguments};
use super::exit::{Exit, report};
use super::keep::Keeping;
use super::meter::Meter;
use super::output::{Output, Unwritten};
use super::progress::ProgressArgument;
use super::render::{Form, Names, Rendered};
use super::units::{parse_count, parse_process, parse_time_of_lease};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::lease::{Holder, LeaseId};
use crate::place::Place;
use crate::queue::{self, BULK, Deadline, Found, Queue, SPIN, SPIN_IN_BULK, Want};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes taken at once: enough to make the lock cheap, little enough to stay in the cache.
const BATCH: u64 = 256 << 10;

/// How long a get that does not wait for ever waits for the lock once it has messages: what it has written and cannot
/// settle is delivered again.
const PATIENCE_TO_SETTLE: Duration = Duration::from_secs(10);

/// Take messages from a queue, waiting for them; from several, from the first that has one
#[derive(clap::Args, Debug, Default)]
#[command(before_help = "Examples:
  ipcq get jobs                  one message; waits for it
  ipcq get jobs --timeout 1s     ... at most a second: exit 1 if none came
  ipcq get jobs --follow         all, as they come, until the queue is closed and drained
  ipcq get urgent normal         from 'urgent' if it has one, else from 'normal'
  m=$(ipcq get jobs --shell) && eval \"$m\"
                                 sets $ipcq_id, $ipcq_body, and $msg_KEY for a JSON object
  m=$(ipcq get jobs --lease 1m --shell) && eval \"$m\" && ipcq ack jobs \"$ipcq_id\"
                                 comes back after a minute, unless it was acknowledged")]
#[command(after_help = "Exit codes: 1 nothing came in time, 3 closed and drained, 4 no such queue.")]
pub(super) struct Get {
    #[command(flatten)]
    queues: QueueArguments,
    /// Take N messages, as they come
    #[arg(short = 'n', value_name = "N", value_parser = parse_count, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["all", "follow"])]
    count: Option<u64>,
    /// Take all that is there now; waits only if --timeout is given, and only for the first
    #[arg(short, long, conflicts_with = "follow")]
    all: bool,
    /// Take everything until the queue is closed and drained; --timeout then limits each wait
    #[arg(short, long)]
    follow: bool,
    /// End each message with a NUL
    #[arg(short = '0', long, conflicts_with_all = ["raw", "json", "shell"])]
    null: bool,
    /// Add nothing to a message, not even the newline after a line
    #[arg(short, long, conflicts_with_all = ["json", "shell"])]
    raw: bool,
    /// Print one object a line: {"id":…,"attempt":…,"body":…}
    #[arg(long, conflicts_with = "shell")]
    json: bool,
    /// Print assignments for eval: ipcq_id, ipcq_attempt, ipcq_body, msg_KEY
    #[arg(long)]
    shell: bool,
    /// Write to FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Let go of messages before they are written: lost if we die, but never delivered twice
    #[arg(long)]
    at_most_once: bool,
    /// Leave messages in the queue, invisible, until 'ipcq ack'; they come back after DUR
    #[arg(long, value_name = "DUR", value_parser = parse_time_of_lease, allow_negative_numbers = true, conflicts_with = "at_most_once")]
    lease: Option<Option<Duration>>,
    /// With --lease: messages come back when the process PID is dead ($$ is the script itself)
    #[arg(long, value_name = "PID", value_parser = parse_process, allow_hyphen_values = true, requires = "lease")]
    owner: Option<u32>,
    #[command(flatten)]
    progress: ProgressArgument,
    #[command(flatten)]
    create: CreateIfMissing,
    #[command(flatten)]
    patience: Patience,
}

impl Get {
    /// A get of one message without any other option.
    pub(super) fn one(queues: QueueArguments, patience: Patience) -> Self {
        Get { queues, patience, ..Get::default() }
    }

    pub(super) fn run(&self, place: &Place) -> Outcome {
        let addresses = self.queues.addresses()?;
        let mut deadline = self.deadline();
        let reach = deadline.filter(|_| self.patience.limit().is_some());
        let mut queues: Vec<_> =
            addresses.iter().map(|address| self.create.open(place, address, reach)).collect::<Result<_>>()?;
        let mut output = Output::new(self.output.clone())?;
        let mut keeping = self.keeping(&queues)?;
        let mut rendered = Rendered::new(self.form());
        let meter = Meter::new(&self.progress, place, addresses.clone());
        let stays = self.follow || self.count.is_some_and(|count| count > 1);
        let mut left = match self.count {
            Some(count) => count,
            None if self.all || self.follow => u64::MAX,
            None => 1,
        };
        let (mut got, mut spin) = (0, stays.then_some(SPIN));
        while left > 0 {
            let want = Want { messages: left, bytes: BATCH, singly: keeping.is_some() };
            let found = match queue::take_from_first(&mut queues, want, spin, deadline) {
                Err(locked @ Error::LockTimeout { .. }) => {
                    report(locked);
                    Found::Nothing
                }
                found => found?,
            };
            let index = match found {
                Found::Messages(index) => index,
                Found::Drained if got > 0 || self.follow => return Ok(Exit::Done),
                Found::Drained => return Ok(Exit::Closed),
                Found::Nothing if got > 0 && !self.follow => return Ok(Exit::Done),
                Found::Nothing => return Ok(Exit::TimedOut),
            };
            if self.all && got == 0 {
                // What is put from now on was not there now.
                left = all_that_is_there(&mut queues, deadline)?;
                deadline = Some(Instant::now());
            }
            let more = stays.then_some(left);
            let (queue, to) = (queues[index].as_mut(), (&mut rendered, &mut output, &meter));
            let (delivered, exit) = self.deliver(queue, &addresses[index], keeping.as_mut(), to, more)?;
            if exit != Exit::Done {
                return Ok(exit);
            }
            let is_bulk = rendered.bytes().len() as u64 >= BULK;
            spin = spin.map(|_| if is_bulk { SPIN_IN_BULK } else { SPIN });
            got += delivered;
            left = left.saturating_sub(delivered);
            if self.follow {
                left = u64::MAX;
                deadline = self.deadline();
            }
        }
        Ok(Exit::Done)
    }

    fn form(&self) -> Form {
        match self {
            Get { null: true, .. } => Form::Nul,
            Get { raw: true, .. } => Form::Raw,
            Get { json: true, .. } => Form::Json,
            Get { shell: true, .. } => Form::Shell,
            _ => Form::AsPut,
        }
    }

    fn deadline(&self) -> Deadline {
        if self.all && self.patience.limit().is_none() { Some(Instant::now()) } else { self.patience.deadline() }
    }

    /// On what terms what is written is kept, if it is.
    fn keeping(&self, queues: &[Box<dyn Queue>]) -> Result<Option<Keeping>> {
        let Some(time) = self.lease else { return Ok(None) };
        if queues.len() > 1 && !self.json && !self.shell {
            return Err(Error::Other(
                "a lease from one of several queues is of no use without the name of its queue: use --json or --shell"
                    .into(),
            ));
        }
        let holder = self.owner.map_or(Holder::Nobody, Holder::Process);
        queues.iter().try_for_each(|queue| queue.check_holder(holder))?;
        let ids = self.output.as_ref().map(|_| Output::new(None)).transpose()?;
        Ok(Some(Keeping { time, holder, ids }))
    }

    /// Writes what is leased, and settles or keeps it. Returns the number of messages that were written. With `more`,
    /// further takes are to be expected if these are not as many as that.
    fn deliver(
        &self,
        queue: &mut dyn Queue,
        address: &Address,
        keeping: Option<&mut Keeping>,
        (rendered, output, meter): (&mut Rendered, &mut Output, &Meter),
        more: Option<u64>,
    ) -> Result<(u64, Exit)> {
        let names = keeping.as_ref().map_or(Names::Messages, |_| Names::LeasesFrom(address.as_os_str()));
        if let Err(error) = rendered.render(queue, names) {
            self.settle(queue, 0, false)?;
            return Err(error);
        }
        let count = rendered.count();
        let stay = more.is_some_and(|more| more > count);
        if self.at_most_once {
            self.settle(queue, count, stay)?;
        }
        let Err(Unwritten { written, error }) = meter.aside(|| output.write(rendered.bytes())) else {
            meter.add(count, rendered.bytes().len() as u64);
            return Ok((count, self.let_go(queue, keeping, count, stay)?));
        };
        let (complete, end) = rendered.complete(written);
        output.take_back(written - end);
        self.let_go(queue, keeping, complete, false)?;
        match error {
            None => Ok((complete, Exit::BrokenPipe)),
            Some(error) => Err(error),
        }
    }

    /// Ends or keeps the leases of the first `written` messages, and ends those of the others.
    fn let_go(&self, queue: &mut dyn Queue, keeping: Option<&mut Keeping>, written: u64, stay: bool) -> Result<Exit> {
        let Some(keeping) = keeping else {
            let settled = if stay && !self.at_most_once && self.queues.is_one() {
                // The next take is about to come, and of this queue.
                queue.settle_at_next_take(written, self.deadline_to_settle()).map_err(delivered_again)
            } else {
                self.settle(queue, written, stay)
            };
            return match settled {
                // They are written, and at least once is what is promised: no reason to end.
                Err(others_have_them @ Error::GivenToOthers { .. }) => {
                    report(others_have_them);
                    Ok(Exit::Done)
                }
                settled => settled.map(|()| Exit::Done),
            };
        };
        let leases = queue.frames().iter().map(|frame| LeaseId { message: frame.first_id, attempt: frame.handed_out });
        let leases: Vec<_> = leases.take(written as usize).collect();
        keeping.keep(queue, &leases, stay, self.deadline_to_settle()).map_err(delivered_again)
    }

    fn settle(&self, queue: &mut dyn Queue, delivered: u64, stay: bool) -> Result<()> {
        queue.settle(delivered, stay, self.deadline_to_settle()).map_err(delivered_again)
    }

    fn deadline_to_settle(&self) -> Deadline {
        self.deadline().map(|_| Instant::now() + PATIENCE_TO_SETTLE)
    }
}

fn delivered_again(error: Error) -> Error {
    match error {
        Error::LockTimeout { .. } => Error::Other(format!("{error}; what was taken will be delivered again")),
        other => other,
    }
}

/// How many messages are ready, or ours already.
fn all_that_is_there(queues: &mut [Box<dyn Queue>], deadline: Deadline) -> Result<u64> {
    let mut all: u64 = 0;
    for queue in queues {
        let ours: u64 = queue.frames().iter().map(|frame| frame.count).sum();
        // A damaged queue may say that it has any number.
        all = all.saturating_add(ours).saturating_add(queue.status(deadline)?.ready);
    }
    Ok(all)
}
