//! Where a delimiter is in bytes, and how often it is: one by one in a few bytes, by vector instructions in many.
//!
//! Before vector instructions are used first, the processor is asked which it has (CPUID). Where a hypervisor answers,
//! that takes as long as searching 100,000 bytes: more than a hundredth of a one-shot put or get.

/// So many bytes are looked at one by one. Their checksum, too, is computed without asking up to here.
const FEW: usize = 240;

/// How often `delimiter` is in `bytes`.
pub(crate) fn count(bytes: &[u8], delimiter: u8) -> u64 {
    if bytes.len() > FEW {
        return bytecount::count(bytes, delimiter) as u64;
    }
    // A byte can count them, and so many bytes at once.
    bytes.iter().map(|byte| u8::from(*byte == delimiter)).sum::<u8>().into()
}

/// How often `delimiter`, where messages have one, is in `bytes`.
pub(crate) fn count_ends(bytes: &[u8], delimiter: Option<u8>) -> u64 {
    delimiter.map_or(0, |delimiter| count(bytes, delimiter))
}

/// Where the first `delimiter` in `bytes` is.
pub(crate) fn first(bytes: &[u8], delimiter: u8) -> Option<usize> {
    if bytes.len() > FEW {
        return memchr::memchr(delimiter, bytes);
    }
    bytes.iter().position(|byte| *byte == delimiter)
}

/// Where the last `delimiter` in `bytes` is.
pub(crate) fn last(bytes: &[u8], delimiter: u8) -> Option<usize> {
    if bytes.len() > FEW {
        return memchr::memrchr(delimiter, bytes);
    }
    bytes.iter().rposition(|byte| *byte == delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_and_many_have_their_delimiters_where_they_are() {
        for length in [0, 1, 2, FEW - 1, FEW, FEW + 1, 1000] {
            let none = vec![b'a'; length];
            assert_eq!((count(&none, b'\n'), first(&none, b'\n'), last(&none, b'\n')), (0, None, None), "{length}");
            let all = vec![b'\n'; length];
            assert_eq!(count(&all, b'\n'), length as u64);
            assert_eq!((first(&all, b'\n'), last(&all, b'\n')), (all.first().map(|_| 0), length.checked_sub(1)));
            for place in [1, length / 2, length.saturating_sub(2)].into_iter().filter(|place| *place < length) {
                let mut one = none.clone();
                one[place] = b'\n';
                let found = (count(&one, b'\n'), first(&one, b'\n'), last(&one, b'\n'));
                assert_eq!(found, (1, Some(place), Some(place)), "{length}");
            }
        }
    }
}
