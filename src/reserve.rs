//! Memory for messages, asked for before it is used.

use crate::error::{Error, Result};

/// Makes room in `buffer` for `bytes` more. What others send may be more than there is memory for, which is an
/// error and not the end of this process.
///
/// # Errors
/// When there is not so much memory.
pub(crate) fn reserve(buffer: &mut Vec<u8>, bytes: u64) -> Result<()> {
    let count = usize::try_from(bytes).unwrap_or(usize::MAX);
    // With little memory left, as much as is needed has to do.
    buffer.try_reserve(count).or_else(|_| buffer.try_reserve_exact(count)).map_err(|_| {
        let bytes = bytes.saturating_add(buffer.len() as u64);
        Error::Other(format!(
            "there is no memory for {bytes} bytes of messages: raise the limit on memory (see 'ulimit -v'), or free some"
        ))
    })
}
