//! When the disk refuses: nothing starts, everything is enforced, and nobody is told what is not so.

use super::House;
use nightlatch_ledger::{Disk, OsDisk};
use serde_json::json;
use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// A disk that can be made to fail.
#[derive(Default)]
struct Failing(AtomicBool);

impl Disk for Failing {
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.0.load(SeqCst) {
            return Err(io::Error::other("the test's disk fails"));
        }
        OsDisk.write(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        OsDisk.sync(file)
    }

    fn allocate(&self, file: &File, length: u64) -> io::Result<()> {
        OsDisk.allocate(file, length)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_closed_while_nothing_can_be_recorded() {
    let disk = Arc::new(Failing::default());
    let house = House::on(Arc::clone(&disk) as Arc<dyn Disk>).await;
    let (id, token) = house.start("ada").await;
    let (_, idle) = house.start("bob").await;
    disk.0.store(true, SeqCst);

    // An end takes effect at once, and is not said to be done before it is on disk.
    let path = format!("/v1/sessions/{id}");
    let delete = house.ask("DELETE", &path, "operator", "");
    let waiting = tokio::time::timeout(Duration::from_millis(700), delete).await;
    assert!(waiting.is_err(), "the answer waits for the disk");
    assert_eq!(
        house.check(&token, false).await,
        json!({ "allow": false }),
        "refused, and the reason is not told yet"
    );

    let ready = house.get("/readyz", "").await;
    assert_eq!((ready.status, ready.json()["ok"].clone()), (503, json!(false)));
    assert_eq!(house.get("/readyz/enforcing", "").await.status, 200);
    assert!(house.get("/metrics", "").await.text.contains("\nnightlatch_recording 0"));
    let answer = house.ask("POST", "/v1/sessions", "issuer", r#"{"subject":"eve"}"#).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "not-recording"));
    // What follows from the numbers needs no ledger; only the time that it was by them must have been kept.
    house.time.advance(15 * super::MINUTE_NANOS - 1_000_000);
    house.engine().upkeep();
    house.time.advance(1_000_000);
    assert_eq!(house.check(&idle, false).await["reason"], "idle_timeout");

    disk.0.store(false, SeqCst);
    let answer = house.ask("DELETE", &path, "operator", "").await;
    assert_eq!(answer.json()["end"]["reason"], "revoked");
    assert_eq!(house.check(&token, false).await["reason"], "revoked");
    // Whatever else was met is tried again in the next round.
    house.engine().upkeep();
    assert_eq!(house.get("/readyz", "").await.status, 200);
    house.start("eve").await;
}
