//! A house for an engine: a directory, a clock, a disk, and short words for what every test does.

use nightlatch_core::{Activity, EndReason, Kind, Limits, Policy, SessionId, Span, Subject, Time};
use nightlatch_engine::{
    Admission, EndOrder, Engine, Entry, ManualTime, OpenError, Permit, Recovery, Refusal, Session,
    SessionEnded, Start, Tighter, Token,
};
use nightlatch_ledger::{Disk, Ledger, Options, OsDisk, Signer};
use std::{
    fs::{self, File},
    future::Future,
    io,
    path::Path,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};
use tempfile::TempDir;

pub(crate) const IDLE: u64 = 60_000;
pub(crate) const ABSOLUTE: u64 = 600_000;
pub(crate) const BEGIN: u64 = 1_700_000_000_000;
pub(crate) const MS: u64 = 1_000_000;

/// Where an engine lives, from one run to the next.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) time: Arc<ManualTime>,
    pub(crate) disk: Arc<TestDisk>,
    pub(crate) segment_bytes: u64,
}

/// A disk that can be made to fail, or to be full.
#[derive(Default)]
pub(crate) struct TestDisk {
    pub(crate) fails: AtomicBool,
    pub(crate) full: AtomicBool,
}

impl Disk for TestDisk {
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.fails.load(SeqCst) {
            return Err(io::Error::other("the test's disk fails"));
        }
        OsDisk.write(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        OsDisk.sync(file)
    }

    fn allocate(&self, file: &File, length: u64) -> io::Result<()> {
        if self.full.load(SeqCst) && file.metadata()?.len() < length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        OsDisk.allocate(file, length)
    }
}

impl House {
    pub(crate) fn new() -> House {
        House::with_segments(1 << 20)
    }

    pub(crate) fn with_segments(segment_bytes: u64) -> House {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        House {
            folder: folder.unwrap(),
            time: Arc::new(ManualTime::new(BEGIN * MS)),
            disk: Arc::default(),
            segment_bytes,
        }
    }

    pub(crate) fn try_open(&self) -> Result<(Arc<Engine>, Recovery), OpenError> {
        self.try_open_under(policy())
    }

    pub(crate) fn try_open_under(&self, policy: Policy) -> Result<(Arc<Engine>, Recovery), OpenError> {
        let options = Options { segment_bytes: self.segment_bytes };
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as Arc<dyn Disk>;
        let source = Box::new(Arc::clone(&self.time));
        let (engine, recovery) = Engine::open_on(disk, options, self.folder.path(), policy, source, "test")?;
        Ok((Arc::new(engine), recovery))
    }

    pub(crate) fn open(&self) -> Arc<Engine> {
        self.try_open().unwrap().0
    }

    /// Time passes in steps that upkeep keeps up with.
    pub(crate) fn pass(&self, engine: &Engine, millis: u64) {
        self.time.advance(millis * MS);
        engine.upkeep();
    }
}

pub(crate) fn policy() -> Policy {
    let limits =
        Limits::new(Span::from_millis(IDLE), Span::from_millis(ABSOLUTE), Span::from_millis(10_000)).unwrap();
    Policy { version: 1, limits }
}

pub(crate) fn request(name: &str) -> Start {
    Start {
        subject: Subject { provider: "test".into(), name: name.into() },
        kind: Kind::Person,
        groups: vec!["desk".into()],
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

/// A session that is on record, and its credential.
pub(crate) fn sign_in(engine: &Engine, name: &str) -> (Arc<Session>, Token) {
    begin(engine, request(name))
}

pub(crate) fn lease(engine: &Engine, parent: &Session) -> (Arc<Session>, Token) {
    begin(engine, Start { parent: Some(parent.facts.id), ..request("worker") })
}

pub(crate) fn begin(engine: &Engine, start: Start) -> (Arc<Session>, Token) {
    let started = engine.start(start).unwrap().into_parts();
    engine.commit().unwrap();
    started
}

pub(crate) fn touch(engine: &Arc<Engine>, token: &Token) -> Result<Permit, Refusal> {
    check(engine, token, Activity::Active)
}

pub(crate) fn look(engine: &Arc<Engine>, token: &Token) -> Result<Permit, Refusal> {
    check(engine, token, Activity::Passive)
}

fn check(engine: &Arc<Engine>, token: &Token, activity: Activity) -> Result<Permit, Refusal> {
    match engine.check(&token.hash(), activity, "test") {
        Admission::Granted(permit) => Ok(permit),
        Admission::Ended(refusal) => Err(refusal),
        other => panic!("neither granted nor over: {other:?}"),
    }
}

pub(crate) fn revoke(engine: &Engine, session: &Arc<Session>) -> Option<u64> {
    engine.end(session, EndOrder { reason: EndReason::Revoked, by: "test", cause: Some("CHG-1") })
}

/// The reason and the instant of an end, in milliseconds after the beginning of the test.
pub(crate) fn end_of(session: &Session) -> Option<(EndReason, u64)> {
    session.end().map(|end| (end.reason, end.at.as_millis() - BEGIN))
}

pub(crate) fn at(offset: u64) -> Time {
    Time::from_millis(BEGIN + offset)
}

/// Changes the newest snapshot record by record, or leaves some out, and makes it whole again.
pub(crate) fn rewrite_snapshot(house: &House, mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
    let dir = house.folder.path().join("snapshot");
    let path = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).max().unwrap();
    let content = fs::read(&path).unwrap();
    let head = content.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (mut rewritten, mut frames) = (content[..head].to_vec(), &content[head..content.len() - 40]);
    let mut count = 0_u64;
    while let Some((length, rest)) = frames.split_first_chunk() {
        let record;
        (record, frames) = rest.split_at(u32::from_le_bytes(*length) as usize);
        if let Some(record) = change(record) {
            rewritten.extend_from_slice(&u32::try_from(record.len()).unwrap().to_le_bytes());
            rewritten.extend_from_slice(&record);
            count += 1;
        }
    }
    rewritten.extend_from_slice(&count.to_le_bytes());
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &rewritten);
    rewritten.extend_from_slice(hash.as_ref());
    fs::write(&path, rewritten).unwrap();
}

/// What is on disk.
pub(crate) fn entries(engine: &Engine) -> Vec<Entry> {
    let entries = engine.ledger().iter_from(0);
    entries.map(|entry| Entry::from_bytes(&entry.unwrap().payload).unwrap()).collect()
}

/// Puts entries into the ledger of a house where nobody is, as another program might have.
pub(crate) fn append_by_hand(house: &House, node: &str, entries: &[Entry]) {
    let dir = house.folder.path();
    let signer = Signer::load(&dir.join("keys/ledger.key"), &format!("nightlatch.local/{node}")).unwrap();
    let options = Options { segment_bytes: house.segment_bytes };
    let (ledger, _) = Ledger::open(&dir.join("ledger"), options, signer).unwrap();
    for entry in entries {
        ledger.append(&entry.to_bytes()).unwrap();
    }
    ledger.commit().unwrap();
}

/// Every entry about a session.
pub(crate) fn about(engine: &Engine, id: SessionId) -> Vec<Entry> {
    let id = id.to_string();
    entries(engine).into_iter().filter(|entry| entry.session() == Some(&id)).collect()
}

/// The one entry of a session's end.
pub(crate) fn end_entry(engine: &Engine, id: SessionId) -> SessionEnded {
    let ends: Vec<SessionEnded> = about(engine, id)
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::SessionEnded(ended) => Some(ended),
            _ => None,
        })
        .collect();
    let [end] = ends.try_into().unwrap_or_else(|ends| panic!("exactly one end: {ends:?}"));
    end
}

/// Whether a future completes when it is asked once.
pub(crate) fn ready<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A future that waits, and whether it was woken.
pub(crate) struct Waiting<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    flag: Arc<Flag>,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl<'a, T> Waiting<'a, T> {
    /// Asks once, and finds that it has to wait.
    pub(crate) fn begin(future: impl Future<Output = T> + 'a) -> Waiting<'a, T> {
        let mut waiting = Waiting { future: Box::pin(future), flag: Arc::default() };
        assert!(waiting.ask().is_none(), "it has to wait");
        waiting
    }

    /// The output, if it was woken for it.
    pub(crate) fn woken(&mut self) -> Option<T> {
        if !self.flag.0.swap(false, SeqCst) {
            return None;
        }
        self.ask()
    }

    fn ask(&mut self) -> Option<T> {
        let waker = Waker::from(Arc::clone(&self.flag));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}
