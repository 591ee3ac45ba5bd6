//! Halves: two numbers of four bytes in a word of the segment, in the order of their offsets.

/// The number at the word's offset, and the one four bytes after it.
pub(super) fn split(word: u64) -> [u32; 2] {
    in_order([word as u32, (word >> u32::BITS) as u32])
}

/// The word that has these numbers.
pub(super) fn join(numbers: [u32; 2]) -> u64 {
    let [low, high] = in_order(numbers);
    u64::from(high) << u32::BITS | u64::from(low)
}

/// One of the two, 0 or 1.
pub(super) fn half(word: u64, which: usize) -> u32 {
    (word >> place(which)) as u32
}

/// The word with another number as one of the two.
pub(super) fn with_half(word: u64, which: usize, number: u32) -> u64 {
    word & !(u64::from(u32::MAX) << place(which)) | u64::from(number) << place(which)
}

/// Where it is, in bits.
fn place(which: usize) -> u32 {
    u32::BITS * (which ^ usize::from(cfg!(target_endian = "big"))) as u32
}

/// The lower and the upper half of a number in the order of their offsets, or back.
fn in_order([low, high]: [u32; 2]) -> [u32; 2] {
    if cfg!(target_endian = "little") { [low, high] } else { [high, low] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_word_are_what_its_bytes_are() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        let halves = [u32::from_ne_bytes([1, 2, 3, 4]), u32::from_ne_bytes([5, 6, 7, 8])];
        let word = u64::from_ne_bytes(bytes);
        assert_eq!((split(word), join(halves), [half(word, 0), half(word, 1)]), (halves, word, halves));
        assert_eq!(split(with_half(word, 0, 7)), [7, halves[1]]);
        assert_eq!(split(with_half(word, 1, 7)), [halves[0], 7]);
    }
}
