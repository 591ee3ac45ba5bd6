//! What the commands promise, tested with real processes: one module per command or promise.

mod harness;

mod basics;
