//! Speed, as ratios to what a script would use instead, measured in the same run: `cargo bench`.
//!
//! Every figure is a median of interleaved runs. Absolute times depend on the machine; ratios much less.

// A bench that fails to prepare is to fail loudly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod depth;
mod one_shot;
mod ping_pong;
mod streams;
mod tools;

fn main() {
    let bench = tools::Bench::new();
    println!("{:<58} {:>8} {:>8}", "ratio (smaller is better)", "measured", "at most");
    streams::lines(&bench);
    streams::large_messages(&bench);
    one_shot::run(&bench);
    ping_pong::run(&bench);
    depth::run(&bench);
}
