//! Durations, sizes, modes and counts as people type them.
//!
//! Each parser is for clap, which puts the value and the option's name before the sentence.

use std::time::Duration;

/// The largest size, in bytes: 512 GiB, what the segment format can address.
pub(crate) const LARGEST_SIZE: u64 = 512 << 30;

/// The longest duration: a thousand years. Added to any clock's time, it cannot overflow.
const LONGEST_DURATION: Duration = Duration::from_secs(1000 * 31_557_600);

const DURATION_ADVICE: &str = "use '1s', '500ms' or '2m 30s', or seconds as in '0.5'";
const SIZE_ADVICE: &str = "use a number of bytes, or one with K, M, G or T after it, as in '64M'";
const MODE_ADVICE: &str = "use an octal mode from 600 to 666, as in '660'";
const COUNT_ADVICE: &str = "use a whole number from 1";

/// A duration: humantime (`1s`, `500ms`, `2m 30s`) or plain seconds, with a fraction if need be.
/// An error is a sentence that says what to type.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("it is empty; {DURATION_ADVICE}"));
    }
    if text.starts_with('-') {
        return Err(format!("a duration cannot be negative; {DURATION_ADVICE}"));
    }
    let duration = if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        parse_seconds(text)?
    } else {
        parse_parts(text)?
    };
    if duration > LONGEST_DURATION { Err(too_long()) } else { Ok(duration) }
}

/// A size in bytes: a whole number, and as in coreutils K, KiB (1024), KB (1000), and so on with
/// M, G and T. From 1 to [`LARGEST_SIZE`]. An error is a sentence that says what to type.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("a size cannot be negative; {SIZE_ADVICE}"));
    }
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err(format!("this is not a size; {SIZE_ADVICE}"));
    }
    if unit.starts_with('.') {
        return Err(format!("a size cannot have a fraction; {SIZE_ADVICE}"));
    }
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(format!("this is not a size; {SIZE_ADVICE}")),
    };
    // The digits are nothing but digits, so a number that cannot be read is too large.
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match size {
        Some(0) => Err("a size of 0 has room for nothing; use at least 1".to_owned()),
        Some(size) if size <= LARGEST_SIZE => Ok(size),
        _ => Err(format!("this is too large; use at most {}G", LARGEST_SIZE >> 30)),
    }
}

/// The permission bits of a queue's file, in octal. Its owner must be able to read and write it;
/// nobody can execute it. An error is a sentence that says what to type.
pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    let is_octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    match mode {
        None => Err(format!("this is not a file mode; {MODE_ADVICE}")),
        Some(mode) if mode & 0o600 != 0o600 => {
            Err(format!("its owner could not read and write the queue; {MODE_ADVICE}"))
        }
        Some(mode) if mode & 0o111 != 0 => Err(format!("a queue cannot be executed; {MODE_ADVICE}")),
        Some(mode) => Ok(mode),
    }
}

/// A number of things: a whole number from 1. An error is a sentence that says what to type.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("this cannot be negative; {COUNT_ADVICE}"));
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("this is not a whole number; {COUNT_ADVICE}"));
    }
    match text.parse() {
        Ok(0) => Err(format!("this cannot be 0; {COUNT_ADVICE}")),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("this is too large; use at most {}", u64::MAX)),
    }
}

/// How long a lease runs: as [`parse_duration`], and not 0.
pub(crate) fn parse_lease(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("a lease of no time would be over at once; {DURATION_ADVICE}")),
        duration => Ok(duration),
    }
}

/// The time between two looks: as [`parse_duration`], and some time.
pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("an interval of no time would never end; {DURATION_ADVICE}")),
        duration => Ok(duration),
    }
}

/// The time of a lease after an option that can be without one: what follows it then is taken for the time.
pub(crate) fn parse_time_of_lease(text: &str) -> Result<Duration, String> {
    parse_lease(text).map_err(|sentence| match text.as_bytes().first() {
        Some(first) if first.is_ascii_digit() || b".- ".contains(first) => sentence,
        _ => format!("{sentence}; or name queues before an option '--lease' without a time"),
    })
}

/// The number of a process. An error is a sentence that says what to type.
pub(crate) fn parse_process(text: &str) -> Result<u32, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_number && (1..=i32::MAX as u32).contains(number));
    number.ok_or_else(|| "this is not the number of a process; use that of a script, '$$'".to_owned())
}

/// A number of attempts: as [`parse_count`], in 32 bits.
pub(crate) fn parse_attempts(text: &str) -> Result<u32, String> {
    u32::try_from(parse_count(text)?).map_err(|_| format!("this is too large; use at most {}", u32::MAX))
}

/// Plain seconds, of digits and dots only; exact to the nanosecond, and cut off after that.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(format!("this is not a duration; {DURATION_ADVICE}"));
    }
    let digit = |byte: u8| u32::from(byte - b'0');
    let nanoseconds = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = nanoseconds.fold(0, |sum, byte| sum * 10 + digit(byte));
    let seconds = if whole.is_empty() { Ok(0) } else { whole.parse() };
    Ok(Duration::new(seconds.map_err(|_| too_long())?, nanoseconds))
}

/// Numbers with units, added up here: humantime 2.4 does not survive every sum that is too large.
fn parse_parts(text: &str) -> Result<Duration, String> {
    let (mut sum, mut start, mut is_after_unit) = (Duration::ZERO, 0, false);
    for (index, byte) in text.bytes().enumerate() {
        if is_after_unit && byte.is_ascii_digit() {
            sum = sum.checked_add(parse_part(&text[start..index])?).ok_or_else(too_long)?;
            start = index;
        }
        if !byte.is_ascii_whitespace() {
            is_after_unit = !byte.is_ascii_digit() && byte != b'.';
        }
    }
    sum.checked_add(parse_part(&text[start..])?).ok_or_else(too_long)
}

fn parse_part(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => {
            format!("this is longer or finer than a duration can be; {DURATION_ADVICE}")
        }
        _ => format!("this is not a duration; {DURATION_ADVICE}"),
    })
}

fn too_long() -> String {
    "this is longer than a thousand years; use a shorter duration".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_plain_seconds_or_humantime() {
        let good = [
            ("0", 0),
            ("2", 2_000_000_000),
            ("0.5", 500_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("007", 7_000_000_000),
            ("0.000000001", 1),
            ("0.0000000019", 1),
            (" 1 ", 1_000_000_000),
            ("1s", 1_000_000_000),
            ("500ms", 500_000_000),
            ("2m 30s", 150_000_000_000),
            ("0s", 0),
            ("1h", 3_600_000_000_000),
            ("1h2m 3.5s  4 ms5us", 3_723_504_005_000),
        ];
        for (text, nanoseconds) in good {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
        assert_eq!(parse_duration("1000y"), Ok(LONGEST_DURATION));
    }

    #[test]
    fn anything_else_is_no_duration_and_the_sentence_says_what_is() {
        let bad = [
            "", " ", "-1", "-1s", "- 1", "abc", "1e999", "1e3", "nan", "NaN", "inf", "infinity", "+1", ".", "1.2.3",
            "..", "1s2", "0x10", "1,5", "1 2", "٣", "1s -1s", "ms", "1_000", "1\n2",
        ];
        for text in bad {
            let sentence = parse_duration(text).unwrap_err();
            assert!(sentence.contains("500ms"), "{text:?}: {sentence}");
        }
        assert!(parse_duration("-1").unwrap_err().contains("negative"));
    }

    #[test]
    fn a_duration_no_clock_can_hold_is_too_long() {
        let digits = "9".repeat(400);
        for text in ["1001y", "99999999999999999999", "18446744073709551615", &digits] {
            assert!(parse_duration(text).unwrap_err().contains("longer than"), "{text}");
        }
        // With the last part of the last one, humantime itself would panic.
        for text in [
            "999y 2y",
            "18446744073709551615s 1s",
            "18446744073709551615s 2000000000ns",
            "18446744073709551615s 1000ms",
        ] {
            assert!(parse_duration(text).unwrap_err().contains("longer than"), "{text}");
        }
        for text in ["9999999999999y", "0.1ns"] {
            assert!(parse_duration(text).unwrap_err().contains("longer or finer"), "{text}");
        }
        assert!(parse_duration(&format!("{digits}s")).unwrap_err().contains("longer or finer"));
    }

    #[test]
    fn sizes_are_counted_as_coreutils_counts_them() {
        let good = [
            ("1", 1),
            ("4096", 4096),
            ("1k", 1024),
            ("1K", 1024),
            ("1KiB", 1024),
            ("1kib", 1024),
            ("1KB", 1000),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("3MB", 3_000_000),
            ("2G", 2 << 30),
            ("2GB", 2_000_000_000),
            ("512G", LARGEST_SIZE),
            ("549755813888", LARGEST_SIZE),
        ];
        for (text, size) in good {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_size_and_the_sentence_says_what_is() {
        let bad = [
            "", "K", "-1", "-1K", "+1", "1.5M", ".5M", "1e9", "abc", "1 M", "1Ki", "1B", "1P", "0x10", "1K1", "1é",
            "é", "1,000",
        ];
        for text in bad {
            assert!(parse_size(text).unwrap_err().contains("64M"), "{text:?}");
        }
        assert!(parse_size("0").unwrap_err().contains("at least 1"));
        assert!(parse_size("0K").unwrap_err().contains("at least 1"));
        for text in ["1T", "513G", "549755813889", "99999999999999999999", "18446744073709551615T"] {
            assert!(parse_size(text).unwrap_err().contains("at most 512G"), "{text}");
        }
    }

    #[test]
    fn modes_are_octal_and_let_the_owner_read_and_write() {
        for (text, mode) in [("600", 0o600), ("0600", 0o600), ("660", 0o660), ("666", 0o666), ("640", 0o640)] {
            assert_eq!(parse_mode(text), Ok(mode));
        }
        for text in ["", "999", "0o600", "u+rw", "-600", "+600", "6 6", "1600", "7777", "400", "060", "0", "700", "601"]
        {
            assert!(parse_mode(text).unwrap_err().contains("as in '660'"), "{text:?}");
        }
        assert!(parse_mode(&"6".repeat(100)).is_err());
    }

    #[test]
    fn counts_are_whole_numbers_from_one() {
        assert_eq!(parse_count("1"), Ok(1));
        assert_eq!(parse_count("18446744073709551615"), Ok(u64::MAX));
        for text in ["0", "-1", "", "abc", "1.5", "+1", "1e3", "1K"] {
            assert!(parse_count(text).unwrap_err().contains("from 1"), "{text:?}");
        }
        assert!(parse_count("18446744073709551616").unwrap_err().contains("too large"));
    }
}
