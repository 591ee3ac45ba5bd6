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
        assert_eq!((split(u64::from_ne_bytes(bytes)), join(halves).to_ne_bytes()), (halves, bytes));
    }
}
