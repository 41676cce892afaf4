//! What the gateway counts: applications that fail, and clients that run into a limit.

use super::{Metric, Sample, Value};
use nightlatch_http::{CutOff, Gateway, LogoutToken};
use prometheus_client::metrics::MetricType;

pub(super) const METRICS: &[Metric<Gateway>] = &[
    Metric {
        name: "nightlatch_upstream_failures",
        kind: MetricType::Counter,
        labels: "`app` (the names in `[[app]]`), `kind` (`connection_refused`, `unreachable`, `connect_timeout`, `too_slow`, `connection_lost`, \
                 `bad_answer`, `ambiguous_answer`, `connection_authentication`, `answer_broken_off`)",
        means: "Requests that the application failed. Its address takes no connections; there is no way to it; it did not accept a connection, \
                or did not begin an answer, in time; it closed the connection first; it answered what is not HTTP, or what can be read in two \
                ways; it authenticates connections; it broke off in the middle of an answer. The log has a line for each application and kind \
                every ten seconds at most, none for the last kind.",
        samples: |gateway| {
            let failed = |(app, failure, count): (&str, nightlatch_http::Failure, u64)| Sample {
                labels: vec![("app", app.to_owned()), ("kind", failure.code().to_owned())],
                value: Value::Counter(count),
            };
            gateway.failures().map(failed).collect()
        },
    },
    Metric {
        name: "nightlatch_clients_cut_off",
        kind: MetricType::Counter,
        labels: "`limit` (`handshake_within`, `connections_per_address`, `connections`, `body_least`, `body`, `write_within`, `http2_abandoned`, \
                 `http2_control_frames`)",
        means: "Clients that ran into a limit of `[limits]`: their connection was closed, their stream reset, or their request answered with \
                408, 413 or 503. None of them is a line in the log. Idle connections that are closed are not among them.",
        samples: |gateway| {
            let cut_off = |limit: CutOff| Sample {
                labels: vec![("limit", limit.key().to_owned())],
                value: Value::Counter(gateway.cut_off(limit)),
            };
            CutOff::ALL.map(cut_off).into()
        },
    },
    Metric {
        name: "nightlatch_logout_tokens",
        kind: MetricType::Counter,
        labels: "`result` (`accepted`, `refused`, `replayed`, `unverifiable`)",
        means: "Logout tokens that came from providers, or from whoever says to be one. An accepted one ended what it names; a refused one is \
                not believed, and anybody can send those; a replayed one was used before; an unverifiable one came while the provider's keys \
                were not to be had, and the sessions it may have named live on.",
        samples: |gateway| {
            let tokens = |what: LogoutToken| Sample {
                labels: vec![("result", what.code().to_owned())],
                value: Value::Counter(gateway.logout_tokens(what)),
            };
            LogoutToken::ALL.map(tokens).into()
        },
    },
];
