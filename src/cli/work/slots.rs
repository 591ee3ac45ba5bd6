//! How many jobs may run now: a fixed number, or, in a recipe of make, as many as make's job server has tokens for.
//!
//! A process that make starts may run one job by itself, and another for each token that it takes from the job
//! server. A token is taken for one job only and goes back right after it, so that others have their turn.

use super::super::exit::report;
use super::events::Source;
use crate::error::{Error, Result};
use jobserver::{Acquired, Client, HelperThread};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Jobs that are started together.
const TOGETHER: usize = 64;
/// How long fewer jobs run than there might, once the system has not let us start one, before one more is tried.
const TRY_ONE_MORE: Duration = Duration::from_secs(1);

/// The permission to run a job.
pub(super) enum Permit {
    /// One of those that are ours.
    Own,
    /// One of make's, which goes back when this is dropped.
    Token { _token: Acquired },
}

/// Make's job server, and a thread that waits for tokens.
struct Server {
    client: Client,
    helper: HelperThread,
    tokens: Receiver<io::Result<Acquired>>,
    /// Whether a token has been asked for that has not come.
    asked: bool,
    /// A token that has come and has no job yet.
    in_hand: Option<Acquired>,
}

/// The permits there are.
pub(super) struct Slots {
    most: usize,
    running: usize,
    own: usize,
    /// How many the system lets us run, as far as we know, and since when we do.
    lowered: Option<(usize, Instant)>,
    server: Option<Server>,
    arrival: Arc<EventFd>,
}

impl Slots {
    /// So many at a time; with a job server one, and more by its tokens.
    pub(super) fn new(most: usize, client: Option<Client>) -> Result<Self> {
        let failed = |error: io::Error| Error::io("use make's job server", error);
        let arrival = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let arrival = Arc::new(arrival.map_err(|errno| failed(errno.into()))?);
        let own = if client.is_some() { 1 } else { most };
        let server = client.map(|client| Server::new(client, Arc::clone(&arrival))).transpose().map_err(failed)?;
        Ok(Slots { most, running: 0, own, lowered: None, server, arrival })
    }

    /// The descriptor that is ready when a token has come, to be watched as this source.
    pub(super) fn arrival(&self) -> (&EventFd, Source) {
        (&self.arrival, Source::Tokens)
    }

    /// Permits for jobs that can start now. If there are none and a token would be one, it is asked for.
    pub(super) fn acquire(&mut self) -> Vec<Permit> {
        let left = self.most().saturating_sub(self.running);
        let own = self.own.min(left).min(TOGETHER);
        let mut permits: Vec<Permit> = (0..own).map(|_| Permit::Own).collect();
        if permits.is_empty() && left > 0 {
            permits.extend(self.token().map(|token| Permit::Token { _token: token }));
        } else if let Some(server) = &mut self.server {
            server.in_hand = None;
        }
        self.own -= own;
        self.running += permits.len();
        permits
    }

    /// How many may run now.
    fn most(&mut self) -> usize {
        let Some((lowered, since)) = &mut self.lowered else { return self.most };
        if since.elapsed() >= TRY_ONE_MORE {
            (*lowered, *since) = (*lowered + 1, Instant::now());
        }
        self.most.min(*lowered)
    }

    /// Notes that the system lets us run only so many, at least one. Returns whether that is news.
    pub(super) fn lower(&mut self, most: usize) -> bool {
        self.lowered.replace((most.max(1), Instant::now())).is_none()
    }

    /// Takes a permit back.
    pub(super) fn release(&mut self, permit: Permit) {
        self.running -= 1;
        if matches!(permit, Permit::Own) {
            self.own += 1;
        }
    }

    /// To be called when a token has come. If it is not wanted any more, it goes back.
    pub(super) fn arrived(&mut self, wanted: bool) {
        // It is empty if this was called for nothing.
        let _ = self.arrival.read();
        let Some(server) = &mut self.server else { return };
        while let Ok(token) = server.tokens.try_recv() {
            server.asked = false;
            match token {
                Ok(token) => server.in_hand = Some(token).filter(|_| wanted),
                Err(error) => {
                    self.lose_server(error);
                    return;
                }
            }
        }
    }

    fn token(&mut self) -> Option<Acquired> {
        let server = self.server.as_mut()?;
        if let Some(token) = server.in_hand.take() {
            return Some(token);
        }
        match server.client.try_acquire() {
            Ok(Some(token)) => return Some(token),
            Ok(None) => {}
            // A pipe that cannot be opened anew, for want of a /proc, can only be waited for.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => {
                self.lose_server(error);
                return None;
            }
        }
        if !server.asked {
            server.helper.request_token();
            server.asked = true;
        }
        None
    }

    fn lose_server(&mut self, error: io::Error) {
        report(format_args!("make's job server has failed, so jobs run one at a time: {error}"));
        self.server = None;
    }
}

impl Server {
    fn new(client: Client, arrival: Arc<EventFd>) -> io::Result<Self> {
        let (sender, tokens) = channel();
        let helper = client.clone().into_helper_thread(move |token| {
            // Of a worker that has ended nobody receives it: it goes back.
            let _ = sender.send(token);
            let _ = arrival.write(1);
        })?;
        Ok(Server { client, helper, tokens, asked: false, in_hand: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    #[test]
    fn without_make_there_are_so_many_permits() {
        let mut slots = Slots::new(3, None).unwrap();
        let mut permits = slots.acquire();
        assert_eq!(permits.len(), 3);
        assert!(slots.acquire().is_empty());
        slots.release(permits.pop().unwrap());
        assert_eq!(slots.acquire().len(), 1);
    }

    #[test]
    fn where_the_system_allows_fewer_there_are_fewer() {
        let mut slots = Slots::new(3, None).unwrap();
        let mut permits = slots.acquire();
        slots.release(permits.pop().unwrap());
        assert!(slots.lower(2) && !slots.lower(2), "it is told once");
        assert!(slots.acquire().is_empty());
        permits.into_iter().for_each(|permit| slots.release(permit));
        assert_eq!(slots.acquire().len(), 2);
        slots.lowered = slots.lowered.map(|(most, since)| (most, since - TRY_ONE_MORE));
        assert_eq!(slots.acquire().len(), 1, "one more is tried later");
    }

    fn wait_for_token(slots: &Slots) {
        poll(&mut [PollFd::new(slots.arrival().0.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
    }

    #[test]
    fn with_make_there_is_one_and_one_for_each_token_which_goes_back() {
        let client = Client::new(1).unwrap();
        let mut slots = Slots::new(8, Some(client.clone())).unwrap();
        let own = slots.acquire();
        assert!(matches!(own[..], [Permit::Own]));
        assert!(slots.acquire().is_empty(), "the token has not come yet");
        wait_for_token(&slots);
        slots.arrived(true);
        let token = slots.acquire();
        assert!(matches!(token[..], [Permit::Token { .. }]));
        assert_eq!(client.available().unwrap(), 0);
        assert!(slots.acquire().is_empty(), "there is no other");
        token.into_iter().for_each(|permit| slots.release(permit));
        wait_for_token(&slots);
        slots.arrived(false);
        assert_eq!(client.available().unwrap(), 1, "what is not wanted goes back");
    }

    #[test]
    fn a_token_that_comes_when_it_is_not_needed_any_more_goes_back() {
        let client = Client::new(1).unwrap();
        let mut slots = Slots::new(8, Some(client.clone())).unwrap();
        let own = slots.acquire();
        assert!(slots.acquire().is_empty());
        wait_for_token(&slots);
        own.into_iter().for_each(|permit| slots.release(permit));
        slots.arrived(true);
        assert!(matches!(slots.acquire()[..], [Permit::Own]));
        assert_eq!(client.available().unwrap(), 1);
    }

    #[test]
    fn with_make_there_are_not_more_than_was_said_all_the_same() {
        let client = Client::new(4).unwrap();
        let mut slots = Slots::new(1, Some(client.clone())).unwrap();
        assert_eq!(slots.acquire().len(), 1);
        assert!(slots.acquire().is_empty());
        assert_eq!(client.available().unwrap(), 4);
    }
}
