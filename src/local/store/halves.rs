//! Halves: two numbers of four bytes in a word of the segment, in the order of their offsets.

/// The number at the word's offset, and the one four bytes after it.
pub(super) fn split(word: u64) -> [u32; 2] {
    [half(word, 0), half(word, 1)]
}

/// The word that has these numbers.
pub(super) fn join([first, second]: [u32; 2]) -> u64 {
    u64::from(first) << place(0) | u64::from(second) << place(1)
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
