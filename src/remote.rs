//! Where a queue on a server is: the URL as it was typed, taken apart.

use crate::error::Error;
use crate::name::QueueName;
use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The port of a server that is named without one.
const PORT: u16 = 6379;

/// The schemes that we know, and whether each means TLS and a socket in the file system.
const SCHEMES: [(&str, bool, bool); 7] = [
    ("redis://", false, false),
    ("rediss://", true, false),
    ("valkey://", false, false),
    ("valkeys://", true, false),
    ("redis+unix://", false, true),
    ("valkey+unix://", false, true),
    ("unix://", false, true),
];

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// By the network.
    Tcp {
        /// Its name or address; the latter without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Whether what is said is encrypted, and the server has to prove who it is.
        tls: bool,
    },
    /// By a socket in the file system.
    Unix(PathBuf),
}

/// Something that is never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// What it is.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A database on a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// How it is reached.
    pub endpoint: Endpoint,
    /// The number of the database.
    pub database: u32,
    /// Who we are there, if it is said.
    pub user: Option<String>,
    /// The password, if the URL has one.
    pub password: Option<Secret>,
    /// The URL without a password.
    shown: Arc<str>,
}

/// A queue on a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    /// Where it is.
    pub server: Server,
    /// What it is called there.
    pub name: QueueName,
    /// Both as a URL without a password.
    shown: Arc<str>,
}

impl Server {
    /// The server that `text` names, if it is the URL of one.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &OsStr) -> Option<Result<Self, String>> {
        let parts = Parts::of(text)?;
        Some(parts.and_then(|parts| {
            let path = parts.path.clone();
            let (path, database) = match path.rsplit_once('/') {
                Some((before, last)) if is_number(last) => (before, Some(last)),
                _ => (path.as_str(), None),
            };
            parts.server(path, database)
        }))
    }

    /// The URL, without a password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The queue of that name.
    pub fn queue(&self, name: QueueName) -> Remote {
        let shown = format!("{}/{name}", self.shown).into();
        Remote { server: self.clone(), name, shown }
    }
}

impl Remote {
    /// The queue that `text` names, if it is the URL of one.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &OsStr) -> Option<Result<Self, String>> {
        let parts = Parts::of(text)?;
        Some(parts.and_then(|parts| {
            let advice = "end it in /DATABASE/NAME, as in redis://host:6379/0/jobs";
            let path = parts.path.clone();
            let Some((before, name)) = path.rsplit_once('/') else {
                return Err(format!("it names a server and no queue; {advice}"));
            };
            let (path, database) = match before.rsplit_once('/') {
                Some((path, last)) if is_number(last) => (path, Some(last)),
                _ => (before, None),
            };
            if name.is_empty() || (database.is_none() && is_number(name)) {
                return Err(format!("it names a database and no queue; {advice}"));
            }
            let server = parts.server(path, database)?;
            let name = QueueName::parse(OsStr::new(name)).map_err(|error| match error {
                Error::BadName { reason, .. } => reason,
                other => other.to_string(),
            })?;
            Ok(server.queue(name))
        }))
    }

    /// The URL, without a password.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The scheme that `text` begins with, if it is one of ours, whatever its case.
pub(crate) fn scheme(text: &OsStr) -> Option<&'static str> {
    let bytes = text.as_encoded_bytes();
    let starts = |scheme: &str| bytes.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme.as_bytes()));
    SCHEMES.iter().map(|(scheme, ..)| *scheme).find(|scheme| starts(scheme))
}

/// A URL in pieces that are not decoded yet.
struct Parts {
    scheme: &'static str,
    tls: bool,
    is_unix: bool,
    user: Option<String>,
    password: Option<Secret>,
    authority: String,
    /// From the first '/' on.
    path: String,
    database: Option<String>,
}

impl Parts {
    fn of(text: &OsStr) -> Option<Result<Self, String>> {
        let (scheme, tls, is_unix) = SCHEMES.into_iter().find(|(known, ..)| Some(*known) == self::scheme(text))?;
        let Some(text) = text.to_str() else { return Some(Err("it is not UTF-8".into())) };
        Some(Self::split(&text[scheme.len()..], scheme, tls, is_unix))
    }

    fn split(rest: &str, scheme: &'static str, tls: bool, is_unix: bool) -> Result<Self, String> {
        if rest.chars().any(char::is_control) {
            return Err("it contains a control character".into());
        }
        if rest.contains('#') {
            return Err("it contains '#', which has no meaning here; write %23 for one in a password".into());
        }
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
        let start = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(start);
        let (login, authority) = authority.rsplit_once('@').map_or((None, authority), |(l, a)| (Some(l), a));
        let (user, password) = login.map_or((None, None), |login| match login.split_once(':') {
            Some((user, password)) => (Some(user), Some(password)),
            None => (Some(login), None),
        });
        let mut parts = Parts {
            scheme,
            tls,
            is_unix,
            user: user.filter(|user| !user.is_empty()).map(decoded).transpose()?,
            password: password.filter(|password| !password.is_empty()).map(decoded).transpose()?.map(Secret),
            authority: authority.to_owned(),
            path: path.to_owned(),
            database: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("db", value)) if is_number(value) => parts.database = Some(value.to_owned()),
                Some(("user", value)) => parts.user = Some(decoded(value)?),
                Some(("pass", value)) => parts.password = Some(Secret(decoded(value)?)),
                // What comes after the '=' may be a secret.
                Some((key, _)) => return Err(format!("it has '{key}=…' after the '?'; use db=NUMBER, user= or pass=")),
                None => return Err("what is after the '?' has no '='; use db=NUMBER, user= or pass=".into()),
            }
        }
        Ok(parts)
    }

    fn server(self, path: &str, database: Option<&str>) -> Result<Server, String> {
        let endpoint = if self.is_unix { self.socket(path)? } else { self.host(path)? };
        let database = database.or(self.database.as_deref()).unwrap_or("0");
        let database = database.parse().map_err(|_| format!("'{database}' is not the number of a database"))?;
        let user = self.user.as_ref().map_or(String::new(), |user| format!("{}@", encoded(user)));
        let place = match &endpoint {
            Endpoint::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Endpoint::Tcp { host, port, .. } => format!("{host}:{port}"),
            Endpoint::Unix(path) => path.to_string_lossy().into_owned(),
        };
        let shown = format!("{}{user}{place}/{database}", self.scheme).into();
        Ok(Server { endpoint, database, user: self.user, password: self.password, shown })
    }

    fn socket(&self, path: &str) -> Result<Endpoint, String> {
        if !self.authority.is_empty() {
            return Err(format!("the path of a socket starts with '/', as in {}/run/redis.sock/0/jobs", self.scheme));
        }
        match decoded(path)?.as_str() {
            "" | "/" => Err(format!("it names no socket; use {}/run/redis.sock/0/jobs", self.scheme)),
            path => Ok(Endpoint::Unix(PathBuf::from(path))),
        }
    }

    fn host(&self, path: &str) -> Result<Endpoint, String> {
        if !matches!(path, "" | "/") {
            return Err("it has more than a database and a name after the host; use redis://host:6379/0/jobs".into());
        }
        let (host, port) = match self.authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("its '[' has no ']'")?,
            None => self.authority.split_at(self.authority.find(':').unwrap_or(self.authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("its port is not a number up to 65535")?,
            None if port.is_empty() => PORT,
            None => return Err("there is something between the ']' and the port".into()),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:%".contains(c);
        if host.is_empty() || host.starts_with('-') || !host.chars().all(allowed) {
            return Err("its host is none; use a name or an address, as in redis://host:6379/0/jobs".into());
        }
        Ok(Endpoint::Tcp { host: host.to_owned(), port, tls: self.tls })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `text` with each %XX as the byte it means.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("a '%' in it is not followed by two hexadecimal digits; write %25 for one")?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| "what a '%' in it stands for is not UTF-8".into())
}

/// `text` as it can be part of a URL.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(text: &str) -> Result<Remote, String> {
        Remote::parse(OsStr::new(text)).unwrap_or_else(|| panic!("{text} is no URL of ours"))
    }

    fn server(text: &str) -> Result<Server, String> {
        Server::parse(OsStr::new(text)).unwrap_or_else(|| panic!("{text} is no URL of ours"))
    }

    #[test]
    fn the_last_part_is_the_name_and_a_number_before_it_the_database() {
        for (text, shown) in [
            ("redis://host:6380/3/jobs", "redis://host:6380/3/jobs"),
            ("redis://host/jobs", "redis://host:6379/0/jobs"),
            ("REDIS://host/0/7", "redis://host:6379/0/7"),
            ("valkey://10.0.0.1/2/a.b-c", "valkey://10.0.0.1:6379/2/a.b-c"),
            ("rediss://[::1]:7/0/jobs", "rediss://[::1]:7/0/jobs"),
            ("redis+unix:///run/redis.sock/4/jobs", "redis+unix:///run/redis.sock/4/jobs"),
            ("redis+unix:///run/redis.sock/jobs?db=4", "redis+unix:///run/redis.sock/4/jobs"),
            ("unix:///run/redis.sock/jobs", "unix:///run/redis.sock/0/jobs"),
        ] {
            assert_eq!(queue(text).map(|queue| queue.to_string()).as_deref(), Ok(shown), "{text}");
        }
        assert_eq!(queue("redis://host/5/jobs").unwrap().server.database, 5);
        assert_eq!(server("redis://host").unwrap().shown(), "redis://host:6379/0");
        assert_eq!(
            server("redis://host/2/").unwrap_err().split(';').next(),
            Some("it has more than a database and a name after the host")
        );
        assert_eq!(server("unix:///run/redis.sock/2").unwrap().shown(), "unix:///run/redis.sock/2");
        assert_eq!(server("unix:///run/redis.sock").unwrap().endpoint, Endpoint::Unix("/run/redis.sock".into()));
    }

    #[test]
    fn what_is_not_ours_is_somebody_elses() {
        for text in ["jobs", "./redis://", "redis:/host/0/jobs", "http://host/0/jobs", "/redis://x"] {
            assert!(Remote::parse(OsStr::new(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn passwords_are_known_and_never_shown() {
        for text in [
            "redis://:s%65cret%2F@host/0/jobs",
            "redis://me:secret%2F@host/0/jobs",
            "unix:///s.sock/0/jobs?user=me&pass=secret%2F",
        ] {
            let queue = queue(text).unwrap();
            assert_eq!(queue.server.password.as_ref().map(Secret::reveal), Some("secret/"), "{text}");
            assert!(!queue.to_string().contains("secret") && !format!("{queue:?}").contains("secret"), "{queue:?}");
        }
        assert_eq!(queue("redis://me:x@host/0/jobs").unwrap().to_string(), "redis://me@host:6379/0/jobs");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, problem) in [
            ("redis://", "it names a server and no queue"),
            ("redis://host", "it names a server and no queue"),
            ("redis://host/", "it names a database and no queue"),
            ("redis://host/0", "it names a database and no queue"),
            ("redis://:secret@host/x/jobs", "it has more than a database"),
            ("redis://:secret@host:port/0/jobs", "its port is not a number"),
            ("redis://:secret@/0/jobs", "its host is none"),
            ("redis://:secret%zz@host/0/jobs", "a '%' in it is not followed"),
            ("redis://:sec#ret@host/0/jobs", "it contains '#'"),
            ("redis://host/0/jobs?password=secret", "it has 'password=…' after the '?'"),
            ("redis://host/99999999999/jobs", "is not the number of a database"),
            ("unix:///0/jobs", "it names no socket"),
            ("unix://run/s.sock/0/jobs", "the path of a socket starts with '/'"),
            ("redis://host/0/-x", "it starts with '-'"),
        ] {
            let complaint = queue(text).unwrap_err();
            assert!(complaint.contains(problem) && !complaint.contains("secret"), "{text}: {complaint}");
        }
    }
}
