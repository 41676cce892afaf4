//! Checking an export: bundles of entries, tiles of hashes, and that each level follows from the one below.
//!
//! The entries are what counts; the tiles are there so that others need not hash everything. Both are checked, because
//! an export with wrong tiles would mislead whoever uses them. Where an entry and its hash in the tile differ, that is
//! the first bad entry, whichever of the two was changed.

use std::{collections::VecDeque, io, path::Path};

use super::{
    claims::Claims,
    report::{Finding, Report},
};
use crate::{
    block::frame_payload_bytes,
    files,
    frontier::Frontier,
    hash::{HASH_BYTES, Hash},
    tile::{TILE_WIDTH, Tile},
};

pub(super) fn check(dir: &Path, mut claims: Claims) -> io::Result<Report> {
    let size = claims.newest_size();
    // Roots of the full tiles of the level just checked, which are the hashes of the next.
    let mut roots = VecDeque::new();
    for tile in Tile::all(size) {
        let checked = if tile.level == 0 {
            check_entries(dir, tile, &mut claims)?
        } else {
            check_hashes(dir, tile, roots.drain(..count(tile.width).min(roots.len())).collect())?
        };
        match checked {
            Ok(hashes) if tile.width == TILE_WIDTH => roots.push_back(root(&hashes)),
            Ok(_) => {}
            Err(finding) => return Ok(claims.stop(finding)),
        }
    }
    Ok(claims.finish(0))
}

/// Checks a bundle of entries and the tile of their hashes.
fn check_entries(dir: &Path, tile: Tile, claims: &mut Claims) -> io::Result<Result<Vec<Hash>, Finding>> {
    let first = tile.number * TILE_WIDTH;
    let path = tile.entries_path();
    let wrong = |index, fault| Ok(Err(Finding::Tile { index, path: path.clone(), fault }));
    let Some(bundle) = files::read_if_there(&dir.join(&path))? else {
        return wrong(first, "the file with this entry is missing");
    };
    let hashes = read_tile(dir, tile)?;
    let mut leaves = Vec::new();
    let mut rest = &bundle[..];
    for place in 0..tile.width {
        let entry = frame_payload_bytes(rest).and_then(|length| rest.get(2..2 + length));
        let Some(payload) = entry else {
            return wrong(first + place, "the entry is not all there");
        };
        let leaf = Hash::of_leaf(payload);
        if hashes.as_ref().and_then(|hashes| hashes.get(count(place))) != Some(&leaf) {
            return wrong(first + place, "the entry and its hash in the tile differ");
        }
        claims.push(leaf);
        leaves.push(leaf);
        rest = &rest[2 + payload.len()..];
    }
    if !rest.is_empty() {
        return wrong(first + tile.width, "there is more behind the last entry of the file");
    }
    Ok(Ok(leaves))
}

/// Checks a tile above level 0 against the hashes it must have.
fn check_hashes(dir: &Path, tile: Tile, expected: Vec<Hash>) -> io::Result<Result<Vec<Hash>, Finding>> {
    if read_tile(dir, tile)?.as_ref() == Some(&expected) {
        return Ok(Ok(expected));
    }
    let index = tile.first_index();
    Ok(Err(Finding::Tile {
        index,
        path: tile.path(),
        fault: "the tile over this entry does not follow from those below",
    }))
}

/// The hashes of a tile; `None` if the file is missing or not exactly as long as it must be.
fn read_tile(dir: &Path, tile: Tile) -> io::Result<Option<Vec<Hash>>> {
    let Some(bytes) = files::read_if_there(&dir.join(tile.path()))? else { return Ok(None) };
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    let whole = rest.is_empty() && hashes.len() == count(tile.width);
    Ok(whole.then(|| hashes.iter().copied().map(Hash::from).collect()))
}

fn root(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for hash in hashes {
        frontier.push(*hash);
    }
    frontier.root()
}

/// A width, or a place within one, as an index: at most 256.
fn count(width: u64) -> usize {
    usize::try_from(width).unwrap_or(usize::MAX)
}
