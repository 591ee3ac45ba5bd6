//! What the figures were measured on, and when.

use std::fs::read_to_string;

/// The processor, how many of it there are, and the kernel.
pub(crate) fn description() -> String {
    let cpus = cpus();
    let model = model(&cpus);
    let guest = if cpus.contains(" hypervisor ") { " (a virtual machine)" } else { "" };
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{model}{guest}, {count} processors, Linux {kernel}")
}

/// The processor as the name of a file, as in `intel-xeon-processor`.
pub(crate) fn name() -> String {
    let words = model(&cpus()).to_lowercase().replace("(r)", " ").replace("(tm)", " ");
    let words = words.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

fn cpus() -> String {
    read_to_string("/proc/cpuinfo").unwrap_or_default()
}

fn model(cpus: &str) -> &str {
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown processor", |(_, model)| model)
}

/// The date, as in 2026-11-26.
pub(crate) fn today() -> String {
    let time = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    time.split('T').next().unwrap_or_default().to_owned()
}
