//! What is counted, as OpenMetrics text.
//!
//! The engine counts in plain atomics and knows no exporter; here its numbers get names. Each metric stands once, with its help, its
//! labels and where its numbers come from; the text and the reference page are both made from that list. Units are in the names. Nothing
//! is labelled by session, subject, route or address: a label is a closed list of words, or of applications and witnesses in the
//! configuration, so the number of series is fixed.

mod gateway;
mod witnesses;

use crate::tls::RELOADS;
use nightlatch_core::{Activity, EndReason};
use nightlatch_engine::{Channel, Engine, LATENESS_BOUNDS_US, Lateness, Part};
use nightlatch_http::Gateway;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::Registry,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// What the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One metric of `S`: what it is called, what it means, and where its numbers come from.
struct Metric<S: 'static = Engine> {
    /// Without the `_total` that a counter's samples get.
    name: &'static str,
    kind: MetricType,
    labels: &'static str,
    means: &'static str,
    samples: fn(&S) -> Vec<Sample>,
}

struct Sample {
    labels: Vec<(&'static str, String)>,
    value: Value,
}

enum Value {
    Counter(u64),
    Gauge(f64),
    Histogram { sum: f64, count: u64, buckets: Vec<(f64, u64)> },
}

const METRICS: &[Metric] = &[
    Metric {
        name: "nightlatch_checks",
        kind: MetricType::Counter,
        labels: "`result` (`granted`, `insufficient`, `refused`, `unknown`), `reason`",
        means: "Decisions. Of a granted one the reason is `active` or `passive`; of a refused one it is the end reason; `insufficient` \
                is a live session without an authentication as fresh as the route needs; a credential that names no session is \
                `unknown`.",
        samples: checks,
    },
    Metric {
        name: "nightlatch_sessions_started",
        kind: MetricType::Counter,
        labels: "",
        means: "Sessions started by this run.",
        samples: |engine| one(Value::Counter(engine.stats().started.load(Relaxed))),
    },
    Metric {
        name: "nightlatch_authentications_added",
        kind: MetricType::Counter,
        labels: "",
        means: "Authentications, each with a credential, that sessions got after their start.",
        samples: |engine| one(Value::Counter(engine.stats().authentications.load(Relaxed))),
    },
    Metric {
        name: "nightlatch_sessions_ended",
        kind: MetricType::Counter,
        labels: "`reason`",
        means: "Sessions ended by this run.",
        samples: |engine| {
            let ended = |reason: EndReason| Sample {
                labels: vec![("reason", reason.code().to_owned())],
                value: Value::Counter(engine.stats().ended(reason)),
            };
            EndReason::ALL.into_iter().map(ended).collect()
        },
    },
    Metric {
        name: "nightlatch_sessions_live",
        kind: MetricType::Gauge,
        labels: "",
        means: "Sessions that are live now.",
        samples: |engine| one(Value::Gauge(live(engine) as f64)),
    },
    Metric {
        name: "nightlatch_cut_lateness_seconds",
        kind: MetricType::Histogram,
        labels: "`channel`",
        means: "How long after its deadline something open was cut. Every single cut is in the ledger.",
        samples: |engine| {
            let cuts = |channel: Channel| Sample {
                labels: vec![("channel", channel.code().to_owned())],
                value: histogram(engine.stats().cuts(channel)),
            };
            Channel::ALL.into_iter().map(cuts).collect()
        },
    },
    Metric {
        name: "nightlatch_cut_lateness_max_seconds",
        kind: MetricType::Gauge,
        labels: "`channel`",
        means: "The latest cut of this run.",
        samples: |engine| {
            let latest = |channel: Channel| Sample {
                labels: vec![("channel", channel.code().to_owned())],
                value: Value::Gauge(seconds(engine.stats().cuts(channel).max_us())),
            };
            Channel::ALL.into_iter().map(latest).collect()
        },
    },
    Metric {
        name: "nightlatch_end_lateness_seconds",
        kind: MetricType::Histogram,
        labels: "",
        means: "How long after a deadline the end was noticed, whether by a check or by a timer.",
        samples: |engine| one(histogram(&engine.stats().ends)),
    },
    Metric {
        name: "nightlatch_recording",
        kind: MetricType::Gauge,
        labels: "",
        means: "1 while sessions may start: all that a start promises reaches the disk, and there is room for its end. At 0 none starts; \
                running ones are enforced all the same.",
        samples: |engine| one(Value::Gauge(f64::from(u8::from(engine.health().recording)))),
    },
    Metric {
        name: "nightlatch_enforcing",
        kind: MetricType::Gauge,
        labels: "",
        means: "1 while ends come on time. At 0 the program is blind: send traffic elsewhere.",
        samples: |engine| one(Value::Gauge(f64::from(u8::from(engine.health().enforcing)))),
    },
    Metric {
        name: "nightlatch_fault",
        kind: MetricType::Gauge,
        labels: "`part`",
        means: "1 while something is wrong with this part; the alert. What it stops and what to do: see the runbooks.",
        samples: |engine| parts(|part| Value::Gauge(if since(engine, part) > 0.0 { 1.0 } else { 0.0 })),
    },
    Metric {
        name: "nightlatch_fault_since_timestamp_seconds",
        kind: MetricType::Gauge,
        labels: "`part`",
        means: "Since when, in seconds since the Unix epoch by the gateway's clock; 0 while nothing is wrong.",
        samples: |engine| parts(|part| Value::Gauge(since(engine, part))),
    },
    Metric {
        name: "nightlatch_faults",
        kind: MetricType::Counter,
        labels: "`part`",
        means: "How often something began to be wrong with this part. One that comes and goes shows here.",
        samples: |engine| parts(|part| Value::Counter(engine.times_at_fault(part))),
    },
    Metric {
        name: "nightlatch_entries_gave_way",
        kind: MetricType::Counter,
        labels: "",
        means: "Cuts and refusals that were not written, because on a full disk their room is owed to the ends of others.",
        samples: |engine| one(Value::Counter(engine.stats().gave_way.load(Relaxed))),
    },
    Metric {
        name: "nightlatch_ledger_size_entries",
        kind: MetricType::Gauge,
        labels: "",
        means: "Entries on disk.",
        samples: |engine| one(Value::Gauge(engine.health().ledger_size as f64)),
    },
    Metric {
        name: "nightlatch_ledger_pending_entries",
        kind: MetricType::Gauge,
        labels: "",
        means: "Entries that wait for the disk.",
        samples: |engine| one(Value::Gauge(engine.health().ledger_waiting as f64)),
    },
    Metric {
        name: "nightlatch_disk_failures",
        kind: MetricType::Counter,
        labels: "",
        means: "Writes to disk that failed.",
        samples: |engine| one(Value::Counter(engine.stats().disk_failures.load(Relaxed))),
    },
    Metric {
        name: "nightlatch_clock_wall_behind_seconds",
        kind: MetricType::Gauge,
        labels: "",
        means: "How far the wall clock is behind the clock that decides: it was stepped back, and that is ignored.",
        samples: |engine| one(Value::Gauge(engine.health().wall_behind_ms as f64 / 1_000.0)),
    },
    Metric {
        name: "nightlatch_clock_steps",
        kind: MetricType::Counter,
        labels: "`direction` (`forward`, `back`)",
        means: "Steps of the wall clock of 250 ms or more. Forward counts as time passed, back is ignored.",
        samples: |engine| {
            let stats = engine.stats();
            let steps = [("forward", &stats.clock_steps_forward), ("back", &stats.clock_steps_back)];
            let sample = |(direction, count): (&str, &AtomicU64)| Sample {
                labels: vec![("direction", direction.to_owned())],
                value: Value::Counter(count.load(Relaxed)),
            };
            steps.map(sample).into()
        },
    },
    Metric {
        name: "nightlatch_suspensions",
        kind: MetricType::Counter,
        labels: "",
        means: "Suspensions of the machine of 250 ms or more. The time counts like any other.",
        samples: |engine| one(Value::Counter(engine.stats().suspensions.load(Relaxed))),
    },
    Metric {
        name: "nightlatch_clock_faults",
        kind: MetricType::Counter,
        labels: "",
        means: "1 from a start with a clock that could not be trusted: every session was ended. 0 after any other.",
        samples: |engine| one(Value::Counter(engine.stats().clock_faults.load(Relaxed))),
    },
    Metric {
        name: "nightlatch_timers",
        kind: MetricType::Gauge,
        labels: "",
        means: "Timers that stand for a deadline.",
        samples: |engine| one(Value::Gauge(engine.health().timers as f64)),
    },
    Metric {
        name: "nightlatch_certificate_reloads",
        kind: MetricType::Counter,
        labels: "`result` (`done`, `failed`)",
        means: "How often SIGHUP made the gateway read its certificates again. After a failed one those in use before stay in use.",
        samples: |_| {
            let sample = |result: &str, count: &AtomicU64| Sample {
                labels: vec![("result", result.to_owned())],
                value: Value::Counter(count.load(Relaxed)),
            };
            vec![sample("done", &RELOADS.done), sample("failed", &RELOADS.failed)]
        },
    },
    Metric {
        name: "nightlatch_version",
        kind: MetricType::Gauge,
        labels: "`version`",
        means: "Always 1; the label says which version runs.",
        samples: |_| {
            let labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
            vec![Sample { labels, value: Value::Gauge(1.0) }]
        },
    },
];

fn of_the_engine() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().chain(witnesses::METRICS)
}

/// Everything that is counted, as text.
pub(crate) fn text(engine: &Arc<Engine>, gateway: &Arc<Gateway>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Counted(Arc::clone(engine), Arc::clone(gateway))));
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        // Writing to a string does not fail; half of a text must not pass for all of it.
        tracing::error!("the metrics could not be written");
        return String::new();
    }
    text
}

struct Counted(Arc<Engine>, Arc<Gateway>);

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted(..)")
    }
}

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in of_the_engine() {
            metric.encode(&self.0, &mut encoder)?;
        }
        for metric in gateway::METRICS {
            metric.encode(&self.1, &mut encoder)?;
        }
        Ok(())
    }
}

impl<S> Metric<S> {
    fn encode(&self, of: &S, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = self.means.trim_end_matches('.');
        let mut family = encoder.encode_descriptor(self.name, help, None, self.kind)?;
        for Sample { labels, value } in (self.samples)(of) {
            // Without labels there is no family: it would be written with empty braces.
            if labels.is_empty() {
                value.encode(&mut family)?;
            } else {
                value.encode(&mut family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    /// Its line in the reference.
    fn line(&self) -> String {
        let (suffix, kind) = match self.kind {
            MetricType::Counter => ("_total", "counter"),
            MetricType::Histogram => ("", "histogram"),
            _ => ("", "gauge"),
        };
        format!("| `{}{suffix}` | {kind} | {} | {} |\n", self.name, self.labels, self.means)
    }
}

impl Value {
    fn encode(&self, sample: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            Value::Counter(count) => sample.encode_counter::<NoLabelSet, _, u64>(count, None),
            Value::Gauge(value) => sample.encode_gauge(value),
            Value::Histogram { sum, count, buckets } => {
                sample.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
            }
        }
    }
}

fn one(value: Value) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value }]
}

fn checks(engine: &Engine) -> Vec<Sample> {
    let stats = engine.stats();
    let sample = |result: &str, reason: &str, count| Sample {
        labels: vec![("result", result.to_owned()), ("reason", reason.to_owned())],
        value: Value::Counter(count),
    };
    let mut samples = vec![
        sample("granted", "active", stats.granted(Activity::Active)),
        sample("granted", "passive", stats.granted(Activity::Passive)),
        sample("insufficient", "authentication", stats.insufficient.load(Relaxed)),
        sample("unknown", "unknown", stats.refused_unknown.load(Relaxed)),
    ];
    let refused = |reason: EndReason| sample("refused", reason.code(), stats.refused(reason));
    samples.extend(EndReason::ALL.into_iter().map(refused));
    samples
}

fn parts(value: impl Fn(Part) -> Value) -> Vec<Sample> {
    let sample = |part: Part| Sample { labels: vec![("part", part.code().to_owned())], value: value(part) };
    Part::ALL.into_iter().map(sample).collect()
}

/// Since when a part is at fault, in seconds; 0 if it is not.
fn since(engine: &Engine, part: Part) -> f64 {
    let faults = engine.health().faults;
    let fault = faults.iter().find(|fault| fault.part == part);
    fault.map_or(0.0, |fault| fault.since.as_millis() as f64 / 1_000.0)
}

/// Counted by looking at every session, a page at a time. Timers are no measure: one may stand for a session twice.
fn live(engine: &Engine) -> usize {
    let mut live = 0;
    let mut after = None;
    loop {
        let page = engine.sessions(after, 1_000);
        let Some(last) = page.last() else { return live };
        after = Some(last.facts.id);
        live += page.iter().filter(|session| session.end().is_none()).count();
    }
}

fn histogram(lateness: &Lateness) -> Value {
    let counts = lateness.buckets();
    let bounds = LATENESS_BOUNDS_US.into_iter().map(seconds).chain([f64::INFINITY]);
    Value::Histogram {
        sum: seconds(lateness.sum_us()),
        count: counts.iter().sum(),
        buckets: bounds.zip(counts).collect(),
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1_000_000.0
}

/// The whole of `docs/reference/metrics.md`.
pub(crate) fn reference_markdown() -> String {
    let bounds: Vec<String> = LATENESS_BOUNDS_US.into_iter().map(|us| seconds(us).to_string()).collect();
    let mut page = format!(
        "<!-- Generated from the list of metrics in the program. Change it there; a test compares this page with it. -->\n\n\
         # Metrics\n\n\
         `GET /metrics` on the admin listener answers with OpenMetrics text, which Prometheus reads. It needs no key and names\n\
         nobody: every label is a closed list of words, or the name of a witness or of an application in the configuration. Counters begin at 0 with each start of the program; the ledger keeps\n\
         every single event.\n\n\
         Bounds of the lateness histograms, in seconds: {}.\n\n\
         | Metric | Type | Labels | Means |\n| --- | --- | --- | --- |\n",
        bounds.join(", ")
    );
    page.extend(of_the_engine().map(Metric::line));
    page.extend(gateway::METRICS.iter().map(Metric::line));
    page
}
