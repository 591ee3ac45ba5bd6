//! The queue as a whole: its figures, closing it, marking it removed.

use super::super::format::{self, state};
use super::super::memory::Memory;
use super::sleepers::Wake;
use super::{Result, Store};

/// The figures of a queue at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) ready: u64,
    pub(crate) leased: u64,
    pub(crate) delayed: u64,
    pub(crate) dead: u64,
    /// Bytes of all messages.
    pub(crate) bytes: u64,
    pub(crate) closed: bool,
    pub(crate) puts_paused: bool,
    pub(crate) gets_paused: bool,
    pub(crate) removed: bool,
    /// Messages since the queue was created.
    pub(crate) put: u64,
    pub(crate) got: u64,
    pub(crate) returned: u64,
    /// Kept leases that ran out.
    pub(crate) expired: u64,
    /// Messages that became dead.
    pub(crate) died: u64,
    pub(crate) purged: u64,
    /// Messages a second, as of late.
    pub(crate) put_rate: f64,
    pub(crate) got_rate: f64,
    /// When the oldest ready message was put.
    pub(crate) oldest: Option<u64>,
    /// Producers that have announced themselves.
    pub(crate) producers: u64,
    /// The most bytes there ever were.
    pub(crate) high_water: u64,
    /// Bytes of storage that the segment occupies.
    pub(crate) segment_bytes: u64,
}

impl<M: Memory> Store<M> {
    /// The figures. `now` is in nanoseconds since the Unix epoch.
    pub(crate) fn counts(&mut self, now: u64) -> Result<Counts> {
        let mut transaction = self.begin()?;
        let (put_rate, got_rate) = transaction.rates(now);
        let oldest = match transaction.first_ready()? {
            Some(first) => Some(transaction.record("first ready", first.unit)?.put_at()),
            None => None,
        };
        let flags = transaction.get(format::STATE);
        Ok(Counts {
            ready: transaction.get(format::READY),
            leased: transaction.get(format::LEASED),
            delayed: transaction.get(format::DELAYED),
            dead: transaction.get(format::DEAD),
            bytes: transaction.get(format::MESSAGE_BYTES),
            closed: flags & state::CLOSED != 0,
            puts_paused: flags & state::PUT_PAUSED != 0,
            gets_paused: flags & state::GET_PAUSED != 0,
            removed: flags & state::REMOVED != 0,
            put: transaction.get(format::TOTAL_PUT),
            got: transaction.get(format::TOTAL_GOT),
            returned: transaction.get(format::TOTAL_RETURNED),
            high_water: transaction.get(format::HIGH_WATER),
            expired: transaction.get(format::TOTAL_EXPIRED),
            died: transaction.get(format::TOTAL_DEAD),
            purged: transaction.get(format::TOTAL_PURGED),
            put_rate,
            got_rate,
            oldest,
            producers: transaction.get(format::PRODUCERS),
            segment_bytes: transaction.get(format::GROWN),
        })
    }

    /// Refuses puts from now on and wakes everyone who waits.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.mark(state::CLOSED)
    }

    /// Tells everyone who has the segment open that it is gone.
    pub(crate) fn mark_removed(&mut self) -> Result<()> {
        self.mark(state::REMOVED)
    }

    /// Lets puts, or gets, wait until they are resumed.
    pub(crate) fn pause(&mut self, puts: bool, gets: bool) -> Result<()> {
        self.mark(paused(puts, gets))
    }

    /// Lets them go on, and wakes everyone who waits.
    pub(crate) fn resume(&mut self, puts: bool, gets: bool) -> Result<()> {
        self.set_flags(|flags| flags & !paused(puts, gets))
    }

    fn mark(&mut self, flag: u64) -> Result<()> {
        self.set_flags(|flags| flags | flag)
    }

    fn set_flags(&mut self, change: impl FnOnce(u64) -> u64) -> Result<()> {
        let mut transaction = self.begin()?;
        transaction.set(format::STATE, change(transaction.get(format::STATE)));
        transaction.wake_data(Wake::All);
        transaction.wake_space();
        transaction.commit()
    }
}

fn paused(puts: bool, gets: bool) -> u64 {
    let flags = [(puts, state::PUT_PAUSED), (gets, state::GET_PAUSED)];
    flags.into_iter().filter(|(is_meant, _)| *is_meant).fold(0, |flags, (_, flag)| flags | flag)
}
