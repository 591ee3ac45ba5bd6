//! What is done to a queue, drawn at random, and what a queue of either kind answers.

use super::Side;
use super::model::{Model, Place, figures, not_dead, not_leased, peeked, shown};
use crate::harness::Random;
use ipcq::error::{Error, Result};
use ipcq::lease::{Cause, End, Ended, Holder, LeaseId, Reason, Shelf, Terms};
use ipcq::message::{Framing, Run};
use ipcq::open;
use ipcq::queue::{Condition, Otherwise, Queue, Taken, Want};
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// Longer than the test takes.
const LONG: Duration = Duration::from_secs(3600);

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Body(pub(super) Vec<u8>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.escape_ascii().to_string())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delay {
    None,
    Long,
}

#[derive(Debug)]
pub(super) enum How {
    Done,
    HandedOn,
    Dead(String),
    Again { delay: Delay, max_attempts: Option<u32>, exit: u8 },
}

/// What one of the clients does.
#[derive(Debug)]
pub(super) enum Step {
    Put {
        client: usize,
        bodies: Vec<Body>,
        framing: Framing,
        json: bool,
        together: bool,
    },
    Take {
        client: usize,
        messages: u64,
        singly: bool,
    },
    Settle {
        client: usize,
        delivered: u64,
        stay: bool,
    },
    Keep {
        client: usize,
        kept: u64,
        ours: bool,
        has_time: bool,
        stay: bool,
    },
    /// Keeps what is over at once.
    RunOut {
        client: usize,
        kept: u64,
    },
    End {
        client: usize,
        leases: Vec<LeaseId>,
        how: How,
    },
    Extend {
        client: usize,
        leases: Vec<LeaseId>,
    },
    Retry {
        client: usize,
        ids: Option<Vec<u64>>,
    },
    HandOnDead {
        client: usize,
        lease: LeaseId,
    },
    Purge {
        client: usize,
        shelf: Shelf,
    },
    Prepare {
        client: usize,
        body: Body,
    },
    Resolve {
        client: usize,
        id: u64,
        publish: bool,
    },
    Produce {
        client: usize,
    },
    /// The client ends, and another comes.
    Leave {
        client: usize,
    },
    Close {
        client: usize,
    },
    Steer {
        client: usize,
        puts: bool,
        gets: bool,
        paused: bool,
    },
    Wait {
        client: usize,
        condition: Condition,
    },
    Join {
        client: usize,
    },
    Peek {
        client: usize,
        shelf: Shelf,
        most: usize,
    },
}

impl Step {
    /// A step that can be taken now; `None`: the one that was drawn cannot.
    pub(super) fn random(model: &Model, random: &mut Random) -> Option<Step> {
        let client = random.below(model.clients() as u64) as usize;
        let taken = &model.taken[client];
        let has_taken = !taken.ids.is_empty();
        // What was taken is what matters next.
        match random.below(if has_taken { 60 } else { 40 }) {
            0..8 => Some(Step::put(client, random)),
            8..18 if !has_taken => {
                let (messages, singly) = (1 + random.below(6), random.below(2) == 0);
                let messages = if singly { model.at_once_singly(messages) } else { messages };
                Some(Step::Take { client, messages, singly })
            }
            18..25 => Some(Step::End { client, leases: leases(model, random), how: How::random(random) }),
            25 => Some(Step::Extend { client, leases: leases(model, random) }),
            26 => {
                let dead = model.ids(|place| matches!(place, Place::Dead(..)));
                let ids = (random.below(3) > 0).then(|| some(&dead, random));
                Some(Step::Retry { client, ids })
            }
            27 => {
                let lease = *leases(model, random).first()?;
                let dead = model.ids(|place| matches!(place, Place::Dead(..)));
                let dead = some(&dead, random).first().filter(|id| model.messages.contains_key(id)).copied();
                Some(Step::HandOnDead { client, lease: dead.map_or(lease, |id| model.lease(id)) })
            }
            28 => Some(Step::Purge { client, shelf: shelf(random) }).filter(|step| {
                // That of the leased cannot be purged.
                !matches!(step, Step::Purge { shelf: Shelf::Leased, .. })
            }),
            29 => Some(Step::Prepare { client, body: body(Framing::Whole, random) }),
            30 | 31 => {
                let ids = model.ids(|place| *place == Place::Prepared(client));
                Some(Step::Resolve { client, id: *ids.first()?, publish: random.below(2) == 0 })
            }
            32 => Some(Step::Produce { client }),
            33 => {
                let has_prepared = !model.ids(|place| *place == Place::Prepared(client)).is_empty();
                // What is to become of that, another queue says.
                if has_prepared { None } else { Some(Step::Leave { client }) }
            }
            34 => Some(Step::Close { client }).filter(|_| random.below(4) == 0),
            35 | 36 => {
                let (puts, gets) = (random.below(2) == 0, random.below(2) == 0);
                Some(Step::Steer { client, puts, gets, paused: random.below(3) == 0 })
            }
            37 => {
                let condition = [Condition::Ready, Condition::Empty, Condition::Closed][random.below(3) as usize];
                Some(Step::Wait { client, condition })
            }
            38 => Some(Step::Join { client }),
            39 => Some(Step::Peek { client, shelf: shelf(random), most: random.below(4) as usize })
                .filter(|step| !matches!(step, Step::Peek { shelf: Shelf::Leased, .. })),
            _ if !has_taken => None,
            _ => {
                let (some, stay) = (random.below(taken.ids.len() as u64 + 1), random.below(2) == 0);
                match random.below(4) {
                    0 if taken.singly => Some(Step::RunOut { client, kept: some }),
                    1 | 2 if taken.singly => {
                        let (ours, has_time) = (random.below(3) == 0, random.below(2) == 0);
                        Some(Step::Keep { client, kept: some, ours, has_time, stay })
                    }
                    _ => Some(Step::Settle { client, delivered: some, stay }),
                }
            }
        }
    }

    fn put(client: usize, random: &mut Random) -> Step {
        let framing = [Framing::Whole, Framing::Newline, Framing::Nul][random.below(3) as usize];
        let count = if framing == Framing::Whole { 1 } else { 1 + random.below(7) };
        let bodies = (0..count).map(|_| body(framing, random)).collect();
        let json = framing == Framing::Newline && random.below(3) == 0;
        Step::Put { client, bodies, framing, json, together: random.below(2) == 0 }
    }

    /// Whether something is due after it.
    pub(super) fn lets_time_pass(&self) -> bool {
        matches!(self, Step::RunOut { .. })
    }
}

impl How {
    fn random(random: &mut Random) -> Self {
        match random.below(8) {
            0 | 1 => How::Done,
            2 => How::HandedOn,
            3 => How::Dead(["", "why"][random.below(2) as usize].into()),
            _ => How::Again {
                delay: [Delay::None, Delay::Long][random.below(2) as usize],
                max_attempts: [None, Some(0), Some(1), Some(2)][random.below(4) as usize],
                exit: random.below(256) as u8,
            },
        }
    }

    fn end(&self) -> End {
        let reason = |cause, text: &str| Reason { cause, text: text.into() };
        match self {
            How::Done => End::Done,
            How::HandedOn => End::HandedOn,
            How::Dead(text) => End::Dead(reason(Cause::Returned, text)),
            How::Again { delay, max_attempts, exit } => End::Again {
                delay: if *delay == Delay::None { Duration::ZERO } else { LONG },
                max_attempts: *max_attempts,
                reason: reason(Cause::Exit(*exit), ""),
            },
        }
    }
}

fn body(framing: Framing, random: &mut Random) -> Body {
    let length = random.below(9) as usize;
    Body(if framing == Framing::Whole { random.bytes(length) } else { b"abcdefghi"[..length].to_vec() })
}

fn shelf(random: &mut Random) -> Shelf {
    [Shelf::Ready, Shelf::Leased, Shelf::Delayed, Shelf::Dead][random.below(4) as usize]
}

/// Some of these ids, in any order, and at times others, too.
fn some(ids: &[u64], random: &mut Random) -> Vec<u64> {
    let mut some: Vec<u64> = ids.iter().copied().filter(|_| random.below(2) == 0).collect();
    if random.below(2) == 0 {
        some.reverse();
    }
    match random.below(12) {
        0 => some.push(1 + random.below(30)),
        1 => some.extend(some.first().copied()),
        _ => {}
    }
    some
}

/// Some kept leases, and at times what is none.
fn leases(model: &Model, random: &mut Random) -> Vec<LeaseId> {
    let kept = model.ids(|place| matches!(place, Place::Kept { .. }));
    let chosen = some(&kept, random);
    let lease = |id: u64| match model.messages.contains_key(&id) {
        true => model.lease(id),
        false => LeaseId { message: id, attempt: 1 },
    };
    let mut leases: Vec<LeaseId> = chosen.into_iter().map(lease).filter(|lease| lease.attempt > 0).collect();
    if let (0, Some(first)) = (random.below(20), leases.first_mut()) {
        first.attempt += 1;
    }
    leases
}

impl Side<'_> {
    /// Takes a step.
    pub(super) fn answer(&mut self, step: &Step) -> String {
        let answer = match step {
            Step::Leave { client } => {
                // The one before has gone when the next comes.
                drop(self.clients.remove(*client));
                open::open(self.place, &self.address).map(|queue| {
                    self.clients.insert(*client, queue);
                    "done".into()
                })
            }
            step => take(self.clients[step.client()].as_mut(), step),
        };
        answer.unwrap_or_else(|error| match error {
            Error::Closed { .. } => "Closed".into(),
            Error::NotLeased { id, .. } => not_leased(id),
            Error::NotDead { id, .. } => not_dead(id),
            other => other.to_string(),
        })
    }

    /// The figures, and what is on the shelves.
    pub(super) fn everything(&mut self) -> String {
        let queue = self.clients[0].as_mut();
        let status = queue.status(None).unwrap();
        let mut all = figures(&[
            ("ready", status.ready),
            ("leased", status.leased),
            ("delayed", status.delayed),
            ("dead", status.dead),
            ("bytes", status.bytes),
            ("capacity", status.capacity),
            ("max_items", status.max_items.unwrap_or(0)),
            ("closed", status.closed.into()),
            ("puts_paused", status.puts_paused.into()),
            ("gets_paused", status.gets_paused.into()),
            ("put", status.put),
            ("got", status.got),
            ("returned", status.returned),
            ("expired", status.expired),
            ("died", status.died),
            ("purged", status.purged),
            ("high_water", status.high_water),
            ("producers", status.producers),
        ]);
        for shelf in [Shelf::Ready, Shelf::Leased, Shelf::Delayed, Shelf::Dead] {
            all += &format!("{shelf:?}\n{}", show(queue, shelf, 1000).unwrap());
        }
        all
    }
}

/// Does the step to a queue.
fn take(queue: &mut dyn Queue, step: &Step) -> Result<String> {
    let (now, done) = (Some(Instant::now()), "done".to_owned());
    match step {
        Step::Put { bodies, framing, json, together, .. } => {
            let end: Vec<u8> = framing.delimiter().into_iter().collect();
            let bytes: Vec<u8> = bodies.iter().flat_map(|body| [&body.0[..], &end].concat()).collect();
            let run = Run::delimited(&bytes, *framing).with_json(*json);
            queue.put(&run, *together, now).map(|count| count.to_string())
        }
        Step::Take { messages, singly, .. } => {
            let want = Want { messages: *messages, bytes: u64::MAX, singly: *singly };
            match queue.take(want, Otherwise::Leave, now)? {
                Taken::Messages => taken(queue),
                other => Ok(format!("{other:?}")),
            }
        }
        Step::Settle { delivered, stay, .. } => queue.settle(*delivered, *stay, None).map(|()| done),
        Step::Keep { kept, ours, has_time, stay, .. } => {
            let holder = if *ours { Holder::This } else { Holder::Nobody };
            let until = has_time.then(|| SystemTime::now() + LONG);
            queue.keep(*kept, Terms { until, holder }, *stay, None).map(|()| done)
        }
        Step::RunOut { kept, .. } => {
            let terms = Terms { until: Some(SystemTime::now()), holder: Holder::Nobody };
            queue.keep(*kept, terms, true, None).map(|()| done)
        }
        Step::End { leases, how, .. } => {
            let Ended { done, again, dead } = queue.end(leases, &how.end(), None)?;
            if matches!(how, How::HandedOn) {
                leases.iter().try_for_each(|lease| queue.forget_handed_on(*lease, None))?;
            }
            Ok(format!("{done} done, {again} again, {dead} dead"))
        }
        Step::Extend { leases, .. } => queue.extend(leases, LONG, None).map(|()| done),
        Step::Retry { ids, .. } => queue.retry(ids.as_deref(), None).map(|count| count.to_string()),
        Step::HandOnDead { lease, .. } => {
            queue.hand_on_dead(*lease, None)?;
            queue.forget_handed_on(*lease, None).map(|()| done)
        }
        Step::Purge { shelf, .. } => queue.purge(*shelf, None).map(|count| count.to_string()),
        Step::Prepare { body, .. } => {
            let source = queue.source(LeaseId { message: 1, attempt: 1 })?;
            queue.prepare(&Run::whole(&body.0), &source, now).map(|id| format!("{id:?}"))
        }
        Step::Resolve { id, publish, .. } => queue.resolve(*id, *publish, None).map(|()| done),
        Step::Produce { .. } => queue.produce(None).map(|()| done),
        Step::Close { .. } => queue.close(None).map(|()| done),
        Step::Steer { puts, gets, paused: true, .. } => queue.pause(*puts, *gets, None).map(|()| done),
        Step::Steer { puts, gets, paused: false, .. } => queue.resume(*puts, *gets, None).map(|()| done),
        Step::Wait { condition, .. } => queue.wait(*condition, now).map(|is_so| is_so.to_string()),
        Step::Join { .. } => queue.join(now, &mut |_| {}).map(|is_so| is_so.to_string()),
        Step::Peek { shelf, most, .. } => show(queue, *shelf, *most),
        // That is not for the queue to do.
        Step::Leave { .. } => Ok(done),
    }
}

/// What was taken.
fn taken(queue: &mut dyn Queue) -> Result<String> {
    let frames = queue.frames().to_vec();
    let mut all = String::new();
    for (index, frame) in frames.iter().enumerate() {
        let mut payload = Vec::new();
        queue.read(index, &mut payload)?;
        for (body, id) in frame.run(&payload).messages().zip(frame.first_id..) {
            all += &shown(id, frame.attempt, frame.handed_out, frame.framing, frame.json, body);
        }
    }
    Ok(all)
}

fn show(queue: &mut dyn Queue, shelf: Shelf, most: usize) -> Result<String> {
    let mut found = queue.peek(shelf, most, None)?;
    found.truncate(most);
    if shelf == Shelf::Leased {
        // Those without an end have no order.
        found.sort_by_key(|message| message.id);
    }
    let text = |reason: &Reason| match reason.text.as_slice() {
        [] if reason.cause != Cause::Returned => reason.cause.to_string(),
        text => format!("{}: {}", reason.cause, String::from_utf8_lossy(text)),
    };
    let line = |message: &ipcq::lease::Peeked| {
        let message = message.clone();
        let reason = message.reason.as_ref().map(text).unwrap_or_default();
        shown(message.id, message.attempts, message.handed_out, message.framing, message.json, &message.body)
            + &peeked(message.at.is_some(), message.holder.is_some(), &reason)
    };
    Ok(found.iter().map(line).collect())
}

impl Step {
    fn client(&self) -> usize {
        match self {
            Step::Put { client, .. }
            | Step::Take { client, .. }
            | Step::Settle { client, .. }
            | Step::Keep { client, .. }
            | Step::RunOut { client, .. }
            | Step::End { client, .. }
            | Step::Extend { client, .. }
            | Step::Retry { client, .. }
            | Step::HandOnDead { client, .. }
            | Step::Purge { client, .. }
            | Step::Prepare { client, .. }
            | Step::Resolve { client, .. }
            | Step::Produce { client }
            | Step::Leave { client }
            | Step::Close { client }
            | Step::Steer { client, .. }
            | Step::Wait { client, .. }
            | Step::Join { client }
            | Step::Peek { client, .. } => *client,
        }
    }
}
