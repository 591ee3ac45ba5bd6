//! From the name of a host to its addresses, without the C library's resolver: in a static program that would load
//! shared libraries of the very same C library, which need not be there.
//!
//! Addresses stand for themselves, /etc/hosts is read here, and whatever else names can come from (DNS, mDNS, LDAP, as
//! /etc/nsswitch.conf has it) `getent` is asked for, which every system with a C library has.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where hosts are listed.
const HOSTS: &str = "/etc/hosts";
/// How often to look whether `getent` has ended.
const LOOK: Duration = Duration::from_millis(2);

/// The addresses of `host`, those to be tried first first; at least one.
///
/// # Errors
/// Why there are none, as the end of a sentence, and whether it is worth trying again.
pub(super) fn addresses(host: &str, deadline: Instant) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let listed = in_hosts(&std::fs::read_to_string(HOSTS).unwrap_or_default(), host);
    if !listed.is_empty() {
        return Ok(listed);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    ask_getent(host, deadline)
}

/// The addresses that the lines of /etc/hosts give for `host`.
fn in_hosts(lines: &str, host: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    lines.lines().filter_map(address).collect()
}

fn ask_getent(host: &str, deadline: Instant) -> Result<Vec<IpAddr>, String> {
    let child = Command::new("getent")
        .args(["ahosts", host])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| {
        format!("its address is not in {HOSTS}, and getent(1), which would know others, cannot be run: {error}; use an address")
    })?;
    if !ends(&mut child, deadline) {
        // That it cannot be killed changes nothing: its answer is not waited for any longer.
        let _ = child.kill();
        let _ = child.wait();
        return Err("its address could not be found out in time".into());
    }
    let mut text = String::new();
    if let Some(mut output) = child.stdout.take() {
        // What is no text has no addresses.
        let _ = output.read_to_string(&mut text);
    }
    let found = in_answer(&text);
    if found.is_empty() { Err("no address of it is known (see 'getent ahosts')".into()) } else { Ok(found) }
}

/// Waits for the end, until the deadline.
fn ends(child: &mut Child, deadline: Instant) -> bool {
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Ok(None) => return false,
            // Somebody else may have waited for all children.
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

/// The addresses in lines like `192.0.2.1 STREAM host`, each once.
fn in_answer(text: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn an_address_stands_for_itself() {
        for text in ["127.0.0.1", "::1", "2001:db8::7"] {
            assert_eq!(addresses(text, Instant::now()), Ok(vec![text.parse().unwrap()]));
        }
    }

    #[test]
    fn hosts_are_found_in_the_list_by_each_of_their_names() {
        let list = "# 192.0.2.9 redis\n192.0.2.1\tcache  Redis.example redis # main\n::1 redis\nnonsense redis\n";
        assert_eq!(in_hosts(list, "REDIS"), ["192.0.2.1".parse::<IpAddr>().unwrap(), Ipv6Addr::LOCALHOST.into()]);
        assert_eq!(in_hosts(list, "redis.example").len(), 1);
        assert!(in_hosts(list, "main").is_empty() && in_hosts(list, "192.0.2.1").is_empty());
    }

    #[test]
    fn this_host_is_known_without_a_list() {
        assert!(addresses("localhost", later()).unwrap().iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn an_answer_names_each_address_for_each_kind_of_socket() {
        let answer = "192.0.2.1   STREAM host\n192.0.2.1 DGRAM\n192.0.2.1 RAW\n2001:db8::1 STREAM\n";
        assert_eq!(in_answer(answer), ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    }

    #[test]
    fn a_name_that_nobody_knows_is_a_sentence() {
        let problem = addresses("no-such-host.invalid", later()).unwrap_err();
        assert!(problem.contains("no address of it is known") || problem.contains("in time"), "{problem}");
    }
}
