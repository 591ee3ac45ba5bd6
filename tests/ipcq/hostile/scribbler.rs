//! Somebody who writes into the segment without its lock, and makes its file shorter and longer, while commands run.
//!
//! `IPCQ_SCRIBBLE=600` lets it go on for that many seconds.

use super::PATIENCE;
use super::bases::{self, Base};
use super::commands::{self, Arena, Run};
use super::mutate::{Mutated, Site, sites};
use crate::harness::Random;
use ipcq::local::HOT_FIELDS;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long those that wait, wait.
const WAIT: Duration = Duration::from_millis(300);

/// Commands that wait for a moment, besides those that do not.
const WAITING: &[Run] = &[
    Run::new("get q -t 0.1"),
    Run::new("get q -n 5 -t 0.1"),
    Run::new("get q --follow -t 0.1"),
    Run::new("put q message -t 0.1"),
    Run::new("put q a b c -t 0.1"),
];

/// What is done to the file.
#[derive(Clone, Copy, PartialEq)]
enum Mischief {
    /// Any byte of it changes.
    Scribbling,
    /// That, and it becomes shorter and longer.
    Truncating,
    /// Only those words change that processes sleep on.
    WakingUp,
}

/// Does mischief to the file at `path` until `stop`, and undoes most of it, so that there is something left to do.
fn scribble(path: PathBuf, base: &Base, mischief: Mischief, seed: u64, stop: &AtomicBool) -> u64 {
    let mut random = Random::new(seed);
    let sites: Vec<Site> = match mischief {
        Mischief::WakingUp => HOT_FIELDS[2..].iter().copied().map(Site::Word).collect(),
        _ => sites(),
    };
    let length = base.bytes.len() as u64;
    let open = || OpenOptions::new().read(true).write(true).open(&path).ok();
    let (mut file, mut mutated, mut writes) = (open(), Mutated::none(base), 0);
    while !stop.load(Ordering::Relaxed) {
        writes += 1_u64;
        // It may have been removed and made anew.
        if writes.is_multiple_of(64) {
            file = open();
        }
        // That there is no file, or no space for it, is no concern of ours.
        let write = |bytes: &[u8], offset| file.as_ref().map(|file| file.write_all_at(bytes, offset));
        let resize = |length| file.as_ref().map(|file| file.set_len(length));
        if mischief == Mischief::Truncating && random.below(4) == 0 {
            resize([random.below(length + 1), random.below(length * 3), 0, length][random.below(4) as usize]);
            pause(&mut random);
            resize(length);
            write(&base.bytes, 0);
        }
        let site = sites[random.below(sites.len() as u64) as usize];
        // Without a stamp nothing else is looked at.
        if !matches!(site, Site::Stamp(_)) || random.below(8) == 0 {
            if let Some((offset, bytes)) = mutated.mutate(site, base, &mut random) {
                write(&mutated.bytes[offset..offset + bytes], offset as u64);
                pause(&mut random);
                if mischief != Mischief::WakingUp && random.below(4) > 0 {
                    write(&base.bytes[offset..offset + bytes], offset as u64);
                }
            }
            mutated.changes.clear();
        }
        if mischief != Mischief::WakingUp && random.below(8) == 0 {
            write(&base.bytes, 0);
            mutated = Mutated::none(base);
            pause(&mut random);
        }
    }
    writes
}

/// Lets others work for about as long as an operation takes.
fn pause(random: &mut Random) {
    match random.below(20) {
        0 => std::thread::sleep(Duration::from_micros(50)),
        _ => (0..random.below(2_000)).for_each(|_| std::hint::spin_loop()),
    }
}

/// Runs `work` while somebody does mischief to the queue `q` of `arena`, which is a copy of `base`.
fn during<T>(mischief: Mischief, arena: &Arena, base: &Base, seed: u64, work: impl FnOnce() -> T) -> T {
    arena.place(&base.bytes, base.bytes.len() as u64);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scribbler = scope.spawn(|| scribble(arena.path("q"), base, mischief, seed, &stop));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let writes = scribbler.join().expect("the scribbler ends");
        assert!(writes > 0, "nothing was done to it");
        result.unwrap_or_else(|failure| std::panic::resume_unwind(failure))
    })
}

/// Runs commands one after the other during `mischief`, and judges how each ends.
fn run_commands(mischief: Mischief, default: Duration) {
    let seconds = super::number_from("IPCQ_SCRIBBLE");
    let (arena, bases) = (Arena::new(), bases::all());
    let end = Instant::now() + seconds.map_or(default, Duration::from_secs);
    let mut codes = BTreeMap::<i32, u64>::new();
    let mut seed = 0;
    while Instant::now() < end {
        let base = &bases[seed as usize % bases.len()];
        seed += 1;
        during(mischief, &arena, base, seed, || {
            let mut random = Random::new(seed);
            for _ in 0..10 {
                let command = match random.below(8) {
                    0 => &WAITING[random.below(WAITING.len() as u64) as usize],
                    _ => commands::any(&mut random),
                };
                let ended = commands::end(arena.start(command), command.patience() + Duration::from_millis(100));
                let judged = ended.and_then(|ended| {
                    *codes.entry(ended.code).or_default() += 1;
                    commands::judge_words(command, &ended)
                });
                let judged = judged.and_then(|()| arena.judge_bystander());
                assert_eq!(judged, Ok(()), "'ipcq {}' on '{}'", command.arguments, base.name);
                if !arena.path("q").exists() {
                    arena.place(&base.bytes, base.bytes.len() as u64);
                }
            }
        });
    }
    println!("exit codes {codes:?}");
    let often = |code| codes.get(&code).is_some_and(|count| *count > 5);
    assert!(often(0) && often(2), "{codes:?}");
}

#[test]
fn every_command_survives_a_segment_that_changes_under_its_hands() {
    run_commands(Mischief::Scribbling, Duration::from_millis(800));
}

#[test]
fn every_command_survives_a_file_that_is_truncated_under_its_hands() {
    run_commands(Mischief::Truncating, Duration::from_millis(800));
}

/// Starts a command that waits for `WAIT`, and returns what comes of it if mischief begins when it is asleep.
fn wait_during(mischief: Mischief, base: &str, arguments: &'static str) -> (i32, Duration) {
    let (arena, bases) = (Arena::new(), bases::all());
    let base = bases.iter().find(|candidate| candidate.name == base).unwrap();
    arena.place(&base.bytes, base.bytes.len() as u64);
    let start = Instant::now();
    let child = arena.start_asleep(&Run::new(arguments));
    let command = Run::new(arguments);
    let ended = during(mischief, &arena, base, 1, || commands::end(child, WAIT + PATIENCE)).unwrap();
    assert_eq!(commands::judge_words(&command, &ended), Ok(()));
    (ended.code, start.elapsed())
}

#[test]
fn a_waiter_that_is_woken_for_nothing_all_the_time_ends_when_its_time_is_over() {
    for (base, arguments) in [("empty", "get q -t 0.3"), ("full", "put q more -t 0.3")] {
        let (code, took) = wait_during(Mischief::WakingUp, base, arguments);
        assert!(code == 1 && took >= WAIT, "'ipcq {arguments}' ended with {code} after {took:?}");
    }
}

#[test]
fn a_waiter_ends_whatever_happens_to_the_segment() {
    for mischief in [Mischief::Scribbling, Mischief::Truncating] {
        for (base, arguments) in [("empty", "get q -t 0.3"), ("full", "put q more -t 0.3")] {
            wait_during(mischief, base, arguments);
        }
    }
}
