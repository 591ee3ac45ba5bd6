//! Where a put leaves its messages.

use crate::lease::Source;

/// What becomes of messages that are put.
#[derive(Clone, Copy)]
pub(super) enum Destination<'a> {
    /// Whoever takes first gets them.
    Ready,
    /// The same, but nobody is woken: whoever puts them sees to it that they are taken.
    Awaited,
    /// They are not to be seen yet.
    Prepared(&'a Prepare<'a>),
    /// They are leased to the owner with this entry, which is in use.
    Leased(u32),
}

/// What a put has to know to prepare messages.
pub(crate) struct Prepare<'a> {
    pub(crate) source: &'a Source,
    /// The entry of the owner, in use by us or free.
    pub(crate) owner: u32,
    pub(crate) pid: u32,
}
