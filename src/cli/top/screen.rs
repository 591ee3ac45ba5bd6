//! The screen of `top`, drawn from its state and nothing else.

use super::details;
use super::keys::{HELP, NAMES};
use super::list;
use super::look::Look;
use super::state::{State, View};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// The smallest screen on which there is something to see.
const SMALLEST: (u16, u16) = (40, 8);
/// Lines that the details need beside the list.
const DETAILS: u16 = 9;
/// Lines that the list needs beside the details: the heads, and a few queues.
const LIST: u16 = 4;

/// Draws what there is to see.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, look: Look) {
    let area = frame.area();
    let (width, height) = SMALLEST;
    if area.width < width || area.height < height {
        let lines = [
            format!("too small: {}x{}", area.width, area.height),
            format!("'ipcq top' needs {width}x{height}"),
            "q: quit".to_owned(),
        ];
        for (line, row) in lines.into_iter().zip(area.rows()) {
            frame.render_widget(Line::from(line), row);
        }
        return;
    }
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(title(state, look), top);
    if state.shows_help {
        help(frame, middle, look);
    } else {
        let (list, details) = split(state, middle);
        list::draw(frame, list, state, look);
        details::draw(frame, details, state, look);
    }
    frame.render_widget(foot(state, look), bottom);
}

/// The places of the list and of the details; what is not shown has no height.
fn split(state: &State, area: Rect) -> (Rect, Rect) {
    let most = area.height.saturating_sub(DETAILS);
    let list = match state.view {
        View::List => area.height,
        View::Details => 0,
        View::Both if most < LIST => area.height,
        View::Both => {
            // The heads, and a line for each queue, or to say that there are none.
            let wanted = u16::try_from(state.rows().len().max(1) + 1).unwrap_or(u16::MAX);
            wanted.min(most.min(area.height / 2).max(LIST))
        }
    };
    let [list, details] = Layout::vertical([Constraint::Length(list), Constraint::Fill(1)]).areas(area);
    (list, details)
}

fn title(state: &State, look: Look) -> Line<'static> {
    let (mut ready, mut leased, mut dead) = (0_u64, 0_u64, 0_u64);
    for status in state.rows().filter_map(|row| row.status.as_ref()) {
        ready = ready.saturating_add(status.ready);
        leased = leased.saturating_add(status.leased);
        dead = dead.saturating_add(status.dead);
    }
    let queues = state.rows().len();
    let noun = if queues == 1 { "queue" } else { "queues" };
    let every = humantime::format_duration(state.every);
    let text = format!("ipcq top  {queues} {noun}  {ready} ready  {leased} leased  {dead} dead  every {every}");
    let mut line = Line::from(Span::styled(text, look.head()));
    if let Some(silence) = state.silence() {
        let text = format!("  no news for {} s", silence.as_secs());
        line.push_span(Span::styled(text, look.notable()));
    }
    line
}

/// What is asked, else what is to be told, else which keys there are.
fn foot(state: &State, look: Look) -> Line<'static> {
    if let Some(question) = state.question() {
        return Line::styled(question, look.reversed());
    }
    if let Some(notice) = state.notice() {
        let style = if notice.is_bad { look.alarming() } else { Style::new() };
        return Line::styled(notice.text.clone(), style);
    }
    let keys = [
        ("?", "help"),
        ("q", "quit"),
        ("s", "sort"),
        ("Tab", "kind"),
        ("p", "pause"),
        ("r", "resume"),
        ("c", "close"),
        ("t", "retry"),
        ("x", "purge"),
    ];
    let spans = keys.iter().flat_map(|(key, text)| [Span::styled(*key, look.head()), Span::raw(format!(" {text}  "))]);
    spans.collect()
}

fn help(frame: &mut Frame<'_>, area: Rect, look: Look) {
    for (line, row) in HELP.lines().zip(area.rows().skip(1)) {
        let (names, text) = line.split_at(NAMES);
        frame.render_widget(Line::from_iter([Span::raw("  "), Span::styled(names, look.head()), Span::raw(text)]), row);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{address, read, screen, state, status};
    use super::*;
    use crate::error::Error;
    use crate::queue::Status;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use std::time::{Duration, Instant};

    fn press(state: &mut State, key: KeyCode) {
        state.key(KeyEvent::new(key, KeyModifiers::NONE));
    }

    #[test]
    fn a_screen_of_80_by_24_has_the_list_the_details_and_the_keys() {
        let mut state = state(&["jobs", "mails"]);
        read(&mut state, "jobs", Status { ready: 12, dead: 3, ..status() });
        let shown = screen(&state, 80, 24);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 24);
        assert!(lines[0].starts_with("ipcq top  2 queues  12 ready  0 leased  3 dead  every 1s"), "{shown}");
        assert!(lines[1].starts_with("NAME") && lines[1].contains("READY") && lines[1].contains("STATE"), "{shown}");
        assert!(lines[2].starts_with("jobs ") && lines[2].ends_with(" open"), "{shown}");
        assert!(lines[3].starts_with("mails ") && lines[3].ends_with(" ..."), "{shown}");
        assert!(lines[4].starts_with("jobs "), "{shown}");
        assert!(lines[23].starts_with("? help  q quit  s sort"), "{shown}");
    }

    #[test]
    fn nothing_is_cut_into_by_what_is_beside_it_at_any_size() {
        let mut state = state(&["a-queue-with-a-name-that-is-longer-than-any-column", "b", "c"]);
        read(&mut state, "b", Status { ready: u64::MAX, dead: u64::MAX, bytes: u64::MAX, ..status() });
        let heights = |width| [0, 1, 2, 7, 8, 9, 10, 15, 24, 60].map(|height| (width, height));
        for view in 0..3 {
            for (width, height) in [0, 1, 39, 40, 41, 60, 79, 80, 90, 100, 200].into_iter().flat_map(heights) {
                let shown = screen(&state, width, height);
                assert_eq!(shown.lines().count(), usize::from(if width == 0 { 0 } else { height }), "{view} {shown}");
            }
            press(&mut state, KeyCode::Enter);
        }
    }

    #[test]
    fn a_screen_that_is_too_small_says_so() {
        let state = state(&["jobs"]);
        assert!(screen(&state, 39, 24).contains("too small: 39x24\n'ipcq top' needs 40x8\n"));
        assert!(screen(&state, 80, 7).contains("too small: 80x7"));
        assert!(!screen(&state, 40, 8).contains("too small"));
    }

    #[test]
    fn a_small_screen_has_the_list_or_the_details() {
        let mut state = state(&["jobs"]);
        read(&mut state, "jobs", status());
        assert!(screen(&state, 60, 12).contains("NAME"));
        press(&mut state, KeyCode::Enter);
        press(&mut state, KeyCode::Enter);
        let shown = screen(&state, 60, 12);
        assert!(!shown.contains("NAME") && shown.contains("depth"), "{shown}");
    }

    #[test]
    fn all_keys_are_on_one_screen_of_help() {
        let mut state = state(&["jobs"]);
        press(&mut state, KeyCode::Char('?'));
        let shown = screen(&state, 80, 24);
        for line in HELP.lines() {
            assert!(shown.contains(line), "{line} is not in {shown}");
        }
    }

    #[test]
    fn questions_and_notices_take_the_place_of_the_keys() {
        let mut state = state(&["jobs"]);
        read(&mut state, "jobs", Status { ready: 3, ..status() });
        press(&mut state, KeyCode::Char('x'));
        let last = |state: &State| screen(state, 80, 24).lines().last().unwrap().to_owned();
        assert!(last(&state).starts_with("Remove what waits (now 3 messages) in 'jobs'? y: yes"), "{}", last(&state));
        press(&mut state, KeyCode::Char('n'));
        assert!(last(&state).starts_with("nothing was changed"));
    }

    #[test]
    fn a_queue_that_cannot_be_read_says_why() {
        let mut state = state(&["jobs"]);
        let outcome = Err(Error::LockTimeout { name: "jobs".to_owned(), holder: "another process".to_owned() });
        state.read(vec![super::super::news::Reading { address: address("jobs"), at: Instant::now(), outcome }]);
        let shown = screen(&state, 80, 24);
        assert!(shown.lines().nth(2).unwrap().ends_with(" locked"), "{shown}");
        assert!(shown.contains("queue 'jobs' is locked by another process"), "{shown}");
    }

    #[test]
    fn that_nothing_is_heard_is_shown() {
        let mut state = state(&["jobs"]);
        let (instant, clock) = state.now;
        state.tick((instant + Duration::from_secs(60), clock));
        assert!(screen(&state, 100, 24).contains("no news for 60 s"));
    }
}
