//! What stands behind the record besides the operator's word: checkpoints that left the house, and witnesses.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the exception for tests ends at the helpers of a test file"
)]

mod common;

use std::fs;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{House, SEGMENT_BYTES, check, cosign, fill, forge, with_checkpoints};
use nightlatch_ledger::{
    VerifierKey,
    export::export,
    verify::{Anchor, AnchoredBy, CheckpointSource, Finding, Trust, verify},
};

#[test]
fn on_the_record_a_directory_put_back_from_an_older_copy_is_found_by_a_newer_checkpoint() {
    let house = House::new();
    let ledger = house.open(SEGMENT_BYTES);
    fill(&ledger, 300, 10);
    ledger.checkpoint().unwrap();
    let older = house.copy("older");
    fill(&ledger, 450, 10);
    let kept = ledger.checkpoint().unwrap().note();
    drop(ledger);

    let alone = check(&house, &older, &[]);
    assert!(alone.is_consistent(), "by itself the copy is whole: {alone}");
    let report = check(&house, &older, std::slice::from_ref(&kept));
    let by = CheckpointSource::Supplied(1);
    assert_eq!(report.findings, [Finding::Truncated { by, entries: 300, signed: 450 }]);
    assert_eq!(report.first_bad_entry(), Some(300..301));

    // The operator goes on from the older copy, past the size of the checkpoint that left the house.
    house.put_back(&older);
    let ledger = house.open(SEGMENT_BYTES);
    for _ in 0..300 {
        ledger.append(b"another past").unwrap();
    }
    ledger.commit().unwrap();
    ledger.checkpoint().unwrap();
    drop(ledger);
    assert!(check(&house, &house.dir(), &[]).is_consistent());
    let report = check(&house, &house.dir(), std::slice::from_ref(&kept));
    assert_eq!(report.findings, [Finding::Contradicted { by, entries: 300..450 }]);
    assert!(report.anchors.is_empty(), "a checkpoint that does not agree anchors nothing");

    // An export of the older copy is no better.
    export(&older, &house.path("export"), &house.key()).unwrap();
    let report = check(&house, &house.path("export"), &[kept]);
    assert_eq!(report.findings, [Finding::Truncated { by, entries: 300, signed: 450 }]);
}

#[test]
fn on_the_record_two_histories_of_one_length_are_a_fork() {
    let house = House::new();
    let notes = with_checkpoints(&house);
    let dir = forge(&house, "other", &vec![b"other".to_vec(); 600], 10);
    let (ledger, _) = nightlatch_ledger::Ledger::open(&dir, Default::default(), house.signer()).unwrap();
    ledger.checkpoint().unwrap();
    let report = check(&house, &dir, &notes[2..]);
    let forked = report.findings.iter().any(|finding| matches!(finding, Finding::Forked { size: 600, .. }));
    assert!(forked, "{report}");
}

#[test]
fn on_the_record_a_checkpoint_by_another_key_or_of_another_ledger_is_not_believed() {
    let house = House::new();
    let notes = with_checkpoints(&house);
    let stranger = House::new();
    let foreign = with_checkpoints(&stranger);
    assert_ne!(notes, foreign);
    let report = check(&house, &house.dir(), &foreign[..1]);
    assert!(matches!(
        report.findings[..],
        [Finding::Checkpoint { source: CheckpointSource::Supplied(1), .. }]
    ));
    assert!(report.anchors.is_empty());
    let report = check(&stranger, &house.dir(), &[]);
    assert_eq!(report.findings.len(), 4, "{report}");
    assert_eq!(report.signed_entries, 0);
}

#[test]
fn on_the_record_the_newest_checkpoint_must_be_in_the_history_and_the_history_in_order() {
    let house = House::new();
    with_checkpoints(&house);
    let history = fs::read_to_string(house.dir().join("checkpoints")).unwrap();
    let end = |nth: usize| history.match_indices("\n\n").nth(2 * nth + 1).unwrap().0 + 2;
    let report_with = |history: &str| {
        fs::write(house.dir().join("checkpoints"), history).unwrap();
        check(&house, &house.dir(), &[]).findings
    };
    assert_eq!(report_with(&history), []);
    assert_eq!(report_with(&history[..end(1)]), [Finding::HistoryBehind]);
    let moved = format!("{}{}{}", &history[end(0)..end(1)], &history[..end(0)], &history[end(1)..]);
    assert_eq!(report_with(&moved), [Finding::HistoryOrder { place: 2 }]);
    fs::remove_file(house.dir().join("checkpoints")).unwrap();
    assert_eq!(check(&house, &house.dir(), &[]).findings, [Finding::HistoryBehind]);
}

fn pkcs8(house: &House) -> Vec<u8> {
    let pem = fs::read_to_string(house.path("ledger.key")).unwrap();
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

#[test]
fn on_the_record_what_a_witness_cosigned_is_anchored_by_it() {
    let house = House::new();
    let notes = with_checkpoints(&house);
    let pair = Ed25519KeyPair::generate().unwrap();
    let (cosigned, witness) = cosign(&notes[1], "witness.example/w1", &pair, 1_679_315_147);
    let trust = |witnesses: &[&VerifierKey]| Trust {
        log: house.key(),
        witnesses: witnesses.iter().map(|key| (*key).clone()).collect(),
    };
    let report = verify(&house.dir(), &trust(&[&witness]), std::slice::from_ref(&cosigned)).unwrap();
    assert!(report.is_consistent(), "{report}");
    let by = AnchoredBy::Witness { name: "witness.example/w1".to_owned(), unix_seconds: 1_679_315_147 };
    assert_eq!(report.anchors[1], Anchor { entries: 400, by });

    let report = verify(&house.dir(), &trust(&[]), std::slice::from_ref(&cosigned)).unwrap();
    assert_eq!(report.anchors.len(), 1, "a witness nobody knows means nothing: {report}");

    // The log's own key under a witness's name.
    let own = Ed25519KeyPair::from_pkcs8(&pkcs8(&house)).unwrap();
    let (cosigned, not_a_witness) = cosign(&notes[1], "witness.example/w2", &own, 7);
    let report = verify(&house.dir(), &trust(&[&not_a_witness]), &[cosigned]).unwrap();
    assert_eq!(report.anchors.len(), 1, "a log cannot be its own witness: {report}");

    // The cosignature put behind another checkpoint of the same log.
    let (cosigned, _) = cosign(&notes[1], "witness.example/w1", &pair, 1_679_315_147);
    let line = cosigned.lines().last().unwrap();
    let moved = format!("{}{line}\n", notes[2]);
    let report = verify(&house.dir(), &trust(&[&witness]), &[moved]).unwrap();
    assert!(matches!(report.findings[..], [Finding::Cosignature { .. }]), "{report}");
}
