//! What the make that has started us asks for: how many jobs may run, and whether to do anything at all.

use super::super::exit::report;
use super::super::process;
use jobserver::{Client, FromEnvErrorKind};

/// How many jobs may run at a time, and make's job server if each but the first needs a token of it.
pub(super) fn parallelism(wanted: Option<usize>) -> (usize, Option<Client>) {
    match process::job_server().client {
        Ok(client) => (wanted.unwrap_or(usize::MAX), Some(client)),
        Err(error) if matches!(error.kind(), FromEnvErrorKind::NoEnvVar | FromEnvErrorKind::NoJobserver) => {
            let default = if runs_one_at_a_time(&flags()) { 1 } else { processors() };
            (wanted.unwrap_or(default), None)
        }
        Err(_) => {
            if wanted.is_none() {
                report(
                    "make's job server is out of reach, so jobs run one at a time (put a '+' before the command in the recipe)",
                );
            }
            (wanted.unwrap_or(1), None)
        }
    }
}

/// Whether make only shows or checks what there is to do. A recipe with a '+' is run even then, for the sake of makes
/// within it, which know that from their flags.
pub(super) fn only_looks() -> bool {
    only_looks_with(&flags())
}

fn flags() -> String {
    std::env::var("MAKEFLAGS").unwrap_or_default()
}

/// The first word is the options of one letter, without a '-'; if there are none, a blank comes first.
fn only_looks_with(flags: &str) -> bool {
    let letters = flags.split(' ').next().unwrap_or_default();
    !letters.starts_with('-') && !letters.contains('=') && letters.contains(['n', 'q', 't'])
}

/// Whether it is a `make -j1`, which has no job server.
fn runs_one_at_a_time(flags: &str) -> bool {
    flags.split_whitespace().take_while(|flag| *flag != "--").any(|flag| flag == "-j1")
}

/// The number of CPUs that we may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_read_as_make_writes_them() {
        for flags in ["n", "kn -j4 --jobserver-auth=3,4", "q", "t", "nw -- A=b"] {
            assert!(only_looks_with(flags), "{flags}");
        }
        for flags in ["", "k", " -j4 --jobserver-auth=3,4", "-n", " -- NOT=n", "NOT=n", " --no-print-directory"] {
            assert!(!only_looks_with(flags), "{flags}");
        }
        assert!(runs_one_at_a_time(" -j1") && runs_one_at_a_time("k -j1 -- A=b"));
        for flags in ["", " -j", " -j14", " -- A=b -j1"] {
            assert!(!runs_one_at_a_time(flags), "{flags}");
        }
    }
}
