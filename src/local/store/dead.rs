//! Dead messages: given up on, and kept aside with the reason until somebody retries or purges them.

use super::super::format;
use super::super::memory::{Memory, ReadMemory};
use super::frame::{Record, State};
use super::sleepers::Wake;
use super::transaction::Transaction;
use super::tree::Tree;
use super::{Result, Store, damaged};
use crate::lease::{Cause, Reason};

/// A reason as it is stored: the cause in two bytes of a word of the record, the length of the text in the other two, and
/// the text in a unit of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredReason<'a> {
    cause: Cause,
    text: &'a [u8],
}

impl<'a> StoredReason<'a> {
    pub(super) const HOLDER_DIED: StoredReason<'static> = StoredReason { cause: Cause::HolderDied, text: &[] };
    pub(super) const EXPIRED: StoredReason<'static> = StoredReason { cause: Cause::Expired, text: &[] };

    /// As much of `reason` as is kept.
    pub(super) fn of(reason: &'a Reason) -> Self {
        StoredReason { cause: reason.cause, text: &reason.text[..reason.text.len().min(Reason::MOST_TEXT)] }
    }

    fn word(&self) -> u32 {
        let [kind, number] = self.cause.numbers();
        let [low, high] = (self.text.len() as u16).to_ne_bytes();
        u32::from_ne_bytes([kind, number, low, high])
    }
}

/// The reason in a dead frame's record.
pub(super) fn reason<M: ReadMemory>(memory: &M, record: &Record) -> Result<Reason> {
    let [kind, number, low, high] = record.reason().to_ne_bytes();
    let Some(cause) = Cause::from_numbers([kind, number]) else {
        return damaged("reason", format!("is {kind}, which is none"));
    };
    let length = usize::from(u16::from_ne_bytes([low, high]));
    if length > Reason::MOST_TEXT || (length > 0) != (record.reason_unit() > 0) {
        return damaged("reason", format!("has a text of {length} bytes"));
    }
    let mut text = vec![0; length];
    if length > 0 {
        if u64::from(record.reason_unit()) >= memory.load(format::FRESH) {
            return damaged("reason unit", format!("names unit {}, which is not in use", record.reason_unit()));
        }
        memory.read(format::unit_offset(record.reason_unit()), &mut text);
    }
    Ok(Reason { cause, text })
}

impl<M: Memory> Store<M> {
    /// Makes dead messages ready again, as new: those with these ids, or all there are. Returns their number, or the id
    /// of the first that is not dead; then nothing has changed.
    pub(crate) fn retry(&mut self, ids: Option<&[u64]>) -> Result<std::result::Result<u64, u64>> {
        if let Some(ids) = ids {
            let mut transaction = self.begin()?;
            for id in ids {
                if transaction.tree_find(Tree::Dead, *id)?.is_none() {
                    return Ok(Err(*id));
                }
            }
        }
        let mut left = ids.map(<[u64]>::iter);
        let mut retried = 0;
        loop {
            let mut transaction = self.begin()?;
            let mut is_last = false;
            let mut some = 0;
            while transaction.has_room() {
                let unit = match &mut left {
                    // The same id may have been named twice.
                    Some(ids) => match ids.next() {
                        Some(id) => transaction.tree_find(Tree::Dead, *id)?.unwrap_or(0),
                        None => {
                            is_last = true;
                            break;
                        }
                    },
                    None => transaction.tree_first(Tree::Dead)?,
                };
                if unit == 0 {
                    is_last = left.is_none();
                    if is_last { break } else { continue }
                }
                some += transaction.revive(unit)?;
            }
            if some > 0 {
                transaction.wake_data(Wake::Messages(some));
            }
            transaction.commit()?;
            retried += some;
            if is_last {
                return Ok(Ok(retried));
            }
        }
    }
}

impl<M: Memory> Transaction<'_, M> {
    /// Puts the frame in `unit`, which is nowhere now, aside as dead.
    pub(super) fn bury(&mut self, unit: u32, reason: &StoredReason<'_>, now: u64) -> Result<()> {
        // Without a unit for it, the text is lost, but not the message.
        let text = match reason.text {
            [] => 0,
            _ if self.make_room(1).is_err() => 0,
            _ => self.allocate(1)?.first,
        };
        let reason = if text == 0 { StoredReason { text: &[], ..*reason } } else { *reason };
        self.set_text(text, reason.text);
        let record = self.record("dead root", unit)?;
        record.set_state(State::Dead);
        record.set_due(now);
        record.set_reason(reason.word());
        record.set_reason_unit(text);
        let count = u64::from(record.count());
        self.tree_insert(Tree::Dead, unit)?;
        self.add(format::DEAD, count);
        self.add(format::TOTAL_DEAD, count);
        Ok(())
    }

    /// Writes a text into a unit that this transaction has allocated.
    pub(super) fn set_text(&mut self, unit: u32, text: &[u8]) {
        for (at, piece) in (format::unit_offset(unit)..).step_by(8).zip(text.chunks(8)) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            // Through the log: no checksum tells whether it has reached the disk.
            self.set_word(at, u64::from_ne_bytes(word));
        }
    }

    /// Makes the dead frame in `unit` ready, as new. Returns its number of messages.
    fn revive(&mut self, unit: u32) -> Result<u64> {
        self.unbury(unit)?;
        let record = self.record("dead root", unit)?;
        record.set_forgiven(record.attempts());
        let count = u64::from(record.count());
        self.make_ready(unit)?;
        Ok(count)
    }

    /// Takes the dead frame in `unit` from where it is, and forgets the reason.
    pub(super) fn unbury(&mut self, unit: u32) -> Result<()> {
        self.tree_remove(Tree::Dead, unit)?;
        let record = self.record("dead root", unit)?;
        if record.state() != Some(State::Dead) {
            let state = record.state_number();
            return damaged("frame state", format!("of the dead unit {unit} is {state}"));
        }
        let (text, count) = (record.reason_unit(), u64::from(record.count()));
        record.set_reason(0);
        record.set_reason_unit(0);
        self.subtract(format::DEAD, count)?;
        if text != 0 {
            self.free_unit(text)?;
        }
        Ok(())
    }
}
