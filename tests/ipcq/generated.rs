//! The files in completions/ and man/ that come from the command line's definition are in step with it.
//!
//! `IPCQ_REGENERATE=1 cargo test --test ipcq generated` writes them anew.

use crate::harness::have;
use crate::manual::{FOLDER, written};
use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, process};

/// How to write the files anew.
const REGENERATE: &str = "IPCQ_REGENERATE=1 cargo test --test ipcq generated";

/// The day of the last change worth noting; that of the build would make the pages stale by itself.
const DATE: &str = "2026-11-23";

/// Each shell and the file that it gets, named as the shell wants it.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "ipcq.bash"),
    ("zsh", "_ipcq"),
    ("fish", "ipcq.fish"),
    ("elvish", "ipcq.elv"),
    ("powershell", "_ipcq.ps1"),
];

#[test]
fn the_completion_scripts_are_those_of_the_program() {
    let scripts = COMPLETIONS.map(|(shell, file)| {
        let script = ipcq::cli::completion_script(shell).expect("a shell we know");
        (file.to_owned(), String::from_utf8(script).expect("a script is text"))
    });
    in_step("completions", &scripts, |_| true);
}

#[test]
fn the_manual_pages_are_those_of_the_program_and_without_a_fault() {
    let pages: Vec<_> = commands().iter().map(|command| (format!("{}.1", page_name(command)), page(command))).collect();
    in_step("man", &pages, |file| file.ends_with(".1"));
    // Not a test of its own: it would read pages that are being written.
    the_manual_pages_are_without_a_fault();
}

fn the_manual_pages_are_without_a_fault() {
    let names = files("man");
    for name in &names {
        for named in read("man", name).lines().filter_map(referred_to) {
            assert!(names.contains(&named), "man/{name} refers to man/{named}, which is not there");
        }
    }
    let pages: Vec<_> = names.iter().map(|name| folder("man").join(name)).collect();
    assert!(!pages.is_empty());
    if have("mandoc") {
        let found = process::Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(&pages).output();
        let found = found.expect("mandoc starts");
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
        assert!(found.status.success());
    }
    if have("groff") {
        for page in pages {
            let found = process::Command::new("groff").args(["-mandoc", "-ww", "-z"]).arg(&page).output();
            let found = found.expect("groff starts");
            assert_eq!(String::from_utf8_lossy(&found.stderr), "", "{}", page.display());
            assert!(found.status.success());
        }
    }
}

/// The file of the page of ours that a line of the commands' pages refers to: `.BR NAME (SECTION)`.
fn referred_to(line: &str) -> Option<String> {
    let (name, section) = line.strip_prefix(".BR ")?.split_once(" (")?;
    let (section, _) = section.split_once(')')?;
    name.starts_with("ipcq").then(|| format!("{}.{section}", name.replace("\\-", "-")))
}

#[test]
fn each_command_has_a_written_page_and_each_written_page_is_of_a_command() {
    let commands: Vec<_> = commands().iter().map(|command| format!("{}.roff", command.get_name())).collect();
    let pages: Vec<_> = files(FOLDER).into_iter().filter(|file| file.ends_with(".roff")).collect();
    for page in &commands {
        assert!(pages.contains(page), "a command has no written page: make {FOLDER}/{page}");
    }
    for page in &pages {
        assert!(commands.contains(page), "{FOLDER}/{page} is of no command: name it after one, or remove it");
    }
    let texts: Vec<_> = pages.iter().map(|page| read(FOLDER, page)).collect();
    for file in files(&format!("{FOLDER}/shared")) {
        let is_included = texts.iter().any(|text| text.contains(&format!("\n.so shared/{file}\n")));
        assert!(is_included, "no page includes {FOLDER}/shared/{file}: remove it");
    }
}

/// The program itself and each of its commands.
fn commands() -> Vec<Command> {
    let mut program = ipcq::cli::definition().subcommand_help_heading("COMMANDS");
    program.build();
    let mut commands: Vec<_> = program.get_subcommands().cloned().collect();
    commands.insert(0, program);
    commands
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).to_owned()
}

/// A page: what the definition says, and what people have written.
fn page(command: &Command) -> String {
    let name = page_name(command);
    // Where an argument has a few possible values, the description names them.
    let command = &command.clone().mut_args(|argument| argument.hide_possible_values(true));
    let written = written(command.get_name());
    let man = Man::new(command.clone()).title(name.to_uppercase()).date(DATE).source("ipcq").manual("ipcq manual");
    let mut page = format!(
        ".\\\" Made by a test of ipcq from the definition of its command line and from what is written in\n\
         .\\\" {FOLDER}/{}.roff; what is changed here is lost.\n",
        command.get_name()
    )
    .into_bytes();
    man.render_title(&mut page).expect("memory can be written to");
    man.render_name_section(&mut page).expect("memory can be written to");
    page.extend_from_slice(synopsis(command).as_bytes());
    page.extend_from_slice(written.description.as_bytes());
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page).expect("memory can be written to");
    }
    man.render_options_section(&mut page).expect("memory can be written to");
    page.extend_from_slice(examples(command).as_bytes());
    page.extend_from_slice(written.sections.as_bytes());
    // Each part that is rendered by itself defines a string for the quote, which has a name already.
    let page = String::from_utf8(page).expect("a page is text");
    let lines = page.lines().filter(|line| !line.ends_with(".ds Aq \\(aq") && !line.ends_with(".ds Aq '"));
    ascii(&lines.flat_map(|line| [line, "\n"]).collect::<String>().replace("\\*(Aq", "\\(aq"))
}

/// The command with its options and arguments, each with the value that it takes.
fn synopsis(command: &Command) -> String {
    let mut text = format!(".SH SYNOPSIS\n.B {}\n", escaped(command.get_bin_name().unwrap_or(command.get_name())));
    for option in command.get_arguments().filter(|argument| !argument.is_positional() && !only_informs(argument)) {
        let short = option.get_short().map(|short| format!("\\fB\\-{short}\\fR"));
        let long = option.get_long().map(|long| format!("\\fB{}\\fR", escaped(&format!("--{long}"))));
        let names = [short, long].into_iter().flatten().collect::<Vec<_>>().join("|");
        let value = match option.get_num_args() {
            Some(number) if takes_value(option) && number.min_values() == 0 => {
                format!(" [\\fI{}\\fR]", value_name(option))
            }
            _ if takes_value(option) => format!(" \\fI{}\\fR", value_name(option)),
            _ => String::new(),
        };
        let _ = writeln!(text, "[{names}{value}]");
    }
    for argument in command.get_positionals() {
        let several = argument.get_num_args().is_some_and(|number| number.max_values() > 1);
        let name = format!("\\fI{}\\fR{}", value_name(argument), if several { "..." } else { "" });
        let name = if argument.is_last_set() { format!("\\fB\\-\\-\\fR {name}") } else { name };
        let _ = if argument.is_required_set() { writeln!(text, "{name}") } else { writeln!(text, "[{name}]") };
    }
    if command.has_subcommands() {
        text.push_str("\\fICOMMAND\\fR ...\n");
    }
    text
}

/// Whether all that an option does is to print help or the version.
fn only_informs(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_num_args().is_some_and(|number| number.takes_values())
}

fn value_name(argument: &Arg) -> String {
    argument.get_value_names().expect("a value has a name").iter().map(|name| escaped(name)).collect()
}

/// The examples in the text that follows the command's help.
fn examples(command: &Command) -> String {
    let help = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    let lines: Vec<_> =
        help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return String::new();
    }
    let shown = lines.iter().map(|line| escaped(line.strip_prefix("  ").unwrap_or(line)) + "\n");
    format!(".SH EXAMPLES\n.EX\n{}.EE\n", shown.collect::<String>())
}

/// `text` as roff shows it, character for character.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    if text.starts_with(['.', '\'']) {
        shown.push_str("\\&");
    }
    for character in text.chars() {
        match character {
            '\\' => shown.push_str("\\e"),
            '-' => shown.push_str("\\-"),
            '\'' => shown.push_str("\\(aq"),
            '`' => shown.push_str("\\(ga"),
            '^' => shown.push_str("\\(ha"),
            '~' => shown.push_str("\\(ti"),
            _ => shown.push(character),
        }
    }
    shown
}

/// `page` without a character that an older roff does not read.
fn ascii(page: &str) -> String {
    let mut text = String::new();
    for character in page.chars() {
        let _ = match character {
            ' '..='~' | '\n' => write!(text, "{character}"),
            _ => write!(text, "\\[u{:04X}]", u32::from(character)),
        };
    }
    text
}

/// Checks that the files of a folder that are made by a program are `made`, or makes them so.
fn in_step(name: &str, made: &[(String, String)], is_made: impl Fn(&str) -> bool) {
    let folder = folder(name);
    if std::env::var_os("IPCQ_REGENERATE").is_some() {
        fs::create_dir_all(&folder).expect("the folder can be made");
        let is_kept = |file: &String| !is_made(file) || made.iter().any(|(kept, _)| kept == file);
        for file in files(name).into_iter().filter(|file| !is_kept(file)) {
            fs::remove_file(folder.join(file)).expect("a file can be removed");
        }
        for (file, text) in made {
            fs::write(folder.join(file), text).expect("a file can be written");
        }
    }
    let mut expected: Vec<_> = made.iter().map(|(file, _)| file.clone()).collect();
    expected.sort();
    let there: Vec<_> = files(name).into_iter().filter(|file| is_made(file)).collect();
    assert_eq!(there, expected, "the files in {name}/ are not those that are made; to make them: {REGENERATE}");
    for (file, text) in made {
        assert!(read(name, file) == *text, "{name}/{file} is stale; to make it anew: {REGENERATE}");
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str, file: &str) -> String {
    fs::read_to_string(folder(name).join(file)).expect("a file can be read")
}

/// The names of the files in a folder of the project, sorted.
fn files(name: &str) -> Vec<String> {
    let entries = fs::read_dir(folder(name)).into_iter().flatten();
    let names = entries.map(|entry| entry.expect("a folder can be read").file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().expect("names are text")).collect();
    names.sort();
    names
}
