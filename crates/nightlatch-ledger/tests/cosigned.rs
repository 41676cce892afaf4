//! Checkpoints that witnesses cosigned, kept beside the ledger: what they show later, and what they survive.

#![allow(clippy::unwrap_used, reason = "the exception for tests ends at the helpers of a test file")]

mod common;

use std::{fs, path::Path, thread};

use aws_lc_rs::signature::Ed25519KeyPair;
use common::{House, SEGMENT_BYTES, cosign, fill, forge, payload};
use nightlatch_ledger::{
    Cosigned, CosignedError, SignedCheckpoint, VerifierKey,
    copy::copy,
    export::export,
    verify::{Anchor, AnchoredBy, CheckpointSource, Finding, Report, Trust, verify},
};

/// Somebody who cosigns what they are shown.
struct Witness {
    name: &'static str,
    pair: Ed25519KeyPair,
}

impl Witness {
    fn new(name: &'static str) -> Self {
        Self { name, pair: Ed25519KeyPair::generate().unwrap() }
    }

    fn cosign(&self, signed: &SignedCheckpoint, unix_seconds: u64) -> (SignedCheckpoint, VerifierKey) {
        let (note, key) = cosign(&signed.note(), self.name, &self.pair, unix_seconds);
        let line = note.strip_prefix(&signed.note()).unwrap();
        (signed.cosigned(line, &key).unwrap().0, key)
    }

    fn key(&self) -> VerifierKey {
        cosign("\n\n", self.name, &self.pair, 0).1
    }
}

fn anchor(entries: u64, name: &str, unix_seconds: u64) -> Anchor {
    Anchor { entries, by: AnchoredBy::Witness { name: name.to_owned(), unix_seconds } }
}

fn check(house: &House, dir: &Path, witnesses: &[&Witness], supplied: &[String]) -> Report {
    let trust =
        Trust { log: house.key(), witnesses: witnesses.iter().map(|witness| witness.key()).collect() };
    verify(dir, &trust, supplied).unwrap()
}

#[test]
fn on_the_record_kept_cosignatures_say_up_to_where_by_whom_and_when_in_every_copy() {
    let house = House::new();
    let (one, other) = (Witness::new("witness.example/one"), Witness::new("witness.example/other"));
    let ledger = house.open(SEGMENT_BYTES);
    for (size, at) in [(200, 1_000), (400, 2_000)] {
        fill(&ledger, size, 10);
        ledger.cosigned().keep(&one.cosign(&ledger.checkpoint().unwrap(), at).0).unwrap();
    }
    // The second cosigns the same checkpoint, later.
    ledger.cosigned().keep(&other.cosign(&ledger.checkpoint().unwrap(), 2_500).0).unwrap();
    fill(&ledger, 450, 10);
    ledger.checkpoint().unwrap();
    let (newest, at) = ledger.cosigned().newest_by(&one.key()).unwrap().unwrap();
    assert_eq!((newest.checkpoint().size, at), (400, 2_000));
    assert_eq!(newest.cosigners().collect::<Vec<_>>(), ["witness.example/one", "witness.example/other"]);
    drop(ledger);

    copy(&house.dir(), &house.path("copy"), &house.key()).unwrap();
    export(&house.dir(), &house.path("export"), &house.key()).unwrap();
    for dir in [house.dir(), house.path("copy"), house.path("export")] {
        let report = check(&house, &dir, &[&one, &other], &[]);
        assert!(report.is_consistent(), "{report}");
        let anchors = [anchor(400, one.name, 2_000), anchor(400, other.name, 2_500)];
        assert_eq!(report.anchors, anchors, "{}", dir.display());
        assert_eq!((report.anchored_entries(), report.unanchored_entries()), (400, 50));
        let said = report.to_string();
        assert!(
            said.contains("anchored: 400 entries by witness `witness.example/one` at 1970-01-01T00:33:20Z"),
            "{said}"
        );
        assert!(said.contains("not independently anchored: the 50 entries from entry 400 on"), "{said}");

        let report = check(&house, &dir, &[], &[]);
        assert!(
            report.is_consistent() && report.anchors.is_empty(),
            "a witness nobody trusts anchors nothing: {report}"
        );
        assert_eq!(report.strangers, ["witness.example/one", "witness.example/other"]);
        assert!(report.to_string().contains("not independently anchored: whoever holds"), "{report}");
    }
}

#[test]
fn on_the_record_a_history_written_anew_by_whoever_holds_the_key_is_found() {
    let house = House::new();
    let witness = Witness::new("witness.example/w");
    let ledger = house.open(SEGMENT_BYTES);
    fill(&ledger, 300, 10);
    let (seen, _) = witness.cosign(&ledger.checkpoint().unwrap(), 1_000);
    ledger.cosigned().keep(&seen).unwrap();
    fill(&ledger, 500, 10);
    ledger.checkpoint().unwrap();
    drop(ledger);
    let kept = house.path("kept-elsewhere");
    fs::copy(house.dir().join("cosigned/00000000000000000300"), &kept).unwrap();

    // One entry is another, and everything after it is made to fit and signed with the ledger's own key.
    let mut payloads: Vec<_> = (0..500).map(payload).collect();
    payloads[250] = b"nothing happened here".to_vec();
    let forged = forge(&house, "forged", &payloads, 10);
    let (ledger, _) = nightlatch_ledger::Ledger::open(&forged, Default::default(), house.signer()).unwrap();
    ledger.checkpoint().unwrap();
    let alone = check(&house, &forged, &[&witness], &[]);
    assert!(
        alone.is_consistent() && alone.anchors.is_empty(),
        "without its anchor it says that it has none: {alone}"
    );

    // With the cosigned checkpoints that lay there, and with one that somebody kept.
    let note = fs::read_to_string(kept).unwrap();
    let supplied = check(&house, &forged, &[&witness], std::slice::from_ref(&note));
    assert_eq!(
        supplied.findings,
        [Finding::Contradicted { by: CheckpointSource::Supplied(1), entries: 0..300 }]
    );
    fs::create_dir(forged.join("cosigned")).unwrap();
    fs::write(forged.join("cosigned/00000000000000000300"), &note).unwrap();
    let report = check(&house, &forged, &[&witness], &[]);
    assert_eq!(
        report.findings,
        [Finding::Contradicted { by: CheckpointSource::Cosigned(300), entries: 0..300 }]
    );
    assert!(report.anchors.is_empty(), "what does not agree anchors nothing: {report}");

    // A log that ends before what a witness has seen.
    let cut = forge(&house, "cut", &payloads[..200], 10);
    fs::create_dir(cut.join("cosigned")).unwrap();
    fs::write(cut.join("cosigned/00000000000000000300"), note).unwrap();
    let report = check(&house, &cut, &[], &[]);
    let by = CheckpointSource::Cosigned(300);
    assert_eq!(report.findings, [Finding::Truncated { by, entries: 200, signed: 300 }]);
}

#[test]
fn on_the_record_no_cosigned_checkpoint_is_ever_replaced_by_another_history() {
    let house = House::new();
    let witness = Witness::new("witness.example/w");
    let ledger = house.open(SEGMENT_BYTES);
    fill(&ledger, 100, 10);
    let (seen, _) = witness.cosign(&ledger.checkpoint().unwrap(), 1_000);
    ledger.cosigned().keep(&seen).unwrap();

    let other = forge(&house, "other", &vec![b"other".to_vec(); 100], 10);
    let (other, _) = nightlatch_ledger::Ledger::open(&other, Default::default(), house.signer()).unwrap();
    let (contrary, _) = witness.cosign(&other.checkpoint().unwrap(), 2_000);
    let refused = ledger.cosigned().keep(&contrary);
    assert!(matches!(refused, Err(CosignedError::Contradicted { size: 100 })), "{refused:?}");
    assert_eq!(ledger.cosigned().read(100).unwrap(), Some(seen));
}

#[test]
fn on_the_record_what_is_left_of_a_crash_and_what_others_put_there_is_passed_over_or_named() {
    let house = House::new();
    let witness = Witness::new("witness.example/w");
    let ledger = house.open(SEGMENT_BYTES);
    fill(&ledger, 100, 10);
    ledger.cosigned().keep(&witness.cosign(&ledger.checkpoint().unwrap(), 1_000).0).unwrap();
    drop(ledger);
    let dir = house.dir().join("cosigned");
    // The file that was being written when the power went.
    fs::write(dir.join("00000000000000000100.new"), "half a no").unwrap();
    let report = check(&house, &house.dir(), &[&witness], &[]);
    assert_eq!((report.findings.len(), &report.anchors[..]), (0, &[anchor(100, witness.name, 1_000)][..]));

    fs::write(dir.join("00000000000000000090"), "not a note").unwrap();
    let report = check(&house, &house.dir(), &[&witness], &[]);
    let named =
        matches!(report.findings[..], [Finding::Checkpoint { source: CheckpointSource::Cosigned(90), .. }]);
    assert!(named, "{report}");
    assert!(matches!(
        Cosigned::of(&house.dir(), &house.key()).read(90),
        Err(CosignedError::Foreign { size: 90, .. })
    ));
}

#[test]
fn what_a_witness_cosigned_last_is_not_looked_for_in_every_file_there_is() {
    let house = House::new();
    let (gone, busy) = (Witness::new("witness.example/gone"), Witness::new("witness.example/busy"));
    let ledger = house.open(SEGMENT_BYTES);
    let keep = |witness: &Witness, size| {
        fill(&ledger, size, 1);
        ledger.cosigned().keep(&witness.cosign(&ledger.checkpoint().unwrap(), 1_000).0).unwrap();
        let newest = |of: &Witness| ledger.cosigned().newest_by(&of.key()).unwrap();
        [newest(&gone), newest(&busy)].map(|newest| newest.map(|(signed, _)| signed.checkpoint().size))
    };
    assert_eq!(keep(&gone, 1), [Some(1), None]);
    let ends = (2..=257).map(|size| keep(&busy, size)).collect::<Vec<_>>();
    assert_eq!(ends[254..], [[Some(1), Some(256)], [None, Some(257)]]);
}

#[test]
fn on_the_record_two_who_keep_at_once_lose_nothing_of_each_other() {
    let house = House::new();
    let ledger = house.open(SEGMENT_BYTES);
    fill(&ledger, 100, 10);
    let signed = ledger.checkpoint().unwrap();
    let names = ["w/0", "w/1", "w/2", "w/3", "w/4", "w/5", "w/6", "w/7"];
    thread::scope(|scope| {
        for name in names {
            let (signed, cosigned) = (&signed, ledger.cosigned());
            scope.spawn(move || cosigned.keep(&Witness::new(name).cosign(signed, 1_000).0).unwrap());
        }
    });
    let kept = ledger.cosigned().read(100).unwrap().unwrap();
    let mut cosigners: Vec<_> = kept.cosigners().collect();
    cosigners.sort_unstable();
    assert_eq!(cosigners, names);
}
