//! Asking a queue of any kind whether a message of its was handed on, for those who found what was prepared for that.
//!
//! A queue that is asked may be kept in another way than the one that asks. Which ways there are only `open` knows, so
//! whoever knows how to use it says once how to ask.

use crate::lease::Source;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How to ask: whether the lease ended by handing its message on, or, for `true`, that this is forgotten. `None`: it
/// cannot be found out now.
pub type Ask = fn(&Source, bool) -> Option<bool>;

/// How long not to ask again after nothing could be found out: asking may take long, and others wait meanwhile.
const PAUSE: Duration = Duration::from_secs(5);

static ASK: OnceLock<Ask> = OnceLock::new();
static IN_VAIN: Mutex<Option<Instant>> = Mutex::new(None);

/// Says how to ask. Only the first time counts.
pub fn ask_by(ask: Ask) {
    let _ = ASK.set(ask);
}

/// Whether the message was handed on. `None`: it cannot be found out now.
pub(crate) fn was_handed_on(source: &Source) -> Option<bool> {
    let mut in_vain = IN_VAIN.lock().unwrap_or_else(PoisonError::into_inner);
    if in_vain.is_some_and(|asked| asked.elapsed() < PAUSE) {
        return None;
    }
    let answer = ASK.get().and_then(|ask| ask(source, false));
    if answer.is_none() {
        *in_vain = Some(Instant::now());
    }
    answer
}

/// Has it forgotten that it was.
pub(crate) fn forget_handed_on(source: &Source) {
    if let Some(ask) = ASK.get() {
        ask(source, true);
    }
}
