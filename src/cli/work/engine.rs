//! The worker itself: takes messages while there is a slot for a job, sees to the jobs, and ends the leases.

use super::super::process::Signals;
use super::events::{Events, Source};
use super::job::{Claim, Job, Message, NotStarted, Starter};
use super::sinks::{Broken, Sinks};
use super::slots::{Permit, Slots};
use super::verdict::{Retries, Verdict};
use crate::error::{Error, Result};
use crate::lease::{Cause, End, Ended, Holder, LeaseId, Reason, Terms};
use crate::message::Run;
use crate::queue::{self, Deadline, Otherwise, Queue, Taken, Want};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of messages that are taken at once.
const BATCH: u64 = 1 << 20;
/// How long to wait for room in another queue before looking whether a signal has come.
const LOOK_FOR_SIGNALS: Duration = Duration::from_millis(100);

/// Why a worker takes no more messages.
#[derive(Debug)]
pub(super) enum Stop {
    /// The queue is closed and drained.
    Drained,
    /// There was no work for as long as was said.
    Idle,
    /// A signal asked for it.
    Signal(Signal),
    /// Nobody reads our output any more.
    BrokenPipe,
    /// The command cannot be run.
    Program(Errno),
    /// Something failed.
    Failed(Error),
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Done with.
    pub(super) done: u64,
    /// How often one was given back to be tried again.
    pub(super) retried: u64,
    /// Dead.
    pub(super) dead: u64,
    /// Given back because the worker ends.
    pub(super) returned: u64,
}

/// A worker.
pub(super) struct Engine<'a> {
    queue: &'a mut dyn Queue,
    starter: Starter,
    slots: Slots,
    sinks: Sinks,
    events: Events,
    signals: Signals,
    retries: Retries,
    /// Where what jobs write is put, if not to our standard output.
    out: Option<Box<dyn Queue>>,
    /// How long to wait for work.
    patience: Option<Duration>,
    /// Those that run, by their numbers.
    jobs: Vec<Option<Job>>,
    /// Messages that are ours, and whose jobs the system did not let us start yet.
    waiting: VecDeque<Message>,
    tally: Tally,
    /// Signals that asked us to end and have been seen to.
    endings: u32,
    stop: Option<Stop>,
}

/// What came of looking for messages.
enum Started {
    /// Jobs.
    Jobs,
    /// There is no slot for a job.
    NoSlot,
    /// There is no message.
    NoMessage,
}

impl<'a> Engine<'a> {
    /// A worker that has not started.
    pub(super) fn new(
        queue: &'a mut dyn Queue,
        (starter, slots, sinks): (Starter, Slots, Sinks),
        retries: Retries,
        out: Option<Box<dyn Queue>>,
        patience: Option<Duration>,
    ) -> Result<Self> {
        let events = Events::new()?;
        let signals = Signals::handle(&[Signal::SIGCHLD]).map_err(|errno| Error::io("handle signals", errno))?;
        events.add(&signals, Source::Signals)?;
        let (arrival, source) = slots.arrival();
        events.add(arrival, source)?;
        Ok(Engine {
            queue,
            starter,
            slots,
            sinks,
            events,
            signals,
            retries,
            out,
            patience,
            jobs: Vec::new(),
            waiting: VecDeque::new(),
            tally: Tally::default(),
            endings: 0,
            stop: None,
        })
    }

    /// Works until there is a reason to stop and no job runs any more.
    pub(super) fn run(mut self) -> (Stop, Tally) {
        let mut happened = Vec::new();
        let mut idle_since = Instant::now();
        loop {
            if let Err(error) = self.see_to(&std::mem::take(&mut happened)) {
                self.stop(Stop::Failed(error));
            }
            if self.stop.is_some() {
                if let Err(error) = self.give_back_waiting() {
                    self.stop(Stop::Failed(error));
                }
                if self.running() == 0 {
                    break;
                }
                happened = self.events.wait();
                continue;
            }
            let is_idle = self.running() == 0;
            let deadline = self.patience.filter(|_| is_idle).and_then(|patience| idle_since.checked_add(patience));
            let started = self.start_jobs(deadline);
            let has_work = matches!(started, Ok(Started::Jobs));
            match started {
                Err(error) => self.stop(Stop::Failed(error)),
                Ok(Started::Jobs) => happened = self.events.ready(),
                Ok(Started::NoSlot) => happened = self.events.wait(),
                // None will come any more.
                Ok(Started::NoMessage) if self.stop.is_some() => {}
                Ok(Started::NoMessage) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    self.stop(Stop::Idle);
                }
                Ok(Started::NoMessage) => {
                    if let Err(error) = self.events.wait_for_message(self.queue, deadline) {
                        self.stop(Stop::Failed(error));
                    }
                    happened = self.events.ready();
                }
            }
            if !is_idle || has_work {
                idle_since = Instant::now();
            }
        }
        self.sinks.end();
        (self.stop.unwrap_or(Stop::Drained), self.tally)
    }

    fn running(&self) -> usize {
        self.jobs.iter().flatten().count()
    }

    /// Takes no more messages. The first reason counts.
    fn stop(&mut self, stop: Stop) {
        match (&self.stop, stop) {
            (None, stop) => self.stop = Some(stop),
            (Some(Stop::Failed(told)), Stop::Failed(error)) if told.to_string() == error.to_string() => {}
            (Some(Stop::Failed(_)), Stop::Failed(error)) => self.sinks.report(error),
            (Some(_), stop @ Stop::Failed(_)) => self.stop = Some(stop),
            (Some(_), _) => {}
        }
    }

    /// Sees to what has happened.
    fn see_to(&mut self, happened: &[Source]) -> Result<()> {
        let mut may_have_ended = false;
        for source in happened {
            match *source {
                Source::Signals => {
                    self.signals.clear();
                    may_have_ended = true;
                }
                Source::Tokens => self.slots.arrived(self.stop.is_none()),
                Source::Output(number, stream) => {
                    if let Some(Some(job)) = self.jobs.get_mut(number) {
                        job.read(stream, &mut self.sinks)?;
                    }
                }
            }
        }
        if may_have_ended {
            self.obey();
            self.finish_jobs()?;
            // Writing may have taken until another signal came.
            self.obey();
        }
        match self.sinks.broken() {
            Some(Broken::Pipe) => self.stop(Stop::BrokenPipe),
            Some(Broken::Failed(error)) => self.stop(Stop::Failed(error)),
            Some(Broken::Told) | None => {}
        }
        Ok(())
    }

    /// Does what signals ask for: the first to take no more messages, each further one to be passed on to the jobs.
    fn obey(&mut self) {
        let (count, Some(signal)) = self.signals.asked_to_end() else { return };
        if count == self.endings {
            return;
        }
        let running = self.running();
        if self.endings == 0 && count == 1 {
            if running > 0 {
                self.sinks.report(format_args!(
                    "{signal}: no further messages are taken; waiting for {running} running (a second {signal} is passed on to them)"
                ));
            }
        } else {
            self.jobs.iter_mut().flatten().for_each(|job| job.signal(signal));
        }
        self.endings = count;
        self.stop(Stop::Signal(signal));
    }

    /// Takes messages and starts a job for each.
    fn start_jobs(&mut self, deadline: Deadline) -> Result<Started> {
        let permits = self.slots.acquire();
        if permits.is_empty() {
            return Ok(Started::NoSlot);
        }
        let messages = if self.waiting.is_empty() {
            match self.take(permits.len() as u64, deadline) {
                Ok(messages) => messages,
                Err(error) => {
                    permits.into_iter().for_each(|permit| self.slots.release(permit));
                    return Err(error);
                }
            }
        } else {
            self.waiting.drain(..permits.len().min(self.waiting.len())).collect()
        };
        let started = if messages.is_empty() { Started::NoMessage } else { Started::Jobs };
        let mut messages = messages.into_iter();
        let mut verdicts = Vec::new();
        for permit in permits {
            match messages.next() {
                Some(message) => verdicts.extend(self.start_job(message, permit)),
                None => self.slots.release(permit),
            }
        }
        self.end(verdicts)?;
        self.show_progress();
        Ok(started)
    }

    /// Takes up to `most` messages and keeps them.
    fn take(&mut self, most: u64, deadline: Deadline) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        match self.queue.take(Want { messages: most, bytes: BATCH, singly: true }, Otherwise::Sleep, deadline) {
            Ok(Taken::Messages) => {}
            Ok(Taken::Nothing) => return Ok(messages),
            Ok(Taken::Drained) => {
                self.stop(Stop::Drained);
                return Ok(messages);
            }
            // That it is locked for so long is worth telling, but no reason to stop before the time is over.
            Err(locked @ Error::LockTimeout { .. }) => {
                self.sinks.report(locked);
                return Ok(messages);
            }
            Err(error) => return Err(error),
        }
        for index in 0..self.queue.frames().len() {
            let frame = self.queue.frames()[index];
            let mut payload = Vec::new();
            if let Err(error) = self.queue.read(index, &mut payload) {
                self.queue.settle(0, true, None)?;
                return Err(error);
            }
            // Bytes that belong to the message alone, without a copy of them.
            let length = frame.run(&payload).messages().next().map_or(0, <[u8]>::len);
            payload.truncate(length);
            let lease = LeaseId { message: frame.first_id, attempt: frame.handed_out };
            messages.push(Message { claim: Claim { lease, attempt: frame.attempt }, body: payload });
        }
        self.queue.keep(messages.len() as u64, Terms { until: None, holder: Holder::This }, true, None)?;
        Ok(messages)
    }

    /// Starts the job for a message, or says what is to become of that instead.
    fn start_job(&mut self, message: Message, permit: Permit) -> Option<(Claim, Verdict)> {
        let claim = message.claim;
        if self.stop.is_some() {
            // An earlier one of those that were taken with it showed that there is no going on.
            self.slots.release(permit);
            return Some((claim, Verdict::Returned));
        }
        let number = self.jobs.iter().position(Option::is_none).unwrap_or(self.jobs.len());
        let (reason, permit) = match self.starter.start(&message, number, permit, &self.events) {
            Ok(job) => {
                if number == self.jobs.len() {
                    self.jobs.push(None);
                }
                self.jobs[number] = Some(job);
                return None;
            }
            Err(not_started) => not_started,
        };
        self.slots.release(permit);
        let verdict = match reason {
            NotStarted::Message(text) => {
                // What a shell says of a command that cannot be run.
                Verdict::Dead(Reason { cause: Cause::Exit(126), text: text.as_bytes().to_vec() })
            }
            NotStarted::Program(errno) => {
                self.stop(Stop::Program(errno));
                Verdict::Returned
            }
            NotStarted::System(error) => match self.running() {
                0 => {
                    self.stop(Stop::Failed(error));
                    Verdict::Returned
                }
                running => {
                    if self.slots.lower(running) {
                        self.sinks.report(format_args!("fewer jobs run at a time, now {running}: {error}"));
                    }
                    self.waiting.push_back(message);
                    return None;
                }
            },
        };
        Some((claim, verdict))
    }

    /// Gives back the messages whose jobs could not be started, now that there are to be no more.
    fn give_back_waiting(&mut self) -> Result<()> {
        let verdicts = self.waiting.drain(..).map(|message| (message.claim, Verdict::Returned)).collect();
        self.end(verdicts)
    }

    /// Sees to the jobs that have ended.
    fn finish_jobs(&mut self) -> Result<()> {
        let (mut verdicts, mut outputs) = (Vec::new(), Vec::new());
        let mut failure = Ok(());
        for place in &mut self.jobs {
            let Some(status) = place.as_ref().and_then(Job::ended) else { continue };
            let Some(mut job) = place.take() else { continue };
            let written = job.finish_output(&mut self.sinks);
            let is_delivered = job.is_delivered && written.is_ok();
            failure = failure.and(written);
            let verdict = match self.retries.judge(status, job.claim.attempt, || job.last_line()) {
                _ if !is_delivered => Verdict::Returned,
                Verdict::Again(..) if job.is_interrupted => Verdict::Returned,
                verdict => verdict,
            };
            if let (Verdict::Done, true) = (&verdict, self.out.is_some()) {
                outputs.push((job.claim, job.take_output()));
            } else {
                verdicts.push((job.claim, verdict));
            }
            self.slots.release(job.permit);
        }
        self.end(verdicts)?;
        for (claim, output) in outputs {
            self.hand_on(claim, output)?;
        }
        failure
    }

    /// Ends leases, those of messages that are done with all at once.
    fn end(&mut self, verdicts: Vec<(Claim, Verdict)>) -> Result<()> {
        if verdicts.is_empty() {
            return Ok(());
        }
        let (done, others): (Vec<_>, Vec<_>) =
            verdicts.into_iter().partition(|(_, verdict)| matches!(verdict, Verdict::Done));
        let done: Vec<Claim> = done.into_iter().map(|(claim, _)| claim).collect();
        if !done.is_empty() {
            let leases: Vec<LeaseId> = done.iter().map(|claim| claim.lease).collect();
            match self.queue.end(&leases, &End::Done, None) {
                // One of them is not ours any more, so none was ended.
                Err(Error::NotLeased { .. }) if done.len() > 1 => {
                    for claim in &done {
                        self.end_one(*claim, &Verdict::Done)?;
                    }
                }
                ended => self.count(ended, &Verdict::Done)?,
            }
        }
        for (claim, verdict) in others {
            self.end_one(claim, &verdict)?;
        }
        self.show_progress();
        Ok(())
    }

    fn show_progress(&mut self) {
        let Tally { done, dead, .. } = self.tally;
        self.sinks.progress.show(done + dead, self.queue);
    }

    /// Puts what a job has written into the other queue, together with the end of its message.
    fn hand_on(&mut self, claim: Claim, output: Result<Vec<u8>>) -> Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                self.end_one(claim, &Verdict::Returned)?;
                return Err(error);
            }
        };
        if output.len() as u64 > out.capacity() {
            let text = format!("its output of {} bytes is more than the capacity of '{}'", output.len(), out.name());
            return self.end_one(claim, &Verdict::Dead(Reason { cause: Cause::Exit(0), text: text.into_bytes() }));
        }
        loop {
            // Not for ever at once: a signal may ask us to end.
            let deadline = Instant::now() + LOOK_FOR_SIGNALS;
            match queue::hand_on(self.queue, claim.lease, out.as_mut(), &Run::whole(&output), Some(deadline)) {
                Ok(false) | Err(Error::LockTimeout { .. }) if self.signals.asked_to_end().0 == 0 => {}
                Ok(false) | Err(Error::LockTimeout { .. }) => return self.end_one(claim, &Verdict::Returned),
                Ok(true) => {
                    let ended = Ok(Ended { done: 1, ..Ended::default() });
                    self.count(ended, &Verdict::Done)?;
                    self.show_progress();
                    return Ok(());
                }
                Err(lost @ Error::NotLeased { .. }) => return self.count(Err(lost), &Verdict::Done),
                Err(error) => {
                    self.end_one(claim, &Verdict::Returned)?;
                    return Err(error);
                }
            }
        }
    }

    fn end_one(&mut self, claim: Claim, verdict: &Verdict) -> Result<()> {
        let lease = claim.lease;
        let end = self.retries.end(verdict);
        let ended = self.queue.end(&[lease], &end, None);
        if let (Ok(Ended { dead: 1.., .. }), End::Again { reason, .. } | End::Dead(reason)) = (&ended, &end) {
            self.sinks.report(format_args!("message {} is dead: {}", lease.message, described(reason, claim.attempt)));
        }
        self.count(ended, verdict)
    }

    fn count(&mut self, ended: Result<Ended>, verdict: &Verdict) -> Result<()> {
        match ended {
            Ok(Ended { done, again, dead }) => {
                self.tally.done += done;
                self.tally.dead += dead;
                match verdict {
                    Verdict::Returned => self.tally.returned += again,
                    _ => self.tally.retried += again,
                }
                Ok(())
            }
            // Somebody has ended it for us, as 'ipcq ack' can.
            Err(not_ours @ Error::NotLeased { .. }) => {
                self.sinks.report(not_ours);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Why a message is dead, for a person.
fn described(reason: &Reason, attempt: u32) -> String {
    let text = String::from_utf8_lossy(&reason.text);
    let text = crate::name::printable(text.as_ref());
    let separator = if text.is_empty() { "" } else { ": " };
    format!("{}, attempt {attempt}{separator}{text}", reason.cause)
}
