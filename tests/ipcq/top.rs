//! `ipcq top` in a real terminal: tmux presses the keys, and tells what is on the screen.

use crate::harness::{Done, Running, Sandbox, differs, have, until};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

/// A terminal of 80 by 24 that runs a shell, in a tmux server of its own.
struct Terminal<'a> {
    sandbox: &'a Sandbox,
    /// Where its server listens: one that has been ended takes its time to go.
    socket: String,
}

impl<'a> Terminal<'a> {
    /// Starts `command` with `sh` in a new terminal. `None`: there is no tmux.
    fn run(sandbox: &'a Sandbox, command: &str) -> Option<Self> {
        if !have("tmux") {
            return None;
        }
        static TERMINALS: AtomicU32 = AtomicU32::new(0);
        let terminal = Terminal { sandbox, socket: format!("tmux-{}", TERMINALS.fetch_add(1, Ordering::Relaxed)) };
        // The shell of the window is not a login shell, and says nothing of itself.
        let script = format!("{command}\nstty -g > after; echo over; exec cat");
        std::fs::write(sandbox.path("script"), format!("stty -g > before\n{script}")).unwrap();
        terminal.ok(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "exec sh script"]);
        Some(terminal)
    }

    /// Starts `ipcq top` with these words, and waits until it has read a queue.
    fn top(sandbox: &'a Sandbox, words: &str) -> Option<Self> {
        let terminal = Terminal::run(sandbox, &format!("ipcq top {words}; echo \"exit $?\""))?;
        terminal.shows("? help  q quit");
        terminal.shows(" open");
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Done {
        let mut tmux = self.sandbox.program("tmux");
        tmux.args(["-u", "-S"]).arg(self.sandbox.path(&self.socket)).args(words);
        // Nothing of the terminal that the tests are run in, if they are, counts.
        tmux.env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh").stdin(Stdio::null());
        Running::from(tmux.spawn().unwrap()).end()
    }

    fn ok(&self, words: &[&str]) -> String {
        let done = self.tmux(words);
        assert_eq!(done.code, 0, "tmux {words:?}: {done:?}");
        done.text().to_owned()
    }

    /// Presses keys, as tmux calls them.
    fn press(&self, keys: &str) {
        let words: Vec<&str> = ["send-keys"].into_iter().chain(keys.split(' ')).collect();
        self.ok(&words);
    }

    fn resize(&self, width: u16, height: u16) {
        self.ok(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What is on the screen.
    fn screen(&self) -> String {
        self.ok(&["capture-pane", "-p"])
    }

    /// Waits until there is something on the screen that is so; returns it.
    fn until(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        let start = std::time::Instant::now();
        // A machine with much else to do takes its time.
        while start.elapsed().as_secs() < 60 {
            screen = self.screen();
            if condition(&screen) {
                return screen;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("waited in vain until the screen shows {what}:\n{screen}");
    }

    fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    fn shows_no(&self, text: &str) -> String {
        self.until(&format!("no {text}"), |screen| !screen.contains(text))
    }

    /// The line that begins with `start`.
    fn line(&self, start: &str) -> String {
        let is_it = |line: &&str| line.starts_with(start);
        let screen = self.until(start, |screen| screen.lines().any(|line| is_it(&line)));
        screen.lines().find(is_it).unwrap().to_owned()
    }

    /// A property of the terminal: 0 or 1.
    fn flag(&self, name: &str) -> bool {
        self.ok(&["display-message", "-p", &format!("#{{{name}}}")]).trim() == "1"
    }

    /// Asserts that the terminal is as it was found, when the script is over.
    fn is_as_it_was_found(&self) {
        self.shows("over");
        assert!(!self.flag("alternate_on") && self.flag("cursor_flag") && !self.flag("keypad_flag"));
        let modes = |file| std::fs::read_to_string(self.sandbox.path(file)).unwrap();
        assert_eq!(modes("after"), modes("before"));
    }

    /// The process that runs `ipcq top`.
    fn pid(&self) -> i32 {
        let tty = self.ok(&["display-message", "-p", "#{pane_tty}"]);
        let mut found = None;
        until("top is there", || {
            found = pids_of_top().into_iter().find(|pid| {
                let terminal = std::fs::read_link(format!("/proc/{pid}/fd/1"));
                terminal.is_ok_and(|terminal| terminal == Path::new(tty.trim()))
            });
            found.is_some()
        });
        found.unwrap()
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn pids_of_top() -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"ipcq\0top")))
        .collect()
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let sandbox = Sandbox::with_queues("jobs");
    let done = sandbox.run("top");
    assert!(done.refusal(2).starts_with("standard output is no terminal, and 'top' is for a person at one; use"));
    assert!(sandbox.run("top --interval 0").refusal(2).contains("an interval of no time"));
    assert!(sandbox.run("top a:b").refusal(2).contains("not a queue name"));
    let Some(terminal) = Terminal::run(&sandbox, "ipcq top < /dev/null; TERM=dumb ipcq top; echo exit $?") else {
        return;
    };
    let screen = terminal.shows("exit 2");
    let screen = screen.replace('\n', "");
    assert!(screen.contains("standard input is no terminal") && screen.contains("TERM=dumb"), "{screen}");
    terminal.is_as_it_was_found();
}

#[test]
fn every_key_does_what_the_help_says() {
    let sandbox = Sandbox::with_queues("jobs mails");
    sandbox.ok("put jobs one two three");
    sandbox.ok("put mails dear-reader");
    let waiter = sandbox.asleep("wait jobs --closed");
    let Some(terminal) = Terminal::top(&sandbox, "--interval 100ms") else { return };

    terminal.shows("ipcq top  2 queues  4 ready  0 leased  0 dead  every 100ms");
    assert_eq!(terminal.line("jobs  ").split_whitespace().nth(1), Some("3"));
    terminal.shows("attempt 0  ready  one");

    // Which queue is selected shows in the details.
    for (down, up) in [("Down", "Up"), ("j", "k"), ("NPage", "PPage"), ("End", "Home"), ("G", "g")] {
        terminal.press(down);
        terminal.shows("mails  open  11 of 64M used");
        terminal.press(up);
        terminal.shows("jobs  open  11 of 64M used");
    }

    terminal.press("S");
    terminal.until("mails before jobs", |screen| screen.find("\nmails ") < screen.find("\njobs "));
    terminal.press("s");
    terminal.shows("READYv");
    terminal.until("jobs before mails", |screen| screen.find("\njobs ") < screen.find("\nmails "));

    terminal.press("Enter");
    terminal.shows_no("depth");
    terminal.press("Enter");
    terminal.until("only details", |screen| screen.contains("depth") && !screen.contains("NAME"));
    terminal.press("Escape");
    terminal.until("both", |screen| screen.contains("depth") && screen.contains("NAME"));

    let lease = sandbox.ok("get jobs --lease 1h -o taken");
    assert_eq!(lease, "1\n");
    terminal.press("Tab");
    terminal.shows("comes back in 59m");
    sandbox.ok("nack jobs 1 --delay 1h");
    terminal.press("Tab");
    terminal.shows("ready in 59m");
    sandbox.ok("create dead --max-attempts 1");
    sandbox.ok("put dead lost");
    sandbox.ok("get dead --lease 1h -o taken");
    sandbox.ok("nack dead 1");
    terminal.press("Tab g");
    terminal.until("dead is listed", |screen| screen.contains("3 queues"));
    terminal.press("s s s");
    terminal.press("g");
    terminal.until("what died", |screen| screen.contains("DEADv") && screen.contains("given back  lost"));

    terminal.press("t");
    terminal.shows("'dead': 1 retried");
    assert_eq!(sandbox.stat("dead", "ready"), 1);
    sandbox.ok("get dead --lease 1h -o taken");
    sandbox.ok("nack dead 1.2");
    terminal.shows("  1 dead  every");
    terminal.press("X");
    terminal.shows("Remove what is dead (now 1 message) in 'dead'? y: yes");
    terminal.press("y");
    terminal.shows("They cannot be got back. Shift-Y: remove them");
    terminal.press("y");
    terminal.shows("nothing was changed");
    assert_eq!(sandbox.stat("dead", "dead"), 1);
    terminal.press("X y Y");
    terminal.shows("'dead': 1 purged");
    assert_eq!(sandbox.stat("dead", "dead"), 0);

    sandbox.ok("rm dead");
    terminal.shows("2 queues");
    terminal.press("Escape s s s s s s s g");
    terminal.shows("NAMEv");
    terminal.shows("jobs  open");
    terminal.press("p");
    terminal.shows("'jobs': paused, puts and gets wait");
    terminal.shows("jobs  paused");
    assert_eq!(sandbox.stat("jobs", "paused"), true);
    terminal.press("r");
    terminal.shows("jobs  open");
    assert_eq!(sandbox.stat("jobs", "paused"), false);

    terminal.press("x");
    terminal.shows("Remove what waits (now 3 messages) in 'jobs'?");
    terminal.press("n");
    terminal.shows("nothing was changed");
    terminal.press("x y Y");
    terminal.shows("'jobs': 3 purged");
    assert_eq!((sandbox.stat("jobs", "ready"), sandbox.stat("jobs", "delayed")), (0.into(), 0.into()));

    terminal.press("c");
    terminal.shows("Close 'jobs' for good? y: yes");
    terminal.press("y");
    terminal.shows("'jobs': closed");
    terminal.shows("jobs  drained");
    waiter.ends(0, "");

    for help in ["?", "h"] {
        terminal.press(help);
        terminal.shows("try dead messages again: make them ready");
        terminal.press("Escape");
        terminal.shows("NAME");
    }
    terminal.press("q");
    terminal.shows("exit 0");
    terminal.is_as_it_was_found();
    assert!(terminal.screen().starts_with("exit 0\nover\n"), "nothing is left on the screen");
}

#[test]
fn the_screen_follows_the_size_of_the_terminal() {
    let sandbox = Sandbox::with_queues("jobs mails");
    sandbox.ok("put jobs one");
    let Some(terminal) = Terminal::top(&sandbox, "") else { return };
    let screen = terminal.shows("attempt 0  ready  one");
    assert!(!screen.contains("OLDEST") && screen.lines().nth(23).unwrap().starts_with("? help"), "{screen}");
    terminal.resize(120, 40);
    let screen = terminal.until("all columns", |screen| screen.contains("OLDEST") && screen.contains("USED"));
    assert_eq!(screen.lines().count(), 40);
    terminal.until("the keys at the bottom", |screen| screen.lines().nth(39).is_some_and(|l| l.starts_with("? help")));
    terminal.press("j");
    terminal.shows("mails  open");
    terminal.resize(60, 12);
    terminal.until("only the list", |screen| {
        screen.lines().count() == 12
            && screen.contains("NAME")
            && !screen.contains("depth")
            && !screen.contains("OLDEST")
    });
    terminal.press("Enter Enter");
    terminal.until("only the details", |screen| screen.contains("depth") && !screen.contains("NAME"));
    terminal.resize(30, 5);
    terminal.shows("too small: 30x5");
    terminal.resize(80, 24);
    terminal.press("Escape");
    terminal.until("both", |screen| screen.contains("NAME") && screen.contains("depth"));
    terminal.press("q");
    terminal.is_as_it_was_found();
}

#[test]
fn who_waits_and_who_holds_messages_is_shown() {
    if differs("Who waits") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs 1 2");
    let (holder, _reader) = sandbox.stuck("get jobs -n 2");
    let waiter = sandbox.asleep("get jobs");
    let Some(terminal) = Terminal::top(&sandbox, "-i 100ms") else { return };
    terminal.shows(&format!("by process {}  ipcq get jobs -n 2", holder.pid()));
    terminal.shows(&format!("waiting   get: process {}  ipcq get jobs", waiter.pid()));
    sandbox.ok("put jobs 3");
    waiter.ends(0, "3\n");
    terminal.shows_no("waiting   get");
    // The curve of what is put rises and falls.
    terminal.until("a curve", |screen| screen.lines().any(|line| line.starts_with(" put/s") && line.contains('█')));
}

#[test]
fn only_the_queues_that_are_named_are_shown_also_before_they_are_there() {
    let sandbox = Sandbox::with_queues("jobs other");
    std::fs::create_dir(sandbox.path("spool")).unwrap();
    let Some(terminal) = Terminal::top(&sandbox, "-i 100ms jobs ./spool/mail") else { return };
    let screen = terminal.shows("not there");
    assert!(!screen.contains("other") && screen.contains("2 queues"), "{screen}");
    sandbox.ok("create ./spool/mail");
    terminal.shows_no("not there");
    sandbox.ok("rm jobs");
    terminal.shows("not there");
    terminal.press("j");
    terminal
        .until("why", |screen| screen.contains("queue 'jobs' has been removed") || screen.contains("no queue 'jobs'"));
}

#[test]
fn what_cannot_be_read_is_shown_as_such_and_holds_nothing_up() {
    if differs("Locks") {
        return;
    }
    let sandbox = Sandbox::with_queues("another jobs other");
    std::fs::write(sandbox.queues().join("foreign"), "not a queue").unwrap();
    let file = std::fs::File::open(sandbox.queues().join("jobs")).unwrap();
    let Some(terminal) = Terminal::top(&sandbox, "-i 50ms") else { return };
    file.lock().unwrap();
    terminal.until("it", |screen| screen.lines().any(|line| line.starts_with("jobs ") && line.ends_with("locked")));
    terminal
        .until("it", |screen| screen.lines().any(|line| line.starts_with("foreign ") && line.ends_with("unusable")));
    // The keys and the figures of the others go on.
    sandbox.ok("put other 1 2 3");
    terminal.until("the other", |screen| {
        screen.lines().any(|line| line.starts_with("other ") && line.split_whitespace().nth(1) == Some("3"))
    });
    terminal.press("j");
    terminal.until("why", |screen| screen.replace('\n', "").contains("it is too short to be a"));
    terminal.press("j");
    terminal.shows("queue 'jobs' is locked by ");
    terminal.press("p");
    terminal.shows("'jobs' cannot be read now; nothing was changed");
    file.unlock().unwrap();
    terminal.shows("jobs  open");
    terminal.press("q");
    terminal.shows("exit 0");
}

#[test]
fn no_key_waits_for_a_queue_that_is_locked_while_it_is_steered() {
    if differs("Locks") {
        return;
    }
    let sandbox = Sandbox::with_queues("jobs mails");
    let Some(terminal) = Terminal::top(&sandbox, "-i 1h") else { return };
    terminal.shows("nobody waits");
    let file = std::fs::File::open(sandbox.queues().join("jobs")).unwrap();
    file.lock().unwrap();
    terminal.press("p");
    terminal.shows("'jobs': waiting for it...");
    terminal.press("j");
    terminal.shows("mails  open");
    file.unlock().unwrap();
    terminal.shows("'jobs': paused, puts and gets wait");
}

#[test]
fn whatever_ends_it_leaves_the_terminal_as_it_was_found() {
    use nix::sys::signal::Signal;
    let sandbox = Sandbox::with_queues("jobs");
    for (end, code) in [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
        (Signal::SIGQUIT, 131),
        (Signal::SIGABRT, 134),
    ] {
        // So that the shell goes on where it is interrupted as well.
        let Some(terminal) = Terminal::run(&sandbox, "trap : INT QUIT; ulimit -c 0; ipcq top; echo exit $?") else {
            return;
        };
        terminal.shows(" open");
        match end {
            Signal::SIGINT => terminal.press("C-c"),
            Signal::SIGQUIT => terminal.press("C-\\"),
            _ => terminal.signal(end),
        }
        terminal.shows(&format!("exit {code}"));
        terminal.is_as_it_was_found();
    }
}

#[test]
fn it_ends_with_its_terminal() {
    let sandbox = Sandbox::with_queues("jobs");
    for ignoring in ["", "trap '' HUP; "] {
        let Some(terminal) = Terminal::run(&sandbox, &format!("{ignoring}exec ipcq top")) else { return };
        terminal.shows(" open");
        let pid = terminal.pid();
        terminal.ok(&["kill-pane"]);
        until("it has ended", || !pids_of_top().contains(&pid));
    }
}

#[test]
fn a_queue_that_is_truncated_under_its_hands_does_not_ruin_the_terminal() {
    let sandbox = Sandbox::with_queues("jobs");
    let Some(terminal) = Terminal::run(&sandbox, "ipcq top; echo exit $?") else { return };
    terminal.shows(" open");
    terminal.signal(nix::sys::signal::Signal::SIGBUS);
    terminal.shows("truncated while it was in use");
    terminal.shows("exit 2");
    terminal.is_as_it_was_found();
}

#[test]
fn it_can_be_stopped_and_continued() {
    let sandbox = Sandbox::with_queues("jobs");
    // With job control, as an interactive shell has it, but one that leaves the terminal alone.
    let command = "set -m; ipcq top; stty -g > stopped; echo stopped; read answer; fg; echo exit $?";
    let Some(terminal) = Terminal::run(&sandbox, command) else { return };
    let modes = |file| std::fs::read_to_string(sandbox.path(file)).unwrap();
    terminal.shows(" open");
    terminal.press("C-z");
    terminal.shows("stopped");
    until("the modes are noted", || sandbox.path("stopped").exists() && !modes("stopped").is_empty());
    assert_eq!(modes("stopped"), modes("before"));
    assert!(!terminal.flag("alternate_on") && terminal.flag("cursor_flag"));
    sandbox.ok("put jobs 1 2 3");
    terminal.press("Enter");
    terminal.shows("3 ready");
    assert!(terminal.flag("alternate_on") && !terminal.flag("cursor_flag"));
    terminal.press("?");
    terminal.shows("make them ready");
    // Stopped without a chance to leave the terminal, and continued.
    terminal.signal(nix::sys::signal::Signal::SIGCONT);
    terminal.press("Escape");
    terminal.shows("NAME");
    terminal.press("q");
    terminal.shows("exit 0");
    terminal.is_as_it_was_found();
}

#[test]
fn colours_are_shown_unless_they_are_not_wanted() {
    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("close jobs");
    for (variable, coloured) in [("NO_COLOR=", true), ("NO_COLOR=1", false)] {
        let Some(terminal) = Terminal::run(&sandbox, &format!("{variable} ipcq top")) else { return };
        terminal.shows(" drained");
        let screen = terminal.ok(&["capture-pane", "-p", "-e"]);
        // Of 0 to 7, and of the 256.
        let has_colour = screen.split("\x1b[").skip(1).any(|sequence| {
            let parameters = sequence.split('m').next().unwrap_or_default();
            parameters.split(';').any(|number| number.starts_with('3') && number.len() == 2 && number != "39")
        });
        assert_eq!(has_colour, coloured, "{variable}: {screen:?}");
    }
}
