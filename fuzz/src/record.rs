//! The record: its own files, and the public forms in which it leaves the house.
//!
//! The public forms are read a second time by programs that are not ours: `signed_note` and `tlog_tiles`.

use crate::input::Input;
use nightlatch_ledger::{
    Checkpoint, ConsistencyProof, Frontier, Hash, InclusionProof, KeyKind, Ledger, Note, Options, Signer,
    TILE_WIDTH, Tile, VerifierKey,
    export::export,
    fuzzing::{block, read_block, split_history},
    verify::{Trust, verify},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

/// A block comes back as it was written; a changed one does not come back as anything else.
pub fn ledger_blocks(data: &[u8]) {
    if let Some((first, payloads)) = read_block(data) {
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        assert!(block(first, &payloads).is_some());
    }
    let mut input = Input::new(data);
    let (first, count, changes) = (input.number(), input.below(6), input.below(4));
    let changes: Vec<(usize, u8)> = (0..changes).map(|_| (input.below(1 << 16), input.byte())).collect();
    let payloads: Vec<&[u8]> = (0..count)
        .map(|_| input.below(300))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|length| input.take(length))
        .collect();
    let Some(written) = block(first, &payloads) else { return };
    let expected = Some((first, payloads.iter().map(|payload| payload.to_vec()).collect::<Vec<_>>()));
    assert_eq!(read_block(&written), expected);
    assert_eq!(read_block(&written[..written.len() - 1]), None, "a torn block is none");
    let mut changed = written.clone();
    for (at, byte) in changes {
        let at = at % changed.len();
        changed[at] = byte;
    }
    if changed != written {
        assert_eq!(read_block(&changed), None, "a changed block is read");
    }
}

/// A history is split without loss, and a shorter one has the first of the notes.
pub fn ledger_history(data: &[u8]) {
    let mut input = Input::new(data);
    let cut = input.below(1 << 16);
    let history = input.rest();
    let (notes, unfinished) = split_history(history);
    let whole: String = notes.iter().map(|note| format!("{note}\n")).collect();
    assert_eq!(whole.as_bytes(), &history[..history.len() - unfinished]);
    for note in &notes {
        assert!(note.ends_with('\n') && note.matches("\n\n").count() == 1, "{note:?}");
    }
    let (fewer, _) = split_history(&history[..cut % (history.len() + 1)]);
    assert_eq!(fewer, notes[..fewer.len()]);
}

/// The signed note of the specification, which nobody here can sign anew.
const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SIGNED_TEXT: &str = "This is an example message.\n";

/// A note is written back as it was read, `signed_note` reads the same, and nothing but the signed text passes for signed.
pub fn notes(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (ours, theirs) = (Note::parse(text), signed_note::Note::from_bytes(data));
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours.text().as_bytes(), theirs.text()),
        (Ok(_), Err(error)) => panic!("`signed_note` refuses what we read: {error}"),
        // We take fewer signatures, and no control characters in names.
        (Err(_), Ok(_)) => assert!(
            text.contains(char::is_control)
                && (text.matches('\n').count() > 64
                    || text.contains('\u{7f}')
                    || text.chars().any(|c| c.is_control() && !c.is_ascii()))
        ),
        (Err(_), Err(_)) => {}
    }
    if let Ok(key) = text.trim_end().parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse::<VerifierKey>().as_ref(), Ok(&key));
        assert!(key.kind() != KeyKind::Log || signed_note::is_key_name_valid(key.name()));
    }
    let Ok(note) = ours else { return };
    assert_eq!(note.to_string(), text);
    let key = KEY.parse::<VerifierKey>();
    if key.is_ok_and(|key| note.verify(&key).is_ok()) {
        assert_eq!(note.text(), SIGNED_TEXT, "a forged note is believed");
    }
}

/// A checkpoint is read as `tlog_tiles` reads it, and written back as it was but for its extensions.
pub fn checkpoints(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (ours, theirs) = (Checkpoint::parse(text), tlog_tiles::Checkpoint::from_bytes(data));
    if let Ok(ours) = &ours {
        assert!(text.starts_with(&ours.to_string()), "{text:?}");
        assert_eq!(Checkpoint::parse(&ours.to_string()).as_ref(), Ok(ours));
    }
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!((&*ours.origin, ours.size), (theirs.origin(), theirs.size()));
            assert_eq!(*ours.root.as_bytes(), theirs.hash().0);
        }
        (Ok(ours), Err(_)) => panic!("`tlog_tiles` refuses {ours:?} of {text:?}"),
        (Err(_), Ok(theirs)) => panic!("we refuse what `tlog_tiles` reads, of size {}", theirs.size()),
        (Err(_), Err(_)) => {}
    }
}

/// Leaves of the trees that proofs are about.
const LEAVES: u64 = 70;

/// The root of some neighbouring leaves, as RFC 6962 section 2.1 defines it.
fn root(from: u64, to: u64) -> Hash {
    match to - from {
        0 => Hash::of_empty_tree(),
        1 => Hash::of_leaf(&from.to_be_bytes()),
        length => {
            let middle = from + length.next_power_of_two() / 2;
            Hash::of_node(&root(from, middle), &root(middle, to))
        }
    }
}

/// The hashes beside the way up from a leaf (RFC 6962 section 2.1.1).
fn inclusion(index: u64, from: u64, to: u64) -> Vec<Hash> {
    if to - from <= 1 {
        return Vec::new();
    }
    let middle = from + (to - from).next_power_of_two() / 2;
    let (mut path, neighbour) = if index < middle {
        (inclusion(index, from, middle), root(middle, to))
    } else {
        (inclusion(index, middle, to), root(from, middle))
    };
    path.push(neighbour);
    path
}

/// The subtrees that give both roots (RFC 6962 section 2.1.2).
fn consistency(old: u64, from: u64, to: u64, whole: bool) -> Vec<Hash> {
    if old == to {
        return if whole { Vec::new() } else { vec![root(from, to)] };
    }
    let middle = from + (to - from).next_power_of_two() / 2;
    let (mut path, neighbour) = if old <= middle {
        (consistency(old, from, middle, whole), root(middle, to))
    } else {
        (consistency(old, middle, to, false), root(from, middle))
    };
    path.push(neighbour);
    path
}

/// A proof holds for us exactly if it does for `tlog_tiles`; an unchanged one holds, and no other shows a leaf or tree that is not there.
pub fn proofs(data: &[u8]) {
    let mut input = Input::new(data);
    let size = 1 + input.number() % LEAVES;
    let (index, old) = (input.number() % size, 1 + input.number() % size);
    let mut included = InclusionProof { index, size, path: inclusion(index, 0, size) };
    let mut consistent =
        ConsistencyProof { old_size: old, new_size: size, path: consistency(old, 0, size, true) };
    let (new_root, old_root) = (root(0, size), root(0, old));
    assert!(included.verifies(&index.to_be_bytes(), &new_root) && consistent.verifies(&old_root, &new_root));

    let (mut leaf, mut claimed) = (index, new_root);
    while !input.is_empty() {
        let pool = |input: &mut Input<'_>| {
            let from = input.number() % LEAVES;
            root(from, from + 1 + input.number() % (LEAVES - from))
        };
        match input.byte() % 10 {
            0 => included.index = input.number() % (2 * LEAVES),
            1 => included.size = input.number() % (2 * LEAVES),
            2 => consistent.old_size = input.number() % (2 * LEAVES),
            3 => consistent.new_size = input.number() % (2 * LEAVES),
            4 => leaf = input.number() % LEAVES,
            5 => claimed = pool(&mut input),
            operation => {
                let path = if operation % 2 == 0 { &mut included.path } else { &mut consistent.path };
                let at = input.below(path.len() + 1);
                match (operation, path.len()) {
                    (6 | 7, length) if at < length => path[at] = pool(&mut input),
                    (8 | 9, length) if at < length => drop(path.remove(at)),
                    (_, length) if length < 64 => path.insert(at, pool(&mut input)),
                    _ => {}
                }
            }
        }
    }
    let theirs = |hash: &Hash| tlog_tiles::Hash(*hash.as_bytes());
    let path = |path: &[Hash]| path.iter().map(theirs).collect::<Vec<_>>();

    let payload = leaf.to_be_bytes();
    let holds = included.verifies(&payload, &claimed);
    let agrees = tlog_tiles::check_record(
        &path(&included.path),
        included.size,
        theirs(&claimed),
        included.index,
        tlog_tiles::record_hash(&payload),
    );
    assert_eq!(holds, agrees.is_ok(), "{included:?}");

    let ConsistencyProof { old_size, new_size, path: beside } = &consistent;
    if (1..=*new_size).contains(old_size) {
        let holds = consistent.verifies(&old_root, &claimed);
        let agrees =
            tlog_tiles::check_tree(&path(beside), *new_size, theirs(&claimed), *old_size, theirs(&old_root));
        assert_eq!(holds, agrees.is_ok(), "{consistent:?}");
    } else if *old_size > *new_size {
        assert!(!consistent.verifies(&old_root, &claimed));
    }
}

/// A tree of any size has the tiles, under the names, that `tlog_tiles` gives it.
pub fn tiles(data: &[u8]) {
    let mut input = Input::new(data);
    let size = input.number() % 300_000;
    let ours: Vec<String> = Tile::all(size).map(|tile| tile.path()).collect();
    let theirs = tlog_tiles::Tile::new_tiles(8, 0, size);
    let names: Vec<String> = theirs.iter().map(|tile| tile.path().replacen("tile/8/", "tile/", 1)).collect();
    assert_eq!(ours, names);
    let number = input.number() << 32 | input.number();
    let tile = Tile { level: 0, number: number >> 8, width: 1 + u64::from(input.byte()).min(TILE_WIDTH - 1) };
    let width = u32::try_from(tile.width).unwrap_or(1);
    let other = tlog_tiles::Tile::new(8, 0, tile.number, width, false);
    assert_eq!(tile.path(), other.path().replacen("tile/8/", "tile/", 1));
}

/// A record with some entries, in both forms, and a folder in memory to spoil a copy of it in.
struct Fixture {
    folder: tempfile::TempDir,
    key: PathBuf,
    trust: Trust,
    /// The newest checkpoint, as somebody keeps it elsewhere.
    kept: String,
    root: Hash,
    forms: [Form; 2],
}

struct Form {
    dir: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

const NAME: &str = "fuzz.example/ledger";
const ENTRIES: u64 = 270;
const OPTIONS: Options = Options { segment_bytes: 4096 };

fn payload(index: u64) -> Vec<u8> {
    format!("entry {index} {}", "x".repeat(usize::try_from(index % 23).unwrap_or(0))).into_bytes()
}

impl Fixture {
    fn get() -> &'static Mutex<Fixture> {
        static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
        FIXTURE.get_or_init(|| Mutex::new(Self::new().unwrap_or_else(|error| panic!("{error}"))))
    }

    fn new() -> Result<Fixture, Box<dyn std::error::Error>> {
        let folder = in_memory()?;
        let (key, original) = (folder.path().join("ledger.key"), folder.path().join("original"));
        let signer = Signer::create(&key, NAME)?;
        let trust = Trust { log: signer.verifier().clone(), witnesses: Vec::new() };
        let (ledger, _) = Ledger::open(&original, OPTIONS, signer)?;
        for index in 0..ENTRIES {
            ledger.append(&payload(index))?;
            if index % 10 == 9 {
                ledger.commit()?;
            }
            if index % 90 == 89 {
                ledger.checkpoint()?;
            }
        }
        let signed = ledger.checkpoint()?;
        drop(ledger);
        let exported = folder.path().join("exported");
        export(&original, &exported, &trust.log)?;
        let form = |from: &Path, name: &str| -> std::io::Result<Form> {
            let form = Form { dir: folder.path().join(name), files: files(from, from)? };
            for name in form.files.keys() {
                form.restore(name)?;
            }
            Ok(form)
        };
        let forms = [form(&original, "segments")?, form(&exported, "tiles")?];
        Ok(Fixture { key, trust, kept: signed.note(), root: signed.checkpoint().root, forms, folder })
    }
}

impl Form {
    fn restore(&self, name: &Path) -> std::io::Result<()> {
        let path = self.dir.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, &self.files[name])
    }

    /// Spoils some files of the copy; tells which.
    fn spoil(&self, input: &mut Input<'_>) -> std::io::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut spoiled = BTreeMap::new();
        for _ in 0..=input.below(3) {
            let name = self.files.keys().nth(input.below(self.files.len())).cloned().unwrap_or_default();
            let bytes = spoiled.entry(name.clone()).or_insert_with(|| self.files[&name].clone());
            let (at, length) = (input.below(bytes.len() + 1), input.below(600));
            let end = (at + length).min(bytes.len());
            match input.byte() % 6 {
                0 | 1 => {
                    let new = input.take(4);
                    let end = (at + new.len()).min(bytes.len());
                    bytes[at..end].copy_from_slice(&new[..end - at]);
                }
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let copied = bytes[at..end].to_vec();
                    let to = input.below(bytes.len() + 1);
                    bytes.splice(to..to, copied);
                }
                _ => {
                    // Another file's bytes, so that whole blocks and notes change places.
                    let other =
                        self.files.values().nth(input.below(self.files.len())).cloned().unwrap_or_default();
                    *bytes = other;
                }
            }
        }
        for (name, bytes) in &spoiled {
            fs::write(self.dir.join(name), bytes)?;
        }
        Ok(spoiled)
    }
}

/// A spoiled record passes for whole only where every entry of it is as it was; and it opens only as what it was, or the beginning of it.
pub fn record(data: &[u8]) {
    let fixture = Fixture::get().lock().unwrap_or_else(PoisonError::into_inner);
    let mut input = Input::new(data);
    let which = usize::from(input.byte() & 1);
    let open = input.byte() & 1 == 1;
    let form = &fixture.forms[which];
    let checked = form.spoil(&mut input).and_then(|spoiled| {
        let report = verify(&form.dir, &fixture.trust, std::slice::from_ref(&fixture.kept));
        if let Ok(report) = report
            && report.is_consistent()
        {
            assert_eq!((report.entries, report.root), (ENTRIES, fixture.root), "a spoiled record passes");
            assert_eq!(report.anchored_entries(), ENTRIES);
        }
        if open && which == 0 {
            reopen(&fixture, form);
            // Opening may cut off and make files.
            fs::remove_dir_all(&form.dir)?;
            return form.files.keys().try_for_each(|name| form.restore(name));
        }
        spoiled.keys().try_for_each(|name| form.restore(name))
    });
    assert!(checked.is_ok(), "{}: {checked:?}", fixture.folder.path().display());
}

fn reopen(fixture: &Fixture, form: &Form) {
    let signer = Signer::load(&fixture.key, NAME);
    let Ok((ledger, found)) =
        signer.map_err(drop).and_then(|signer| Ledger::open(&form.dir, OPTIONS, signer).map_err(drop))
    else {
        return;
    };
    assert!(found.entries <= ENTRIES);
    let mut frontier = Frontier::default();
    for (entry, index) in ledger.iter_from(0).zip(0..) {
        let entry = entry.map(|entry| entry.payload);
        assert_eq!(entry.ok(), Some(payload(index)), "entry {index}");
        frontier.push(Hash::of_leaf(&payload(index)));
    }
    assert_eq!(frontier.size(), found.entries);
}

/// A folder that is gone with the process, in memory where there is one: these properties write much and pull no plug.
pub(crate) fn in_memory() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// Every file below a folder but the lock and the spare space, by its name there.
fn files(folder: &Path, base: &Path) -> std::io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.is_dir() {
            found.extend(files(&path, base)?);
        } else if !path.ends_with("lock") && !path.ends_with("spare") {
            let name = path.strip_prefix(base).unwrap_or(&path).to_owned();
            found.insert(name, fs::read(&path)?);
        }
    }
    Ok(found)
}
