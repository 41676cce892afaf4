//! What is counted of the witnesses that the record is shown to. Labelled by the names in the configuration, which are as many as it says.

use super::{Metric, Sample, Value};
use crate::witnessing::{Failure, Standing, standings};
use prometheus_client::metrics::MetricType;
use std::sync::Arc;

pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "nightlatch_witness_cosigned_entries",
        kind: MetricType::Gauge,
        labels: "`witness` (the names in `[[ledger.witness]]`)",
        means: "Entries that the witness has cosigned. What is beyond them is not anchored by it. 0 if none yet.",
        samples: |_| witnesses(|of| Value::Gauge(of.seen().entries as f64)),
    },
    Metric {
        name: "nightlatch_witness_cosigned_timestamp_seconds",
        kind: MetricType::Gauge,
        labels: "`witness`",
        means: "When it last cosigned, in seconds since the Unix epoch by its own clock; 0 if never. Its age is the alert.",
        samples: |_| witnesses(|of| Value::Gauge(of.seen().unix_seconds as f64)),
    },
    Metric {
        name: "nightlatch_witness_contradicts",
        kind: MetricType::Gauge,
        labels: "`witness`",
        means: "1 if it said, when it last said anything of it, that it has seen another history than the one that is here; the alert.",
        samples: |_| witnesses(|of| Value::Gauge(f64::from(u8::from(of.contradicts())))),
    },
    Metric {
        name: "nightlatch_witness_failures",
        kind: MetricType::Counter,
        labels: "`witness`, `kind` (`contradicted`, `unreachable`, `stranger`, `answer`, `ledger`)",
        means: "How often it did not cosign: `contradicted` as above; no answer; it does not know this ledger; an answer that is none or \
                does not hold; files on our side.",
        samples: |_| standings().iter().flat_map(|of| failures(of)).collect(),
    },
];

fn witnesses(value: impl Fn(&Standing) -> Value) -> Vec<Sample> {
    let sample = |of: &Arc<Standing>| Sample { labels: vec![("witness", of.name.clone())], value: value(of) };
    standings().iter().map(sample).collect()
}

fn failures(of: &Standing) -> Vec<Sample> {
    let known = Failure::ALL.map(|failure| (failure.code(), of.failures(failure)));
    let all = [("contradicted", of.contradicted())].into_iter().chain(known);
    let sample = |(kind, count): (&str, u64)| Sample {
        labels: vec![("witness", of.name.clone()), ("kind", kind.to_owned())],
        value: Value::Counter(count),
    };
    all.map(sample).collect()
}
