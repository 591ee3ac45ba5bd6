//! The examples in the manual pages of the commands around leases do what they say.

use crate::harness::{Done, Sandbox, differs, feed, have};
use std::path::Path;
use std::process::Stdio;

/// What has to be there for the examples of a page: `jobs` holds messages, some of them are leased, one of them is
/// number 17 and one has the id in `$ipcq_id`.
const LEASED: &str = "
    ipcq create jobs
    seq 20 | ipcq put jobs --lines
    ipcq get jobs -n 17 --lease 1h -o bodies > ids
    m=$(ipcq get jobs --lease 1h --shell) && eval \"$m\"
";
/// The same with dead ones.
const DEAD: &str = "
    ipcq create jobs --max-attempts 1
    seq 20 | ipcq put jobs --lines
    ipcq nack jobs $(ipcq get jobs -n 18 --lease 1h -o bodies)
";
/// A queue that is finished.
const FINISHED: &str = "ipcq create jobs";

/// The blocks of examples in the part of a page that begins with this heading, as they are shown.
fn blocks(page: &str, heading: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(page);
    let text = std::fs::read_to_string(path).expect("the page can be read");
    let part = text.split("\n.SH ").find(|part| part.starts_with(heading)).expect("it has that part");
    let blocks = part.split("\n.EX\n").skip(1).map(|block| block.split(".EE").next().expect("a block ends"));
    let shown = blocks.map(|block| {
        [("\\(aq", "'"), ("\\(ga", "`"), ("\\-", "-"), ("\\&", ""), ("\\e", "\\")]
            .iter()
            .fold(block.to_owned(), |text, (roff, shown)| text.replace(roff, shown))
    });
    shown.collect()
}

/// Programs that the examples of `work` name, and queues for all of them.
const FOR_WORK: &str = "
    mkdir bin out
    printf '#!/bin/sh\\necho \"$0 $*\"\\n' > bin/convert
    cp bin/convert bin/make
    cp bin/convert send-mail.sh
    chmod +x bin/* send-mail.sh
    PATH=$PWD/bin:$PATH
    for queue in pictures mails jobs pages; do ipcq create $queue; ipcq put $queue one two; ipcq close $queue; done
    ipcq create words
";

/// Runs a script that must end well, without a word on standard error.
fn runs(sandbox: &Sandbox, script: &str) -> String {
    let child = sandbox.program("sh").args(["-e", "-c", script]).stdin(Stdio::piped()).spawn().expect("sh starts");
    let done: Done = feed(child, b"");
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{script}");
    done.text().to_owned()
}

/// The commands among the examples of a page. Behind each, after some blanks, may be what it is for.
fn examples(page: &str) -> Vec<String> {
    let blocks = blocks(page, "EXAMPLES");
    assert_eq!(blocks.len(), 1, "{page}");
    let commands = blocks[0].lines().map(|line| line.split("  ").next().unwrap_or(line).to_owned());
    commands.filter(|command| !command.is_empty()).collect()
}

/// Runs each example of a page by itself.
fn each_runs(page: &str, prepared: &str) {
    let examples = examples(page);
    assert!(!examples.is_empty(), "{page}");
    for command in examples {
        assert!(command.starts_with("ipcq "), "{page}: {command}");
        let sandbox = Sandbox::new();
        runs(&sandbox, &format!("{prepared}\n{command}"));
        sandbox.is_sound("jobs");
    }
}

#[test]
fn of_ack_nack_and_extend() {
    for page in ["ipcq-ack.1", "ipcq-nack.1", "ipcq-extend.1"] {
        each_runs(page, LEASED);
    }
}

#[test]
fn of_peek_retry_and_purge() {
    each_runs("ipcq-peek.1", LEASED);
    for page in ["ipcq-peek.1", "ipcq-retry.1", "ipcq-purge.1"] {
        each_runs(page, DEAD);
    }
}

#[test]
fn of_join() {
    each_runs("ipcq-join.1", FINISHED);
}

#[test]
fn of_produce() {
    let sandbox = Sandbox::new();
    runs(&sandbox, "touch a.png b.png c.txt; mkdir here there; touch here/1 there/2");
    let names = runs(&sandbox, &format!("{{\n{}\n}} | sort", examples("ipcq-produce.1").join("\n")));
    assert_eq!(names, "./a.png\n./b.png\n");
    assert_eq!(sandbox.stat("jobs", "closed"), true);
    let [script] = &blocks("ipcq-produce.1", "DESCRIPTION")[..] else { panic!("there is another example") };
    let script = format!("ipcq rm jobs; ipcq create jobs --auto-close\n{script}\nipcq get jobs --follow | sort");
    assert_eq!(runs(&sandbox, &script), "1\n2\n");
}

#[test]
fn of_work() {
    let examples = examples("ipcq-work.1");
    assert!(examples.len() > 4);
    for command in examples {
        let sandbox = Sandbox::new();
        // It tells at the end what became of the messages.
        let done = sandbox.sh(&format!("{FOR_WORK}\n{command}"));
        assert_eq!((done.code, done.err.as_str()), (0, "ipcq: 2 done, 0 retried, 0 dead\n"), "{command}");
    }
}

#[test]
fn of_pause_resume_mv_and_wait() {
    for page in ["ipcq-pause.1", "ipcq-resume.1"] {
        each_runs(page, FINISHED);
    }
    each_runs("ipcq-mv.1", &format!("{DEAD}\nfor queue in later urgent again; do ipcq create $queue; done"));
    each_runs(
        "ipcq-wait.1",
        "ipcq create jobs; ipcq put jobs hello; { sleep 0.1; ipcq get jobs -t 5; } >/dev/null 2>&1 &",
    );
}

#[test]
fn of_get() {
    let prepared = "
        ipcq create normal; ipcq create urgent; ipcq create jobs
        ipcq put normal a; ipcq put jobs --json '{\"name\": \"Harry\"}' '{\"name\": \"Sally\"}'; ipcq close jobs";
    for command in examples("ipcq-get.1") {
        runs(&Sandbox::new(), &format!("{prepared}\n{command}\n"));
    }
    let [object, script] = &blocks("ipcq-get.1", "OUTPUT")[..] else { panic!("there is another example") };
    assert_eq!(runs(&Sandbox::new(), &format!("{prepared}\n{script}")), "Harry\nSally\n");
    let seventh = "ipcq create jobs; ipcq put jobs 1 2 3 4 5 6 hello; ipcq get jobs -n 6 > got; ipcq get jobs --json";
    assert_eq!(runs(&Sandbox::new(), seventh), *object);

    let sandbox = Sandbox::with_queues("jobs");
    sandbox.ok("put jobs a b");
    let commands = examples("ipcq-get.1");
    let leasing = commands.iter().find(|command| command.contains("--lease")).expect("one leases");
    runs(&sandbox, leasing);
    assert_eq!(sandbox.ok("peek jobs"), "b\n");
    let [script] = &blocks("ipcq-get.1", "LEASES")[..] else { panic!("there is another example") };
    if differs("The owner of a lease") {
        return;
    }
    sandbox.ok("close jobs");
    assert_eq!(runs(&sandbox, script), "working on b\n");
    assert_eq!(sandbox.run("get jobs").code, 3, "it has been acknowledged");
}

#[test]
fn of_work_in_a_recipe_of_make() {
    if !have("make") {
        return;
    }
    let [makefile] = &blocks("ipcq-work.1", "WITH MAKE")[..] else { panic!("there is another example") };
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("Makefile"), makefile.replace("        +", "\t+")).expect("it can be written");
    let done = sandbox.sh(&format!("make=$(command -v make)\n{FOR_WORK}\n$make --silent -j2 | sort"));
    let lines: Vec<&str> = done.text().lines().collect();
    assert!(matches!(lines[..], [one, two] if one.ends_with("convert one one.png") && two.ends_with("two two.png")));
    assert_eq!(done.err, "ipcq: 2 done, 0 retried, 0 dead\n");
}

#[test]
fn of_create_and_of_the_program_itself() {
    for command in examples("ipcq-create.1") {
        // Only a disk can hold what is to survive a power failure; tests/ipcq/durable.rs looks for one.
        if !command.contains("--durable") {
            runs(&Sandbox::new(), &format!("mkdir spool; {command}"));
        }
    }
    let prepared =
        "printf '#!/bin/sh\\n' > handle; chmod +x handle; ipcq create jobs; ipcq put jobs a; ipcq close jobs";
    for command in examples("ipcq.1") {
        let putting = if command.contains(" put ") { "ipcq rm jobs" } else { "" };
        let done = Sandbox::new().sh(&format!("{prepared}; {putting}\n{command}"));
        assert_eq!(done.code, 0, "{command}: {}", done.err);
    }
}

#[test]
fn no_page_has_an_example_that_is_not_run() {
    // How many blocks the tests above know of, on the pages of commands around leases.
    let run = ["", "-ack", "-create", "-extend", "-join", "-nack", "-peek", "-purge", "-retry"].map(|page| (page, 1));
    for (page, blocks) in run.into_iter().chain([("-get", 4), ("-produce", 2), ("-work", 2)]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("man/ipcq{page}.1"));
        let text = std::fs::read_to_string(path).expect("the page can be read");
        assert_eq!(text.matches("\n.EX\n").count(), blocks, "ipcq{page}.1: let a test run what is new");
    }
}
