//! Every command in README.md does what is written there, in every shell that it may be pasted into.

use crate::harness::{Sandbox, have};
use crate::server::Server;
use std::collections::BTreeSet;
use std::path::Path;

/// A block of code: what is written after its first three backticks, and its lines.
struct Block {
    kind: String,
    text: String,
}

#[test]
fn the_recipes_print_what_is_written_after_them() {
    for shell in [&["sh"][..], &["bash"], &["dash"], &["zsh"], &["busybox", "sh"]] {
        if !have(shell[0]) {
            continue;
        }
        let blocks = blocks();
        let mut recipes = 0;
        for (index, block) in blocks.iter().enumerate().filter(|(_, block)| block.kind == "sh") {
            let sandbox = Sandbox::new();
            if let Some(makefile) = index.checked_sub(1).map(|before| &blocks[before])
                && makefile.kind == "make"
            {
                std::fs::write(sandbox.path("Makefile"), &makefile.text).expect("a file can be written");
            }
            let shown = blocks.get(index + 1).filter(|after| after.kind == "text").map(|after| after.text.as_str());
            let mut command = sandbox.program(shell[0]);
            let output = command.args(&shell[1..]).args(["-e", "-c", &block.text]).output().expect("the shell starts");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?} with\n{}", block.text);
            assert_eq!(String::from_utf8_lossy(&output.stdout), shown.unwrap_or(""), "{shell:?} with\n{}", block.text);
            assert!(output.status.success(), "{shell:?} with\n{}", block.text);
            recipes += 1;
        }
        assert!(recipes >= 12, "{recipes} recipes were found");
    }
}

#[test]
fn what_is_said_of_speed_is_what_was_measured() {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(top.join(path)).expect("the file is there");
    let measured = ["intel-xeon-processor", "amd-epyc"].map(|machine| {
        let measured = read(&format!("tests/bench/results/{machine}.md"));
        let rows = measured.lines().filter_map(|line| {
            let [_, _, what, against, _, _, ratio, ..] = &cells(line)[..] else { return None };
            Some([what.clone(), against.clone(), ratio.clone()])
        });
        rows.collect::<BTreeSet<_>>()
    });
    let readme = read("README.md");
    let claims = readme.lines().skip_while(|line| !line.starts_with("| what")).take_while(|line| line.starts_with('|'));
    let claims: Vec<_> = claims.skip(2).map(cells).collect();
    assert!(claims.len() > 5, "{claims:?}");
    for claim in claims {
        let [_, what, against, ratios @ .., _] = &claim[..] else { panic!("{claim:?} is no claim") };
        assert_eq!(ratios.len(), measured.len(), "{claim:?}");
        for (measured, ratio) in measured.iter().zip(ratios) {
            let claim = [what.clone(), against.clone(), ratio.clone()];
            assert!(measured.contains(&claim), "{claim:?} is not in tests/bench/results: write what is there");
        }
    }
}

#[test]
fn what_is_said_of_servers_works() {
    let Some(server) = Server::start("") else { return };
    let port = server.listen().to_string();
    let block = blocks().into_iter().find(|block| block.kind == "sh server").expect("the README has it");
    let done = Sandbox::new().sh(&block.text.replace("6379", &port));
    assert_eq!((done.code, done.text(), done.err.as_str()), (0, "Dear reader\n", ""));
}

#[test]
fn what_cron_is_told_to_run_works() {
    let blocks = blocks();
    let tables: Vec<_> = blocks.iter().filter(|block| block.kind == "crontab").collect();
    assert_eq!(tables.len(), 1);
    for line in tables.iter().flat_map(|table| table.text.lines()) {
        let command = line.split_whitespace().skip(5).collect::<Vec<_>>().join(" ").replace("\\%", "%");
        let sandbox = Sandbox::new();
        let done = sandbox.sh(&command);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{command}");
        assert_ne!(sandbox.ok("ls"), "");
    }
}

#[test]
fn ci_installs_and_tests_as_the_readme_says() {
    let ci = read(".ci/run");
    for kind in ["sh install", "sh test"] {
        let block = blocks().into_iter().find(|block| block.kind == kind).expect("the README has it");
        assert!(ci.contains(&format!("\n{}", block.text)), ".ci/run has not the lines\n{}", block.text);
    }
}

#[test]
fn every_kind_of_block_is_checked() {
    for block in blocks() {
        let known = ["sh", "sh install", "sh server", "sh test", "text", "make", "crontab"];
        assert!(known.contains(&block.kind.as_str()), "nothing checks the block '{}':\n{}", block.kind, block.text);
    }
}

fn blocks() -> Vec<Block> {
    let readme = read("README.md");
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
            blocks.push(Block { kind: kind.to_owned(), text });
        }
    }
    blocks
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("the file can be read")
}
