//! The terminal while `top` has it: keys come as they are pressed, the screen is ours, and at the end, whatever that
//! is, all is as it was found.

use super::super::output::write_to;
use super::super::process::{self, Signals};
use super::news::{News, Teller};
use crate::error::{Error, Result};
use nix::errno::Errno;
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::terminal::size;
use ratatui::layout::Rect;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::thread::Builder;

/// Another screen without a cursor, and what is pasted is marked as such: it is not meant for us.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?2004h";
/// The opposite.
const LEAVE: &[u8] = b"\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l";

/// The terminal, which is ours from [`Terminal::take`] to [`Terminal::leave`] or the end of the program.
pub(super) struct Terminal {
    screen: ratatui::Terminal<CrosstermBackend<Paper>>,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When there is none, or one that cannot place text.
    pub(super) fn take() -> Result<Self> {
        let advice = "use 'ipcq ls' or 'ipcq stat' instead";
        for (is_terminal, stream) in
            [(io::stdout().is_terminal(), "standard output"), (io::stdin().is_terminal(), "standard input")]
        {
            if !is_terminal {
                return Err(Error::Other(format!(
                    "{stream} is no terminal, and 'top' is for a person at one; {advice}"
                )));
            }
        }
        if std::env::var_os("TERM").is_some_and(|name| name == "dumb") {
            return Err(Error::Other(format!("this terminal can only write line after line (TERM=dumb); {advice}")));
        }
        let failed = |error: io::Error| Error::io("use the terminal", error);
        leave_before_panicking();
        process::take_terminal(LEAVE).map_err(|errno| failed(errno.into()))?;
        let mut paper = Paper::default();
        paper.bytes.extend_from_slice(TAKE);
        let screen = ratatui::Terminal::new(CrosstermBackend::new(paper));
        Ok(Terminal { screen: screen.map_err(failed)? })
    }

    /// Leaves it as it was found.
    pub(super) fn leave(self) {
        drop(self);
    }

    /// Draws a screen, of which only what has changed is written.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        match self.screen.draw(draw) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::io("write to the terminal", error)),
        }
    }

    /// The next screen is written from scratch, for the terminal may have lost some of what was there.
    pub(super) fn forget(&mut self) -> Result<()> {
        let resized = size().and_then(|(width, height)| self.screen.resize(Rect::new(0, 0, width, height)));
        resized.map_err(|error| Error::io("write to the terminal", error))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        process::restore_terminal();
    }
}

/// Reads the keys, in a thread of its own: what has begun with an escape character may not go on for long.
pub(super) fn read_keys(teller: Teller) -> io::Result<()> {
    let read = move || {
        while let Ok(event) = event::read() {
            let is_wanted = match event {
                Event::Key(key) => teller.tell(News::Key(key)),
                Event::Resize(..) => teller.tell(News::Resized),
                _ => true,
            };
            if !is_wanted {
                return;
            }
        }
    };
    Builder::new().spawn(read).map(drop)
}

/// Whatever goes wrong within the program, the terminal is left before that is told; and no thread goes on drawing.
fn leave_before_panicking() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            process::restore_terminal();
            before(panic);
            std::process::abort();
        }));
    });
}

/// What is to be written, until the screen is complete.
#[derive(Default)]
struct Paper {
    bytes: Vec<u8>,
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // When it has been left, by whichever thread, it belongs to others.
        if !process::has_terminal() {
            return Ok(());
        }
        // A terminal that takes nothing does not keep us from ending.
        let written = write_to(io::stdout().as_fd(), &self.bytes, Signals::asked);
        self.bytes.clear();
        match written {
            Ok(()) | Err((_, Errno::EINTR)) => Ok(()),
            Err((_, errno)) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;
    use nix::sys::termios::tcgetattr;
    use std::io::Read;
    use std::process::{Command, Stdio};

    /// Set by the test that runs another one in a terminal.
    const RUN_BY_ANOTHER: &str = "IPCQ_PANICS_WITH_A_TERMINAL";

    #[test]
    fn panics_with_a_terminal() {
        if std::env::var_os(RUN_BY_ANOTHER).is_some() {
            let mut terminal = Terminal::take().unwrap();
            terminal.draw(|_| {}).unwrap();
            panic!("this is told");
        }
    }

    #[test]
    fn a_panic_is_told_on_a_terminal_that_is_as_it_was_found() {
        let terminal = openpty(None, None).unwrap();
        let before = tcgetattr(&terminal.slave).unwrap();
        let stream = || Stdio::from(terminal.slave.try_clone().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "cli::top::terminal::tests::panics_with_a_terminal", "--nocapture"]);
        command.env(RUN_BY_ANOTHER, "1").env("RUST_BACKTRACE", "0").env_remove("TERM");
        let status = command.stdin(stream()).stdout(stream()).stderr(stream()).status().unwrap();
        assert!(!status.success());
        assert_eq!(tcgetattr(&terminal.slave).unwrap(), before);
        // Both hold copies of the terminal, and there is no end of file as long as there are some.
        drop((command, terminal.slave));
        let mut shown = Vec::new();
        // The end of a terminal is an error.
        let _ = std::fs::File::from(terminal.master).read_to_end(&mut shown);
        let place = |bytes: &[u8]| {
            let place = shown.windows(bytes.len()).position(|part| part == bytes);
            place.unwrap_or_else(|| panic!("{bytes:?} is not in {}", String::from_utf8_lossy(&shown)))
        };
        assert!(place(TAKE) < place(LEAVE) && place(LEAVE) < place(b"this is told"));
        assert_eq!(shown.windows(LEAVE.len()).filter(|part| *part == LEAVE).count(), 1);
    }
}
