//! Payload: read back, measured, and compared with what was put.

use super::super::memory::ReadMemory;
use super::chunks::Chunks;
use super::frame::Record;
use super::pieces::each_piece;
use super::{Fault, Result, damaged};
use crate::message::count_delimiters;
use crc32fast::Hasher;
use std::sync::LazyLock;

/// One that has seen nothing: to make it, crc32fast asks what the processor can do, which takes longer than a short message.
static NEW_HASHER: LazyLock<Hasher> = LazyLock::new(Hasher::new);

/// The CRC-32 of all of a payload.
pub(super) fn checksum(payload: &[u8]) -> u32 {
    let mut hasher = NEW_HASHER.clone();
    hasher.update(payload);
    hasher.finalize()
}

/// Appends the payload of the frame in `unit` to `buffer`, checked against its checksum and the count of messages.
pub(super) fn read<M: ReadMemory>(memory: &M, unit: u32, record: &Record, buffer: &mut Vec<u8>) -> Result<()> {
    let (start, length) = (buffer.len(), record.length());
    // What a segment asks for is not always to be had.
    let reserved = usize::try_from(length).ok().map(|length| buffer.try_reserve(length));
    if !matches!(reserved, Some(Ok(()))) {
        return Err(Fault::Memory(length).into());
    }
    let appended = each_piece(memory, unit, record, |offset, length| {
        memory.append(offset, length, buffer);
        Ok(true)
    });
    let checked = appended.and_then(|()| check(unit, record, &buffer[start..]));
    if checked.is_err() {
        buffer.truncate(start);
    }
    checked
}

/// Whether this is the payload of the frame in `unit`, and has as many messages.
fn check(unit: u32, record: &Record, payload: &[u8]) -> Result<()> {
    if payload.len() as u64 != record.length() || checksum(payload) != record.checksum() {
        return damaged("payload checksum", format!("of unit {unit} does not fit the payload"));
    }
    if let Some(delimiter) = record.framing().delimiter() {
        let (count, ends) = (u64::from(record.count()), count_delimiters(payload, delimiter));
        if ends != count || payload.last() != Some(&delimiter) {
            return damaged("message count", format!("of unit {unit} is {count}, and the payload has {ends} ends"));
        }
    }
    Ok(())
}

/// The CRC-32 of what follows a prefix, from that of both together and that of the prefix:
/// crc(ab) = shift(crc(a), length of b) ^ crc(b), the identity behind zlib's crc32_combine.
pub(super) fn checksum_of_rest(both: u32, prefix: u32, rest_length: u64) -> u32 {
    let mut shifted = Hasher::new_with_initial(prefix);
    shifted.combine(&Hasher::new_with_initial_len(0, rest_length));
    both ^ shifted.finalize()
}

/// Length in bytes, delimiters included, and checksum of the first `count` messages of a frame.
pub(super) fn measure<M: ReadMemory>(memory: &M, unit: u32, record: &Record, count: u64) -> Result<(u64, u32)> {
    let Some(delimiter) = record.framing().delimiter() else { return Ok((record.length(), record.checksum())) };
    let (mut left, mut length) = (count, 0);
    let mut hasher = Hasher::new();
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
            hasher.update(&chunk[..end]);
            length += end as u64;
        }
        Ok(left > 0)
    })?;
    if left > 0 {
        return damaged("message count", format!("of unit {unit} is more than its payload has"));
    }
    Ok((length, hasher.finalize()))
}

/// The checksum that the payload of a frame has now.
pub(super) fn checksum_now<M: ReadMemory>(memory: &M, unit: u32, record: &Record) -> Result<u32> {
    let mut hasher = Hasher::new();
    let mut chunks = Chunks::new();
    each_piece(memory, unit, record, |offset, piece| {
        chunks.each(memory, offset, piece, |chunk| hasher.update(chunk));
        Ok(true)
    })?;
    Ok(hasher.finalize())
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
