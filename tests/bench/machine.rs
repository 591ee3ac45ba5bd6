//! What the figures were measured on, and when.

use std::fs::read_to_string;

/// The processor, how many of it there are, and the kernel.
pub(crate) fn description() -> String {
    let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let guest = if cpus.contains(" hypervisor ") { " (a virtual machine)" } else { "" };
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{model}{guest}, {count} processors, Linux {kernel}")
}

/// The date, as in 2026-11-26.
pub(crate) fn today() -> String {
    let time = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    time.split('T').next().unwrap_or_default().to_owned()
}
