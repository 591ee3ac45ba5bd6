//! The tests of what queues do, once more, with the queues on a Redis server.
//!
//! A sandbox of a test in here has a database instead of a directory. What cannot be the same there is left out by the
//! tests themselves, which say why in the words of ipcq-redis(7).
#![allow(clippy::duplicate_mod)]

#[path = "bad_values.rs"]
mod bad_values;
#[path = "basics.rs"]
mod basics;
#[path = "closed_streams.rs"]
mod closed_streams;
#[path = "dead_letters.rs"]
mod dead_letters;
#[path = "delivery.rs"]
mod delivery;
#[path = "forms.rs"]
mod forms;
#[path = "join.rs"]
mod join;
#[path = "leases.rs"]
mod leases;
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
#[path = "waiting.rs"]
mod waiting;
#[path = "work.rs"]
mod work;
#[path = "work_out.rs"]
mod work_out;
