//! Operations on a segment in which fields, links and lengths were changed, before and between them: each ends, with
//! what it was to do or with an error, and writes to nothing but the segment, and not to its stamp.
#![no_main]

use arbitrary::Arbitrary;
use ipcq::lease::{Cause, End, Holder, LeaseId, Reason, Shelf, Terms};
use ipcq::local::REDO_LOGS;
use ipcq::message::{Framing, Run};
use ipcq::open;
use ipcq::queue::{self, Limits, Otherwise, Queue, Taken, Want};
use ipcq_fuzz::*;
use libfuzzer_sys::fuzz_target;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

#[derive(Arbitrary, Debug)]
struct Input {
    base: u8,
    edits: Vec<Edit>,
    length: Option<Length>,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    /// A field of the stamp, a hot word, a control word or one of the log.
    Field {
        table: u8,
        field: u8,
        value: Value,
    },
    Owner {
        owner: u8,
        field: u8,
        value: Value,
    },
    Record {
        unit: u8,
        field: u8,
        value: Value,
    },
    Pair {
        pair: u8,
        table: u8,
        field: u8,
        value: Value,
    },
    Link {
        unit: u8,
        value: Value,
    },
    Byte {
        offset: u16,
        value: u8,
    },
    /// The stamp's checksum is made right.
    Checksum,
    /// The change that is in the log is committed, and not applied.
    Commit,
    /// The checksum of a durable segment's log is made right.
    Seal {
        log: u8,
    },
}

#[derive(Arbitrary, Debug)]
enum Value {
    Small(u8),
    Largest,
    Near(i8),
    Unit(u8),
    Group(u8),
    Flip(u8),
    Power(u8),
    Any(u64),
}

/// What the file's length becomes.
#[derive(Arbitrary, Debug)]
enum Length {
    Shorter(u16),
    Longer(u16),
    Sparse(u8),
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Put {
        framing: u8,
        messages: u8,
        length: u16,
        together: bool,
    },
    /// Puts what can be read from a file of lines, from there on.
    PutFrom {
        start: u16,
        rest: u16,
    },
    Take {
        messages: u8,
        bytes: u16,
        watch: bool,
    },
    Read,
    Settle {
        delivered: u8,
        stay: bool,
    },
    /// Keeps what is leased, for some seconds.
    Keep {
        kept: u8,
        seconds: Option<u8>,
        holder: u8,
    },
    /// Ends the lease of a message.
    End {
        message: u8,
        attempt: u8,
        how: u8,
    },
    Extend {
        message: u8,
        seconds: u8,
    },
    Look {
        shelf: u8,
        most: u8,
    },
    Purge {
        shelf: u8,
    },
    Retry {
        id: Option<u8>,
    },
    Join,
    Produce,
    /// Puts a message that depends on one of this queue, and publishes it or not.
    HandOn {
        message: u8,
        length: u16,
        publish: Option<bool>,
    },
    Close,
    Status,
    Reopen,
    Remove,
    /// Somebody writes to the file meanwhile.
    Scribble(Edit),
}

struct Fuzz {
    queues: Queues,
    bases: Vec<Vec<u8>>,
    bystander: Vec<u8>,
}

static FUZZ: LazyLock<Fuzz> = LazyLock::new(|| {
    let queues = Queues::new();
    let bases = bases(&queues);
    let lines = (0..20_000).map(|number| format!("{}\n", &"..........".repeat(20)[..number * 7 % 200]));
    fs::write(queues.other_file("lines"), lines.collect::<String>()).expect("a file of lines");
    drop(open::create(queues.place(), &address("bystander"), &Limits::default()).expect("a queue"));
    let bystander = fs::read(queues.file("bystander")).expect("its file");
    Fuzz { queues, bases, bystander }
});

/// Segments as they should be: empty, full of all kinds of messages, half taken, leased, closed, with little room.
fn bases(queues: &Queues) -> Vec<Vec<u8>> {
    let lines = "a line of some length\n".repeat(40);
    let long = vec![b'x'; 3_000];
    let make = |limits: Limits, work: &dyn Fn(&mut dyn Queue)| {
        let (place, address) = (queues.place(), address("base"));
        let mut queue = open::create(place, &address, &limits).expect("a queue");
        work(queue.as_mut());
        // Whoever holds leases dies here.
        drop(queue);
        let bytes = fs::read(queues.file("base")).expect("its file");
        open::remove(place, &address).expect("it can be removed");
        bytes
    };
    let put = |queue: &mut dyn Queue, run: Run<'_>| {
        assert!(queue.put(&run, false, Some(Instant::now())).is_ok());
    };
    let fill = |queue: &mut dyn Queue| {
        put(queue, Run::whole(b"short"));
        put(queue, Run::whole(&long));
        put(queue, Run::delimited(lines.as_bytes(), Framing::Newline));
        put(queue, Run::delimited(b"[1]\0{}\0", Framing::Nul).with_json(true));
        put(queue, Run::whole(b""));
    };
    let take = |queue: &mut dyn Queue, messages| {
        let want = Want { messages, bytes: u64::MAX, singly: false };
        assert!(queue.take(want, Otherwise::Leave, Some(Instant::now())).is_ok());
    };
    let settle = |queue: &mut dyn Queue, delivered| assert!(queue.settle(delivered, true, None).is_ok());
    let small = Limits { capacity: 900, max_items: Some(4), ..Limits::default() };
    let ordinary = vec![
        make(Limits::default(), &|_| {}),
        make(Limits::default(), &fill),
        make(Limits::default(), &|queue| {
            fill(queue);
            take(queue, 12);
        }),
        make(Limits::default(), &|queue| {
            fill(queue);
            fill(queue);
            take(queue, 20);
            settle(queue, 10);
            take(queue, 1);
            settle(queue, 1);
            fill(queue);
            take(queue, 3);
        }),
        make(Limits::default(), &|queue| {
            fill(queue);
            assert!(queue.close(None).is_ok());
        }),
        make(Limits { max_attempts: Some(2), auto_close: true, ..Limits::default() }, &|queue| {
            for _ in 0..12 {
                put(queue, Run::whole(b"a message"));
            }
            put(queue, Run::delimited(lines.as_bytes(), Framing::Newline));
            let keep = |queue: &mut dyn Queue, messages, terms| {
                let want = Want { messages, bytes: u64::MAX, singly: true };
                assert!(queue.take(want, Otherwise::Leave, Some(Instant::now())).is_ok());
                assert!(queue.keep(u64::MAX, terms, true, None).is_ok());
            };
            let reason = Reason { cause: Cause::Exit(1), text: b"why".to_vec() };
            let hour = Duration::from_secs(3600);
            keep(queue, 9, Terms { until: Some(SystemTime::now() + hour), holder: Holder::Nobody });
            let leases = [1, 2, 3].map(|message| lease(message, 1));
            assert!(queue.end(&leases, &End::Dead(reason.clone()), None).is_ok());
            let leases = [4, 5].map(|message| lease(message, 1));
            assert!(queue.end(&leases, &End::Again { delay: hour, max_attempts: None, reason }, None).is_ok());
            keep(queue, 2, Terms { until: None, holder: Holder::Process(1) });
            let source = queue.source(lease(6, 1)).expect("a source");
            assert!(queue.prepare(&Run::whole(b"prepared"), &source, None).is_ok());
            assert!(queue.produce(None).is_ok());
        }),
        make(small, &|queue| put(queue, Run::delimited(lines.as_bytes(), Framing::Newline))),
    ];
    let durable: Vec<_> = ordinary.iter().map(|bytes| made_durable(bytes)).collect();
    [ordinary, durable].concat()
}

/// The same segment as a durable one, which in memory cannot be made.
fn made_durable(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[STAMP_FLAGS] |= 1;
    let sum = checksum(&bytes[..STAMP_CHECKSUM]);
    bytes[STAMP_CHECKSUM..STAMP_CHECKSUM + 4].copy_from_slice(&sum.to_ne_bytes());
    bytes
}

/// Where an edit stores what.
fn place(edit: &Edit, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let units = bytes.len() / UNIT;
    let unit = |number: u8| FIRST_UNIT + usize::from(number) % units.saturating_sub(FIRST_UNIT).max(1);
    let one_of = |fields: &[ipcq::local::Field], index: u8| fields[usize::from(index) % fields.len()];
    let (offset, length, value) = match edit {
        Edit::Field { table, field, value } => {
            let field = one_of(&FIXED[usize::from(*table) % FIXED.len()], *field);
            (field.offset as usize, field.bytes, value)
        }
        Edit::Owner { owner, field, value } => {
            let field = one_of(OWNER, *field);
            (OWNERS + usize::from(*owner % 128) * OWNER_BYTES + field.offset as usize, field.bytes, value)
        }
        Edit::Record { unit: number, field, value } => {
            let field = one_of(RECORD, *field);
            (unit(*number) * UNIT + field.offset as usize, field.bytes, value)
        }
        Edit::Pair { pair, table, field, value } => {
            let offset = one_of(&FIXED[usize::from(*table) % FIXED.len()], *field).offset;
            let log = REDO_LOGS[usize::from(*pair) % 2] as usize;
            let at = log + LOG_PAIRS + usize::from(*pair / 2) * 16;
            let value = number(value, at + 8, bytes);
            return Some((at, [offset.to_ne_bytes(), value.to_ne_bytes()].concat()));
        }
        Edit::Link { unit: number, value } => {
            let unit = unit(*number);
            let table = unit / UNITS_PER_GROUP * UNITS_PER_GROUP;
            (table * UNIT + (unit - table) * 4, 4, value)
        }
        Edit::Byte { offset, value } => return Some((usize::from(*offset), vec![*value])),
        Edit::Checksum => {
            let sum = checksum(bytes.get(..STAMP_CHECKSUM)?);
            return Some((STAMP_CHECKSUM, sum.to_ne_bytes().to_vec()));
        }
        Edit::Seal { log } => {
            let start = REDO_LOGS[usize::from(*log) % 2] as usize;
            let word = |offset: usize| Some(u64::from_ne_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?));
            let pairs = start + LOG_PAIRS;
            let end = pairs.checked_add(usize::try_from(word(start)?).ok()?.checked_mul(16)?)?;
            let sealed = [bytes.get(start + LOG_NUMBER..start + LOG_CHECKSUM)?, bytes.get(pairs..end)?].concat();
            return Some((start + LOG_CHECKSUM, checksum(&sealed).to_ne_bytes().to_vec()));
        }
        Edit::Commit => {
            let applied = u32::from_ne_bytes(bytes.get(APPLIED..APPLIED + 4)?.try_into().ok()?);
            return Some((COMMIT, applied.wrapping_add(1).to_ne_bytes().to_vec()));
        }
    };
    Some((offset, number(value, offset, bytes).to_ne_bytes()[..length.min(8) as usize].to_vec()))
}

fn number(value: &Value, offset: usize, bytes: &[u8]) -> u64 {
    let old = || {
        let mut word = [0; 8];
        let there = bytes.get(offset..).unwrap_or_default();
        let length = there.len().min(8);
        word[..length].copy_from_slice(&there[..length]);
        u64::from_ne_bytes(word)
    };
    match *value {
        Value::Small(value) => value.into(),
        Value::Largest => u64::MAX,
        Value::Near(distance) => old().wrapping_add_signed(distance.into()),
        Value::Unit(unit) => (FIRST_UNIT as u64 - 2).saturating_add(unit.into()),
        Value::Group(group) => u64::from(group) * (UNIT * UNITS_PER_GROUP) as u64,
        Value::Flip(bit) => old() ^ 1 << (bit % 64),
        Value::Power(bit) => 1 << (bit % 64),
        Value::Any(value) => value,
    }
}

/// Makes the file of the queue `fuzzed`. Returns its bytes, without the zeros that make it longer, and its length.
fn write(input: &Input) -> (Vec<u8>, u64) {
    let mut bytes = FUZZ.bases[usize::from(input.base) % FUZZ.bases.len()].clone();
    for edit in input.edits.iter().take(8) {
        if let Some((offset, new)) = place(edit, &bytes)
            && let Some(there) = bytes.get_mut(offset..offset + new.len())
        {
            there.copy_from_slice(&new);
        }
    }
    let length = match input.length {
        None => bytes.len() as u64,
        Some(Length::Shorter(by)) => (bytes.len() as u64).saturating_sub(by.into()),
        Some(Length::Longer(by)) => bytes.len() as u64 + u64::from(by),
        Some(Length::Sparse(bit)) => 1 << (bit % 42),
    };
    let path = FUZZ.queues.file("fuzzed");
    fs::write(&path, &bytes).expect("the file can be written");
    let file = OpenOptions::new().write(true).open(&path).expect("the file is there");
    file.set_len(length).expect("it can have that length");
    bytes.truncate(length as usize);
    (bytes, length)
}

/// What can be changed of a file, which may be sparse and very long.
fn beginning(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; 40_000];
    let length = file.read_at(&mut bytes, 0).unwrap_or_default();
    bytes.truncate(length);
    bytes
}

fn scribble(edit: &Edit, file: &File) {
    let bytes = beginning(file);
    if let Some((offset, new)) = place(edit, &bytes)
        && offset >= STAMP_BYTES
        && offset + new.len() <= bytes.len()
    {
        file.write_all_at(&new, offset as u64).expect("the file can be written");
    }
}

fn lease(message: u8, attempt: u8) -> LeaseId {
    LeaseId { message: message.into(), attempt: attempt.into() }
}

fn shelf(number: u8) -> Shelf {
    [Shelf::Ready, Shelf::Leased, Shelf::Delayed, Shelf::Dead][usize::from(number % 4)]
}

fn operate(operation: &Operation, queue: &mut Option<Box<dyn Queue>>, file: &File) {
    let place = FUZZ.queues.place();
    match operation {
        Operation::Reopen => {
            *queue = None;
            *queue = open::open(place, &address("fuzzed")).ok();
        }
        Operation::Remove => drop(open::remove(place, &address("fuzzed"))),
        Operation::Scribble(edit) => scribble(edit, file),
        _ => {}
    }
    let (Some(queue), deadline) = (queue, Some(Instant::now())) else { return };
    // That it fails is no failure.
    let _ = match operation {
        Operation::Put { framing, messages, length, together } => {
            let message = vec![b'm'; usize::from(*length) % 5_000];
            match framing % 3 {
                0 => queue.put(&Run::whole(&message), *together, deadline).map(drop),
                number => {
                    let (framing, end) = if number == 1 { (Framing::Newline, b'\n') } else { (Framing::Nul, 0) };
                    let run = [&message[..message.len() % 300], &[end]].concat().repeat(usize::from(*messages));
                    queue.put(&Run::delimited(&run, framing), *together, deadline).map(drop)
                }
            }
        }
        Operation::PutFrom { start, rest } => {
            let mut input = File::open(FUZZ.queues.other_file("lines")).expect("the file of lines");
            input.seek(SeekFrom::Start(u64::from(*start) * 16)).expect("it can be read from anywhere");
            let mut rest = vec![b'r'; usize::from(*rest)];
            let input = queue::Input { descriptor: input.as_fd(), name: "lines", framing: Framing::Newline };
            queue.put_from(input, &mut rest).map(drop)
        }
        Operation::Take { messages, bytes, watch } => {
            // What was leased before must have been settled.
            let settled = if queue.frames().is_empty() { Ok(()) } else { queue.settle(0, true, deadline) };
            let want =
                Want { messages: u64::from(*messages) + 1, bytes: u64::from(*bytes) + 1, singly: bytes % 3 == 0 };
            let taken = settled
                .and_then(|()| queue.take(want, if *watch { Otherwise::Sleep } else { Otherwise::Leave }, deadline));
            assert_eq!(matches!(taken, Ok(Taken::Messages)), !queue.frames().is_empty());
            let _ = queue.look_again();
            taken.map(drop)
        }
        Operation::Read => {
            for index in 0..queue.frames().len() {
                let mut buffer = Vec::new();
                let frame = queue.frames()[index];
                if queue.read(index, &mut buffer).is_ok() {
                    let run = frame.run(&buffer);
                    assert_eq!(run.messages().count() as u64, frame.count);
                    assert_eq!(run.messages().map(|message| message.len() as u64).sum::<u64>(), run.message_bytes());
                }
            }
            Ok(())
        }
        Operation::Settle { delivered, stay } => queue.settle((*delivered).into(), *stay, deadline),
        Operation::Keep { kept, seconds, holder } => {
            let until = seconds.map(|seconds| SystemTime::now() + Duration::from_secs(seconds.into()));
            let holder = [Holder::This, Holder::Nobody, Holder::Process(1)][usize::from(holder % 3)];
            queue.keep((*kept).into(), Terms { until, holder }, true, deadline)
        }
        Operation::End { message, attempt, how } => {
            let reason = Reason { cause: Cause::Exit(*how), text: vec![b'r'; usize::from(*how) * 3] };
            let end = match how % 4 {
                0 => End::Done,
                1 => End::Dead(reason),
                _ => End::Again { delay: Duration::from_secs(u64::from(how % 4) - 2), max_attempts: None, reason },
            };
            queue.end(&[lease(*message, *attempt)], &end, deadline).map(drop)
        }
        Operation::Extend { message, seconds } => {
            queue.extend(&[lease(*message, 1)], Duration::from_secs((*seconds).into()), deadline)
        }
        Operation::Look { shelf, most } => queue.peek(self::shelf(*shelf), (*most).into(), deadline).map(drop),
        Operation::Purge { shelf } => queue.purge(self::shelf(*shelf), deadline).map(drop),
        Operation::Retry { id } => {
            let ids = id.map(|id| [u64::from(id)]);
            queue.retry(ids.as_ref().map(|ids| &ids[..]), deadline).map(drop)
        }
        Operation::Join => queue.join(deadline, &mut |_| {}).map(drop),
        Operation::Produce => queue.produce(deadline),
        Operation::HandOn { message, length, publish } => {
            let prepared = queue.source(lease(*message, 1)).and_then(|source| {
                queue.prepare(&Run::whole(&vec![b'o'; usize::from(*length) % 5_000]), &source, deadline)
            });
            prepared.and_then(|prepared| match (prepared, publish) {
                (Some(prepared), Some(publish)) => queue.resolve(prepared, *publish, deadline),
                _ => Ok(()),
            })
        }
        Operation::Close => queue.close(deadline),
        Operation::Status => queue.status(deadline).map(drop),
        Operation::Reopen | Operation::Remove | Operation::Scribble(_) => Ok(()),
    };
}

fuzz_target!(|input: Input| {
    let (bytes, length) = write(&input);
    let path = FUZZ.queues.file("fuzzed");
    let mut file = OpenOptions::new().read(true).write(true).open(&path).expect("the file is there");
    let mut queue = open::open(FUZZ.queues.place(), &address("fuzzed")).ok();
    for operation in input.operations.iter().take(12) {
        operate(operation, &mut queue, &file);
    }
    drop(queue);
    let there = beginning(&file);
    let _ = open::verify(FUZZ.queues.place(), &address("fuzzed"), Some(Instant::now()));
    assert_eq!(beginning(&file), there, "verify only looks");
    let (mut stamp, mut before) = ([0; STAMP_BYTES], [0; STAMP_BYTES]);
    let read = file.read(&mut stamp).expect("the file can be read");
    assert!(read == STAMP_BYTES || read as u64 == length);
    before[..bytes.len().min(STAMP_BYTES)].copy_from_slice(&bytes[..bytes.len().min(STAMP_BYTES)]);
    assert_eq!(stamp, before, "the stamp was written to");
    // Each put makes it larger by at most 4 MiB.
    let growth = file.metadata().expect("it has a length").len().saturating_sub(length);
    assert!(growth <= 12 * (4 << 20), "the file has grown by {growth}");
    assert!(FUZZ.queues.files().iter().all(|name| name == "fuzzed" || name == "bystander"));
    assert!(fs::read(FUZZ.queues.file("bystander")).is_ok_and(|bytes| bytes == FUZZ.bystander));
});
