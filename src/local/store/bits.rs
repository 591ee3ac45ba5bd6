//! Masks: a bit for each of several things.

/// The places of the bits that are set in `mask`, from the lowest.
pub(super) fn bits(mut mask: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros().into());
        mask &= mask.wrapping_sub(1);
        place
    })
}
