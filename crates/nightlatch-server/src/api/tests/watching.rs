//! Health and metrics.

use super::House;
use std::collections::BTreeMap;

/// Samples of the text by name and labels. Checks the form of every line on the way.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut described = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            described = rest.split_once(' ').map(|(name, _)| name.to_owned());
        } else if line.starts_with('#') {
            assert!(line.starts_with("# TYPE ") || line == "# EOF", "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(described.as_deref().unwrap()), "{line} stands under another metric");
            assert!(!name.contains("{}"), "{line}");
            assert!(
                samples.insert(name.to_owned(), value.parse().unwrap()).is_none(),
                "{line} stands there twice"
            );
        }
    }
    assert!(text.ends_with("# EOF\n"));
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happens() {
    let house = House::new().await;
    let (id, token) = house.start("ada").await;
    house.start("bob").await;
    house.check(&token, false).await;
    house.check(&token, true).await;
    house.check("nlt_unknown", true).await;
    house.ask("DELETE", &format!("/v1/sessions/{id}"), "operator", "").await;
    house.check(&token, true).await;
    house.engine().stats().ends.observe(700);

    let answer = house.get("/metrics", "").await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let samples = samples(&answer.text);
    let rows = [
        ("nightlatch_checks_total{result=\"granted\",reason=\"active\"}", 1.0),
        ("nightlatch_checks_total{result=\"granted\",reason=\"passive\"}", 1.0),
        ("nightlatch_checks_total{result=\"refused\",reason=\"revoked\"}", 1.0),
        ("nightlatch_checks_total{result=\"unknown\",reason=\"unknown\"}", 1.0),
        ("nightlatch_sessions_started_total", 2.0),
        ("nightlatch_sessions_ended_total{reason=\"revoked\"}", 1.0),
        ("nightlatch_sessions_live", 1.0),
        ("nightlatch_recording", 1.0),
        ("nightlatch_disk_failures_total", 0.0),
        ("nightlatch_end_lateness_seconds_count", 1.0),
        ("nightlatch_end_lateness_seconds_sum", 0.0007),
        ("nightlatch_end_lateness_seconds_bucket{le=\"0.0005\"}", 0.0),
        ("nightlatch_end_lateness_seconds_bucket{le=\"0.001\"}", 1.0),
        ("nightlatch_end_lateness_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("nightlatch_cut_lateness_seconds_count{channel=\"websocket\"}", 0.0),
    ];
    for (name, value) in rows {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    assert!(samples["nightlatch_ledger_size_entries"] >= 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_about_to_stop_asks_for_traffic_to_go_elsewhere() {
    let house = House::new().await;
    for path in ["/livez", "/readyz", "/readyz/enforcing"] {
        assert_eq!(house.get(path, "").await.json(), serde_json::json!({ "ok": true }), "{path}");
    }
}
