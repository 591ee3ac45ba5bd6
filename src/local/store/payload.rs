//! Payload: read back, measured, and compared with what was put.

use super::super::checksum::{self, BLOCK, Checksum};
use super::super::memory::ReadMemory;
use super::blocks::Blocks;
use super::chunks::Chunks;
use super::frame::Record;
use super::pieces::each_piece;
use super::{Fault, Result, damaged};
use crate::delimiter::count_ends;
use std::ops::Range;

/// Appends the payload of the frame in `unit` to `buffer`, checked against its checksum and the count of messages.
pub(super) fn read<M: ReadMemory>(memory: &M, unit: u32, record: &Record, buffer: &mut Vec<u8>) -> Result<()> {
    let (start, length) = (buffer.len(), record.length());
    // What a segment asks for is not always to be had.
    let reserved = usize::try_from(length).ok().map(|length| buffer.try_reserve(length));
    if !matches!(reserved, Some(Ok(()))) {
        return Err(Fault::Memory(length).into());
    }
    let checked = append(memory, unit, record, buffer).and_then(|(checksum, ends)| {
        let (payload, delimiter) = (&buffer[start..], record.framing().delimiter());
        if payload.len() as u64 != length || checksum != record.checksum() {
            return damaged("payload checksum", format!("of unit {unit} does not fit the payload"));
        }
        if delimiter.is_some() && (ends != u64::from(record.count()) || payload.last().copied() != delimiter) {
            let count = record.count();
            return damaged("message count", format!("of unit {unit} is {count}, and the payload has {ends} ends"));
        }
        Ok(())
    });
    if checked.is_err() {
        buffer.truncate(start);
    }
    checked
}

/// Appends the payload as it is now. Returns its checksum, and how often its delimiter, if it has one, is in it.
fn append<M: ReadMemory>(memory: &M, unit: u32, record: &Record, buffer: &mut Vec<u8>) -> Result<(u32, u64)> {
    let (start, length, delimiter) = (buffer.len(), record.length(), record.framing().delimiter());
    if length > BLOCK as u64 {
        let mut blocks = Blocks::of_length(length);
        each_piece(memory, unit, record, |offset, length| {
            blocks.add((offset, length), |pieces| memory.append_block(pieces, delimiter, buffer));
            Ok(true)
        })?;
        return Ok(blocks.finish());
    }
    // As most single messages are.
    each_piece(memory, unit, record, |offset, length| {
        memory.append(offset, length, buffer);
        Ok(true)
    })?;
    let payload = &buffer[start..];
    Ok((checksum::of(payload), count_ends(payload, delimiter)))
}

/// Length in bytes, delimiters included, of the first `count` messages of a frame.
pub(super) fn length_of_first<M: ReadMemory>(memory: &M, unit: u32, record: &Record, count: u64) -> Result<u64> {
    let Some(delimiter) = record.framing().delimiter() else { return Ok(record.length()) };
    let (mut left, mut length) = (count, 0);
    let mut chunks = Chunks::new();
    each_piece(memory, unit, record, |offset, piece| {
        let mut at = 0;
        while at < piece && left > 0 {
            let chunk = chunks.copy(memory, offset + at, piece - at);
            at += chunk.len() as u64;
            let mut end = chunk.len();
            for found in memchr::memchr_iter(delimiter, chunk) {
                left -= 1;
                if left == 0 {
                    end = found + 1;
                    break;
                }
            }
            length += end as u64;
        }
        Ok(left > 0)
    })?;
    if left > 0 {
        return damaged("message count", format!("of unit {unit} is more than its payload has"));
    }
    Ok(length)
}

/// Whether a frame's payload has the checksum that its record says.
pub(super) fn is_as_put<M: ReadMemory>(memory: &M, unit: u32, record: &Record) -> Result<bool> {
    Ok(checksum_of_first(memory, unit, record, record.length())? == record.checksum())
}

/// The checksum that the first `length` bytes of a frame's payload have now.
pub(super) fn checksum_of_first<M: ReadMemory>(memory: &M, unit: u32, record: &Record, length: u64) -> Result<u32> {
    let mut checksum = Checksum::of_length(length);
    add(memory, unit, record, 0..length, &mut checksum)?;
    Ok(checksum.finish())
}

/// The checksum of a frame's payload without its first `gone` bytes.
pub(super) fn checksum_of_rest<M: ReadMemory>(memory: &M, unit: u32, record: &Record, gone: u64) -> Result<u32> {
    checksum::without_first(record.checksum(), record.length(), gone, |range, share| {
        add(memory, unit, record, range, share)
    })
}

/// Adds the bytes at `range` of a frame's payload to `checksum`.
fn add<M: ReadMemory>(
    memory: &M,
    unit: u32,
    record: &Record,
    range: Range<u64>,
    checksum: &mut Checksum,
) -> Result<()> {
    let (mut at, mut chunks) = (0, Chunks::new());
    each_piece(memory, unit, record, |offset, piece| {
        let within = |place: u64| place.saturating_sub(at).min(piece);
        let (from, to) = (within(range.start), within(range.end));
        chunks.each(memory, offset + from, to - from, |chunk| checksum.add(chunk));
        at += piece;
        Ok(at < range.end)
    })
}

/// Copies the start of a frame's payload.
pub(super) fn copy_payload<M: ReadMemory>(memory: &M, unit: u32, record: &Record, into: &mut [u8]) -> Result<()> {
    let mut at = 0;
    each_piece(memory, unit, record, |offset, piece| {
        let length = (into.len() - at).min(piece as usize);
        memory.read(offset, &mut into[at..at + length]);
        at += length;
        Ok(at < into.len())
    })
}
