//! The tests of what queues do, once more, with the queues on a Redis server.
//!
//! A sandbox of a test in here has a database instead of a directory. What cannot be the same there is left out by the
//! tests themselves, or, where that is all of a module, by the table below; both say why in the words of ipcq-redis(7).
#![allow(clippy::duplicate_mod)]

use crate::harness::differs;

#[path = "bad_names.rs"]
mod bad_names;
#[path = "bad_values.rs"]
mod bad_values;
#[path = "basics.rs"]
mod basics;
#[path = "bulk.rs"]
mod bulk;
#[path = "clocks.rs"]
mod clocks;
#[path = "closed_streams.rs"]
mod closed_streams;
#[path = "completions.rs"]
mod completions;
#[path = "dead_letters.rs"]
mod dead_letters;
#[path = "delivery.rs"]
mod delivery;
#[path = "examples.rs"]
mod examples;
#[path = "forms.rs"]
mod forms;
#[path = "handing_on.rs"]
mod handing_on;
#[path = "in_use.rs"]
mod in_use;
#[path = "join.rs"]
mod join;
#[path = "leases.rs"]
mod leases;
#[path = "limits.rs"]
mod limits;
#[path = "looking.rs"]
mod looking;
#[path = "make.rs"]
mod make;
#[path = "many.rs"]
mod many;
#[path = "odd_messages.rs"]
mod odd_messages;
#[path = "peek.rs"]
mod peek;
#[path = "producers.rs"]
mod producers;
#[path = "programs.rs"]
mod programs;
#[path = "progress.rs"]
mod progress;
#[path = "recovery.rs"]
mod recovery;
#[path = "removal.rs"]
mod removal;
#[path = "seeing.rs"]
mod seeing;
#[path = "signals.rs"]
mod signals;
#[path = "steering.rs"]
mod steering;
#[path = "streams.rs"]
mod streams;
#[path = "too_large.rs"]
mod too_large;
#[path = "top.rs"]
mod top;
#[path = "verify.rs"]
mod verify;
#[path = "waiting.rs"]
mod waiting;
#[path = "work/mod.rs"]
mod work;
#[path = "work_out.rs"]
mod work_out;
#[path = "work_storm.rs"]
mod work_storm;

/// The modules of which nothing can be the same on a server, and the row of the table in ipcq-redis(7) that says why.
const DIFFERENT: [(&str, &str); 10] = [
    ("bad_file_systems", "Files and permissions"),
    ("bad_files", "Files and permissions"),
    ("descriptors", "Files and permissions"),
    ("durable", "Durability"),
    ("hostile", "Damage"),
    ("other_users", "Files and permissions"),
    ("places", "Files and permissions"),
    ("reboot", "Files and permissions"),
    ("single_step", "Changes"),
    // redis_storm does the same by other rules.
    ("storm", "A process that died"),
];

/// The modules that are not about what a queue does, wherever it is: what is written about the program, and ways to test.
const OF_OTHER_THINGS: [&str; 9] = [
    "format_manual",
    "generated",
    "guarantees_manual",
    "harness",
    "help",
    "manual",
    "readme",
    "server",
    "tutorial_manual",
];

/// The names of the modules that a file declares.
fn modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
}

#[test]
fn every_module_is_run_on_a_server_or_said_why_not() {
    let here: Vec<&str> = modules(include_str!("on_redis.rs")).collect();
    for module in modules(include_str!("main.rs")) {
        let of_servers = ["in_step", "on_redis"].contains(&module) || module.starts_with("redis_");
        let different = DIFFERENT.iter().any(|(name, _)| *name == module);
        let places = [here.contains(&module), different, OF_OTHER_THINGS.contains(&module), of_servers];
        let count = places.iter().filter(|is_there| **is_there).count();
        assert_eq!(count, 1, "'{module}' has to be run here, too, or be named in one of the tables, with the reason");
    }
    for (module, row) in DIFFERENT {
        assert!(differs(row) && !here.contains(&module), "{module}: {row}");
    }
}
