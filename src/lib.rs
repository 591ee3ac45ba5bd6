//! Named queues for shell scripts, in files that processes share.
//!
//! The map of the crate. Imports point downwards only:
//!
//! | layer | modules |
//! | --- | --- |
//! | the command line | [`cli`]: one file per command; the only layer that prints, exits or reads the environment |
//! | what a queue can do | [`queue`]: one trait, and `open`, the only place that names the backends |
//! | the backends | [`local`]: a file-locked, mmap'd segment |
//! | words everyone shares | [`error`], [`message`], [`name`], [`place`] |

pub mod cli;
pub mod error;
pub mod local;
pub mod message;
pub mod name;
pub mod place;
pub mod queue;
