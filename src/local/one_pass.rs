//! A block of payload copied, checksummed and counted in one pass: what each of these waits for leaves the processor
//! time for the others. A stream of lines takes a twentieth less time than with a library's pass for each.
//!
//! The checksum is XXH3 with its own secret and no seed, of as many bytes as a block has, as in "XXH3 Algorithm (for
//! long inputs)" of <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>.
//!
//! One of the rooms where `unsafe` is allowed.
#![allow(unsafe_code)]

use super::checksum::BLOCK;
use super::memory::{CACHE_LINE, Seen};
use std::arch::x86_64::{
    __m256i, _mm_sfence, _mm256_add_epi64, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_mul_epu32, _mm256_sad_epu8,
    _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi32, _mm256_slli_epi64,
    _mm256_srli_epi64, _mm256_storeu_si256, _mm256_stream_si256, _mm256_sub_epi8, _mm256_xor_si256,
};
use std::sync::LazyLock;

/// A line of the cache, in bytes. XXH3 has stripes of the same length.
const LINE: usize = CACHE_LINE as usize;

/// Half a line.
const HALF: usize = size_of::<__m256i>();

/// Lines in a block. A byte cannot be found so often at its place in half a line that the number needs more than a byte.
const LINES: usize = BLOCK / LINE;
const _: () = assert!(BLOCK.is_multiple_of(LINE * STRIPES) && 2 * LINES <= u8::MAX as usize);

const PRIME32: [u64; 3] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D];
const PRIME64: [u64; 5] =
    [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5];
const PRIME_OF_AVALANCHE: u64 = 0x1656_6791_9E37_79F9;

const SECRET: usize = 192;
/// Stripes between two scrambles: the secret moves on by a word with each.
const STRIPES: usize = (SECRET - LINE) / size_of::<u64>();
/// Where the part of the secret for the last stripe of all starts.
const SECRET_OF_LAST: usize = SECRET - LINE - 7;
const SECRET_OF_MERGE: usize = 11;

/// The secret that XXH3 has where none is given.
static SECRET_BYTES: LazyLock<[u8; SECRET]> = LazyLock::new(|| {
    let secret = twox_hash::XxHash3_64::new().into_secret();
    std::array::from_fn(|at| secret.get(at).copied().unwrap_or(0))
});

/// Bytes that lie together, a multiple of a line's length of them, and where they go.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) from: *const u8,
    pub(super) to: *mut u8,
    pub(super) bytes: usize,
}

/// Whether this processor can do it.
pub(super) fn is_possible() -> bool {
    is_x86_feature_detected!("avx2")
}

/// Copies a block that consists of these parts, and says what it is like.
///
/// # Safety
/// [`is_possible`]. Each part can be read, and stored to where it goes, which is no part of the block; together they have
/// the lines of a block.
pub(super) unsafe fn copy(parts: impl Iterator<Item = Part>, delimiter: Option<u8>) -> Seen {
    // SAFETY: the caller's.
    unsafe { pass(parts, delimiter, |to, half| _mm256_storeu_si256(to, half)) }
}

/// The same, but what is stored goes past the caches: to store to what another processor has read before takes up to four
/// times as long, as that one has to give up each line of it. It may be seen later than what is stored after it; see
/// [`order`].
///
/// # Safety
/// As for [`copy`], and every part goes to where half a line starts.
pub(super) unsafe fn copy_past_caches(parts: impl Iterator<Item = Part>, delimiter: Option<u8>) -> Seen {
    // SAFETY: the caller's.
    unsafe { pass(parts, delimiter, |to, half| _mm256_stream_si256(to, half)) }
}

/// Has what went past the caches seen before whatever is stored later.
pub(super) fn order() {
    // SAFETY: every such processor has the instruction.
    unsafe { _mm_sfence() }
}

/// # Safety
/// As for [`copy`], and `store` can be called for every half of a line.
#[target_feature(enable = "avx2")]
unsafe fn pass(
    parts: impl Iterator<Item = Part>,
    delimiter: Option<u8>,
    store: impl Fn(*mut __m256i, __m256i),
) -> Seen {
    let secret = &*SECRET_BYTES;
    let (counted, mut found) = (_mm256_set1_epi8(delimiter.unwrap_or(0).cast_signed()), _mm256_setzero_si256());
    let [one, two, three] = PRIME32;
    let mut sums = Sums::new([three, PRIME64[0], PRIME64[1], PRIME64[2], PRIME64[3], two, PRIME64[4], one]);
    let mut stripe = 0;
    for Part { from, to, bytes } in parts {
        let (mut from, mut to) = (from.cast::<__m256i>(), to.cast::<__m256i>());
        let mut lines = bytes / LINE;
        while lines > 0 {
            let until = (stripe + lines).min(stripe / STRIPES * STRIPES + STRIPES);
            lines -= until - stripe;
            for stripe in stripe..until {
                // SAFETY: the caller's; a line has two halves.
                let line = unsafe { [_mm256_loadu_si256(from), _mm256_loadu_si256(from.wrapping_add(1))] };
                store(to, line[0]);
                store(to.wrapping_add(1), line[1]);
                (from, to) = (from.wrapping_add(2), to.wrapping_add(2));
                // What is equal is -1 in each byte.
                found = _mm256_sub_epi8(found, _mm256_cmpeq_epi8(line[0], counted));
                found = _mm256_sub_epi8(found, _mm256_cmpeq_epi8(line[1], counted));
                let of_secret = if stripe == LINES - 1 { SECRET_OF_LAST } else { stripe % STRIPES * size_of::<u64>() };
                sums.add(line, part_of(secret, of_secret));
            }
            stripe = until;
            if stripe % STRIPES == 0 && stripe < LINES {
                sums.scramble(part_of(secret, SECRET - LINE));
            }
        }
    }
    let ends = words(_mm256_sad_epu8(found, _mm256_setzero_si256())).iter().sum();
    Seen { hash: sums.merge(part_of(secret, SECRET_OF_MERGE)) as u32, ends: delimiter.map_or(0, |_| ends) }
}

/// The accumulators of XXH3.
struct Sums([__m256i; 2]);

impl Sums {
    #[target_feature(enable = "avx2")]
    fn new(words: [u64; 8]) -> Self {
        // SAFETY: the words are as long.
        Sums(unsafe { std::mem::transmute::<[u64; 8], [__m256i; 2]>(words) })
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, line: [__m256i; 2], secret: [__m256i; 2]) {
        for at in 0..2 {
            let keyed = _mm256_xor_si256(line[at], secret[at]);
            let product = _mm256_mul_epu32(keyed, _mm256_srli_epi64::<32>(keyed));
            let swapped = _mm256_shuffle_epi32::<0b01_00_11_10>(line[at]);
            self.0[at] = _mm256_add_epi64(self.0[at], _mm256_add_epi64(swapped, product));
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn scramble(&mut self, secret: [__m256i; 2]) {
        let prime = _mm256_set1_epi64x(PRIME32[0].cast_signed());
        for (sum, secret) in self.0.iter_mut().zip(secret) {
            let mixed = _mm256_xor_si256(_mm256_xor_si256(*sum, _mm256_srli_epi64::<47>(*sum)), secret);
            let upper = _mm256_slli_epi64::<32>(_mm256_mul_epu32(_mm256_srli_epi64::<32>(mixed), prime));
            *sum = _mm256_add_epi64(_mm256_mul_epu32(mixed, prime), upper);
        }
    }

    #[target_feature(enable = "avx2")]
    fn merge(&self, secret: [__m256i; 2]) -> u64 {
        let mut hash = (BLOCK as u64).wrapping_mul(PRIME64[0]);
        for (sums, secret) in self.0.iter().zip(secret) {
            for pair in words(_mm256_xor_si256(*sums, secret)).as_chunks::<2>().0 {
                let product = u128::from(pair[0]) * u128::from(pair[1]);
                hash = hash.wrapping_add(product as u64 ^ (product >> 64) as u64);
            }
        }
        hash = (hash ^ hash >> 37).wrapping_mul(PRIME_OF_AVALANCHE);
        hash ^ hash >> 32
    }
}

/// The part of the secret for one stripe.
#[inline]
#[target_feature(enable = "avx2")]
fn part_of(secret: &[u8; SECRET], start: usize) -> [__m256i; 2] {
    let part = secret[start..start + 2 * HALF].as_ptr().cast::<__m256i>();
    // SAFETY: the slice has two halves.
    unsafe { [_mm256_loadu_si256(part), _mm256_loadu_si256(part.wrapping_add(1))] }
}

#[target_feature(enable = "avx2")]
fn words(vector: __m256i) -> [u64; 4] {
    let mut words = [0; 4];
    // SAFETY: the words are as long.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_arrives_and_is_seen_as_it_is_wherever_it_is_cut_and_however_often_the_delimiter_is_there() {
        if !is_possible() {
            return eprintln!("skipped: AVX2 not found");
        }
        for (cuts, rarity) in [(&[][..], 1), (&[0], 2), (&[1], 64), (&[15, 17], 100), (&[16, 48, 63], 5000)] {
            let byte = |at: usize| if at.is_multiple_of(rarity) { b'\n' } else { at as u8 | 128 };
            let block: Vec<u8> = (1..=BLOCK).map(byte).collect();
            let ends = cuts.iter().copied().chain([LINES]);
            let cuts: Vec<_> = [0].into_iter().chain(ends.clone()).zip(ends).collect();
            for (past_caches, delimiter) in [(false, Some(b'\n')), (true, Some(b'\n')), (true, None)] {
                let mut target = vec![[0_u8; LINE]; LINES + 1];
                let start = target.as_mut_ptr().cast::<u8>();
                let start = start.wrapping_add(start.align_offset(LINE));
                let parts = cuts.iter().map(|(from, to)| Part {
                    from: block.as_ptr().wrapping_add(from * LINE),
                    to: start.wrapping_add(from * LINE),
                    bytes: (to - from) * LINE,
                });
                // SAFETY: the target has a line more than a block, so that a line can start in its first one.
                let seen =
                    unsafe { if past_caches { copy_past_caches(parts, delimiter) } else { copy(parts, delimiter) } };
                assert_eq!(seen, Seen::of(&block, delimiter), "cut at {cuts:?}");
                // SAFETY: it was filled just now.
                assert!(unsafe { std::slice::from_raw_parts(start, BLOCK) } == block, "cut at {cuts:?}");
            }
        }
    }
}
