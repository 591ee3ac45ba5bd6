//! What the commands promise, tested with real processes: one module per command or promise.
// A test that fails to prepare is to fail loudly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

mod basics;
mod completions;
mod format_manual;
mod generated;
mod manual_sections;
mod readme;
