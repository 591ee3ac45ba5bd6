//! The connection to a server: made when it is needed, and made anew, ever more patiently, when it is lost.

use super::fault::{Fault, Gravity};
use super::reply::Reply;
use super::resolve;
use super::script::Script;
use crate::error::{Error, Result};
use crate::name::printable;
use crate::place::Access;
use crate::queue::Deadline;
use crate::remote::{Endpoint, Server};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, Connection, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, Value};
use std::time::{Duration, Instant};

/// How long a server may take to answer before the connection is given up: scripts take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take even if there is less time left: what has been asked for and not heard of is in doubt.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// The time between two attempts to reach a server, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a server may be in a state that it has to be helped out of, as a replica that refuses changes, before that
/// is an error: while others take over, it is not.
const PATIENCE_WITH_STATES: Duration = Duration::from_secs(15);

/// A script and what it is called with.
pub(super) struct Call<'a> {
    pub(super) script: &'static Script,
    pub(super) key: &'a str,
    pub(super) arguments: Vec<&'a [u8]>,
    /// The argument that is to be 1 if an earlier call may have been heard.
    pub(super) again: Option<usize>,
}

/// A connection, or what is needed to make one.
pub(super) struct Link {
    server: Server,
    access: Access,
    connection: Option<Connection>,
    /// The node of a cluster that has our queue.
    moved_to: Option<(String, u16)>,
}

impl Link {
    /// A link to a server that has not been reached yet.
    pub(super) fn new(server: &Server, access: &Access) -> Self {
        Link { server: server.clone(), access: access.clone(), connection: None, moved_to: None }
    }

    /// Another one to the same server.
    pub(super) fn another(&self) -> Self {
        Link { moved_to: self.moved_to.clone(), ..Link::new(&self.server, &self.access) }
    }

    /// Has a script run, again and again until it has been heard of or `deadline` passes. Without `persists`, a server
    /// that cannot be reached is not tried again; one that closes the connection is there, and is.
    ///
    /// # Errors
    /// Why it has not, and whether it may have been run all the same.
    pub(super) fn call(&mut self, call: &Call<'_>, persists: bool, deadline: Deadline) -> Result<Reply> {
        let start = Instant::now();
        let (mut pause, mut was_sent) = (FIRST_PAUSE, false);
        loop {
            let fault = match self.run(call, deadline, was_sent) {
                Ok(value) => return Ok(Reply::new(value)),
                Err(fault) => fault,
            };
            let goes_on = match fault.gravity {
                Gravity::Final => false,
                Gravity::State => start.elapsed() < PATIENCE_WITH_STATES,
                Gravity::Loss => persists || fault.is_interruption || fault.is_cut,
            };
            if let Some(node) = &fault.moved_to {
                self.moved_to = Some(node.clone());
            } else if fault.gravity != Gravity::Final {
                // Another may have taken its place since.
                self.moved_to = None;
            }
            if fault.gravity != Gravity::Final {
                self.connection = None;
            }
            // A connection may have been lost long before we used it, so a new one is worth trying even when the time is over.
            let is_news = fault.was_sent && !was_sent && !fault.is_silence;
            was_sent |= fault.was_sent;
            let in_time = deadline.is_none_or(|deadline| Instant::now() + pause < deadline);
            if is_news && goes_on {
                continue;
            }
            if !goes_on || !in_time {
                return Err(self.error(&fault, was_sent && fault.gravity != Gravity::Final));
            }
            if fault.moved_to.is_none() {
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Sends a command and does not wait for what comes of it.
    pub(super) fn tell(&mut self, command: &Cmd) {
        if let Some(connection) = &mut self.connection {
            let _ = connection.send_packed_command(&command.get_packed_command());
            // The answer that comes is nobody's.
            self.connection = None;
        }
    }

    /// A command that only asks, with the answer.
    pub(super) fn ask(&mut self, command: &Cmd, deadline: Deadline) -> Result<Value> {
        loop {
            match self.connected(deadline).and_then(|connection| exchange(connection, command)) {
                Ok(answer) => return Ok(answer),
                Err(fault) => {
                    self.connection = None;
                    if !fault.is_interruption {
                        return Err(self.error(&fault, false));
                    }
                }
            }
        }
    }

    fn error(&self, fault: &Fault, in_doubt: bool) -> Error {
        let doubt = if in_doubt { "; whether it has done what was asked for is not known" } else { "" };
        Error::Other(format!("server {}: {}{doubt}", printable(self.server.shown()), fault.problem))
    }

    fn run(&mut self, call: &Call<'_>, deadline: Deadline, again: bool) -> std::result::Result<Value, Fault> {
        let connection = self.connected(deadline)?;
        let command = |word: &str, script: &[u8]| {
            let mut command = redis::cmd(word);
            command.arg(script).arg(1).arg(call.key);
            for (index, argument) in call.arguments.iter().enumerate() {
                command.arg(if call.again == Some(index) && again { b"1" } else { *argument });
            }
            command
        };
        match exchange(connection, &command("EVALSHA", call.script.digest().as_bytes())) {
            Err(fault) if fault.is_unknown_script => {
                exchange(connection, &command("EVAL", call.script.text().as_bytes()))
            }
            done => done,
        }
    }

    /// The connection, with a limit to how long an answer may take.
    pub(super) fn connected(&mut self, deadline: Deadline) -> std::result::Result<&mut Connection, Fault> {
        let left = deadline.map_or(PATIENCE, |deadline| deadline.saturating_duration_since(Instant::now()));
        let patience = left.clamp(LEAST_PATIENCE, PATIENCE);
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(patience)?,
        };
        // They are refused for a time of 0 only.
        let _ = connection.set_read_timeout(Some(patience));
        let _ = connection.set_write_timeout(Some(patience));
        Ok(self.connection.insert(connection))
    }

    fn connect(&self, patience: Duration) -> std::result::Result<Connection, Fault> {
        let deadline = Instant::now() + patience;
        let (host, port) = match (&self.moved_to, &self.server.endpoint) {
            (Some((host, port)), Endpoint::Tcp { host: same, .. }) if host.is_empty() => (same, *port),
            (Some((host, port)), _) => (host, *port),
            (None, Endpoint::Unix(path)) => return self.connect_to(ConnectionAddr::Unix(path.clone()), patience),
            (None, Endpoint::Tcp { tls: true, .. }) => {
                return Err(Fault::last(
                    "this build of ipcq has no TLS; use redis:// through a tunnel (as stunnel, or ssh -L)",
                ));
            }
            (None, Endpoint::Tcp { host, port, .. }) => (host, *port),
        };
        let addresses =
            resolve::addresses(host, deadline).map_err(|why| Fault::unreachable(format!("'{host}': {why}")))?;
        let mut fault = Fault::unreachable("it has no address".into());
        for address in addresses {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match self.connect_to(ConnectionAddr::Tcp(address.to_string(), port), left) {
                Err(other) if other.gravity == Gravity::Loss => fault = other,
                done => return done,
            }
        }
        Err(fault)
    }

    fn connect_to(&self, address: ConnectionAddr, patience: Duration) -> std::result::Result<Connection, Fault> {
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(self.server.database.into());
        if let Some(user) = &self.server.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = self.password()? {
            settings = settings.set_password(password);
        }
        let info = address.into_connection_info().map(|info| {
            info.set_redis_settings(settings)
                .set_tcp_settings(TcpSettings::default().set_nodelay(true).set_user_timeout(PATIENCE))
        });
        let connected = info.and_then(Client::open).and_then(|client| client.get_connection_with_timeout(patience));
        connected.map_err(|error| Fault::of(&error, false))
    }

    fn password(&self) -> std::result::Result<Option<String>, Fault> {
        if let Some(password) = self.server.password.as_ref().or(self.access.password.as_ref()) {
            return Ok(Some(password.reveal().to_owned()));
        }
        let Some(file) = &self.access.password_file else { return Ok(None) };
        let text = std::fs::read_to_string(file).map_err(|error| {
            Fault::last(format!(
                "cannot read the password in '{}' ($IPCQ_REDIS_PASSWORD_FILE): {error}",
                printable(file)
            ))
        })?;
        Ok(text.lines().next().filter(|line| !line.is_empty()).map(str::to_owned))
    }
}

/// Sends a command and waits for the answer.
fn exchange(connection: &mut Connection, command: &Cmd) -> std::result::Result<Value, Fault> {
    connection.send_packed_command(&command.get_packed_command()).map_err(|error| Fault::of(&error, true))?;
    match connection.recv_response() {
        Ok(Value::ServerError(error)) => Err(Fault::of(&error.into(), true)),
        Ok(value) => Ok(value),
        Err(error) => Err(Fault::of(&error, true)),
    }
}
