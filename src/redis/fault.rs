//! What can be wrong with a server: what to say, and whether to try again.

use crate::error::advice;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::io;
use std::sync::Arc;

/// Whether it is of use to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gravity {
    /// It is not.
    Final,
    /// The server is there and cannot do it now.
    State,
    /// The server cannot be reached, or was lost.
    Loss,
}

/// Why something was not done, or not heard of.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) gravity: Gravity,
    /// The end of a sentence that begins with the server.
    pub(super) problem: String,
    /// It was sent, and may have been done.
    pub(super) was_sent: bool,
    /// No answer came in time.
    pub(super) is_silence: bool,
    /// The server was there, and closed the connection.
    pub(super) is_cut: bool,
    /// A signal came meanwhile, as to a process that was stopped and goes on: that says nothing of the server.
    pub(super) is_interruption: bool,
    /// The server does not know the script by its digest.
    pub(super) is_unknown_script: bool,
    /// Another node of the cluster has the queue. Without a host, it is on the same.
    pub(super) moved_to: Option<(String, u16)>,
}

impl Fault {
    /// One that trying again does not help.
    pub(super) fn last(problem: impl Into<String>) -> Self {
        Fault { gravity: Gravity::Final, ..Fault::unreachable(problem.into()) }
    }

    /// That the server is not to be reached.
    pub(super) fn unreachable(problem: String) -> Self {
        Fault {
            gravity: Gravity::Loss,
            problem,
            was_sent: false,
            is_silence: false,
            is_cut: false,
            is_interruption: false,
            is_unknown_script: false,
            moved_to: None,
        }
    }

    /// What an error means.
    pub(super) fn of(error: &RedisError, was_sent: bool) -> Self {
        if let Some(error) = of_system(error) {
            let is_silence = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            let is_interruption = error.kind() == io::ErrorKind::Interrupted;
            let is_cut = is_end(error);
            return Fault { was_sent, is_silence, is_cut, is_interruption, ..Fault::unreachable(loss(error)) };
        }
        let (code, detail) = (error.code().unwrap_or_default(), error.detail().unwrap_or_default());
        let (gravity, problem) = match error.kind() {
            ErrorKind::AuthenticationFailed => {
                (Gravity::Final, format!("it refuses the user or the password{ASK_FOR_PASSWORD}"))
            }
            ErrorKind::Io => (Gravity::Loss, "the connection was lost".into()),
            ErrorKind::Parse => (Gravity::Final, "it does not talk as Redis does; is it one?".into()),
            ErrorKind::Server(kind) => of_server(kind, code, detail),
            _ => of_code(code, detail),
        };
        let moved_to = match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => error.redirect_node().and_then(|(node, _)| place_of(node)),
            _ => None,
        };
        let is_unknown_script = error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
        Fault {
            gravity,
            problem,
            was_sent: was_sent && gravity == Gravity::Loss,
            is_silence: false,
            is_cut: false,
            is_interruption: false,
            is_unknown_script,
            moved_to,
        }
    }
}

/// The host and the port in the name of a node.
fn place_of(node: &str) -> Option<(String, u16)> {
    let (host, port) = node.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

/// The error of the system that is behind `error`, if one is.
fn of_system(error: &RedisError) -> Option<&io::Error> {
    let source = std::error::Error::source(error)?;
    let shared = source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>();
    shared.map_or(source.downcast_ref(), |shared| shared.downcast_ref())
}

const ASK_FOR_PASSWORD: &str =
    " (give one in $IPCQ_REDIS_PASSWORD, in the file that $IPCQ_REDIS_PASSWORD_FILE names, or in the URL)";

/// Whether it is what one hears when the other side has closed the connection.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset)
}

fn loss(error: &io::Error) -> String {
    match error.kind() {
        _ if is_end(error) => "it has closed the connection".into(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer".into(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            format!("nobody answers there: {}; is the server running?", without_number(error))
        }
        _ => format!("it cannot be reached: {}{}", without_number(error), advice(error)),
    }
}

/// What an error of the system is called, without its number.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn of_server(kind: ServerErrorKind, code: &str, detail: &str) -> (Gravity, String) {
    match kind {
        ServerErrorKind::BusyLoading => (Gravity::State, "it has started and still reads its data".into()),
        ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain => {
            (Gravity::State, "the cluster is moving the queue to another node".into())
        }
        ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown => (Gravity::State, "its cluster is down".into()),
        ServerErrorKind::ReadOnly => {
            (Gravity::State, "it is a replica that refuses changes; use the address of its primary".into())
        }
        ServerErrorKind::NoPerm => (
            Gravity::Final,
            format!(
                "its user may not do that: {detail} (needed are the keys and channels '{{ipcq:*', and the commands of scripts)"
            ),
        ),
        _ => of_code(code, detail),
    }
}

/// What the first word of an error means, and its text.
fn of_code(code: &str, detail: &str) -> (Gravity, String) {
    // Of an error in a script, the code is in the text.
    let has = |word: &str| code == word || detail.contains(word);
    if has("OOM") {
        let remedy = "raise its 'maxmemory', or let consumers take something out";
        return (Gravity::Final, format!("it is out of memory, so nothing was put: {remedy}"));
    }
    if has("WRONGTYPE") {
        return (
            Gravity::Final,
            "a key of the queue holds something else; use another name or another database".into(),
        );
    }
    if has("NOAUTH") || has("WRONGPASS") {
        return (Gravity::Final, format!("it wants a user or a password{ASK_FOR_PASSWORD}"));
    }
    if has("MISCONF") {
        return (Gravity::Final, format!("it cannot save its data and refuses changes: {detail}"));
    }
    if has("NOREPLICAS") {
        return (Gravity::State, "it has too few replicas at the moment and refuses changes".into());
    }
    if has("BUSY") {
        return (Gravity::State, "a script keeps it busy".into());
    }
    if has("READONLY") {
        return of_server(ServerErrorKind::ReadOnly, code, detail);
    }
    let space = if code.is_empty() || detail.is_empty() { "" } else { " " };
    (Gravity::Final, format!("it refuses: {}", crate::name::printable(format!("{code}{space}{detail}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_where_the_cluster_says() {
        for (node, host, port) in [
            ("10.0.0.1:7000", "10.0.0.1", 7000),
            ("node.example:6379", "node.example", 6379),
            ("::1:7000", "::1", 7000),
            ("[::1]:7000", "::1", 7000),
            (":7000", "", 7000),
        ] {
            assert_eq!(place_of(node), Some((host.to_owned(), port)), "{node}");
        }
        for node in ["", "host", "host:", "host:x", "host:70000"] {
            assert_eq!(place_of(node), None, "{node}");
        }
    }
}
