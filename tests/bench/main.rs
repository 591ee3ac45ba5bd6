//! Speed, as ratios to what a script would use instead, measured in the same run: `cargo bench`, or `cargo bench leases`
//! for some of it.
//!
//! Every figure is a median of interleaved runs. Absolute times depend on the machine; ratios much less.

// A bench that fails to prepare is to fail loudly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod depth;
mod leases;
mod one_shot;
mod ping_pong;
mod readers;
mod streams;
mod tools;

type Part = fn(&tools::Bench);

const PARTS: [(&str, Part); 7] = [
    ("lines", streams::lines),
    ("large", streams::large_messages),
    ("one-shot", one_shot::run),
    ("ping-pong", ping_pong::run),
    ("depth", depth::run),
    ("leases", leases::run),
    ("readers", readers::run),
];

fn main() {
    let bench = tools::Bench::new();
    // Cargo adds options of its own.
    let only: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("{:<58} {:>8} {:>8}", "ratio (smaller is better)", "measured", "at most");
    for (_, run) in PARTS.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|part| part == name)) {
        run(&bench);
    }
}
