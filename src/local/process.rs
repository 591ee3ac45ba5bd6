//! Processes that hold leases and take no part themselves, as a script that runs `ipcq` several times: who they are, and
//! whether they still live.
//!
//! The number of a process is used again when it has died, means something else in another PID namespace, and
//! something else again after a reboot. So all of that is noted: when the process was started, where, and during which
//! boot (proc_pid_stat(5), random(4)).

use super::store::Identity;
use crate::error::{Error, Result};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Who the process with that number is.
///
/// # Errors
/// When there is no such process, or /proc does not show it.
pub(super) fn identity_of(pid: u32) -> Result<Identity> {
    let Some(started) = started(pid) else {
        let reason = if namespace().is_some() { "there is no such process" } else { "/proc is not mounted here" };
        return Err(Error::Other(format!("process {pid} cannot own a lease: {reason} (a script's own number is $$)")));
    };
    Ok(Identity { pid, started, namespace: namespace().unwrap_or(0), boot: boot().unwrap_or(0) })
}

/// Whether a process lives that does not hold a lock. One in another PID namespace is believed to: nothing tells.
pub(super) fn lives(identity: &Identity) -> bool {
    let is_this_boot = boot().is_none_or(|boot| boot == identity.boot);
    let is_here = namespace() == Some(identity.namespace);
    is_this_boot && (!is_here || started(identity.pid) == Some(identity.started))
}

/// When a process that lives was started, in clock ticks since the boot, and 1: 0 stands for none.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name of the program, may hold anything but ends with the last parenthesis.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
    let started: u64 = fields.nth(18)?.parse().ok()?;
    (!is_dead).then(|| started.saturating_add(1))
}

/// The PID namespace that we are in.
fn namespace() -> Option<u64> {
    fs::metadata("/proc/self/ns/pid").ok().map(|metadata| metadata.ino())
}

/// Which boot of the machine this is: the first half of a random number.
fn boot() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_lives_until_it_has_ended_and_nobody_else_is_it() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let identity = identity_of(child.id()).unwrap();
        assert!(lives(&identity));
        assert!(!lives(&Identity { started: identity.started + 1, ..identity }), "it was started at another time");
        assert!(!lives(&Identity { boot: !identity.boot, ..identity }), "it was before the machine was booted");
        assert!(lives(&Identity { namespace: 1, started: 1, ..identity }), "nobody here can tell");
        drop(child.stdin.take());
        // Nobody has asked how it ended: it is a zombie now, or about to be one.
        while lives(&identity) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!lives(&identity));
        assert!(identity_of(child.id()).unwrap_err().to_string().contains("no such process"));
    }
}
