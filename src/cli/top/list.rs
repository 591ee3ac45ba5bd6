//! The list of queues: a line for each, with as many columns as there is room for.

use super::super::stat::age;
use super::super::table::for_people;
use super::look::Look;
use super::state::{Order, Row, State};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Sparkline;

/// What a name has at least, in characters.
const NAME: u16 = 14;

/// What a column shows.
#[derive(Clone, Copy)]
enum Content {
    Name,
    Word(fn(&Row) -> String),
    Number(fn(&Row) -> String),
    /// The depth, as it was of late.
    Depth,
}

struct Column {
    head: &'static str,
    width: u16,
    /// The larger, the earlier it gives way to others.
    rank: u8,
    order: Option<Order>,
    content: Content,
}

const COLUMNS: [Column; 11] = [
    Column { head: "NAME", width: NAME, rank: 0, order: Some(Order::Name), content: Content::Name },
    Column { head: "READY", width: 6, rank: 0, order: Some(Order::Ready), content: Content::Number(ready) },
    Column { head: "LEASED", width: 6, rank: 3, order: Some(Order::Leased), content: Content::Number(leased) },
    Column { head: "DELAYED", width: 7, rank: 6, order: Some(Order::Delayed), content: Content::Number(delayed) },
    Column { head: "DEAD", width: 6, rank: 2, order: Some(Order::Dead), content: Content::Number(dead) },
    Column { head: "DEPTH", width: 8, rank: 5, order: None, content: Content::Depth },
    Column { head: "PUT/S", width: 6, rank: 4, order: Some(Order::PutRate), content: Content::Number(put_rate) },
    Column { head: "GOT/S", width: 6, rank: 4, order: Some(Order::GotRate), content: Content::Number(got_rate) },
    Column { head: "USED", width: 4, rank: 8, order: Some(Order::Used), content: Content::Number(used) },
    Column { head: "OLDEST", width: 6, rank: 7, order: Some(Order::Oldest), content: Content::Number(oldest) },
    Column { head: "STATE", width: 10, rank: 1, order: Some(Order::State), content: Content::Word(state) },
];

/// Draws the list, the selected queue in its middle if it does not fit.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, all: &State, look: Look) {
    let mut lines = area.rows();
    let Some(heads) = lines.next() else { return };
    let columns = places(area.width);
    for (column, x, width) in &columns {
        // An arrow points at what the queues are sorted by.
        let arrow = match all.is_reversed {
            _ if column.order != Some(all.order) => "",
            true => "^",
            false => "v",
        };
        let is_number = matches!(column.content, Content::Number(_));
        let (head, gap) = (format!("{}{arrow}", column.head), u16::from(is_number && column.order == Some(all.order)));
        // The arrow of a number stands in the gap before the next column.
        put(frame, Rect { x: *x, width: *width + gap, ..heads }, head, is_number, look.head());
    }
    let nothing = match &all.unlisted {
        Some(why) => Some(why.as_str()),
        None if all.rows().len() == 0 => Some("no queues (make one with 'ipcq create NAME')"),
        None => None,
    };
    if let Some(text) = nothing {
        lines.take(1).for_each(|line| frame.render_widget(Line::from(text), line));
        return;
    }
    let height = usize::from(area.height - 1);
    let first = all.selected_index().saturating_sub(height / 2).min(all.rows().len().saturating_sub(height));
    for ((index, row), line) in all.rows().enumerate().skip(first).zip(lines) {
        for (column, x, width) in &columns {
            let cell = Rect { x: *x, width: *width, ..line };
            match column.content {
                Content::Name => put(frame, cell, row.address.to_string(), false, Style::new()),
                Content::Word(text) => put(frame, cell, text(row), false, style(column, row, look)),
                Content::Number(text) => put(frame, cell, text(row), true, style(column, row, look)),
                Content::Depth => {
                    let depths: Vec<u64> = row.history.depth.last(width.to_owned().into()).map(|d| d as u64).collect();
                    // It grows from the right, where now is.
                    let length = depths.len() as u16;
                    let cell = Rect { x: cell.x + (width - length), width: length, ..cell };
                    frame.render_widget(Sparkline::default().data(depths).style(look.curve()), cell);
                }
            }
        }
        if index == all.selected_index() {
            frame.buffer_mut().set_style(line, look.reversed());
        }
    }
}

/// The columns that fit, each with where it is and how wide; what is left is for the name.
fn places(width: u16) -> Vec<(&'static Column, u16, u16)> {
    let mut shown: Vec<&Column> = COLUMNS.iter().collect();
    // A gap of one between two columns.
    let needed = |shown: &[&Column]| shown.iter().map(|column| column.width + 1).sum::<u16>().saturating_sub(1);
    while needed(&shown) > width {
        let Some(least) = shown.iter().map(|column| column.rank).max().filter(|rank| *rank > 0) else { break };
        shown.retain(|column| column.rank < least);
    }
    let spare = width.saturating_sub(needed(&shown));
    let mut x = 0;
    let place = |column: &'static Column| {
        let width = column.width + if matches!(column.content, Content::Name) { spare.min(40) } else { 0 };
        let place = (column, x, width);
        x += width + 1;
        place
    };
    shown.into_iter().map(place).collect()
}

/// Writes a text into a cell, of which it may not fit all.
fn put(frame: &mut Frame<'_>, cell: Rect, text: String, is_number: bool, style: Style) {
    let cell = cell.intersection(frame.area());
    if cell.is_empty() {
        return;
    }
    let line = Line::styled(text, style);
    let length = line.width();
    let is_cut = length > usize::from(cell.width);
    frame.render_widget(if is_number { line.right_aligned() } else { line }, cell);
    if is_cut && let Some(last) = frame.buffer_mut().cell_mut(Position::new(cell.right() - 1, cell.y)) {
        last.set_symbol("…");
    }
}

/// What is to be noticed.
fn style(column: &Column, row: &Row, look: Look) -> Style {
    match (column.order, &row.trouble, &row.status) {
        (Some(Order::State), Some(_), _) => look.alarming(),
        (Some(Order::State), None, Some(_)) if row.state() != "open" => look.notable(),
        (Some(Order::Dead), _, Some(status)) if status.dead > 0 => look.alarming(),
        _ => Style::new(),
    }
}

fn figure(row: &Row, show: impl FnOnce(&crate::queue::Status) -> String) -> String {
    row.status.as_ref().map_or(String::new(), show)
}

fn ready(row: &Row) -> String {
    figure(row, |status| for_people::count(status.ready))
}

fn leased(row: &Row) -> String {
    figure(row, |status| for_people::count(status.leased))
}

fn delayed(row: &Row) -> String {
    figure(row, |status| for_people::count(status.delayed))
}

fn dead(row: &Row) -> String {
    figure(row, |status| for_people::count(status.dead))
}

fn put_rate(row: &Row) -> String {
    figure(row, |status| for_people::rate(status.put_rate))
}

fn got_rate(row: &Row) -> String {
    figure(row, |status| for_people::rate(status.got_rate))
}

fn used(row: &Row) -> String {
    figure(row, |status| for_people::bytes(status.bytes))
}

fn oldest(row: &Row) -> String {
    figure(row, |status| status.oldest.map_or(String::new(), |oldest| for_people::duration(age(oldest))))
}

fn state(row: &Row) -> String {
    row.state().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, screen, state, status};
    use super::*;
    use crate::queue::Status;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn heads(width: u16) -> Vec<&'static str> {
        places(width).iter().map(|(column, ..)| column.head).collect()
    }

    #[test]
    fn the_wider_the_screen_the_more_columns_there_are() {
        assert_eq!(heads(40), ["NAME", "READY", "DEAD", "STATE"]);
        assert_eq!(heads(80), ["NAME", "READY", "LEASED", "DELAYED", "DEAD", "DEPTH", "PUT/S", "GOT/S", "STATE"]);
        assert_eq!(heads(200).len(), COLUMNS.len());
        for width in 40..200 {
            let places = places(width);
            let (_, x, last) = places.last().unwrap();
            assert!(x + last <= width, "{width}");
            for pair in places.windows(2) {
                assert_eq!(pair[0].1 + pair[0].2 + 1, pair[1].1);
            }
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_visibly() {
        let state = state(&["a-name-that-is-much-too-long-for-a-narrow-screen"]);
        let shown = screen(&state, 40, 24);
        assert!(shown.lines().nth(2).unwrap().starts_with("a-name-that-is… "), "{shown}");
    }

    #[test]
    fn the_depth_rises_and_falls() {
        let mut state = state(&["jobs"]);
        for ready in [0, 4, 8, 4] {
            read(&mut state, "jobs", Status { ready, ..status() });
        }
        let shown = screen(&state, 80, 24);
        assert!(shown.lines().nth(2).unwrap().contains(" ▄█▄ "), "{shown}");
    }

    #[test]
    fn what_is_selected_is_on_the_screen() {
        let names: Vec<String> = (0..100).map(|number| format!("q{number:02}")).collect();
        let mut state = state(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let shows = |all: &State| {
            let selected = all.selected().unwrap().address.to_string();
            screen(all, 80, 24).lines().skip(2).take(10).any(|line| line.starts_with(&selected))
        };
        for _ in 0..100 {
            assert!(shows(&state));
            state.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
        }
        assert!(screen(&state, 80, 24).contains("\nq99"));
        for _ in 0..100 {
            assert!(shows(&state));
            state.key(KeyEvent::new(KeyCode::Up, KeyModifiers::NONE));
        }
    }

    #[test]
    fn without_queues_it_says_how_to_make_one() {
        assert!(screen(&state(&[]), 80, 24).contains("ipcq create NAME"));
        let mut without = state(&[]);
        without.unlisted("no such place".to_owned());
        assert!(screen(&without, 80, 24).contains("no such place"));
    }
}
