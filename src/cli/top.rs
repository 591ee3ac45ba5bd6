//! `ipcq top`: the queues on a whole screen, as they are, and keys to steer them.

mod deed;
mod details;
mod history;
mod keys;
mod list;
mod look;
mod news;
mod sample;
mod screen;
mod state;
mod terminal;

use super::Outcome;
use super::completions;
use super::exit::Exit;
use super::process::{self, Signals};
use super::table::may_colour;
use super::units::parse_interval;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::place::Place;
use clap_complete::engine::ArgValueCompleter;
use look::Look;
use news::{Listener, News, Teller, news};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use sample::Sampler;
use state::{Request, State};
use std::ffi::OsString;
use std::io::stdin;
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};
use terminal::Terminal;

/// How often ages are brought up to date when nothing else happens, in milliseconds.
const TICK: u16 = 1000;

/// Watch and steer queues on a full screen
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  ipcq top                       all queues; '?' shows the keys, 'q' quits
  ipcq top jobs mails            only these
  ipcq top --interval 200ms      looks at them five times a second")]
pub(super) struct Top {
    /// Only these queues: names, or paths with a '/'
    #[arg(value_name = "QUEUE", add = ArgValueCompleter::new(completions::queues))]
    queues: Vec<OsString>,
    /// Look at the queues every DURATION (1s, 500ms, 0.5)
    #[arg(short, long, value_name = "DURATION", value_parser = parse_interval, allow_hyphen_values = true)]
    #[arg(default_value = "1s")]
    interval: Duration,
}

/// How it ends.
enum End {
    Quit,
    Signal(Signal),
}

impl Top {
    pub(super) fn run(&self, place: &Place) -> Outcome {
        let addresses = self.queues.iter().map(|queue| Address::parse(queue)).collect::<Result<Vec<_>>>()?;
        let signals = Signals::handle(&[Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGCONT]);
        let signals = signals.map_err(|errno| Error::io("handle signals", errno))?;
        let (teller, listener) = news().map_err(|errno| Error::io("make an event", errno))?;
        let terminal = Terminal::take()?;
        let queues = Some(addresses).filter(|queues| !queues.is_empty());
        let sampler = Sampler::start(place, queues, self.interval, teller.clone());
        let sampler = sampler.map_err(|error| Error::io("start a thread", error))?;
        terminal::read_keys(teller.clone()).map_err(|error| Error::io("start a thread", error))?;
        let state = State::new(self.interval, (Instant::now(), SystemTime::now()));
        let look = Look { colours: may_colour() };
        let mut watch = Watch { place, signals, teller, listener, sampler, state, look };
        match watch.run(terminal) {
            Ok(End::Quit) => Ok(Exit::Done),
            // A terminal that has gone takes nothing any more, and says so by a signal.
            Ok(End::Signal(signal)) => {
                process::die_of(signal);
                Ok(Exit::Failed)
            }
            Err(error) => match watch.end() {
                Some(End::Signal(signal)) => {
                    process::die_of(signal);
                    Ok(Exit::Failed)
                }
                _ => Err(error),
            },
        }
    }
}

/// Draws, and waits for what happens.
struct Watch<'a> {
    place: &'a Place,
    signals: Signals,
    teller: Teller,
    listener: Listener,
    sampler: Sampler,
    state: State,
    look: Look,
}

impl Watch<'_> {
    fn run(&mut self, mut terminal: Terminal) -> Result<End> {
        let mut focus = None;
        loop {
            self.state.tick((Instant::now(), SystemTime::now()));
            terminal.draw(|frame| screen::draw(frame, &self.state, self.look))?;
            if self.state.focus() != focus {
                focus = self.state.focus();
                self.sampler.focus(focus.clone());
            }
            if self.wait()? {
                return Ok(End::Signal(Signal::SIGHUP));
            }
            self.signals.clear();
            if let Some(end) = self.end() {
                return Ok(end);
            }
            if self.signals.came(Signal::SIGTSTP) {
                terminal.leave();
                process::stop();
                if let Some(end) = self.end() {
                    return Ok(end);
                }
                // That we go on has been seen to.
                self.signals.came(Signal::SIGCONT);
                terminal = Terminal::take()?;
            }
            if self.signals.came(Signal::SIGCONT) {
                // Stopped without a word; whoever had the terminal meanwhile has left it as they like it.
                terminal.leave();
                terminal = Terminal::take()?;
            }
            if let Some(end) = self.hear(&mut terminal)? {
                return Ok(end);
            }
        }
    }

    /// Sleeps until something happens. Returns true if the terminal has gone.
    fn wait(&self) -> Result<bool> {
        let stdin = stdin();
        let mut watched = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
            // Keys are read elsewhere.
            PollFd::new(stdin.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut watched, PollTimeout::from(TICK)) {
            Ok(_) => Ok(watched[2].any().unwrap_or(true)),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(Error::io("wait for keys", errno)),
        }
    }

    /// Whether we have been asked to end, and how.
    fn end(&self) -> Option<End> {
        let signal = match self.signals.asked_to_end() {
            (0, _) => self.signals.came(Signal::SIGQUIT).then_some(Signal::SIGQUIT),
            (_, signal) => signal,
        };
        signal.map(End::Signal)
    }

    /// Takes note of all that has happened.
    fn hear(&mut self, terminal: &mut Terminal) -> Result<Option<End>> {
        for news in self.listener.take() {
            match news {
                News::Listed(queues) => self.state.listed(queues),
                News::Unlisted(why) => self.state.unlisted(why),
                News::Read(readings) => self.state.read(readings),
                News::Details(details) => self.state.looked_into(details),
                News::Resized => terminal.forget()?,
                News::Done(done) => {
                    self.state.done(done);
                    self.sampler.look_now();
                }
                News::Key(key) => match self.state.key(key) {
                    None => {}
                    Some(Request::Quit) => return Ok(Some(End::Quit)),
                    Some(Request::Do(deed, address)) => {
                        if let Err(error) = deed.start(self.place, address.clone(), &self.teller) {
                            let outcome = Err(Error::io("start a thread", error).to_string());
                            self.state.done(news::Done { address, outcome });
                        }
                    }
                },
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::news::Reading;
    use super::*;
    use crate::queue::Status;
    use ratatui::backend::TestBackend;
    use std::cell::Cell;
    use std::path::PathBuf;

    /// The figures of a queue in which nothing has happened.
    pub(super) fn status() -> Status {
        Status {
            path: PathBuf::from("/dev/shm/ipcq-0/jobs"),
            ready: 0,
            leased: 0,
            delayed: 0,
            dead: 0,
            bytes: 0,
            capacity: 64 << 20,
            max_items: None,
            durable: false,
            closed: false,
            puts_paused: false,
            gets_paused: false,
            put: 0,
            got: 0,
            returned: 0,
            expired: 0,
            died: 0,
            purged: 0,
            put_rate: 0.0,
            got_rate: 0.0,
            oldest: None,
            high_water: 0,
            created: SystemTime::UNIX_EPOCH,
            producers: 0,
        }
    }

    pub(super) fn address(name: &str) -> Address {
        Address::parse(name.as_ref()).unwrap()
    }

    /// The state when these queues have been listed.
    pub(super) fn state(names: &[&str]) -> State {
        let mut state = State::new(Duration::from_secs(1), (Instant::now(), SystemTime::now()));
        state.listed(names.iter().map(|name| address(name)).collect());
        state
    }

    /// Lets a queue be read, a second after whichever was read last.
    pub(super) fn read(state: &mut State, name: &str, status: Status) {
        thread_local!(static LOOKS: Cell<Option<Instant>> = const { Cell::new(None) });
        let at = LOOKS.get().unwrap_or_else(Instant::now) + Duration::from_secs(1);
        LOOKS.set(Some(at));
        state.read(vec![Reading { address: address(name), at, outcome: Ok(status) }]);
    }

    /// The screen as text, without blanks at the ends of lines.
    pub(super) fn screen(state: &State, width: u16, height: u16) -> String {
        let mut terminal = ratatui::Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen::draw(frame, state, Look { colours: false })).unwrap();
        let cells = terminal.backend().buffer().content();
        let lines = cells.chunks(usize::from(width).max(1)).map(|cells| {
            let line: String = cells.iter().map(|cell| cell.symbol()).collect();
            format!("{}\n", line.trim_end())
        });
        lines.collect()
    }

    #[test]
    fn without_colours_there_are_none() {
        let mut all = state(&["jobs"]);
        read(&mut all, "jobs", Status { dead: 1, closed: true, ..status() });
        let coloured = |colours| {
            let mut terminal = ratatui::Terminal::new(TestBackend::new(80, 24)).unwrap();
            terminal.draw(|frame| screen::draw(frame, &all, Look { colours })).unwrap();
            let cells = terminal.backend().buffer().content().iter();
            cells.filter(|cell| cell.fg != ratatui::style::Color::Reset).count()
        };
        assert!(coloured(true) > 0);
        assert_eq!(coloured(false), 0);
    }
}
