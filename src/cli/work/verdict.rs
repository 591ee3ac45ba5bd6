//! What the end of a job means for its message.

use crate::lease::{Cause, End, Reason};
use nix::sys::wait::WaitStatus;
use std::time::Duration;

/// The exit status by which a command says that trying again is no use.
const NEVER_AGAIN: i32 = 100;

/// The longest that a message waits for its next attempt, unless the first wait is to be longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(3600);

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done with.
    Done,
    /// It is tried again after this time, if it may have another attempt.
    Again(Duration, Reason),
    /// It is dead.
    Dead(Reason),
    /// It goes back, however often it has been tried.
    Returned,
}

/// How messages are tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    /// The attempts that each has.
    pub(super) max_attempts: u32,
    /// How long the second attempt waits; each further one twice as long.
    pub(super) backoff: Duration,
}

impl Retries {
    /// What becomes of a message whose job has ended so, at this attempt. `text` is what the job had to say.
    pub(super) fn judge(&self, status: WaitStatus, attempt: u32, text: impl FnOnce() -> Vec<u8>) -> Verdict {
        let cause = match status {
            WaitStatus::Exited(_, 0) => return Verdict::Done,
            WaitStatus::Exited(_, NEVER_AGAIN) => {
                return Verdict::Dead(Reason { cause: Cause::Exit(NEVER_AGAIN as u8), text: text() });
            }
            WaitStatus::Signaled(_, signal, _) => Cause::Signal(signal as u8),
            WaitStatus::Exited(_, code) => Cause::Exit(code as u8),
            _ => Cause::Returned,
        };
        Verdict::Again(self.delay(attempt), Reason { cause, text: text() })
    }

    /// The verdict as a queue takes it.
    pub(super) fn end(&self, verdict: &Verdict) -> End {
        match verdict {
            Verdict::Done => End::Done,
            Verdict::Dead(reason) => End::Dead(reason.clone()),
            Verdict::Again(delay, reason) => {
                End::Again { delay: *delay, max_attempts: Some(self.max_attempts), reason: reason.clone() }
            }
            // It is not the message's fault, so it does not die of it.
            Verdict::Returned => End::Again {
                delay: Duration::ZERO,
                max_attempts: Some(u32::MAX),
                reason: Reason { cause: Cause::Returned, text: Vec::new() },
            },
        }
    }

    /// How long a message waits after this attempt.
    fn delay(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.checked_pow(attempt.saturating_sub(1)).and_then(|factor| self.backoff.checked_mul(factor));
        doubled.unwrap_or(Duration::MAX).min(LONGEST_BACKOFF.max(self.backoff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;
    use nix::unistd::Pid;

    fn retries(backoff: u64) -> Retries {
        Retries { max_attempts: 5, backoff: Duration::from_secs(backoff) }
    }

    #[test]
    fn the_wait_doubles_up_to_an_hour_or_to_what_it_was_at_first() {
        let seconds = |backoff, attempt| retries(backoff).delay(attempt).as_secs();
        assert_eq!(
            [1, 2, 3, 4, 12, 13, 33, u32::MAX].map(|attempt| seconds(1, attempt)),
            [1, 2, 4, 8, 2048, 3600, 3600, 3600]
        );
        assert_eq!([1, 2, u32::MAX].map(|attempt| seconds(5000, attempt)), [5000, 5000, 5000]);
        assert_eq!([1, 2].map(|attempt| seconds(0, attempt)), [0, 0]);
    }

    #[test]
    fn the_exit_status_decides() {
        let pid = Pid::from_raw(1);
        let judge = |status| retries(2).judge(status, 2, || b"why".to_vec());
        let reason = |cause| Reason { cause, text: b"why".to_vec() };
        let wait = Duration::from_secs(4);
        assert_eq!(judge(WaitStatus::Exited(pid, 0)), Verdict::Done);
        assert_eq!(judge(WaitStatus::Exited(pid, 100)), Verdict::Dead(reason(Cause::Exit(100))));
        for code in [1, 99, 101, 126, 127, 255] {
            assert_eq!(judge(WaitStatus::Exited(pid, code)), Verdict::Again(wait, reason(Cause::Exit(code as u8))));
        }
        let killed = judge(WaitStatus::Signaled(pid, Signal::SIGKILL, false));
        assert_eq!(killed, Verdict::Again(wait, reason(Cause::Signal(9))));
    }
}
