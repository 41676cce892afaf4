//! `nightlatch ledger prove`: an entry, and a proof that it is in the tree which the newest checkpoint was signed for.
//!
//! Works from the files, also beside a running server, and needs no signing key: the record is exported to a folder of its own, which
//! checks it against the checkpoint, the leaves are hashed from there, and the folder is removed. What is printed was verified first.
//! It takes time and space in proportion to the record; a running server proves at once (`/v1/ledger/proof/inclusion`).

use super::{
    ledger_export,
    out::{Done, Out, Stop},
    vault::Vault,
};
use nightlatch_ledger::{Hash, InclusionProof, SignedCheckpoint, TILE_WIDTH, Tile};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// Proves an entry.
pub(super) fn run(out: Out, vault: &Vault, entry: &str) -> Done {
    let digits = entry.rsplit_once(':').map_or(entry, |(_, index)| index);
    let index: u64 = digits
        .parse()
        .map_err(|_| Stop::Usage("name the entry by its index, or as `node:index`".to_owned()))?;
    let exported = Exported::of(vault)?;
    let signed = exported.checkpoint(vault)?;
    let size = signed.checkpoint().size;
    if index >= size {
        return Err(Stop::Refused(format!(
            "no checkpoint covers entry {index}: the newest is of {size} entries, and the first has the index 0. A running server signs one within a \
             second or so of the entry; if it has stopped, it does when it is started again"
        )));
    }
    let (payload, leaves) = exported.entry_and_leaves(index, size)?;
    let place = usize::try_from(index).unwrap_or(usize::MAX);
    let proof = InclusionProof { index, size, path: path(place, &leaves) };
    if !proof.verifies(&payload, &signed.checkpoint().root) {
        return Err(Stop::Refused(format!(
            "entry {index} is not the one that the checkpoint was signed for"
        )));
    }
    print(out, vault, &signed, &proof, &payload)
}

fn print(out: Out, vault: &Vault, signed: &SignedCheckpoint, proof: &InclusionProof, payload: &[u8]) -> Done {
    let leaf = Hash::of_leaf(payload);
    let hashes: Vec<String> = proof.path.iter().map(Hash::to_string).collect();
    let text = String::from_utf8_lossy(payload);
    if out.json {
        let entry: Value = serde_json::from_slice(payload).unwrap_or_default();
        return out.value(&json!({
            "ledger": signed.checkpoint().origin,
            "index": proof.index,
            "size": proof.size,
            "entry": entry,
            "entry_text": text,
            "leaf": leaf.to_string(),
            "path": hashes,
            "root": signed.checkpoint().root.to_string(),
            "checkpoint": signed.note(),
        }));
    }
    out.line(format_args!(
        "entry {} of ledger `{}`, proved in its first {} entries",
        proof.index,
        signed.checkpoint().origin,
        proof.size
    ))?;
    out.line(format_args!("\n{text}\n"))?;
    out.line(format_args!("leaf  {leaf}"))?;
    hashes.iter().try_for_each(|hash| out.line(format_args!("path  {hash}")))?;
    out.line(format_args!("root  {}", signed.checkpoint().root))?;
    out.line(format_args!("\n{}", signed.note()))?;
    out.line(vault.about_key())
}

/// RFC 6962, section 2.1.1: the neighbours of a leaf, from it up.
fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(half(leaves.len()));
    let (mut neighbours, other) = if index < left.len() {
        (path(index, left), root(right))
    } else {
        (path(index - left.len(), right), root(left))
    };
    neighbours.push(other);
    neighbours
}

/// RFC 6962, section 2.1: the root over these leaves.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_empty_tree(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(half(leaves.len()));
            Hash::of_node(&root(left), &root(right))
        }
    }
}

/// The largest power of two below a length of two or more.
fn half(length: usize) -> usize {
    length.next_power_of_two() / 2
}

/// A ledger in the tlog-tiles layout.
enum Exported {
    /// It was one already.
    There(PathBuf),
    /// Made for this, and removed after it.
    Scratch(PathBuf),
}

impl Exported {
    fn of(vault: &Vault) -> Result<Exported, Stop> {
        if vault.dir.join("tile").is_dir() {
            return Ok(Exported::There(vault.dir.clone()));
        }
        let scratch = std::env::temp_dir().join(format!("nightlatch-prove-{}", std::process::id()));
        // Made by us, for us alone: one that is there already may be a trap somebody laid in a folder that all may write to.
        fs::DirBuilder::new().mode(0o700).create(&scratch).map_err(|error| {
            Stop::Unreachable(format!(
                "the folder `{}` cannot be made for the proof: {error}",
                scratch.display()
            ))
        })?;
        // Removed when dropped, also after an export that failed half-way.
        let exported = Exported::Scratch(scratch);
        ledger_export::write(vault, exported.dir())?;
        Ok(exported)
    }

    fn dir(&self) -> &Path {
        match self {
            Exported::There(dir) | Exported::Scratch(dir) => dir,
        }
    }

    fn checkpoint(&self, vault: &Vault) -> Result<SignedCheckpoint, Stop> {
        let note = String::from_utf8_lossy(&self.read("checkpoint")?).into_owned();
        SignedCheckpoint::parse(&note, &vault.key)
            .map_err(|error| Stop::Refused(format!("the newest checkpoint cannot be believed: {error}")))
    }

    /// The entry's bytes, and the leaf hash of every entry.
    fn entry_and_leaves(&self, wanted: u64, size: u64) -> Result<(Vec<u8>, Vec<Hash>), Stop> {
        let mut leaves = Vec::new();
        let mut entry = None;
        for tile in Tile::row(0, size) {
            let bundle = self.read(&tile.entries_path())?;
            let first = tile.number * TILE_WIDTH;
            for (payload, index) in (Payloads { rest: &bundle }).zip(first..first + tile.width) {
                leaves.push(Hash::of_leaf(payload));
                if index == wanted {
                    entry = Some(payload.to_vec());
                }
            }
        }
        match entry {
            Some(entry) if leaves.len() as u64 == size => Ok((entry, leaves)),
            _ => Err(Stop::Refused(
                "the record has fewer entries than its checkpoint; run `nightlatch ledger verify`".to_owned(),
            )),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, Stop> {
        let file = self.dir().join(name);
        fs::read(&file)
            .map_err(|error| Stop::Unreachable(format!("`{}` cannot be read: {error}", file.display())))
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        if let Exported::Scratch(dir) = self {
            // Nothing depends on it, and the system cleans its folder for such things.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// The entries of a bundle: two bytes of length, then so many bytes.
struct Payloads<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Payloads<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (payload, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_verify_for_every_leaf_of_every_small_tree() {
        for size in 1..70_u64 {
            let payloads: Vec<String> = (0..size).map(|index| format!("entry {index}")).collect();
            let leaves: Vec<Hash> =
                payloads.iter().map(|payload| Hash::of_leaf(payload.as_bytes())).collect();
            let root = root(&leaves);
            for (index, payload) in (0..size).zip(&payloads) {
                let proof = InclusionProof { index, size, path: path(index as usize, &leaves) };
                assert!(proof.verifies(payload.as_bytes(), &root), "{index} of {size}");
                assert!(!proof.verifies(b"another", &root), "{index} of {size}");
            }
        }
    }

    #[test]
    fn a_bundle_is_read_as_far_as_it_is_whole() {
        let bundle = [&[0, 2][..], b"ab", &[0, 0], &[0, 9], b"short"].concat();
        let payloads: Vec<&[u8]> = Payloads { rest: &bundle }.collect();
        assert_eq!(payloads, [&b"ab"[..], b""]);
    }
}
