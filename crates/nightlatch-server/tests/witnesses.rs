//! The running server shows its record to a witness by itself, and serves on whatever the witness says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;
mod witness;

use common::House;
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, thread, time::Duration};
use witness::{Act, NAME, Witness};

fn table(witness: &Witness, port: u16) -> String {
    format!(
        "[ledger]\nanchor_every = \"1s\"\n[[ledger.witness]]\nkey = \"{}\"\nurl = \"http://127.0.0.1:{port}\"\n",
        witness.key()
    )
}

fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    for _ in 0..400 {
        if look() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("never seen: {what}");
}

fn say(status: u16, body: &str) -> Act {
    Act::Say(status, if status == 409 { "text/x.tlog.size" } else { "text/plain" }, format!("{body}\n"))
}

#[test]
fn on_the_record_the_server_shows_it_by_itself_tries_again_and_says_that_another_history_was_seen() {
    let witness = Witness::new();
    let far = |_| say(409, "1000000");
    let acts = [Act::Cosign, say(404, "who?"), say(500, "no"), Act::Cosign, Act::CosignOther];
    let (port, seen) = witness.listen(acts.into_iter().chain((0..2).map(far)).collect(), None);
    let house = House::with(&table(&witness, port));
    let metric = |line: &str| house.metrics().contains(line);
    let of =
        |metric: &str, more: &str, value: &str| format!("{metric}{{witness=\"{NAME}\"{more}}} {value}\n");
    let verify = ["ledger", "verify", "--dir", "data", "--witness", &witness.key().to_string()];
    eventually("a first cosignature", || house.run(&verify).out.contains("\nanchored: "));
    // What happens meanwhile is shown the next time.
    house.start("ada");

    eventually("a witness that has seen another history", || {
        metric(&of("nightlatch_witness_contradicts", "", "1.0"))
    });
    let doctor = house.run(&["doctor", "--config", "n.toml"]).out;
    assert!(
        doctor.contains(&format!("WRONG         witness `{NAME}`: it has seen another history")),
        "{doctor}"
    );
    let failures = "nightlatch_witness_failures_total";
    for (kind, count) in [("stranger", "1"), ("answer", "2"), ("ledger", "0")] {
        let line = of(failures, &format!(",kind=\"{kind}\""), count);
        assert!(metric(&line), "{line}{}", house.metrics());
    }
    let seen = seen.lock().unwrap().clone();
    assert!(
        seen[0].contains("\nold 0\n") && seen[1..4].iter().all(|asked| !asked.contains("\nold 0\n")),
        "{seen:?}"
    );
    let kept = fs::read_dir(house.path("data/ledger/cosigned")).unwrap().count();
    assert_eq!(kept, 2, "before and after the session started, and nothing that does not hold");

    // An alert and no more: sessions start, and the record grows.
    house.start("grace");
    eventually("a witness that is away", || !metric(&of(failures, ",kind=\"unreachable\"", "0")));
    assert!(metric(&of("nightlatch_witness_contradicts", "", "1.0")), "silence takes nothing back");
    let log = fs::read_to_string(house.path("log")).unwrap();
    for words in ["a witness has seen another history", "a witness cosigns again", "witness-refuses.md"] {
        assert!(log.contains(words), "{words}: {log}");
    }
}

#[test]
fn a_witness_that_never_answers_keeps_nobody_from_stopping() {
    let witness = Witness::new();
    let (port, seen) = witness.listen(vec![Act::Hang], None);
    let mut house = House::with(&table(&witness, port));
    eventually("the question", || seen.lock().unwrap().len() == 1);
    kill_process(Pid::from_child(&house.server), Signal::TERM).unwrap();
    assert!(house.server.wait().unwrap().success());
    let log = fs::read_to_string(house.path("log")).unwrap();
    assert!(!log.contains("has not cosigned"), "its answer was not waited for: {log}");
}
