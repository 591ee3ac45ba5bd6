//! Named queues for shell scripts, in files that processes share.
//!
//! The map of the crate. Imports point downwards only:
//!
//! | layer | modules |
//! | --- | --- |
//! | the command line | [`cli`]: one file per command; the only layer that prints, exits or reads the environment |
//! | which queue | [`open`](mod@open): the only place that names the backends |
//! | the backends | [`local`]: a file-locked, mmap'd segment; `redis` (a feature): keys on a Redis or Valkey server |
//! | what a queue can do | [`queue`]: one trait, and waiting on several queues; [`elsewhere`]: asking one of another kind |
//! | words everyone shares | [`address`], `delimiter`, [`error`], [`lease`], [`message`], [`name`], `nearest`, [`place`], [`remote`], `reserve`, [`wait`] |
//!
//! `unsafe` is denied but in four rooms: `local/map.rs` (the mapping), `local/one_pass.rs` (vector instructions), [`wait`]
//! (futex calls) and `cli/process.rs` (descriptors and signals); `main.rs` defines the C entry point.

pub mod address;
pub mod cli;
mod delimiter;
pub mod elsewhere;
pub mod error;
pub mod lease;
pub mod local;
pub mod message;
pub mod name;
mod nearest;
pub mod open;
pub mod place;
pub mod queue;
#[cfg(feature = "redis")]
pub mod redis;
pub mod remote;
mod reserve;
pub mod wait;
#[cfg(not(feature = "redis"))]
mod without_redis;
