//! The completion scripts work in the shells they are for: commands, options, and the names of queues,
//! from a listing that creates nothing.

use crate::harness::{Done, Sandbox, have};
use std::path::PathBuf;

/// What is typed, and what is offered where there are the queues `jobs`, `john` and `other`.
const OFFERS: [(&str, &[&str]); 8] = [
    ("pu", &["put", "purge"]),
    ("put jo", &["jobs", "john"]),
    ("get other jo", &["jobs", "john"]),
    ("get jobs --fo", &["--follow"]),
    ("nac", &["nack"]),
    ("ack jo", &["jobs", "john"]),
    ("peek jobs --de", &["--dead", "--delayed"]),
    ("completions fi", &["fish"]),
];

/// Runs a script, which finds the completion script in `$1`, and the words that were typed after it.
type Shell = fn(&Sandbox, &[&str]) -> Done;

#[test]
fn bash_completes() {
    if have("bash") {
        completes(|sandbox, words| {
            let script = r#"
                source "$1"
                shift
                COMP_WORDS=(ipcq "$@") COMP_CWORD=$# COMP_TYPE=9
                function=$(complete -p ipcq | sed 's/.* -F \([^ ]*\) .*/\1/')
                "$function" ipcq "${@: -1}" "${COMP_WORDS[-2]}"
                if [ "${#COMPREPLY[@]}" -gt 0 ]; then printf '%s\n' "${COMPREPLY[@]}"; fi
            "#;
            run(sandbox, &["bash", "-c", script, "bash"], "ipcq.bash", words)
        });
    }
}

#[test]
fn fish_completes() {
    if have("fish") {
        completes(|sandbox, words| {
            let script = "source $argv[1]; complete -C \"ipcq $argv[2..-1]\"";
            let mut done = run(sandbox, &["fish", "--no-config", "-c", script], "ipcq.fish", words);
            // Each offer is followed by a tab and its description.
            let offers = done.text().lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned() + "\n");
            done.out = offers.collect::<String>().into_bytes();
            done
        });
    }
}

#[test]
fn elvish_completes() {
    if have("elvish") {
        completes(|sandbox, words| {
            // Outside a terminal elvish has no editor, so the script is given a map in its place.
            let script = "
                var edit: = (ns [&'completion:'=(ns [&'arg-completer'=[&]])])
                eval (slurp < $args[0]) &ns=(ns [&'edit:'=$edit:])
                $edit:completion:arg-completer[ipcq] ipcq (all $args[1..])";
            std::fs::write(sandbox.path("script.elv"), script).expect("a file can be written");
            run(sandbox, &["elvish", "-norc", "script.elv"], "ipcq.elv", words)
        });
    }
}

#[test]
fn what_powershell_asks_is_answered() {
    completes(|sandbox, words| {
        let mut ipcq = sandbox.ipcq(["--", "ipcq"]);
        let mut done = Done::from(ipcq.args(words).env("IPCQ_COMPLETE", "powershell").output().expect("ipcq starts"));
        let offers = done.text().lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned() + "\n");
        done.out = offers.collect::<String>().into_bytes();
        done
    });
}

#[test]
fn zsh_completes_while_a_person_types() {
    if !have("zsh") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("put --create jobs not-asked-for");
    sandbox.ok("put --create other asked-for");
    // A terminal, in which the tab key has to complete the name of the queue for the command to work.
    let script = r#"
        zmodload zsh/zpty
        export COMPLETIONS=$1
        zpty shell zsh -f -i
        zpty -w shell 'autoload -Uz compinit && compinit -D -u && source $COMPLETIONS && PS1="rea"dy:'
        zpty -r shell answer '*ready:*' || exit 1
        zpty -w -n shell $'ipcq get oth\t--no-wait\r'
        zpty -r shell answer '*asked-for*ready:*' || exit 1
        print -r -- "$answer"
    "#;
    let done = run(&sandbox, &["timeout", "60", "zsh", "-f", "-c", script, "zsh"], "_ipcq", &[]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.text().contains("asked-for") && !done.text().contains("not-asked-for"), "{}", done.text());
    assert_eq!(sandbox.stat("other", "ready"), 0);
}

/// Checks all offers; and that without any queue there are none, and nothing is created.
fn completes(shell: Shell) {
    let sandbox = Sandbox::new();
    let done = shell(&sandbox, &["put", "jo"]);
    assert_eq!((done.text(), done.err.as_str()), ("", ""));
    assert!(!sandbox.queues().exists(), "completing has created a directory");
    for queue in ["jobs", "john", "other"] {
        sandbox.ok(&format!("create {queue}"));
    }
    for (typed, offers) in OFFERS {
        let words: Vec<_> = typed.split(' ').collect();
        let done = shell(&sandbox, &words);
        assert_eq!(done.text().lines().collect::<Vec<_>>(), offers, "{typed}: {done:?}");
    }
    assert_eq!(sandbox.ok("ls").lines().count(), 3);
}

/// Runs a shell with a completion script of the project and what was typed.
fn run(sandbox: &Sandbox, shell: &[&str], script: &str, words: &[&str]) -> Done {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("completions").join(script);
    let home = sandbox.path("home");
    std::fs::create_dir_all(&home).expect("a directory can be made");
    let mut command = sandbox.program(shell[0]);
    command.args(&shell[1..]).arg(script).args(words).env("HOME", home).env("TERM", "dumb");
    command.output().expect("the shell starts").into()
}
