//! The table and the picture as files, for each kind of processor its own: what is faster than what depends on it.

use crate::report::{self, Report, Row};
use crate::{machine, peers, picture};
use std::path::Path;

/// Writes both into `directory`, with the parts in that order. Rows of other parts that are there already, measured on a
/// machine like this, stay.
pub(crate) fn save(report: &Report, order: &[&str], directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    let name = machine::name();
    let path = directory.join(format!("{name}.md"));
    let machine = machine::description();
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let mut rows = report.rows.clone();
    if before.contains(&machine) {
        let measured_now = |row: &Row| report.rows.iter().any(|new| new.part == row.part);
        rows.extend(before.lines().filter_map(Row::parse).filter(|row| !measured_now(row)));
    }
    rows.sort_by_key(|row| order.iter().position(|part| *part == row.part));
    let table: String = rows.iter().map(|row| row.line() + "\n").collect();
    let text = format!(
        "# Measured\n\nOn: {machine}\n\n{}\n\n![the ratios as bars]({name}.svg)\n\n{}\n{table}\n{}",
        report::explanation(),
        report::head(),
        peers::promises(),
    );
    std::fs::write(path, text).unwrap();
    std::fs::write(directory.join(format!("{name}.svg")), picture::draw(&rows, &machine)).unwrap();
}
