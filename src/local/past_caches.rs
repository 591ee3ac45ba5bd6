//! Copying past the caches, and counting on the way: while such stores wait for memory, a processor has time for it.
//!
//! One of the rooms where `unsafe` is allowed.
#![allow(unsafe_code)]

use crate::message::count_delimiters;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_sad_epu8, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_storeu_si256, _mm256_stream_si256, _mm256_sub_epi8,
};

/// What a processor fetches or stores at once, in bytes.
pub(super) const CACHE_LINE: usize = 64;

type Line = [u8; CACHE_LINE];

/// Lines in which a byte can be found without a sum at its place in half a line growing beyond a byte.
const LINES_AT_ONCE: usize = 127;

/// Copies `lines` to `to` and returns how often they have the byte `counted`. Stores that come later are seen later.
///
/// # Safety
/// `to` is where a line starts, and as many bytes from there on can be stored to as `lines` have. Those are no part of
/// `lines`.
pub(super) unsafe fn copy_and_count(lines: &[Line], to: *mut u8, counted: u8) -> u64 {
    let count = if is_x86_feature_detected!("avx2") {
        // SAFETY: the caller's, and the processor has the instructions.
        unsafe { copy_halves_and_count(lines, to, counted) }
    } else {
        // SAFETY: the caller's.
        unsafe { copy_quarters(lines, to) };
        count_delimiters(lines.as_flattened(), counted)
    };
    // SAFETY: every such processor has the instruction.
    unsafe { _mm_sfence() };
    count
}

/// # Safety
/// As for [`copy_and_count`].
#[target_feature(enable = "avx2")]
unsafe fn copy_halves_and_count(lines: &[Line], to: *mut u8, counted: u8) -> u64 {
    const HALF: usize = size_of::<__m256i>();
    let (counted, none) = (_mm256_set1_epi8(counted.cast_signed()), _mm256_setzero_si256());
    let (mut to, mut count) = (to, 0);
    for some in lines.chunks(LINES_AT_ONCE) {
        let mut found = none;
        for half in some.as_flattened().as_chunks::<HALF>().0 {
            // SAFETY: the source is half a line; the target, by the caller, is as long and starts half a line.
            let bytes = unsafe {
                let bytes = _mm256_loadu_si256(half.as_ptr().cast());
                _mm256_stream_si256(to.cast(), bytes);
                bytes
            };
            to = to.wrapping_add(HALF);
            // What is equal is -1 in each byte.
            found = _mm256_sub_epi8(found, _mm256_cmpeq_epi8(bytes, counted));
        }
        let mut sums = [0_u64; 4];
        // SAFETY: the target is as long.
        unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), _mm256_sad_epu8(found, none)) };
        count += sums.iter().sum::<u64>();
    }
    count
}

/// # Safety
/// As for [`copy_and_count`].
unsafe fn copy_quarters(lines: &[Line], to: *mut u8) {
    const QUARTER: usize = size_of::<__m128i>();
    let mut to = to;
    for quarter in lines.as_flattened().as_chunks::<QUARTER>().0 {
        // SAFETY: as for halves; every such processor has the instructions.
        unsafe { _mm_stream_si128(to.cast(), _mm_loadu_si128(quarter.as_ptr().cast())) };
        to = to.wrapping_add(QUARTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Copies so many lines of `bytes` in a way, and returns what arrived and what was counted.
    fn copied(bytes: &[u8], copy: unsafe fn(&[Line], *mut u8, u8) -> u64) -> (Vec<u8>, u64) {
        let lines = bytes.as_chunks().0;
        let mut target = vec![[0; CACHE_LINE]; lines.len() + 1];
        let start = target.as_mut_ptr().cast::<u8>();
        let start = start.wrapping_add(start.align_offset(CACHE_LINE));
        // SAFETY: the target has one line more than is copied, so that a line can start in its first one.
        let count = unsafe { copy(lines, start, b'\n') };
        // SAFETY: it was filled just now.
        (unsafe { std::slice::from_raw_parts(start, size_of_val(lines)) }.to_vec(), count)
    }

    unsafe fn by_quarters(lines: &[Line], to: *mut u8, counted: u8) -> u64 {
        // SAFETY: the caller's.
        unsafe { copy_quarters(lines, to) };
        count_delimiters(lines.as_flattened(), counted)
    }

    #[test]
    fn all_arrives_and_is_counted_however_much_it_is_and_however_often_the_byte_is_there() {
        for lines in (0..5).chain([126, 127, 128, 252, 300]) {
            for rarity in [1, 2, 64, 1000] {
                let byte = |at: usize| if at.is_multiple_of(rarity) { b'\n' } else { at as u8 | 128 };
                let bytes: Vec<u8> = (0..lines * CACHE_LINE).map(byte).collect();
                let expected = (bytes.clone(), count_delimiters(&bytes, b'\n'));
                assert_eq!(copied(&bytes, copy_and_count), expected, "{lines} lines");
                assert_eq!(copied(&bytes, by_quarters), expected, "{lines} lines");
            }
        }
    }
}
