//! Columns under each other, for people and for programs.

use std::fmt;

/// How a terminal shows what is to be noticed (ECMA-48): red, yellow, and as before.
const ALARMING: &str = "\x1b[31m";
const NOTABLE: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// Whether a terminal may be given colours: whoever uses it may have said no.
pub(super) fn may_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

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
    /// The width of a terminal, and the columns that can be left out there, the first of them first.
    fitted: Option<(usize, &'static [usize])>,
}

/// Columns in the making: how wide each is, and what is between them.
struct Layout {
    widths: Vec<usize>,
    /// Whether the numbers of a column are at its right: the heads have to know.
    are_numbers: Vec<bool>,
    are_shown: Vec<bool>,
    gap: usize,
}

/// The first column is not cut to less than this.
const LEAST_WIDTH: usize = 10;
/// Stands for what was cut off.
const CUT: char = '…';

impl Table {
    /// An empty one, which shows colours or not.
    pub(super) fn new(colours: bool) -> Self {
        Table { lines: Vec::new(), colours, fitted: None }
    }

    /// The same on a terminal with so many columns of characters. What does not fit stands closer together, then lacks
    /// some of its columns, `expendable`, and in the end the ends of its first.
    pub(super) fn fit(self, width: usize, expendable: &'static [usize]) -> Self {
        Table { fitted: Some((width, expendable)), ..self }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.lines.push(Line::Row(cells));
    }

    /// A line that is in no columns.
    pub(super) fn line(&mut self, text: String) {
        self.lines.push(Line::Text(text));
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout { widths: Vec::new(), are_numbers: Vec::new(), are_shown: Vec::new(), gap: 2 };
        for line in &self.lines {
            let Line::Row(cells) = line else { continue };
            let columns = layout.widths.len().max(cells.len());
            layout.widths.resize(columns, 0);
            layout.are_numbers.resize(columns, false);
            for (column, cell) in cells.iter().enumerate() {
                layout.widths[column] = cell.text.chars().count().max(layout.widths[column]);
                layout.are_numbers[column] |= cell.is_number;
            }
        }
        layout.are_shown = vec![true; layout.widths.len()];
        if let Some((width, expendable)) = self.fitted {
            layout.fit(width, expendable);
        }
        layout
    }
}

impl Layout {
    fn width(&self) -> usize {
        let shown = self.widths.iter().zip(&self.are_shown).filter(|(_, is_shown)| **is_shown);
        shown.map(|(width, _)| width + self.gap).sum::<usize>().saturating_sub(self.gap)
    }

    fn fit(&mut self, width: usize, expendable: &[usize]) {
        if self.width() > width {
            self.gap = 1;
        }
        for &column in expendable {
            if self.width() > width {
                self.are_shown[column] = false;
            }
        }
        let over = self.width().saturating_sub(width);
        if let Some(first) = self.widths.first_mut() {
            *first = first.saturating_sub(over).max(LEAST_WIDTH.min(*first));
        }
    }
}

/// As much of `text` as there is room for.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain([CUT]).collect()
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = self.layout();
        for line in &self.lines {
            let cells = match line {
                Line::Text(text) => {
                    let width = self.fitted.map_or(usize::MAX, |(width, _)| width);
                    writeln!(f, "{}", cut(text, width))?;
                    continue;
                }
                Line::Row(cells) => cells,
            };
            let last = layout.are_shown[..cells.len()].iter().rposition(|is_shown| *is_shown);
            for (column, cell) in cells.iter().enumerate().filter(|(column, _)| layout.are_shown[*column]) {
                let (before, after) = match cell.colour.filter(|_| self.colours) {
                    Some(colour) => (colour, PLAIN),
                    None => ("", ""),
                };
                let gap = if column == 0 { 0 } else { layout.gap };
                write!(f, "{:gap$}", "")?;
                let text = cut(&cell.text, layout.widths[column]);
                // What is last needs nothing behind it.
                let width = if last == Some(column) && !cell.is_number { 0 } else { layout.widths[column] };
                match layout.are_numbers[column] {
                    true => write!(f, "{before}{text:>width$}{after}")?,
                    false => write!(f, "{before}{text:<width$}{after}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize) -> String {
        let mut table = Table::new(false).fit(width, &[2]);
        table.row(["NAME", "SIZE", "RATE", "STATE"].map(Cell::word).to_vec());
        let number = |number: &str| Cell::number(number.to_owned());
        table.row(vec![Cell::word("a-queue-with-a-name"), number("12"), number("3"), Cell::word("open")]);
        table.line("  held by somebody".to_owned());
        table.to_string()
    }

    #[test]
    fn what_is_too_wide_stands_closer_then_lacks_a_column_and_then_the_ends_of_names() {
        let all = "NAME                 SIZE  RATE  STATE\na-queue-with-a-name    12     3  open\n  held by somebody\n";
        assert_eq!(shown(38), all);
        let closer = "NAME                SIZE RATE STATE\na-queue-with-a-name   12    3 open\n  held by somebody\n";
        assert_eq!((shown(37), shown(35)), (closer.to_owned(), closer.to_owned()));
        let fewer = "NAME                SIZE STATE\na-queue-with-a-name   12 open\n  held by somebody\n";
        assert_eq!(shown(30), fewer);
        assert_eq!(shown(24), "NAME          SIZE STATE\na-queue-with…   12 open\n  held by somebody\n");
        assert_eq!(shown(5), "NAME       SIZE STATE\na-queue-w…   12 open\n  he…\n");
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

    /// So many, in six characters at most.
    pub(crate) fn count(count: u64) -> String {
        let mut value = count as f64;
        if count < 1_000_000 {
            return count.to_string();
        }
        for unit in ["k", "M", "G", "T", "P"] {
            value /= 1000.0;
            if value < 9_999.5 {
                return format!("{value:.0}{unit}");
            }
        }
        format!("{value:.0}P")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn figures_are_short() {
            let counts = [0, 999_999, 1_000_000, 9_999_499, 12_345_678, u64::MAX].map(count);
            assert_eq!(counts, ["0", "999999", "1000k", "9999k", "12M", "18447P"]);
            let shown = [0, 1, 999, 1000, 1024, 10_240, 1 << 20, 67_108_864, 512 << 30, u64::MAX].map(bytes);
            assert_eq!(shown, ["0", "1", "999", "1.0K", "1.0K", "10K", "1.0M", "64M", "512G", "16777216T"]);
            let seconds = [0, 119, 120, 7199, 7200, 172_800].map(|seconds| duration(Duration::from_secs(seconds)));
            assert_eq!(seconds, ["0s", "119s", "2m", "119m", "2h", "2d"]);
            assert_eq!([0.0, 0.04, 3.06, 12.0, 1e6].map(rate), ["0", "0.0", "3.1", "12", "1000000"]);
        }
    }
}
