//! Of several names, the one that was probably meant by what was typed.

/// The one of `names` that `typed` is a slip of: a letter wrong, missing, too much or exchanged with its neighbour in
/// each three or so, or only the beginning. `None`: none of them.
pub(crate) fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = typed.chars().count();
    let bearable = length.div_ceil(3).min(length.saturating_sub(1));
    let slips = |name: &str| match strsim::osa_distance(&typed.to_lowercase(), &name.to_lowercase()) {
        slips if slips <= bearable => Some(slips),
        _ if length >= 2 && name.starts_with(typed) => Some(length),
        _ => None,
    };
    let near = names.into_iter().filter_map(|name| slips(name).map(|slips| (slips, name)));
    near.min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let near = |typed| nearest(typed, ["jobs", "mails", "thumbnails-large", "get", "a"]);
        for (typed, meant) in [
            ("jbos", "jobs"),
            ("job", "jobs"),
            ("Jobs", "jobs"),
            ("jobss", "jobs"),
            ("thumbnials-lrage", "thumbnails-large"),
            ("thumb", "thumbnails-large"),
            ("gte", "get"),
        ] {
            assert_eq!(near(typed), Some(meant), "{typed}");
        }
        for typed in ["", "x", "b", "jets-of-water", "thumbelina", "xyz"] {
            assert_eq!(near(typed), None, "{typed}");
        }
        assert_eq!(nearest("jobs", []), None);
    }
}
