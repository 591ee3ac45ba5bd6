//! Help teaches: the program's fits one screen, a command's begins with examples, and a slip is answered with what was
//! meant.

use crate::harness::Sandbox;

/// The names of all commands, as the definition has them.
fn commands() -> Vec<String> {
    ipcq::cli::definition().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

#[test]
fn the_help_of_the_program_fits_one_screen_and_has_every_command() {
    let help = Sandbox::new().ok("--help");
    // The prompt needs a line, too.
    assert!(help.lines().count() <= 23, "{} lines", help.lines().count());
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for command in commands() {
        let named = help.lines().skip_while(|line| !line.starts_with("USE ")).filter(|line| {
            let at = |column: usize| line.get(column..).is_some_and(|rest| rest.starts_with(&format!("{command} ")));
            at(2) || at(42)
        });
        assert_eq!(named.count(), 1, "{command} is in {help}");
    }
    for group in ["USE ", " WORK\n", "SEE ", " STEER\n"] {
        assert!(help.contains(group), "{group}");
    }
    assert_eq!(help.lines().filter(|line| line.starts_with("  ipcq ")).count(), 3);
}

#[test]
fn the_help_of_a_command_begins_with_examples() {
    let sandbox = Sandbox::new();
    for command in commands() {
        let help = sandbox.ok(&format!("{command} --help"));
        let mut lines = help.lines();
        assert!(!lines.next().unwrap().is_empty(), "what {command} does");
        assert_eq!((lines.next(), lines.next()), (Some(""), Some("Examples:")), "{help}");
        let mut examples = lines.take_while(|line| !line.is_empty());
        assert!(examples.any(|line| line.contains(&format!("ipcq {command}"))), "{help}");
        assert!(help.ends_with('\n') && !help.ends_with("\n\n"), "{help}");
        assert_eq!(sandbox.ok(&format!("{command} -h")), help);
    }
}

#[test]
fn a_mistyped_command_is_answered_with_the_nearest_one() {
    let sandbox = Sandbox::new();
    for (typed, meant) in [("gte", "get"), ("putt", "put"), ("craete", "create"), ("reusme", "resume"), ("lss", "ls")] {
        let done = sandbox.run(typed);
        let line = done.refusal(2);
        assert!(line.contains(&format!("'{typed}'")) && line.contains(&format!("'{meant}'")), "{line}");
    }
    assert!(!sandbox.run("frobnicate").refusal(2).contains("similar"));
}

#[test]
fn a_mistyped_option_is_answered_with_the_nearest_one() {
    let sandbox = Sandbox::with_queues("jobs");
    for (typed, meant) in
        [("get jobs --tiemout 1", "--timeout"), ("put jobs --line", "--lines"), ("ls --jsno", "--json")]
    {
        let done = sandbox.run(typed);
        assert!(done.refusal(2).contains(&format!("'{meant}'")), "{typed}: {}", done.err);
    }
}

#[test]
fn a_mistyped_queue_is_answered_with_the_nearest_one() {
    let sandbox = Sandbox::with_queues("jobs mails thumbnails");
    for command in
        ["put jbos x", "get jbos", "stat jbos", "ack jbos 1", "rm jbos", "close jbos", "verify jbos", "join jbos"]
    {
        let done = sandbox.run(command);
        assert_eq!(
            done.refusal(4),
            "no queue 'jbos' (did you mean 'jobs'? else create it with 'ipcq create jbos' or 'ipcq put --create')",
            "{command}"
        );
    }
    assert!(sandbox.run("get nails").refusal(4).contains("did you mean 'mails'?"));
    assert!(!sandbox.run("get words").refusal(4).contains("did you mean"));
    // What exists by another name is no reason not to make it.
    sandbox.ok("put jbos message --create");
}
