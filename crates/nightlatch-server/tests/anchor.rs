//! `ledger anchor` against a witness that answers by a script, over a real socket: what is kept, what is refused, and what it says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod witness;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightlatch_ledger::{Ledger, Options, Signer};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use witness::{Act, NAME, Witness, authority, server};

/// A folder with a configuration and a ledger that nobody has open.
struct House {
    folder: tempfile::TempDir,
    witness: Witness,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl House {
    fn new(entries: u64) -> House {
        let house = House { folder: tempfile::tempdir().unwrap(), witness: Witness::new() };
        fs::create_dir_all(house.path("data/keys")).unwrap();
        let signer = Signer::create(&house.path("data/keys/ledger.key"), "house.example/ledger").unwrap();
        fs::write(house.path("data/keys/ledger.vkey"), format!("{}\n", signer.verifier())).unwrap();
        house.fill(entries, "entry");
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends entries up to this many, and signs.
    fn fill(&self, entries: u64, word: &str) {
        let signer = Signer::load(&self.path("data/keys/ledger.key"), "house.example/ledger").unwrap();
        let (ledger, _) = Ledger::open(&self.path("data/ledger"), Options::default(), signer).unwrap();
        for index in ledger.durable()..entries {
            ledger.append(format!("{word} {index}").as_bytes()).unwrap();
        }
        ledger.commit().unwrap();
        ledger.checkpoint().unwrap();
    }

    /// Writes the whole history anew, with the ledger's own key.
    fn rewrite(&self, entries: u64) {
        for file in fs::read_dir(self.path("data/ledger")).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                fs::remove_file(file).unwrap();
            }
        }
        self.fill(entries, "another entry");
    }

    fn configure(&self, url: &str, more: &str) {
        let text = format!(
            "version = 1\n[listen]\ngateway = \"127.0.0.1:1\"\n[policy]\nidle = \"15m\"\nabsolute = \"12h\"\n\
             [[app]]\nname = \"a\"\nmatch = {{ host = \"*\" }}\nupstream = \"http://127.0.0.1:3000\"\n\
             [[api_key]]\nname = \"i\"\nrole = \"issuer\"\nkey_env = \"I\"\n\
             [[ledger.witness]]\nkey = \"{}\"\nurl = \"{url}\"\n{more}",
            self.witness.key()
        );
        fs::write(self.path("n.toml"), text).unwrap();
    }

    /// Anchors by a witness that does this.
    fn anchor(&self, acts: Vec<Act>, extra: &[&str]) -> (Said, Vec<String>) {
        let (port, seen) = self.witness.listen(acts, None);
        self.configure(&format!("http://127.0.0.1:{port}/w"), "");
        let said = self.run(&[&["ledger", "anchor", "--config", "n.toml"], extra].concat());
        let seen = seen.lock().unwrap().clone();
        (said, seen)
    }

    fn run(&self, args: &[&str]) -> Said {
        let program = Path::new(env!("CARGO_BIN_EXE_nightlatch"));
        let output = Command::new(program).args(args).current_dir(self.folder.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn verify(&self) -> Said {
        self.run(&["ledger", "verify", "--dir", "data", "--witness", &self.witness.key().to_string()])
    }

    fn kept(&self) -> usize {
        fs::read_dir(self.path("data/ledger/cosigned")).map_or(0, Iterator::count)
    }
}

fn size(size: u64) -> Act {
    Act::Say(409, "text/x.tlog.size", format!("{size}\n"))
}

fn refuse(status: u16) -> Act {
    Act::Say(status, "text/plain", "no\n".to_owned())
}

#[test]
fn on_the_record_a_cosigned_checkpoint_is_kept_and_a_rewritten_history_is_found() {
    let house = House::new(300);
    let (said, seen) = house.anchor(vec![Act::Cosign], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.out.contains("anchored: 300 entries by witness `witness.example/w` at 2026-11-24"),
        "{}",
        said.out
    );
    assert!(seen[0].starts_with("POST /w/add-checkpoint HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].contains("\r\n\r\nold 0\n\nhouse.example/ledger\n300\n"), "{}", seen[0]);
    assert!(house.verify().out.contains("anchored: 300 entries by witness"), "{}", house.verify().out);

    // It goes on from what the witness has.
    house.fill(700, "entry");
    let (said, seen) = house.anchor(vec![Act::Cosign], &[]);
    assert_eq!((said.code, house.kept()), (0, 2), "{}", said.err);
    assert!(seen[0].contains("\r\n\r\nold 300\n"), "{}", seen[0]);

    house.rewrite(800);
    let said = house.verify();
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("inconsistent"), "{}", said.out);
    let (said, _) = house.anchor(vec![refuse(422)], &[]);
    assert!(said.code == 1 && said.err.contains("do not begin with"), "{} {}", said.code, said.err);
    assert_eq!(house.kept(), 2, "nothing of the new history is kept beside the old one");
}

/// What it cosigned lies here, whether or not it remembers.
#[test]
fn a_witness_that_forgets_does_not_make_a_rewritten_history_an_anchored_one() {
    for (entries, words) in [
        (200, "has cosigned 300 entries; the ledger here has 200"),
        (300, "do not begin with"),
        (400, "do not begin with"),
    ] {
        let house = House::new(300);
        assert_eq!(house.anchor(vec![Act::Cosign], &[]).0.code, 0);
        house.rewrite(entries);
        let (said, _) = house.anchor(vec![Act::Cosign], &[]);
        assert!(said.code == 1 && said.err.contains(words), "{entries}: {}{}", said.out, said.err);
        assert!(said.out.is_empty() && house.kept() == 1, "{entries}: {}", said.out);
    }
}

/// Others may write where the file lies, and are no witnesses for that.
#[test]
fn what_stands_in_the_file_is_not_said_to_be_cosigned_and_nothing_is_written_through_a_link() {
    let house = House::new(300);
    let anchor = || house.run(&["ledger", "anchor", "--data", "data", "--file", "kept"]);
    assert_eq!(anchor().code, 0);
    let note = fs::read_to_string(house.path("kept")).unwrap();
    let forged = |name: &str| format!("\u{2014} {name} {}\n", STANDARD.encode([7; 76]));
    fs::write(house.path("kept"), note.clone() + &forged(NAME)).unwrap();
    let said = anchor();
    assert!(said.code == 0 && !said.out.contains("cosigned"), "{}{}", said.out, said.err);
    // As many as a note may have: no reason to speak of two histories.
    let many: String = (0..63).map(|number| forged(&format!("witness.example/{number}"))).collect();
    fs::write(house.path("kept"), note.clone() + &many).unwrap();
    assert_eq!(house.anchor(vec![Act::Cosign], &[]).0.code, 0);
    let said = anchor();
    assert!(said.code == 3 && said.err.contains("more signatures"), "{}{}", said.out, said.err);

    fs::write(house.path("kept"), note).unwrap();
    fs::write(house.path("precious"), "mine").unwrap();
    std::os::unix::fs::symlink(house.path("precious"), house.path("kept.new")).unwrap();
    assert_eq!(anchor().code, 0);
    assert_eq!(fs::read_to_string(house.path("precious")).unwrap(), "mine");
    assert!(fs::symlink_metadata(house.path("kept")).unwrap().is_file());
}

#[test]
fn a_witness_that_is_further_is_shown_the_way_from_where_it_is() {
    let house = House::new(300);
    let (said, seen) = house.anchor(vec![size(100), Act::Cosign], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(seen[1].contains("\r\n\r\nold 100\n"), "{}", seen[1]);
    assert_eq!(house.kept(), 1);
}

#[test]
fn what_is_no_cosignature_is_not_kept_and_every_refusal_says_what_to_do() {
    let html = || Act::Say(200, "text/html", "<html>\n".to_owned());
    let rows = [
        ("another text cosigned", vec![Act::CosignOther], 3, "a cosignature that does not hold"),
        ("a page", vec![html()], 3, "a cosignature that does not hold"),
        ("bytes", vec![Act::Say(200, "text/plain", "\u{0}".repeat(50))], 3, "does not hold"),
        ("unknown log", vec![refuse(404)], 3, "does not know this ledger"),
        ("unknown key", vec![refuse(403)], 3, "with another key"),
        ("redirect", vec![refuse(302)], 3, "status 302"),
        ("broken", vec![refuse(500)], 3, "status 500"),
        ("no size", vec![refuse(409)], 3, "not in the form of a witness"),
        ("huge", vec![Act::Say(200, "text/plain", "x".repeat(1 << 20))], 3, "sent more than"),
        ("slow", vec![Act::Hang], 3, "did not answer within"),
        ("always elsewhere", vec![size(100), size(200)], 3, "another size each time"),
        ("ahead", vec![size(301)], 1, "has cosigned 301 entries; the ledger here has 300"),
        ("another of this size", vec![size(300), size(300)], 1, "other entries than the 300"),
        ("another before it", vec![refuse(422)], 1, "do not begin with"),
    ];
    let house = House::new(300);
    for (what, acts, code, words) in rows {
        let (said, _) = house.anchor(acts, &[]);
        assert_eq!((said.code, house.kept()), (code, 0), "{what}: {}{}", said.out, said.err);
        assert!(said.err.contains(words) && said.err.contains(NAME), "{what}: {}", said.err);
    }
    house.configure("https://127.0.0.1:1", "");
    let said = house.run(&["ledger", "anchor", "--config", "n.toml"]);
    assert_eq!(said.code, 3, "{}", said.err);
}

#[test]
fn over_tls_only_a_witness_that_the_authorities_vouch_for_is_shown_anything() {
    let house = House::new(300);
    let [ours, theirs] = ["ours", "theirs"].map(authority);
    fs::write(house.path("ours.pem"), ours.pem()).unwrap();
    fs::write(house.path("empty.pem"), "").unwrap();
    let ca = |file: &str| format!("ca_file = \"{file}\"\n");
    let good = || Some(server(&ours, "localhost", 2999));
    let rows = [
        ("vouched for", good(), ca("ours.pem"), 0, ""),
        ("by others", Some(server(&theirs, "localhost", 2999)), ca("ours.pem"), 3, "UnknownIssuer"),
        (
            "for another name",
            Some(server(&ours, "elsewhere.example", 2999)),
            ca("ours.pem"),
            3,
            "not valid for",
        ),
        ("in the past", Some(server(&ours, "localhost", 2021)), ca("ours.pem"), 3, "expired"),
        ("by nobody the system knows", good(), String::new(), 3, ""),
        (
            "authorities that are not there",
            good(),
            ca("none.pem"),
            3,
            "authorities in `none.pem` cannot be used",
        ),
        ("no authorities", good(), ca("empty.pem"), 3, "there is no certificate"),
        ("no TLS", None, ca("ours.pem"), 3, "cannot be reached"),
    ];
    for (what, tls, more, code, words) in rows {
        let is_tls = tls.is_some();
        let (port, seen) = house.witness.listen(if is_tls { vec![Act::Cosign] } else { Vec::new() }, tls);
        house.configure(&format!("https://localhost:{port}/w"), &more);
        let said = house.run(&["ledger", "anchor", "--config", "n.toml"]);
        assert_eq!(
            (said.code, seen.lock().unwrap().len()),
            (code, usize::from(code == 0)),
            "{what}: {}",
            said.err
        );
        assert!(said.err.contains(words), "{what}: {}", said.err);
    }
    assert_eq!(house.kept(), 1);
}

#[test]
fn a_file_is_replaced_only_by_what_continues_it() {
    let house = House::new(300);
    let file = house.path("kept");
    let (said, _) = house.anchor(vec![Act::Cosign], &["--file", "kept"]);
    assert!(said.code == 0 && said.out.contains("cosigned by witness.example/w"), "{}{}", said.out, said.err);
    let first = fs::read_to_string(&file).unwrap();
    let again = house.run(&["ledger", "anchor", "--data", "data", "--file", "kept"]);
    assert_eq!((again.code, fs::read_to_string(&file).unwrap()), (0, first.clone()), "{}", again.err);
    house.fill(400, "entry");
    // A witness that is away takes nothing from the file.
    let (said, _) = house.anchor(vec![refuse(500)], &["--file", "kept"]);
    assert_eq!(said.code, 3);
    let second = fs::read_to_string(&file).unwrap();
    assert!(second.starts_with("house.example/ledger\n400\n"), "{second}");
    let said = house.run(&["ledger", "verify", "--dir", "data", "--checkpoint", "kept"]);
    assert!(said.code == 0 && said.out.contains("anchored: 400 entries"), "{}", said.out);

    for entries in [500, 400, 100] {
        house.rewrite(entries);
        fs::remove_dir_all(house.path("data/ledger/cosigned")).unwrap_or_default();
        let said = house.run(&["ledger", "anchor", "--data", "data", "--file", "kept"]);
        assert!(said.code == 1 && said.err.contains("is left as it is"), "{entries}: {}", said.err);
        assert_eq!(fs::read_to_string(&file).unwrap(), second, "{entries}");
    }
    let said = house.run(&["ledger", "verify", "--dir", "data", "--checkpoint", "kept"]);
    assert_eq!(said.code, 1, "{}", said.out);

    // A file that cannot be written does not hide what a witness has seen.
    let (said, _) = house.anchor(vec![size(900)], &["--file", "nowhere/kept"]);
    assert_eq!(said.code, 1, "{}", said.err);
    for words in ["has cosigned 900 entries", "cannot be written"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }

    // What could never be a place for it is said before anybody is asked.
    for (place, words) in [("data/ledger/kept", "lies in the ledger itself"), ("..", "is no file")] {
        let (said, seen) = house.anchor(vec![Act::Cosign], &["--file", place]);
        assert_eq!((said.code, seen.len()), (2, 0), "{place}: {}{}", said.out, said.err);
        assert!(said.err.contains(words), "{place}: {}", said.err);
    }

    fs::write(&file, "a shopping list\n").unwrap();
    let rows = [
        (&["--data", "data", "--file", "kept"][..], 1, "no checkpoint of this ledger"),
        (&["--data", "data", "--file", "data/ledger/kept"], 2, "lies in the ledger itself"),
        (&["--data", "data", "--file", "nowhere/kept"], 3, "cannot be written"),
        (&["--data", "data"], 2, "--file"),
        (&["--data", "nowhere", "--file", "kept"], 3, "cannot be read"),
        (&[], 2, "--config"),
    ];
    for (args, code, words) in rows {
        let said = house.run(&[&["ledger", "anchor"], args].concat());
        assert_eq!(said.code, code, "{args:?}: {}{}", said.out, said.err);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "a shopping list\n");
}
