//! The record, and that what is handed out can be checked without trust.

use super::House;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use nightlatch_ledger::{ConsistencyProof, Hash, InclusionProof, SignedCheckpoint};
use serde_json::Value;

/// The hashes of a proof, by way of the forms that are handed out.
fn hashes(list: &Value, known: &[Hash]) -> Vec<Hash> {
    let of = |text: &str| *known.iter().find(|hash| hash.to_string() == text).unwrap();
    list.as_array().unwrap().iter().map(|text| of(text.as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_record_entries_are_handed_out_byte_for_byte_and_in_pages() {
    let house = House::new().await;
    for number in 0..5 {
        house.start(&format!("user-{number}")).await;
    }
    let mut from = 0;
    let mut seen = Vec::new();
    loop {
        let answer = house.get(&format!("/v1/ledger/entries?from={from}&limit=2"), "auditor").await;
        let page = answer.json();
        for entry in page["entries"].as_array().unwrap() {
            let index = entry["index"].as_u64().unwrap();
            let payload = house.engine().ledger().read(index).unwrap().payload;
            let text = String::from_utf8(payload).unwrap();
            assert!(answer.text.contains(&text), "the bytes that are hashed are those that are shown");
            assert_eq!(house.get(&format!("/v1/ledger/entries/{index}"), "auditor").await.text, text);
            assert_eq!(entry["id"], format!("{}:{index}", house.engine().node()));
            seen.push(index);
        }
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    let page = house.get("/v1/ledger/entries?what=session_started&from=2&limit=3", "auditor").await.json();
    let indexes: Vec<u64> =
        page["entries"].as_array().unwrap().iter().map(|entry| entry["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_record_proofs_hold_against_the_signed_checkpoint() {
    let house = House::new().await;
    for number in 0..9 {
        house.start(&format!("user-{number}")).await;
    }
    house.engine().ledger().checkpoint().unwrap();
    let key = house.get("/v1/ledger/key", "auditor").await.text;
    let note = house.get("/v1/ledger/checkpoint", "auditor").await;
    assert_eq!(note.headers["content-type"], "text/plain; charset=utf-8");
    let signed = SignedCheckpoint::parse(&note.text, &key.trim_end().parse().unwrap()).unwrap();
    let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
    assert_eq!(size, 10);

    let inclusion = house.get("/v1/ledger/proof/inclusion?index=3", "auditor").await.json();
    let expected = house.engine().ledger().prove_inclusion(3, size).unwrap();
    let path = hashes(&inclusion["path"], &expected.path);
    let payload = house.get("/v1/ledger/entries/3", "auditor").await.text;
    assert!(InclusionProof { index: 3, size, path }.verifies(payload.as_bytes(), &root));
    assert_eq!(inclusion["leaf"], BASE64_STANDARD.encode(Hash::of_leaf(payload.as_bytes()).as_bytes()));

    house.start("one more").await;
    house.engine().ledger().checkpoint().unwrap();
    let consistency = house.get(&format!("/v1/ledger/proof/consistency?from={size}"), "auditor").await.json();
    let newest = house.engine().ledger().last_checkpoint().unwrap();
    let expected = house.engine().ledger().prove_consistency(size, newest.checkpoint().size).unwrap();
    let path = hashes(&consistency["path"], &expected.path);
    let proof = ConsistencyProof { old_size: size, new_size: consistency["to"].as_u64().unwrap(), path };
    assert!(proof.verifies(&root, &newest.checkpoint().root));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_proved_is_told_apart() {
    let house = House::new().await;
    house.engine().ledger().checkpoint().unwrap();
    let signed = house.engine().ledger().last_checkpoint().unwrap().checkpoint().size;
    // On record, and no checkpoint covers it yet.
    house.start("ada").await;
    let size = house.engine().ledger().durable();
    assert!(size > signed);
    let rows = [
        (format!("inclusion?index={signed}"), 503, "not-signed-yet"),
        (format!("inclusion?index={signed}&size={size}"), 200, ""),
        (format!("inclusion?index={signed}&size={signed}"), 422, "nothing-to-prove"),
        (format!("inclusion?index={size}"), 404, "not-found"),
        (format!("inclusion?index={}", u64::MAX), 404, "not-found"),
        (format!("inclusion?index=0&size={}", size + 1), 422, "nothing-to-prove"),
        (format!("consistency?from={signed}"), 200, ""),
        (format!("consistency?from={size}"), 503, "not-signed-yet"),
        (format!("consistency?from={}", size + 1), 404, "not-found"),
    ];
    for (asked, status, code) in rows {
        let answer = house.get(&format!("/v1/ledger/proof/{asked}"), "auditor").await;
        assert_eq!(answer.status, status, "{asked}: {}", answer.text);
        assert!(status == 200 || answer.problem() == code, "{asked}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_can_be_deleted_at_any_time() {
    let house = House::new().await;
    let (id, _) = house.start("ada").await;
    let path = format!("/v1/ledger/entries?session={id}");
    let before = house.get(&path, "auditor").await.text;
    let file = house.folder.path().join("index.sqlite");
    std::fs::write(&file, b"garbage, garbage, garbage").unwrap();
    for side in ["index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(house.folder.path().join(side));
    }
    // Damage may be met at once or by the next question; it is mended by the one after at the latest.
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(house.get(&path, "auditor").await);
    }
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.problem() == "index-unavailable"));
    assert_eq!(answers[2].text, before);
    assert!(house.index.catch_up(house.engine().ledger()).is_ok());
}
