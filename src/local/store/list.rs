//! Lists: frames that are linked one after the other.

use super::super::format;
use super::super::memory::ReadMemory;
use super::frame::Record;
use super::{Result, damaged};

/// Calls `visit` with each frame of a list, as long as it returns true.
pub(super) fn each_in_list<M: ReadMemory>(
    memory: &M,
    first: u64,
    mut visit: impl FnMut(u32, &Record) -> Result<bool>,
) -> Result<()> {
    let fresh = memory.load(format::FRESH);
    let (mut next, mut left) = (first, fresh);
    while next != 0 {
        if next < u64::from(format::FIRST_UNIT) || next >= fresh || format::is_link_table(next as u32) || left == 0 {
            return damaged("next frame", format!("names unit {next}, which is not in use, or there already"));
        }
        left -= 1;
        let record = Record::load(memory, next as u32)?;
        if !visit(next as u32, &record)? {
            break;
        }
        next = record.next().into();
    }
    Ok(())
}
