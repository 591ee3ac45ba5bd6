//! The figures of queues in the text format of Prometheus, for a monitoring system.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>. Names stay what they are.

use crate::queue::{Participants, Status};
use std::fmt::Write;
use std::time::SystemTime;

/// One queue to be shown.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) participants: Participants,
}

/// A label besides the queue's name, and the value.
type Value = (Option<(&'static str, &'static str)>, f64);

struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    values: fn(&Sample) -> Vec<Value>,
}

fn one(value: impl Into<f64>) -> Vec<Value> {
    vec![(None, value.into())]
}

/// Figures beyond 2^53 lose their last digits, as everything does in Prometheus.
fn number(value: u64) -> f64 {
    value as f64
}

const METRICS: [Metric; 15] = [
    Metric {
        name: "ipcq_messages",
        kind: "gauge",
        help: "Messages in the queue by state.",
        values: |sample| {
            let Status { ready, leased, delayed, dead, .. } = sample.status;
            let states = [("ready", ready), ("leased", leased), ("delayed", delayed), ("dead", dead)];
            states.into_iter().map(|(state, count)| (Some(("state", state)), number(count))).collect()
        },
    },
    Metric {
        name: "ipcq_bytes",
        kind: "gauge",
        help: "Bytes of all messages.",
        values: |sample| one(number(sample.status.bytes)),
    },
    Metric {
        name: "ipcq_capacity_bytes",
        kind: "gauge",
        help: "Bytes that all messages may have.",
        values: |sample| one(number(sample.status.capacity)),
    },
    Metric {
        name: "ipcq_high_water_bytes",
        kind: "gauge",
        help: "The most bytes that all messages ever had.",
        values: |sample| one(number(sample.status.high_water)),
    },
    Metric {
        name: "ipcq_put_messages_total",
        kind: "counter",
        help: "Messages put since the queue was created.",
        values: |sample| one(number(sample.status.put)),
    },
    Metric {
        name: "ipcq_got_messages_total",
        kind: "counter",
        help: "Messages got and finished with.",
        values: |sample| one(number(sample.status.got)),
    },
    Metric {
        name: "ipcq_returned_messages_total",
        kind: "counter",
        help: "Messages that came back unfinished.",
        values: |sample| one(number(sample.status.returned)),
    },
    Metric {
        name: "ipcq_expired_leases_total",
        kind: "counter",
        help: "Leases that ran out.",
        values: |sample| one(number(sample.status.expired)),
    },
    Metric {
        name: "ipcq_died_messages_total",
        kind: "counter",
        help: "Messages that were given up on.",
        values: |sample| one(number(sample.status.died)),
    },
    Metric {
        name: "ipcq_purged_messages_total",
        kind: "counter",
        help: "Messages that were purged.",
        values: |sample| one(number(sample.status.purged)),
    },
    Metric {
        name: "ipcq_oldest_ready_seconds",
        kind: "gauge",
        help: "How long the oldest ready message has been in the queue.",
        values: |sample| one(sample.status.oldest.map_or(0.0, |oldest| age(oldest).as_secs_f64())),
    },
    Metric {
        name: "ipcq_waiting_processes",
        kind: "gauge",
        help: "Processes that wait, by what for.",
        values: |sample| {
            let Participants { waiting_consumers, waiting_producers, waiting_joiners, .. } = &sample.participants;
            let waiting = [("message", waiting_consumers), ("room", waiting_producers), ("end", waiting_joiners)];
            waiting.into_iter().map(|(what, pids)| (Some(("for", what)), pids.len() as f64)).collect()
        },
    },
    Metric {
        name: "ipcq_holding_processes",
        kind: "gauge",
        help: "Processes that hold messages.",
        values: |sample| one(sample.participants.holders.len() as f64),
    },
    Metric {
        name: "ipcq_closed",
        kind: "gauge",
        help: "Whether puts are refused.",
        values: |sample| one(f64::from(u8::from(sample.status.closed))),
    },
    Metric {
        name: "ipcq_paused",
        kind: "gauge",
        help: "Whether puts or gets are paused.",
        values: |sample| {
            let sides = [("put", sample.status.puts_paused), ("get", sample.status.gets_paused)];
            sides.into_iter().map(|(side, paused)| (Some(("side", side)), f64::from(u8::from(paused)))).collect()
        },
    },
];

/// How long ago that was.
pub(super) fn age(moment: SystemTime) -> std::time::Duration {
    SystemTime::now().duration_since(moment).unwrap_or_default()
}

/// Appends the figures of all queues.
pub(super) fn expose(samples: &[Sample], text: &mut Vec<u8>) {
    let mut lines = String::new();
    for metric in METRICS {
        let Metric { name, kind, help, values } = metric;
        // Writing to a String cannot fail.
        let _ = write!(lines, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for sample in samples {
            let queue = escaped(&sample.name);
            for (label, value) in values(sample) {
                let label = label.map(|(label, is)| format!(",{label}=\"{is}\"")).unwrap_or_default();
                let _ = writeln!(lines, "{name}{{queue=\"{queue}\"{label}}} {value}");
            }
        }
    }
    text.extend_from_slice(lines.as_bytes());
}

/// The value of a label: any text, with three characters escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
