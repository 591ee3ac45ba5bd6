//! Every command on segments in which fields, links and lengths were changed: exit code 2 and what is wrong, or
//! work that is right; never a crash, a hang, or a byte anywhere else.
//!
//! The default is a slice that fits the time of a test. `IPCQ_MUTATIONS=1000000` says how many segments otherwise,
//! and `IPCQ_MUTATION_SEED=7` repeats the one that a failure names; with both, so many from that one on.

mod bases;
mod cases;
mod commands;
mod mutate;
mod scribbler;

use crate::harness::Random;
use bases::Base;
use commands::Arena;
use mutate::{Mutated, Site};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A process for each, which takes milliseconds where the program is not optimized.
const MUTATIONS: u64 = 3_000;

/// How long a command that does not wait may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of all segments.
#[derive(Default)]
struct Tally {
    /// How often each exit code came.
    codes: BTreeMap<i32, u64>,
    /// How often each field, or what else there is, was changed first.
    sites: BTreeMap<String, u64>,
    /// The longest that a command took, and the seed of that.
    slowest: (Duration, u64),
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        other.codes.into_iter().for_each(|(code, count)| *self.codes.entry(code).or_default() += count);
        other.sites.into_iter().for_each(|(site, count)| *self.sites.entry(site).or_default() += count);
        self.slowest = self.slowest.max(other.slowest);
        self.failures.extend(other.failures);
    }

    /// Runs one command on one mutated segment and judges what it did.
    fn try_seed(&mut self, seed: u64, bases: &[Base], sites: &[Site], arena: &Arena) {
        let mut random = Random::new(seed);
        let base = &bases[random.below(bases.len() as u64) as usize];
        let command = commands::any(&mut random);
        let site = sites[(seed % sites.len() as u64) as usize];
        let mutated = Mutated::new(base, site, &mut random);
        *self.sites.entry(site.to_string()).or_default() += 1;
        let judged = arena.run(command, &mutated.bytes, mutated.length).and_then(|ended| {
            self.slowest = self.slowest.max((ended.took, seed));
            *self.codes.entry(ended.code).or_default() += 1;
            arena.judge(command, &mutated, &ended, base)
        });
        if let Err(complaint) = judged {
            self.failures.push(format!(
                "IPCQ_MUTATION_SEED={seed}, 'ipcq {}' on '{}' with {}: {complaint}",
                command.arguments, base.name, mutated.changes
            ));
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().expect("a number"))
}

#[test]
fn every_command_survives_mutated_segments() {
    let (bases, sites) = (bases::all(), mutate::sites());
    let mut tally = Tally::default();
    let (first, mutations) = (number_from("IPCQ_MUTATION_SEED"), number_from("IPCQ_MUTATIONS"));
    if let (Some(seed), None) = (first, mutations) {
        tally.try_seed(seed, bases, &sites, &Arena::new());
        assert!(tally.failures.is_empty(), "{}", tally.failures[0]);
        return;
    }
    let (first, mutations) = (first.unwrap_or(0), mutations.unwrap_or(MUTATIONS));
    let (next, end) = (AtomicU64::new(first), first + mutations);
    let threads = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
    std::thread::scope(|scope| {
        let work = || {
            let (arena, mut tally) = (Arena::new(), Tally::default());
            while tally.failures.len() < 10 {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    break;
                }
                tally.try_seed(seed, bases, &sites, &arena);
            }
            tally
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| tally.add(thread.join().expect("the thread ends")));
    });
    let (slowest, seed) = tally.slowest;
    println!("exit codes {:?}; the slowest, seed {seed}, took {slowest:?}", tally.codes);
    assert!(tally.failures.is_empty(), "{} and more:\n{}", tally.failures.len(), tally.failures.join("\n"));
    for site in &sites {
        let count = tally.sites.get(&site.to_string()).copied().unwrap_or_default();
        assert!(count >= mutations / sites.len() as u64, "{site} was changed only {count} times");
    }
    // Enough of them work and enough are refused for either to mean something.
    let share = |code| tally.codes.get(&code).copied().unwrap_or_default() * 10;
    assert!(share(0) > mutations && share(2) > mutations, "{:?}", tally.codes);
}
