//! The table: a row for each comparison, printed as it is measured.

use crate::contest::Compared;
use crate::machine;
use std::fmt;

/// What a cost is a cost of, and so how it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// Seconds a message, shown as messages a second.
    MessageRate,
    /// Seconds a byte, shown as bytes a second.
    ByteRate,
    /// Seconds.
    Time,
    /// Bytes.
    Bytes,
}

impl Unit {
    fn show(self, cost: f64) -> String {
        match self {
            Unit::MessageRate => scaled(1.0 / cost, "/s", &RATES),
            Unit::ByteRate => scaled(1.0 / cost, "B/s", &RATES),
            Unit::Time => scaled(cost, "s", &TIMES),
            Unit::Bytes => scaled(cost, "B", &RATES),
        }
    }
}

const RATES: [(f64, &str); 4] = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
const TIMES: [(f64, &str); 4] = [(1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")];

/// In the largest unit of which there is at least one.
fn scaled(value: f64, unit: &str, scales: &[(f64, &str)]) -> String {
    let (scale, prefix) = scales.iter().find(|(scale, _)| value >= *scale).unwrap_or(&scales[scales.len() - 1]);
    format!("{} {prefix}{unit}", three_digits(value / scale))
}

/// Three digits that count, and no more than there are in front of the point.
fn three_digits(value: f64) -> String {
    let before_point = if value > 0.0 { value.log10().floor() as i32 + 1 } else { 1 };
    format!("{value:.*}", (3 - before_point).clamp(0, 6) as usize)
}

/// What a ratio has to come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bar {
    /// What ipcq costs is at most this multiple of what the other costs.
    AtMost(f64),
    /// ipcq is at least so many times as fast.
    TimesAsFast(f64),
}

impl Bar {
    pub(crate) fn holds(self, ratio: f64) -> bool {
        ratio <= self.ratio()
    }

    /// The most that the ratio of costs may be.
    pub(crate) fn ratio(self) -> f64 {
        match self {
            Bar::AtMost(most) => most,
            Bar::TimesAsFast(least) => 1.0 / least,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (relation, number) = text.split_once(' ')?;
        match relation {
            "≤" => number.parse().ok().map(Bar::AtMost),
            "≥" => number.strip_suffix('x')?.parse().ok().map(Bar::TimesAsFast),
            _ => None,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bar::AtMost(most) => write!(f, "≤ {most}"),
            Bar::TimesAsFast(least) => write!(f, "≥ {least}x"),
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The part of the bench that it belongs to.
    pub(crate) part: String,
    /// What was done.
    pub(crate) what: String,
    /// What else did it.
    pub(crate) other: String,
    ours: String,
    theirs: String,
    /// What ipcq costs as a multiple of what the other does.
    pub(crate) ratio: f64,
    pub(crate) bar: Option<Bar>,
    /// When it was measured.
    date: String,
}

const HEAD: [&str; 10] = ["part", "what", "against", "ipcq", "other", "ratio", "faster", "bar", "holds", "measured"];
const WIDTHS: [usize; 10] = [8, 45, 39, 9, 9, 8, 8, 7, 5, 10];

impl Row {
    pub(crate) fn holds(&self) -> Option<bool> {
        self.bar.map(|bar| bar.holds(self.ratio))
    }

    /// How many times as fast ipcq is; nothing if it costs nothing.
    pub(crate) fn faster(&self) -> String {
        if self.ratio > 0.0 { format!("{}x", three_digits(1.0 / self.ratio)) } else { String::new() }
    }

    fn cells(&self) -> [String; 10] {
        [
            self.part.clone(),
            self.what.clone(),
            self.other.clone(),
            self.ours.clone(),
            self.theirs.clone(),
            three_digits(self.ratio),
            self.faster(),
            self.bar.map_or(String::new(), |bar| bar.to_string()),
            self.holds().map_or(String::new(), |holds| if holds { "yes" } else { "NO" }.to_owned()),
            self.date.clone(),
        ]
    }

    /// The line of the table.
    pub(crate) fn line(&self) -> String {
        line(&self.cells())
    }

    /// The row that a line of the table shows, if it shows one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [part, what, other, ours, theirs, ratio, _, bar, _, date] = cells.try_into().ok()?;
        Some(Row {
            part: part.to_owned(),
            what: what.to_owned(),
            other: other.to_owned(),
            ours: ours.to_owned(),
            theirs: theirs.to_owned(),
            ratio: ratio.parse().ok()?,
            bar: Bar::parse(bar),
            date: date.to_owned(),
        })
    }
}

fn line(cells: &[impl AsRef<str>; 10]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let cell = cell.as_ref();
        // Padding counts bytes' worth of characters, not bytes.
        line.push_str(&format!("| {cell}{} ", " ".repeat(width.saturating_sub(cell.chars().count()))));
    }
    line + "|"
}

/// The first two lines of the table.
pub(crate) fn head() -> String {
    format!("{}\n{}", line(&HEAD), line(&WIDTHS.map(|width| "-".repeat(width))))
}

/// What has been measured so far.
pub(crate) struct Report {
    part: String,
    pub(crate) rows: Vec<Row>,
    skipped: Vec<String>,
}

impl Report {
    /// An empty table; prints its head.
    pub(crate) fn new() -> Self {
        println!("{}\n", explanation());
        println!("{}", head());
        Report { part: String::new(), rows: Vec::new(), skipped: Vec::new() }
    }

    /// The rows from here on belong to that part.
    pub(crate) fn start_part(&mut self, part: &str) {
        part.clone_into(&mut self.part);
    }

    /// Adds a row: what was done, against what, and what it cost.
    pub(crate) fn row(&mut self, what: &str, other: &str, unit: Unit, compared: Compared, bar: Option<Bar>) {
        let row = Row {
            part: self.part.clone(),
            what: what.to_owned(),
            other: other.to_owned(),
            ours: unit.show(compared.ours),
            theirs: unit.show(compared.theirs),
            // As it will be read back.
            ratio: three_digits(compared.ratio).parse().unwrap(),
            bar,
            date: machine::today(),
        };
        println!("{}", row.line());
        self.rows.push(row);
    }

    /// Notes what was not measured, and why.
    pub(crate) fn skip(&mut self, why: &str) {
        let why = format!("skipped: {why}");
        if !self.skipped.contains(&why) {
            println!("{why}");
            self.skipped.push(why);
        }
    }

    /// Says how the bars went.
    pub(crate) fn conclude(&self) {
        let judged: Vec<_> = self.rows.iter().filter_map(Row::holds).collect();
        let held = judged.iter().filter(|holds| **holds).count();
        println!("\n{held} of {} bars hold.", judged.len());
    }
}

/// How the table is to be read.
pub(crate) fn explanation() -> &'static str {
    "Medians of runs in turn. `ratio` is what ipcq costs as a multiple of what the other costs, in the same run: below 1,\n\
     ipcq is cheaper; `faster` is the same the other way round. A bar is what we want it to come to."
}
