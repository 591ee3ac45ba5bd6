//! What the commands promise, tested with real processes: one module per command or promise.
// A test that fails to prepare is to fail loudly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

mod bad_file_systems;
mod bad_files;
mod bad_names;
mod bad_values;
mod basics;
mod bulk;
mod clocks;
mod closed_streams;
mod completions;
mod dead_letters;
mod delivery;
mod descriptors;
mod durable;
mod examples;
mod format_manual;
mod forms;
mod generated;
mod guarantees_manual;
mod handing_on;
mod help;
mod hostile;
mod in_step;
mod in_use;
mod join;
mod leases;
mod limits;
mod looking;
mod make;
mod manual;
mod many;
mod odd_messages;
mod on_redis;
mod other_users;
mod peek;
mod places;
mod producers;
mod programs;
mod progress;
mod readme;
mod reboot;
mod recovery;
mod redis_and_local;
mod redis_cluster;
mod redis_faults;
mod redis_network;
mod redis_storm;
mod removal;
mod seeing;
mod server;
mod signals;
// Where the tracer knows how system calls are done.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod single_step;
mod steering;
mod storm;
mod streams;
mod too_large;
mod top;
mod tutorial_manual;
mod verify;
mod waiting;
mod work;
mod work_out;
mod work_storm;
