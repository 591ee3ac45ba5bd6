//! ipcq-segment(5) describes the format that the program has: every field, where it is and how long.

use ipcq::local::{CONTROL_FIELDS, Field, HOT_FIELDS, LOG_FIELDS, OWNER_FIELDS, RECORD_FIELDS, STAMP_FIELDS};
use std::path::PathBuf;

/// The page's sections that list fields, and the constants they describe.
const TABLES: [(&str, &[Field]); 6] = [
    ("The stamp", STAMP_FIELDS),
    ("The hot words", HOT_FIELDS),
    ("The control words", CONTROL_FIELDS),
    ("The redo log", LOG_FIELDS),
    ("Owners", OWNER_FIELDS),
    ("Frames", RECORD_FIELDS),
];

#[test]
fn the_manual_lists_the_fields_of_the_program_and_no_others() {
    let page = page();
    for (section, fields) in TABLES {
        let constants: Vec<_> = fields.iter().map(described).collect();
        assert_eq!(
            documented(&page, section),
            constants,
            "section '{section}' of man/ipcq-segment.5, against the code"
        );
    }
}

#[test]
fn no_field_is_listed_in_another_section() {
    let listed = page().lines().filter(|line| entry(line).is_some()).count();
    assert_eq!(listed, TABLES.iter().map(|(_, fields)| fields.len()).sum::<usize>());
}

fn page() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man/ipcq-segment.5");
    std::fs::read_to_string(path).expect("man/ipcq-segment.5 can be read")
}

fn described(field: &Field) -> String {
    format!("{}, {} {}", field.offset, field.bytes, field.name)
}

/// The fields that a section lists: `.It OFFSET, BYTES`, and on the next line `.Sy NAME .`.
fn documented(page: &str, section: &str) -> Vec<String> {
    let heading = format!(".Ss {section}");
    let mut lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let mut fields = Vec::new();
    while let Some(line) = lines.next().filter(|line| !line.starts_with(".Ss ") && !line.starts_with(".Sh ")) {
        if let Some(place) = entry(line) {
            let name = lines.next().and_then(|line| line.strip_prefix(".Sy ")?.strip_suffix(" ."));
            fields.push(format!("{place} {}", name.expect("the name of a field follows its place")));
        }
    }
    fields
}

/// The place in a line that starts a field, as `512, 8`.
fn entry(line: &str) -> Option<&str> {
    let place = line.strip_prefix(".It ")?;
    let (offset, bytes) = place.split_once(", ")?;
    [offset, bytes].iter().all(|number| number.parse::<u64>().is_ok()).then_some(place)
}
