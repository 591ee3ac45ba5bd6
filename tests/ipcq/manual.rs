//! What people have written for the manual pages: a roff file for each command, and one for the program, in manual/.
//!
//! A file begins with the section DESCRIPTION. Its further sections, which nobody can read off the definition of the
//! command line, follow the options. What several pages say is in a file of its own, which they include with `.so`.

use std::fs;
use std::path::Path;

/// Where the files are.
pub(crate) const FOLDER: &str = "tests/ipcq/manual";

/// The written part of one page.
pub(crate) struct Written {
    /// The section DESCRIPTION.
    pub(crate) description: String,
    /// Whole sections that follow OPTIONS.
    pub(crate) sections: String,
}

/// The written part of the page of `command`; of `ipcq` for the page of the program.
pub(crate) fn written(command: &str) -> Written {
    let file = format!("{command}.roff");
    let mut description = with_included(&file);
    assert!(description.starts_with(".SH DESCRIPTION\n"), "{FOLDER}/{file} does not begin with '.SH DESCRIPTION'");
    let end = description.find("\n.SH ").map_or(description.len(), |newline| newline + 1);
    let sections = description.split_off(end);
    Written { description, sections }
}

/// The text of a file, with that of another in place of each line `.so FILE`, as roff has it.
fn with_included(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(file);
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{FOLDER}/{file} cannot be read: {error}"));
    let lines = text.lines().map(|line| match line.strip_prefix(".so ") {
        Some(included) => with_included(included),
        None => format!("{line}\n"),
    });
    lines.collect()
}
