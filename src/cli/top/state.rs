//! What the screen of `top` is about: the queues that were seen, which of them is selected, how they are sorted, what is
//! being asked. Knows neither a terminal nor a queue: keys and news come in, and what is to be done goes out.

use super::deed::Deed;
use super::history::History;
use super::keys::{self, Wish};
use super::news::{Details, Done, Focus, Reading};
use crate::address::Address;
use crate::error::Error;
use crate::lease::Shelf;
use crate::queue::Status;
use ratatui::crossterm::event::KeyEvent;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

/// How long what was done is told.
const NOTICE: Duration = Duration::from_secs(8);
/// Shelves in the order in which they are shown.
pub(super) const SHELVES: [(Shelf, &str); 4] =
    [(Shelf::Ready, "ready"), (Shelf::Leased, "leased"), (Shelf::Delayed, "delayed"), (Shelf::Dead, "dead")];

/// A queue, as far as it is known.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) address: Address,
    /// Its figures when they were last read.
    pub(super) status: Option<Status>,
    /// Why they cannot be read now.
    pub(super) trouble: Option<Trouble>,
    pub(super) history: History,
}

/// Why a queue cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In a word.
    pub(super) word: &'static str,
    /// In a sentence.
    pub(super) sentence: String,
}

/// By what the queues are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Name,
    Ready,
    Leased,
    Delayed,
    Dead,
    Used,
    PutRate,
    GotRate,
    Oldest,
    State,
}

const ORDERS: [Order; 10] = [
    Order::Name,
    Order::Ready,
    Order::Leased,
    Order::Delayed,
    Order::Dead,
    Order::Used,
    Order::PutRate,
    Order::GotRate,
    Order::Oldest,
    Order::State,
];

/// Which parts are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Both,
    List,
    Details,
}

/// Something that was asked for and has to be agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    deed: Deed,
    address: Address,
    /// How often it was agreed to.
    agreed: usize,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Quit,
    Do(Deed, Address),
}

/// Something to be told for a while.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_bad: bool,
    until: Instant,
}

/// What the screen is about.
pub(super) struct State {
    /// How often the queues are looked at.
    pub(super) every: Duration,
    /// The time of what is shown.
    pub(super) now: (Instant, SystemTime),
    rows: HashMap<Address, Row>,
    sorted: Vec<Address>,
    /// Why it is not known what queues there are.
    pub(super) unlisted: Option<String>,
    last_news: Instant,
    selected: usize,
    pub(super) order: Order,
    pub(super) is_reversed: bool,
    shelf: usize,
    pub(super) view: View,
    pub(super) shows_help: bool,
    question: Option<Question>,
    notice: Option<Notice>,
    under_way: HashSet<Address>,
    details: Option<Details>,
}

impl State {
    pub(super) fn new(every: Duration, now: (Instant, SystemTime)) -> Self {
        State {
            every,
            now,
            rows: HashMap::new(),
            sorted: Vec::new(),
            unlisted: None,
            last_news: now.0,
            selected: 0,
            order: Order::Name,
            is_reversed: false,
            shelf: 0,
            view: View::Both,
            shows_help: false,
            question: None,
            notice: None,
            under_way: HashSet::new(),
            details: None,
        }
    }

    /// It is that late.
    pub(super) fn tick(&mut self, now: (Instant, SystemTime)) {
        self.now = now;
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now.0) {
            self.notice = None;
        }
    }

    /// There are these queues.
    pub(super) fn listed(&mut self, queues: Vec<Address>) {
        self.unlisted = None;
        self.last_news = self.now.0;
        let there: HashSet<&Address> = queues.iter().collect();
        self.rows.retain(|address, _| there.contains(address));
        for address in queues {
            let row = || Row { address: address.clone(), status: None, trouble: None, history: History::default() };
            self.rows.entry(address.clone()).or_insert_with(row);
        }
        if self.question.as_ref().is_some_and(|question| !self.rows.contains_key(&question.address)) {
            self.question = None;
        }
        self.sort();
    }

    /// It is not known what queues there are.
    pub(super) fn unlisted(&mut self, why: String) {
        self.listed(Vec::new());
        self.unlisted = Some(why);
    }

    /// Queues were looked at.
    pub(super) fn read(&mut self, readings: Vec<Reading>) {
        self.last_news = self.now.0;
        for Reading { address, at, outcome } in readings {
            let Some(row) = self.rows.get_mut(&address) else { continue };
            match outcome {
                Ok(status) => {
                    row.history.note(at, &status);
                    row.trouble = None;
                    row.status = Some(status);
                }
                Err(error) => row.trouble = Some(Trouble::from(&error)),
            }
        }
        self.sort();
    }

    /// A queue was looked at in depth.
    pub(super) fn looked_into(&mut self, details: Details) {
        self.details = Some(details);
    }

    /// What was ordered has been done, or could not be.
    pub(super) fn done(&mut self, Done { address, outcome }: Done) {
        self.under_way.remove(&address);
        match outcome {
            Ok(done) => self.tell(done, false),
            Err(error) => self.tell(error, true),
        }
    }

    /// Tells something for a while.
    pub(super) fn tell(&mut self, text: String, is_bad: bool) {
        self.notice = Some(Notice { text, is_bad, until: self.now.0 + NOTICE });
    }

    /// A key was pressed. Returns what is to be done about it.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<Request> {
        self.notice = None;
        if let Some(mut question) = self.question.take() {
            if !keys::agrees(key, question.agreed > 0) {
                self.tell("nothing was changed".to_owned(), false);
                return None;
            }
            question.agreed += 1;
            if question.agreed < question.deed.questions() {
                self.question = Some(question);
                return None;
            }
            return self.order(question.deed, question.address);
        }
        let wish = keys::wish(key)?;
        if std::mem::take(&mut self.shows_help) && wish != Wish::Quit {
            return None;
        }
        match wish {
            Wish::Move(by) => self.select(self.selected.saturating_add_signed(by)),
            Wish::First => self.select(0),
            Wish::Last => self.select(usize::MAX),
            Wish::NextOrder => {
                let current = ORDERS.iter().position(|order| *order == self.order).unwrap_or(0);
                (self.order, self.is_reversed) = (ORDERS[(current + 1) % ORDERS.len()], false);
                self.sort();
            }
            Wish::Reverse => {
                self.is_reversed = !self.is_reversed;
                self.sort();
            }
            Wish::NextShelf => self.shelf = (self.shelf + 1) % SHELVES.len(),
            Wish::NextView => {
                self.view = match self.view {
                    View::Both => View::List,
                    View::List => View::Details,
                    View::Details => View::Both,
                }
            }
            Wish::Help => self.shows_help = true,
            Wish::Back => self.view = View::Both,
            Wish::Quit => return Some(Request::Quit),
            Wish::Do(deed) => return self.ask_or_order(deed),
        }
        None
    }

    fn ask_or_order(&mut self, deed: Deed) -> Option<Request> {
        let row = self.selected()?;
        let address = row.address.clone();
        if row.status.is_none() || row.trouble.is_some() {
            self.tell(format!("'{address}' cannot be read now; nothing was changed"), true);
            return None;
        }
        if deed.questions() == 0 {
            return self.order(deed, address);
        }
        self.question = Some(Question { deed, address, agreed: 0 });
        None
    }

    fn order(&mut self, deed: Deed, address: Address) -> Option<Request> {
        if !self.under_way.insert(address.clone()) {
            self.tell(format!("'{address}' is still locked by another process; nothing was changed"), true);
            return None;
        }
        self.tell(format!("'{address}': waiting for it..."), false);
        Some(Request::Do(deed, address))
    }

    fn select(&mut self, index: usize) {
        self.selected = index.min(self.sorted.len().saturating_sub(1));
    }

    /// Puts the queues in order; the one that is selected stays so.
    fn sort(&mut self) {
        let selected = self.sorted.get(self.selected).cloned();
        let mut rows: Vec<&Row> = self.rows.values().collect();
        rows.sort_by(|one, other| {
            let by_name = || one.address.as_os_str().cmp(other.address.as_os_str());
            let natural = compare(self.order, one, other).then_with(by_name);
            if self.is_reversed { natural.reverse() } else { natural }
        });
        self.sorted = rows.into_iter().map(|row| row.address.clone()).collect();
        let place = selected.and_then(|selected| self.sorted.iter().position(|address| *address == selected));
        // Of one that has gone, the next one takes the place.
        self.select(place.unwrap_or(self.selected));
    }

    /// The queues, in their order.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &Row> {
        self.sorted.iter().map(|address| &self.rows[address])
    }

    /// The place of the one that is selected.
    pub(super) fn selected_index(&self) -> usize {
        self.selected
    }

    /// The one that is selected.
    pub(super) fn selected(&self) -> Option<&Row> {
        self.sorted.get(self.selected).map(|address| &self.rows[address])
    }

    /// The place in [`SHELVES`] of the messages that are shown.
    pub(super) fn shelf_index(&self) -> usize {
        self.shelf
    }

    /// What has to be looked at in depth.
    pub(super) fn focus(&self) -> Option<Focus> {
        if self.view == View::List {
            return None;
        }
        self.selected().map(|row| Focus { address: row.address.clone(), shelf: SHELVES[self.shelf].0 })
    }

    /// What was seen there, if it has been looked at by now.
    pub(super) fn details(&self) -> Option<&Details> {
        let focus = self.focus();
        self.details.as_ref().filter(|details| Some(&details.focus) == focus.as_ref())
    }

    /// What is to be answered, and how. Its figures are those that the queue has now.
    pub(super) fn question(&self) -> Option<String> {
        let Question { deed, address, agreed } = self.question.as_ref()?;
        let status = self.rows.get(address)?.status.as_ref()?;
        Some(match agreed {
            0 => format!("{} y: yes, any other key: no", deed.question(address, status)),
            _ => "They cannot be got back. Shift-Y: remove them, any other key: keep them".to_owned(),
        })
    }

    /// What is to be told.
    pub(super) fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }

    /// How long nothing has been heard, if that is longer than usual.
    pub(super) fn silence(&self) -> Option<Duration> {
        let silence = self.now.0.saturating_duration_since(self.last_news);
        Some(silence).filter(|silence| *silence > self.every.saturating_mul(2).saturating_add(Duration::from_secs(3)))
    }
}

/// Names from the front of the alphabet, figures from the largest; what cannot be read is last.
fn compare(order: Order, one: &Row, other: &Row) -> Ordering {
    let largest_first = |figure: fn(&Status) -> u64| figure_of(other, figure).cmp(&figure_of(one, figure));
    let fastest_first = |figure: fn(&Status) -> f64| {
        let rate = |row: &Row| row.status.as_ref().map_or(-1.0, figure);
        rate(other).total_cmp(&rate(one))
    };
    match order {
        Order::Name => Ordering::Equal,
        Order::Ready => largest_first(|status| status.ready),
        Order::Leased => largest_first(|status| status.leased),
        Order::Delayed => largest_first(|status| status.delayed),
        Order::Dead => largest_first(|status| status.dead),
        Order::Used => largest_first(|status| status.bytes),
        Order::PutRate => fastest_first(|status| status.put_rate),
        Order::GotRate => fastest_first(|status| status.got_rate),
        Order::Oldest => {
            // The queues whose first message is the oldest, then those that have none.
            let oldest = |row: &Row| row.status.as_ref().and_then(|status| status.oldest);
            match (oldest(one), oldest(other)) {
                (Some(one), Some(other)) => one.cmp(&other),
                (one, other) => other.is_some().cmp(&one.is_some()),
            }
        }
        Order::State => one.state().cmp(other.state()),
    }
}

fn figure_of(row: &Row, figure: fn(&Status) -> u64) -> Option<u64> {
    row.status.as_ref().map(figure)
}

impl Row {
    /// Its state in a word.
    pub(super) fn state(&self) -> &'static str {
        match (&self.trouble, &self.status) {
            (Some(trouble), _) => trouble.word,
            (None, Some(status)) => super::super::stat::state(status),
            (None, None) => "...",
        }
    }
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        let word = match error {
            Error::LockTimeout { .. } => "locked",
            Error::Damaged { .. } => "damaged",
            Error::Unusable { .. } => "unusable",
            Error::Untrusted { .. } => "untrusted",
            Error::NoSuchQueue { .. } | Error::Removed { .. } => "not there",
            _ => "unreadable",
        };
        Trouble { word, sentence: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{address, read, state, status};
    use super::*;
    use ratatui::crossterm::event::{KeyCode, KeyModifiers};

    fn press(state: &mut State, keys: &str) -> Vec<Request> {
        let key = |character| state.key(KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE));
        keys.chars().filter_map(key).collect()
    }

    fn names(state: &State) -> Vec<String> {
        state.rows().map(|row| row.address.to_string()).collect()
    }

    fn selected(state: &State) -> String {
        state.selected().unwrap().address.to_string()
    }

    #[test]
    fn queues_are_sorted_by_name_and_then_by_each_figure() {
        let mut state = state(&["a", "b", "c"]);
        read(&mut state, "a", Status { ready: 1, dead: 2, ..status() });
        read(&mut state, "b", Status { ready: 2, dead: 1, ..status() });
        read(&mut state, "c", Status { ready: 3, dead: 3, ..status() });
        assert_eq!(names(&state), ["a", "b", "c"]);
        press(&mut state, "S");
        assert_eq!(names(&state), ["c", "b", "a"]);
        press(&mut state, "s");
        assert_eq!((state.order, names(&state)), (Order::Ready, vec!["c".into(), "b".into(), "a".into()]));
        press(&mut state, "sss");
        assert_eq!((state.order, names(&state)), (Order::Dead, vec!["c".into(), "a".into(), "b".into()]));
        for _ in 4..ORDERS.len() {
            press(&mut state, "s");
        }
        assert_eq!(state.order, Order::Name);
    }

    #[test]
    fn the_selection_follows_its_queue_and_stays_when_that_goes() {
        let mut state = state(&["a", "b", "c"]);
        press(&mut state, "j");
        assert_eq!(selected(&state), "b");
        press(&mut state, "S");
        assert_eq!((selected(&state), state.selected_index()), ("b".to_owned(), 1));
        state.listed(["b", "c", "d"].map(address).to_vec());
        assert_eq!((selected(&state), state.selected_index()), ("b".to_owned(), 2));
        state.listed(["c", "d"].map(address).to_vec());
        assert_eq!(selected(&state), "c");
        press(&mut state, "kkkk");
        assert_eq!(selected(&state), "d");
        press(&mut state, "G");
        assert_eq!(selected(&state), "c");
        state.listed(Vec::new());
        assert!(state.selected().is_none() && state.focus().is_none());
        assert_eq!(press(&mut state, "jkgGpxcsS"), []);
    }

    #[test]
    fn what_can_be_undone_is_done_at_once() {
        for (key, deed) in [("p", Deed::Pause), ("r", Deed::Resume), ("t", Deed::Retry)] {
            let mut state = state(&["a"]);
            read(&mut state, "a", status());
            assert_eq!(press(&mut state, key), [Request::Do(deed, address("a"))]);
        }
    }

    #[test]
    fn to_close_is_asked_once_and_to_purge_twice() {
        let requests = |keys: &str| {
            let mut state = state(&["a"]);
            read(&mut state, "a", Status { ready: 3, dead: 2, ..status() });
            (press(&mut state, keys), state.question())
        };
        let done = |deed| (vec![Request::Do(deed, address("a"))], None);
        assert_eq!(requests("cy"), done(Deed::Close));
        assert_eq!(requests("cn"), (vec![], None));
        assert_eq!(requests("xyY"), done(Deed::PurgeWaiting));
        assert_eq!(requests("XyY"), done(Deed::PurgeDead));
        assert_eq!(requests("xyy"), (vec![], None));
        assert_eq!(requests("xx"), (vec![], None));
        assert_eq!(requests("xyn"), (vec![], None));
        assert!(requests("x").1.unwrap().contains("now 3 messages"));
        assert!(requests("X").1.unwrap().contains("now 2 messages"));
        assert!(requests("xy").1.unwrap().contains("Shift-Y"));
    }

    #[test]
    fn a_question_is_about_the_queue_it_was_asked_for() {
        let mut state = state(&["a", "b"]);
        read(&mut state, "a", status());
        press(&mut state, "c");
        state.listed(["b", "a", "0"].map(address).to_vec());
        assert_eq!(press(&mut state, "y"), [Request::Do(Deed::Close, address("a"))]);
        read(&mut state, "a", status());
        press(&mut state, "x");
        state.listed(["b"].map(address).to_vec());
        assert_eq!((state.question(), press(&mut state, "y")), (None, vec![]));
    }

    #[test]
    fn a_question_says_how_many_messages_there_are_now() {
        let mut state = state(&["a"]);
        read(&mut state, "a", Status { dead: 0, ..status() });
        press(&mut state, "X");
        assert!(state.question().unwrap().contains("now 0 messages"));
        read(&mut state, "a", Status { dead: 1, ..status() });
        assert!(state.question().unwrap().contains("now 1 message)"));
    }

    #[test]
    fn nothing_is_ordered_twice_while_it_is_under_way() {
        let mut state = state(&["a"]);
        read(&mut state, "a", status());
        assert_eq!(press(&mut state, "p").len(), 1);
        assert_eq!(press(&mut state, "r"), []);
        assert!(state.notice().unwrap().is_bad);
        state.done(Done { address: address("a"), outcome: Ok("paused".to_owned()) });
        assert_eq!(state.notice().unwrap().text, "paused");
        assert_eq!(press(&mut state, "r").len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_shown_as_such_and_left_alone() {
        let mut state = state(&["a"]);
        read(&mut state, "a", Status { ready: 7, ..status() });
        let outcome = Err(Error::LockTimeout { name: "a".to_owned(), holder: "another process".to_owned() });
        state.read(vec![Reading { address: address("a"), at: Instant::now(), outcome }]);
        let row = state.selected().unwrap();
        assert_eq!((row.state(), row.status.as_ref().unwrap().ready), ("locked", 7));
        assert_eq!(press(&mut state, "pcx"), []);
        read(&mut state, "a", Status { ready: 8, ..status() });
        assert_eq!(state.selected().unwrap().state(), "open");
    }

    #[test]
    fn help_goes_away_with_any_key_that_means_something() {
        let mut state = state(&["a"]);
        read(&mut state, "a", status());
        assert_eq!((press(&mut state, "?"), state.shows_help), (vec![], true));
        assert_eq!((press(&mut state, "p"), state.shows_help), (vec![], false));
        press(&mut state, "?");
        assert_eq!(press(&mut state, "q"), [Request::Quit]);
    }

    #[test]
    fn only_what_is_shown_is_looked_at() {
        let mut state = state(&["a"]);
        let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
        assert_eq!(state.focus().unwrap().shelf, Shelf::Ready);
        state.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE));
        assert_eq!(state.focus().unwrap().shelf, Shelf::Leased);
        let details = Details { focus: state.focus().unwrap(), processes: vec![], messages: vec![] };
        state.looked_into(details);
        assert!(state.details().is_some());
        state.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE));
        assert!(state.details().is_none());
        state.key(enter);
        assert_eq!((state.view, state.focus()), (View::List, None));
        state.key(enter);
        assert_eq!(state.view, View::Details);
        assert!(state.focus().is_some());
    }

    #[test]
    fn silence_is_noticed_and_notices_end() {
        let mut state = state(&["a"]);
        state.tell("something".to_owned(), false);
        let (instant, clock) = state.now;
        state.tick((instant + Duration::from_secs(4), clock));
        assert!(state.silence().is_none() && state.notice().is_some());
        state.tick((instant + Duration::from_secs(9), clock));
        assert!(state.silence().is_some() && state.notice().is_none());
        state.listed(vec![]);
        assert!(state.silence().is_none());
    }
}
