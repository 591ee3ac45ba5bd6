//! ipcq-guarantees(7) names a test for every promise, and the tests that it names exist.

use std::path::Path;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/ipcq-guarantees.7");
    std::fs::read_to_string(path).expect("man/ipcq-guarantees.7 can be read")
}

/// The files that a part of the page names: `.Pa FILE`, perhaps with a mark behind it.
fn files(part: &str) -> Vec<&str> {
    part.lines().filter_map(|line| line.strip_prefix(".Pa ")?.split(' ').next()).collect()
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = page();
    let files = files(&page);
    assert!(files.len() > 15);
    for file in files {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "there is no {file}");
    }
}

#[test]
fn every_promise_names_a_test() {
    let page = page();
    let promises: Vec<_> = page.split(".Sh ASSUMPTIONS").next().expect("a beginning").split(".Ss ").skip(1).collect();
    assert!(promises.len() >= 8);
    for promise in promises {
        let heading = promise.lines().next().expect("a heading");
        let relies_on_another = heading.starts_with("2.") && promise.contains("Tested by the same");
        assert!(!files(promise).is_empty() || relies_on_another, "{heading}");
    }
}
