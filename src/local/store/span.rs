//! Spans: about how long kept leases run, which says in what tree they are.

/// About how long a kept lease runs. Those that run about as long have a tree of their own: in it, a lease that is taken
/// now comes after most others, at the end of its way. Among leases that run much longer it would come before them, and as
/// it comes and goes one of them would move on every step of a way, and each of these is a cache miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Span {
    /// Less than a minute.
    Seconds,
    /// Less than an hour.
    Minutes,
    /// Less than a day.
    Hours,
    /// Longer, or for ever.
    Days,
}

impl Span {
    pub(super) const ALL: [Span; 4] = [Span::Seconds, Span::Minutes, Span::Hours, Span::Days];

    /// That of a lease that runs for so many nanoseconds.
    pub(super) fn of(nanoseconds: u64) -> Self {
        match nanoseconds / 1_000_000_000 {
            0..60 => Span::Seconds,
            60..3_600 => Span::Minutes,
            3_600..86_400 => Span::Hours,
            _ => Span::Days,
        }
    }
}
