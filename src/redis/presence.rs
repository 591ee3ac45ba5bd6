//! Showing the server that we live, as long as it keeps messages for us: a thread that says so every now and then.
//!
//! What is not heard of for a while is taken for dead, for a server does not see processes.

use super::link::{Call, Link};
use super::script;
use crate::error::{Error, Result};
use crate::place::Access;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a client is kept for alive that is not heard of, unless it is said otherwise.
const TIME: Duration = Duration::from_secs(15);
/// How often it is heard of in that time.
const TIMES: u32 = 3;
/// What the time can be: with less, a slow network would be the death of many.
const SHORTEST: Duration = Duration::from_millis(500);

/// How long a client is kept for alive that is not heard of.
///
/// # Errors
/// When what was said is no such time.
pub(super) fn time(access: &Access) -> Result<Duration> {
    let Some(text) = &access.presence else { return Ok(TIME) };
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = seconds.or_else(|| humantime::parse_duration(text).ok()).filter(|time| *time >= SHORTEST);
    time.ok_or_else(|| {
        Error::Other(format!(
            "'{}' in $IPCQ_REDIS_PRESENCE is not a time of at least {}: use one as 15s",
            crate::name::printable(text),
            humantime::format_duration(SHORTEST)
        ))
    })
}

/// What others can know of us: whether we produce, our number, and our host.
pub(super) fn what_is_known_of_us() -> String {
    let host = nix::unistd::gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
    format!("0{} {host}", std::process::id())
}

/// Our presence.
pub(super) struct Presence {
    link: Link,
    key: String,
    me: String,
    time: Duration,
    shared: Arc<Shared>,
    thread: Option<Thread>,
}

#[derive(Default)]
struct Shared {
    /// The server keeps something for us.
    is_shown: AtomicBool,
    is_over: AtomicBool,
}

impl Presence {
    /// One that is not shown yet.
    pub(super) fn new(link: &Link, key: &str, me: &str, time: Duration) -> Self {
        let (link, key, me) = (link.another(), key.to_owned(), me.to_owned());
        Presence { link, key, me, time, shared: Arc::default(), thread: None }
    }

    /// How long we are kept for alive, as scripts want it.
    pub(super) fn microseconds(&self) -> String {
        super::microseconds(self.time).to_string()
    }

    /// Shows from now on, or no longer, that we live.
    pub(super) fn show(&mut self, is_shown: bool) {
        self.shared.is_shown.store(is_shown, Ordering::Release);
        if is_shown && self.thread.is_none() {
            let (link, key, me) = (self.link.another(), self.key.clone(), self.me.clone());
            let (time, shared) = (self.time, Arc::clone(&self.shared));
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            // Without a thread we have the time that a first message gives us.
            let started = thread.spawn(move || shared.say_so(link, &key, &me, time));
            self.thread = started.ok().map(|started| started.thread().clone());
        }
    }

    /// Ends the thread.
    pub(super) fn end(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

impl Shared {
    fn say_so(&self, mut link: Link, key: &str, me: &str, time: Duration) {
        let (every, presence) = (time / TIMES, super::microseconds(time).to_string());
        loop {
            let next = Instant::now() + every;
            while Instant::now() < next && !self.is_over.load(Ordering::Acquire) {
                std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
            }
            if self.is_over.load(Ordering::Acquire) {
                return;
            }
            if self.is_shown.load(Ordering::Acquire) {
                let arguments = vec![b"", me.as_bytes(), presence.as_bytes()];
                let call = Call { script: &script::RENEW, key, arguments, again: None };
                // If it is too late, the next change of ours says so.
                let _ = link.call(&call, true, Some(Instant::now() + every));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_can_be_said_and_cannot_be_too_short() {
        let time = |text: &str| time(&Access { presence: Some(text.into()), ..Access::default() });
        assert_eq!(super::time(&Access::default()).unwrap(), Duration::from_secs(15));
        assert_eq!(time("2s").unwrap(), Duration::from_secs(2));
        assert_eq!(time("0.5").unwrap(), Duration::from_millis(500));
        for text in ["", "x", "-1", "0.4", "1ms", "nan"] {
            let message = time(text).unwrap_err().to_string();
            assert!(message.contains("$IPCQ_REDIS_PRESENCE"), "{message}");
        }
    }
}
