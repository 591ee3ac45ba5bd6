//! What each key asks for.

use super::deed::Deed;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What somebody at the keyboard can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Select another queue, so many further down.
    Move(isize),
    First,
    Last,
    /// Sort by the next column.
    NextOrder,
    /// Sort the other way round.
    Reverse,
    /// Show messages of the next kind.
    NextShelf,
    /// Show the list and the details, only the list, or only the details.
    NextView,
    Do(Deed),
    Help,
    /// Away with what is in front of the list.
    Back,
    Quit,
}

/// Queues that a page goes over.
const PAGE: isize = 10;

/// The keys, and what they do; for the help.
pub(super) const HELP: &str = "\
Up Down  k j   select another queue
PgUp PgDn      ... ten further up or down
Home End  g G  ... the first or the last
s S            sort by the next column; the other way round
Enter          list and details, only the list, only the details
Tab            show messages that are ready, leased, delayed, dead
p              pause: let puts and gets wait
r              resume: let them go on
c              close: refuse further puts, for good (asks)
t              try dead messages again: make them ready
x              purge: remove messages that are ready or delayed (asks twice)
X              ... those that are dead (asks twice)
? h            this help
Esc            back to the list and the details
q Ctrl-C       quit";

/// Where in a line of the help it says what the keys do.
pub(super) const NAMES: usize = 15;

/// What a key asks for, if it is one of ours.
pub(super) fn wish(key: KeyEvent) -> Option<Wish> {
    Some(match key.code {
        _ if !is_plain(key) => return None,
        KeyCode::Up | KeyCode::Char('k') => Wish::Move(-1),
        KeyCode::Down | KeyCode::Char('j') => Wish::Move(1),
        KeyCode::PageUp => Wish::Move(-PAGE),
        KeyCode::PageDown => Wish::Move(PAGE),
        KeyCode::Home | KeyCode::Char('g') => Wish::First,
        KeyCode::End | KeyCode::Char('G') => Wish::Last,
        KeyCode::Char('s') => Wish::NextOrder,
        KeyCode::Char('S') => Wish::Reverse,
        KeyCode::Enter => Wish::NextView,
        KeyCode::Tab => Wish::NextShelf,
        KeyCode::Char('p') => Wish::Do(Deed::Pause),
        KeyCode::Char('r') => Wish::Do(Deed::Resume),
        KeyCode::Char('c') => Wish::Do(Deed::Close),
        KeyCode::Char('t') => Wish::Do(Deed::Retry),
        KeyCode::Char('x') => Wish::Do(Deed::PurgeWaiting),
        KeyCode::Char('X') => Wish::Do(Deed::PurgeDead),
        KeyCode::Char('?' | 'h') => Wish::Help,
        KeyCode::Esc => Wish::Back,
        KeyCode::Char('q') => Wish::Quit,
        _ => return None,
    })
}

/// The answer that a key gives to a question: yes, or what is typed on purpose to insist on it.
pub(super) fn agrees(key: KeyEvent, insists: bool) -> bool {
    let yes: &[char] = if insists { &['Y'] } else { &['y', 'Y'] };
    is_plain(key) && yes.iter().any(|yes| key.code == KeyCode::Char(*yes))
}

/// Pressed, and without Ctrl or Alt.
fn is_plain(key: KeyEvent) -> bool {
    key.kind != KeyEventKind::Release && KeyModifiers::SHIFT.contains(key.modifiers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_letter_of_the_help_is_a_key_and_no_other() {
        let names = HELP.lines().flat_map(|line| line[..NAMES].split_whitespace());
        let named: HashSet<char> = names.filter(|name| name.len() == 1).flat_map(str::chars).collect();
        let keys = |code: &char| wish(KeyEvent::new(KeyCode::Char(*code), KeyModifiers::NONE)).is_some();
        assert_eq!(named, (' '..='~').filter(keys).collect());
    }

    #[test]
    fn only_plain_keys_ask_for_something() {
        let key = |code, modifiers| wish(KeyEvent::new(code, modifiers));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), Some(Wish::Do(Deed::Close)));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), None);
        assert_eq!(key(KeyCode::Char('x'), KeyModifiers::ALT), None);
        assert_eq!(key(KeyCode::Char('X'), KeyModifiers::SHIFT), Some(Wish::Do(Deed::PurgeDead)));
        assert_eq!(key(KeyCode::Char('ß'), KeyModifiers::NONE), None);
    }

    #[test]
    fn what_is_asked_again_is_not_agreed_to_by_the_same_key() {
        let key = |code| KeyEvent::new(KeyCode::Char(code), KeyModifiers::NONE);
        assert!(agrees(key('y'), false) && agrees(key('Y'), false) && agrees(key('Y'), true));
        assert!(!agrees(key('y'), true) && !agrees(key('x'), false));
    }
}
