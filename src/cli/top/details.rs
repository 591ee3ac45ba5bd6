//! The details of the selected queue: how it went of late, what has happened, who waits and who holds messages, and the
//! first messages.

use super::super::stat::age;
use super::super::table::for_people;
use super::history::Series;
use super::look::Look;
use super::state::{Row, SHELVES, State};
use crate::queue::Status;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, Wrap};

/// Width of what is said about a curve before it and after it.
const LABEL: u16 = 7;
const VALUE: u16 = 24;

/// Draws the details, as many of them as there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let Some(row) = state.selected().filter(|_| !area.is_empty()) else { return };
    let [title, area] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    frame.render_widget(head(row, title.width, look), title);
    let area = match &row.trouble {
        None => area,
        Some(trouble) => {
            let sentence = Paragraph::new(trouble.sentence.as_str()).style(look.alarming()).wrap(Wrap { trim: true });
            // A line more than its characters need, for lines end between words.
            let lines = trouble.sentence.chars().count() / usize::from(area.width.max(1)) + 2;
            let height = Constraint::Length(u16::try_from(lines).unwrap_or(u16::MAX).min(area.height));
            let [first, rest] = Layout::vertical([height, Constraint::Fill(1)]).areas(area);
            frame.render_widget(sentence, first);
            rest
        }
    };
    let Some(status) = &row.status else { return };
    // On a high screen the curves are higher.
    let curve = if area.height >= 30 { 3 } else { 1 };
    let [depth, put, got, figures, rest] = Layout::vertical([
        Constraint::Length(curve),
        Constraint::Length(curve),
        Constraint::Length(curve),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    self::curve(frame, depth, "depth", &row.history.depth, |depth| for_people::count(depth as u64), look);
    self::curve(frame, put, "put/s", &row.history.put, for_people::rate, look);
    self::curve(frame, got, "got/s", &row.history.got, for_people::rate, look);
    frame.render_widget(counts(status), figures);
    processes_and_messages(frame, rest, state, look);
}

fn head(row: &Row, width: u16, look: Look) -> Line<'static> {
    let fullness = row.status.as_ref().map_or(String::new(), |status| {
        let (bytes, capacity) = (for_people::bytes(status.bytes), for_people::bytes(status.capacity));
        let oldest =
            status.oldest.map_or(String::new(), |oldest| format!(", oldest {}", for_people::duration(age(oldest))));
        let most = status.max_items.map_or(String::new(), |most| format!(", at most {most} messages"));
        format!("{bytes} of {capacity} used{most}{oldest}")
    });
    let text = format!("{}  {}  {fullness} ", row.address, row.state());
    let rule = usize::from(width).saturating_sub(Span::raw(&text).width());
    Line::from_iter([Span::styled(text, look.head()), Span::raw("─".repeat(rule))])
}

/// A figure as it was of late, now, and at most.
fn curve(frame: &mut Frame<'_>, area: Rect, name: &str, series: &Series, show: fn(f64) -> String, look: Look) {
    let [label, curve, value] =
        Layout::horizontal([Constraint::Length(LABEL), Constraint::Fill(1), Constraint::Length(VALUE)]).areas(area);
    frame.render_widget(Line::from(format!(" {name}")), label);
    let values: Vec<f64> = series.last(curve.width.into()).collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    // Thousandths, for a curve is drawn from whole numbers.
    let points: Vec<u64> = values.iter().map(|value| (value * 1000.0) as u64).collect();
    let length = points.len() as u16;
    // It grows from the right, where now is.
    let part = Rect { x: curve.x + (curve.width - length), width: length, ..curve };
    frame.render_widget(Sparkline::default().data(points).style(look.curve()), part);
    let now = series.now().map_or("-".to_owned(), show);
    frame.render_widget(Line::from(format!(" now {now}, most {}", show(most))), value);
}

fn counts(status: &Status) -> Line<'static> {
    let counts = [
        (" put", status.put),
        ("got", status.got),
        ("returned", status.returned),
        ("expired", status.expired),
        ("died", status.died),
        ("purged", status.purged),
    ];
    let counts = counts.map(|(name, count)| format!("{name} {}", for_people::count(count)));
    Line::from(counts.join("  "))
}

fn processes_and_messages(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let Some(details) = state.details() else { return };
    let processes = details.processes.len().max(1) as u16;
    // Half of the place is for the messages and what they are called, or what the processes leave.
    let messages = area.height.saturating_sub(processes).max(area.height.div_ceil(2));
    let [above, kinds, below] = Layout::vertical([
        Constraint::Length(area.height - messages.min(area.height)),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    if details.processes.is_empty() {
        frame.render_widget(Line::from(" nobody waits, and nobody holds messages"), above);
    }
    lines(frame, above, &details.processes, "");
    let spans = SHELVES.iter().enumerate().flat_map(|(index, (_, name))| {
        let style = if index == state.shelf_index() { look.reversed() } else { Style::new() };
        [Span::raw(" "), Span::styled(format!(" {name} "), style)]
    });
    frame.render_widget(spans.collect::<Line<'_>>(), kinds);
    if details.messages.is_empty() {
        frame.render_widget(Line::from("  no messages"), below);
    }
    lines(frame, below, &details.messages, "  ");
}

/// As many lines as there is room for, and how many there are besides.
fn lines(frame: &mut Frame<'_>, area: Rect, lines: &[String], indent: &str) {
    let height = usize::from(area.height);
    let shown = if lines.len() > height { height.saturating_sub(1) } else { lines.len() };
    let more = (shown < lines.len()).then(|| format!("  ... {} more", lines.len() - shown));
    let lines = lines.iter().take(shown).map(|line| format!("{indent}{line}"));
    for (line, row) in lines.chain(more).zip(area.rows()) {
        frame.render_widget(Line::from(line), row);
    }
}

#[cfg(test)]
mod tests {
    use super::super::news::Details;
    use super::super::tests::{read, screen, state, status};
    use super::*;
    use crate::queue::Status;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    fn look_into(state: &mut State, processes: usize, messages: usize) {
        let lines = |what: &str, count: usize| (0..count).map(|number| format!("{what} {number}")).collect();
        let focus = state.focus().unwrap();
        state.looked_into(Details {
            focus,
            processes: lines("process", processes),
            messages: lines("message", messages),
        });
    }

    #[test]
    fn who_waits_and_what_is_first_is_shown_below_the_curves() {
        let mut state = state(&["jobs"]);
        read(&mut state, "jobs", Status { put: 7, got: 4, ready: 3, bytes: 30, ..status() });
        look_into(&mut state, 1, 2);
        let shown = screen(&state, 80, 24);
        assert!(shown.contains("jobs  open  30 of 64M used ──"), "{shown}");
        assert!(shown.contains("\n depth ") && shown.contains("now 3, most 3"), "{shown}");
        assert!(shown.contains("\n put 7  got 4  returned 0"), "{shown}");
        assert!(shown.contains("\nprocess 0"), "{shown}");
        assert!(shown.contains("\n  ready   leased   delayed   dead"), "{shown}");
        assert!(shown.contains("\n  message 0\n  message 1\n"), "{shown}");
    }

    #[test]
    fn of_many_lines_the_rest_is_counted_and_messages_have_a_place() {
        let mut state = state(&["jobs"]);
        read(&mut state, "jobs", status());
        look_into(&mut state, 40, 40);
        for height in [16, 24, 50] {
            let shown = screen(&state, 80, height);
            assert!(shown.contains("\nprocess 0") && shown.contains("\n  message 0"), "{shown}");
            assert_eq!(shown.matches(" more\n").count(), 2, "{shown}");
        }
    }

    #[test]
    fn what_was_seen_of_another_shelf_is_not_shown() {
        let mut state = state(&["jobs"]);
        read(&mut state, "jobs", status());
        look_into(&mut state, 1, 1);
        state.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE));
        assert!(!screen(&state, 80, 24).contains("message 0"));
    }
}
