//! A backup of what runs, and what comes of it.

use super::{
    restore::{RestoreError, restore},
    *,
};
use nightlatch_core::{Activity, EndReason, Kind, Limits, Policy, SessionId, Span, Subject};
use nightlatch_engine::{
    Admission, BlockOrder, EndOrder, Engine, Entry, OpenError, OsTime, Running, Start, StartError, Tighter,
    Token,
};
use nightlatch_store::{OpenDataDirError, ReservationFile};
use std::{os::unix::fs::PermissionsExt as _, thread};

struct House {
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        House { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn try_open(&self, name: &str) -> Result<Running, OpenError> {
        let hours = |hours: u64| Span::from_secs(hours * 3_600);
        let limits = Limits::new(hours(1), hours(12), Span::from_secs(60)).unwrap();
        let policy = Policy { version: 1, limits };
        let (engine, _) = Engine::open(&self.path(name), policy, Box::new(OsTime), "test")?;
        Ok(Running::start(engine).unwrap())
    }

    fn open(&self, name: &str) -> Running {
        self.try_open(name).unwrap()
    }
}

fn subject(name: &str) -> Subject {
    Subject { provider: "test".into(), name: name.into() }
}

fn request(name: &str) -> Start {
    Start {
        subject: subject(name),
        kind: Kind::Person,
        groups: Vec::new(),
        app: None,
        acr: None,
        authenticated: None,
        continues: None,
        provider_session: None,
        parent: None,
        tighter: Tighter::default(),
        cause: "test",
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn sign_in(running: &Running, name: &str) -> (SessionId, Token) {
    let starting = running.engine().start(request(name)).unwrap();
    let (session, token) = wait(starting.known(running.engine()));
    (session.facts.id, token)
}

fn refusal(running: &Running, token: &Token) -> Option<EndReason> {
    match running.engine().check(&token.hash(), Activity::Active, "test") {
        Admission::Ended(refusal) => Some(refusal.end.reason),
        Admission::Granted(_) => None,
        other => panic!("{other:?}"),
    }
}

fn entries(running: &Running) -> Vec<Entry> {
    let entries = running.engine().ledger().iter_from(0);
    entries.map(|entry| Entry::from_bytes(&entry.unwrap().payload).unwrap()).collect()
}

#[test]
fn never_revived_what_comes_out_of_a_backup_has_ended() {
    let house = House::new();
    let running = house.open("data");
    let (id, token) = sign_in(&running, "ada");
    let (_, revoked) = sign_in(&running, "bob");
    let by = BlockOrder { by: "key:operator", cause: None };
    let block = running.engine().block(&subject("eve"), by).unwrap();
    wait(running.engine().blocked(&subject("eve"), &block));
    // A start with a snapshot reads what came after it, and not the whole record.
    drop(running);
    let running = house.open("data");
    let manifest = take(&house.path("data"), &house.path("backup"), 7).unwrap();
    assert!(manifest.files.keys().any(|name| name.starts_with("snapshot/")), "{:?}", manifest.files.keys());
    // After the backup: what it does not know of.
    let session = running.engine().session_named(&sign_in(&running, "late").0.to_string()).unwrap();
    let Admission::Granted(permit) = running.engine().check(&revoked.hash(), Activity::Passive, "test")
    else {
        panic!("live")
    };
    let order = EndOrder { reason: EndReason::Revoked, by: "test", cause: None };
    let index = running.engine().end(permit.session(), order).unwrap();
    wait(running.engine().durable(index));
    drop((permit, running));

    let restored = restore(&house.path("backup"), &house.path("elsewhere"), false).unwrap();
    assert_eq!((restored.ended, restored.due, restored.blocks), (2, 0, 1));
    let running = house.open("elsewhere");
    assert_eq!(refusal(&running, &token), Some(EndReason::Restored));
    assert_eq!(refusal(&running, &revoked), Some(EndReason::Restored));
    assert!(running.engine().session(session.facts.id).is_none());
    assert!(matches!(running.engine().start(request("eve")), Err(StartError::Blocked(_))));
    let entries = entries(&running);
    let at = entries.iter().position(|entry| matches!(entry, Entry::Restored { taken_at: 7, .. })).unwrap();
    assert!(matches!(entries[at], Entry::Restored { entries, .. } if entries == manifest.entries));
    let ends: Vec<&Entry> =
        entries[at..].iter().filter(|entry| matches!(entry, Entry::SessionEnded(_))).collect();
    assert_eq!(ends.len(), 2);
    let id = id.to_string();
    assert!(ends.iter().any(|end| {
        matches!(end, Entry::SessionEnded(end) if end.session == id && end.reason == "restored" && end.by == "restore")
    }));
    assert!(running.engine().people().known("test", "ada").is_some(), "who is behind its pseudonym");
}

/// Sessions start and end all the while; every backup is whole and every restore ends what lives.
#[test]
fn on_the_record_a_backup_of_a_server_at_work_is_consistent() {
    let house = House::new();
    let running = house.open("data");
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for worker in 0..2 {
            let (running, stop) = (&running, &stop);
            scope.spawn(move || {
                let mut count = 0_u32;
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    count += 1;
                    let starting = running.engine().start(request(&format!("user {worker} {}", count % 300)));
                    if let (Ok(starting), 0) = (starting, count % 2) {
                        let (session, _) = starting.into_parts();
                        let order = EndOrder { reason: EndReason::Logout, by: "user", cause: None };
                        running.engine().end(&session, order);
                    }
                    thread::yield_now();
                }
            });
        }
        let mut sizes = Vec::new();
        for round in 0..5 {
            let (backup, data) =
                (house.path(&format!("backup {round}")), house.path(&format!("data {round}")));
            let manifest = take(&house.path("data"), &backup, round).unwrap();
            let restored = restore(&backup, &data, false).unwrap();
            assert_eq!(restored.manifest.entries, manifest.entries);
            sizes.push(manifest.entries);
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(sizes.is_sorted() && sizes[0] < sizes[4], "it was at work: {sizes:?}");
    });
    let running = house.open("data 4");
    let live = running.engine().sessions(None, usize::MAX);
    assert!(!live.is_empty() && live.iter().all(|session| session.end().is_some()));
}

#[test]
fn fail_closed_a_backup_is_put_into_service_by_restore_only() {
    let house = House::new();
    drop(house.open("data"));
    take(&house.path("data"), &house.path("backup"), 7).unwrap();
    let opened = house.try_open("backup").map(drop);
    assert!(matches!(opened, Err(OpenError::Data(OpenDataDirError::IsBackup { .. }))), "{opened:?}");
    // Whatever was changed in it is noticed.
    for (name, why) in
        [("keys/ledger.key", "is not as it was written"), ("people", "is not as it was written")]
    {
        let path = house.path("backup").join(name);
        let before = fs::read(&path).unwrap();
        let mut after = before.clone();
        after.push(b'\n');
        fs::write(&path, after).unwrap();
        let refused = restore(&house.path("backup"), &house.path("new"), false).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
        fs::write(&path, before).unwrap();
    }
    let segment = house.path("backup").join("ledger/00000000000000000000.segment");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert!(restore(&house.path("backup"), &house.path("new"), false).is_err());
    assert!(!house.path("new").exists(), "nothing came of it");
}

#[test]
fn fail_closed_nothing_is_replaced_unasked_nor_under_a_running_server() {
    let house = House::new();
    let running = house.open("data");
    take(&house.path("data"), &house.path("backup"), 7).unwrap();
    let again = take(&house.path("data"), &house.path("backup"), 8);
    assert!(matches!(again, Err(BackupError::NotEmpty(_))));
    assert!(matches!(
        take(&house.path("data"), &house.path("data").join("backup"), 8),
        Err(BackupError::Inside(_))
    ));
    let back = |replace| restore(&house.path("backup"), &house.path("data"), replace);
    assert!(matches!(back(false), Err(RestoreError::InPlace(_))));
    assert!(matches!(back(true), Err(RestoreError::Data(OpenDataDirError::InUse { .. }))));
    let (_, token) = sign_in(&running, "ada");
    let size = running.engine().ledger().durable();
    drop(running);

    let kept = back(true).unwrap().replaced.unwrap();
    assert!(kept.join("ledger/00000000000000000000.segment").exists());
    let running = house.open("data");
    assert!(matches!(running.engine().check(&token.hash(), Activity::Active, "test"), Admission::Unknown));
    assert!(running.engine().ledger().durable() > 0 && size > 0);
}

#[test]
fn never_longer_a_restore_reserves_no_less_time_than_was_used() {
    let house = House::new();
    drop(house.open("data"));
    take(&house.path("data"), &house.path("backup"), 7).unwrap();
    // The clock had gone an hour further since.
    let time = house.path("data").join("time");
    let mut file = ReservationFile::open(&time).unwrap();
    let mut reserved = file.load().unwrap().unwrap();
    reserved.reserved_until_nanos += 3_600_000_000_000;
    reserved.offset_nanos += 3_600_000_000_000;
    file.store(&reserved).unwrap();
    restore(&house.path("backup"), &house.path("data"), true).unwrap();
    let restored = ReservationFile::open(&time).unwrap().load().unwrap().unwrap();
    assert!(restored.reserved_until_nanos >= reserved.reserved_until_nanos);
}

#[test]
fn a_backup_is_for_its_owners_eyes() {
    let house = House::new();
    drop(house.open("data"));
    take(&house.path("data"), &house.path("backup"), 7).unwrap();
    let mut folders = vec![house.path("backup")];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            let public = file.file_name() == "ledger.vkey";
            assert!(public || mode & 0o077 == 0, "{:?} has mode {mode:o}", file.path());
            if file.file_type().unwrap().is_dir() {
                folders.push(file.path());
            }
        }
    }
    let open = house.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(take(&house.path("data"), &open, 7), Err(BackupError::OpenToOthers(_))));
}

/// Changes what the manifest says of the files.
fn rewrite(backup: &Path, change: impl FnOnce(&mut Digests)) {
    let path = backup.join(BACKUP_MARK);
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest.files);
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn a_manifest_leads_nowhere_but_into_its_own_backup() {
    let house = House::new();
    drop(house.open("data"));
    let backup = house.path("deep").join("backup");
    take(&house.path("data"), &backup, 7).unwrap();
    // From `deep/backup` it is a file of the attacker's; from `place.restoring` it is one that was not there.
    let planted = house.path("deep").join("planted");
    fs::write(&planted, "evil").unwrap();
    let written = house.path("planted");
    for name in [
        "../planted",
        "keys/../../planted",
        "keys/..",
        "./people",
        "elsewhere/planted",
        "planted",
        planted.to_str().unwrap(),
    ] {
        rewrite(&backup, |files| drop(files.insert(name.to_owned(), files::sha256(b"evil"))));
        let refused = restore(&backup, &house.path("place"), false).unwrap_err();
        assert!(matches!(refused, RestoreError::NotWhole { .. }), "{name}: {refused}");
        assert!(!written.exists() && !house.path("place").exists(), "{name}");
        rewrite(&backup, |files| drop(files.remove(name)));
    }
    // Nor by a link, nor is a pipe waited for.
    let people = backup.join("people");
    fs::remove_file(&people).unwrap();
    std::os::unix::fs::symlink(&planted, &people).unwrap();
    rewrite(&backup, |files| drop(files.insert("people".to_owned(), files::sha256(b"evil"))));
    let refused = restore(&backup, &house.path("place"), false).unwrap_err();
    assert!(refused.to_string().contains("not a regular file"), "{refused}");
    fs::remove_file(&people).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &people, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let refused = restore(&backup, &house.path("place"), false).unwrap_err();
    assert!(refused.to_string().contains("not a regular file"), "{refused}");
}
