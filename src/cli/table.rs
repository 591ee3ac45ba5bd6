//! Columns under each other, for people and for programs.

use std::fmt;

/// How a terminal shows what is to be noticed (ECMA-48): red, yellow, and as before.
const ALARMING: &str = "\x1b[31m";
const NOTABLE: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// What is in one column of one row.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    is_number: bool,
    colour: Option<&'static str>,
}

impl Cell {
    /// A word, at the left of its column.
    pub(super) fn word(text: &str) -> Self {
        Cell { text: text.to_owned(), is_number: false, colour: None }
    }

    /// A number, at the right of its column.
    pub(super) fn number(text: String) -> Self {
        Cell { text, is_number: true, colour: None }
    }

    /// Something that went wrong.
    pub(super) fn alarming(self) -> Self {
        Cell { colour: Some(ALARMING), ..self }
    }

    /// Something that is not as usual.
    pub(super) fn notable(self) -> Self {
        Cell { colour: Some(NOTABLE), ..self }
    }
}

enum Line {
    Row(Vec<Cell>),
    Text(String),
}

/// Rows of the same columns, and lines between them.
pub(super) struct Table {
    lines: Vec<Line>,
    colours: bool,
}

impl Table {
    /// An empty one, which shows colours or not.
    pub(super) fn new(colours: bool) -> Self {
        Table { lines: Vec::new(), colours }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.lines.push(Line::Row(cells));
    }

    /// A line that is in no columns.
    pub(super) fn line(&mut self, text: String) {
        self.lines.push(Line::Text(text));
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for line in &self.lines {
            let Line::Row(cells) = line else { continue };
            widths.resize(widths.len().max(cells.len()), 0);
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.text.chars().count().max(*width);
            }
        }
        widths
    }

    /// Whether the numbers of a column are at its right: the heads have to know.
    fn is_of_numbers(&self, column: usize) -> bool {
        self.lines.iter().any(|line| matches!(line, Line::Row(cells) if cells.get(column).is_some_and(|c| c.is_number)))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for line in &self.lines {
            let cells = match line {
                Line::Text(text) => {
                    writeln!(f, "{text}")?;
                    continue;
                }
                Line::Row(cells) => cells,
            };
            for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
                let (before, after) = match cell.colour.filter(|_| self.colours) {
                    Some(colour) => (colour, PLAIN),
                    None => ("", ""),
                };
                f.write_str(if column == 0 { "" } else { "  " })?;
                // What is last needs nothing behind it.
                let width = if column + 1 == cells.len() && !cell.is_number { 0 } else { width };
                match self.is_of_numbers(column) {
                    true => write!(f, "{before}{:>width$}{after}", cell.text)?,
                    false => write!(f, "{before}{:<width$}{after}", cell.text)?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Figures as people read them.
pub(super) mod for_people {
    use std::time::Duration;

    /// Bytes in three figures and a unit.
    pub(crate) fn bytes(bytes: u64) -> String {
        let mut value = bytes as f64;
        for unit in ["", "K", "M", "G"] {
            if value < 999.5 {
                let decimals = usize::from(value < 9.95 && !unit.is_empty());
                return format!("{value:.decimals$}{unit}");
            }
            value /= 1024.0;
        }
        format!("{value:.0}T")
    }

    /// A time in its largest unit.
    pub(crate) fn duration(duration: Duration) -> String {
        match duration.as_secs() {
            0..=119 => format!("{}s", duration.as_secs()),
            120..=7199 => format!("{}m", duration.as_secs() / 60),
            7200..=172_799 => format!("{}h", duration.as_secs() / 3600),
            seconds => format!("{}d", seconds / 86_400),
        }
    }

    /// So many a second.
    pub(crate) fn rate(rate: f64) -> String {
        if rate == 0.0 {
            "0".to_owned()
        } else if rate < 9.95 {
            format!("{rate:.1}")
        } else {
            format!("{rate:.0}")
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn figures_are_short() {
            let shown = [0, 1, 999, 1000, 1024, 10_240, 1 << 20, 67_108_864, 512 << 30, u64::MAX].map(bytes);
            assert_eq!(shown, ["0", "1", "999", "1.0K", "1.0K", "10K", "1.0M", "64M", "512G", "16777216T"]);
            let seconds = [0, 119, 120, 7199, 7200, 172_800].map(|seconds| duration(Duration::from_secs(seconds)));
            assert_eq!(seconds, ["0s", "119s", "2m", "119m", "2h", "2d"]);
            assert_eq!([0.0, 0.04, 3.06, 12.0, 1e6].map(rate), ["0", "0.0", "3.1", "12", "1000000"]);
        }
    }
}
