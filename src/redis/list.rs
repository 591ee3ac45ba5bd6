//! Which queues are in a database.

use super::link::Link;
use crate::error::Result;
use crate::name::QueueName;
use crate::place::Access;
use crate::remote::Server;
use redis::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// How long to wait for a server.
const PATIENCE: Duration = Duration::from_secs(10);
/// Keys that the server looks at in one step, during which nobody else is served.
const AT_ONCE: u32 = 1000;

/// The names of the queues in the database of `server`, sorted by their bytes. Of a cluster, those of the node.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn list(server: &Server, access: &Access) -> Result<Vec<QueueName>> {
    let mut link = Link::new(server, access);
    let deadline = Some(Instant::now() + PATIENCE);
    let mut names = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg("{ipcq:*}:meta").arg("COUNT").arg(AT_ONCE).arg("TYPE").arg("hash");
        let Value::Array(parts) = link.ask(&scan, deadline)? else { break };
        let [Value::BulkString(next), Value::Array(keys)] = parts.as_slice() else { break };
        names.extend(keys.iter().filter_map(name));
        cursor = String::from_utf8_lossy(next).into_owned();
        if cursor == "0" {
            break;
        }
    }
    Ok(names.into_iter().collect())
}

/// The name of the queue whose key this is.
fn name(key: &Value) -> Option<QueueName> {
    let Value::BulkString(key) = key else { return None };
    let name = key.strip_prefix(b"{ipcq:")?.strip_suffix(b"}:meta")?;
    QueueName::parse(OsStr::from_bytes(name)).ok()
}
