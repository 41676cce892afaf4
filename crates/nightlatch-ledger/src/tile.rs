//! Where things are in the tlog-tiles layout (<https://c2sp.org/tlog-tiles>): pure arithmetic and path names.
//!
//! A tile is a row of up to 256 hashes. At level 0 they are leaf hashes; above, each is the root of a full tile below.
//! Only the last tile of a level may be partial, and its width is in its name, so that a file never has to change.

/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Tree levels that one tile spans.
pub(crate) const TILE_HEIGHT: u32 = 8;

/// One tile: its level (0 holds leaf hashes), its place in the level, and how many hashes it has (1 to 256).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// 0 for leaf hashes.
    pub level: u32,
    /// Counted from the left, from 0.
    pub number: u64,
    /// 256 unless this is the partial tile at the right end.
    pub width: u64,
}

impl Tile {
    /// Every tile of a tree of `size` entries, from level 0 up, each level from left to right.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        (0..)
            .map(move |level: u32| (level, size.checked_shr(TILE_HEIGHT * level).unwrap_or(0)))
            .take_while(|(_, hashes)| *hashes > 0)
            .flat_map(|(level, hashes)| Self::row(level, hashes))
    }

    /// The tiles of one level that has so many hashes.
    pub fn row(level: u32, hashes: u64) -> impl Iterator<Item = Self> {
        (0..hashes.div_ceil(TILE_WIDTH)).map(move |number| {
            let width = (hashes - number * TILE_WIDTH).min(TILE_WIDTH);
            Self { level, number, width }
        })
    }

    /// The index of the first entry under this tile.
    #[must_use]
    pub fn first_index(&self) -> u64 {
        self.number.checked_shl(TILE_HEIGHT * (self.level + 1)).unwrap_or(0)
    }

    /// The path of the tile of hashes, below the export's root: `tile/<L>/<N>[.p/<W>]`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, self.tail())
    }

    /// The path of the bundle of entries under this tile, which is of level 0: `tile/entries/<N>[.p/<W>]`.
    #[must_use]
    pub fn entries_path(&self) -> String {
        format!("tile/entries/{}", self.tail())
    }

    /// `<N>[.p/<W>]`: the number in groups of three digits, all but the last with an `x` before them.
    fn tail(&self) -> String {
        let mut path = format!("{:03}", self.number % 1000);
        let mut rest = self.number / 1000;
        while rest > 0 {
            path = format!("x{:03}/{path}", rest % 1000);
            rest /= 1000;
        }
        if self.width < TILE_WIDTH {
            path = format!("{path}.p/{}", self.width);
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tiles of a size as (level, full tiles, width of the partial one).
    fn shape(size: u64) -> Vec<(u32, usize, u64)> {
        let mut levels: Vec<(u32, usize, u64)> = Vec::new();
        for tile in Tile::all(size) {
            if levels.last().is_none_or(|(level, ..)| *level != tile.level) {
                levels.push((tile.level, 0, 0));
            }
            if let Some((_, full, partial)) = levels.last_mut() {
                if tile.width == TILE_WIDTH { *full += 1 } else { *partial = tile.width }
            }
        }
        levels
    }

    #[test]
    fn the_specifications_examples_come_out() {
        assert_eq!(shape(70_000), [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(shape(256), [(0, 1, 0), (1, 0, 1)]);
        assert_eq!(shape(0), []);
        assert_eq!(shape(1), [(0, 0, 1)]);
        assert_eq!(shape(255), [(0, 0, 255)]);
    }

    #[test]
    fn paths_are_the_specifications() {
        let path = |level, number, width| Tile { level, number, width }.path();
        assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(2, 0, 1), "tile/2/000.p/1");
        assert_eq!(path(1, 999, 17), "tile/1/999.p/17");
        assert_eq!(path(1, 1000, 256), "tile/1/x001/000");
        assert_eq!(Tile { level: 0, number: 273, width: 112 }.entries_path(), "tile/entries/273.p/112");
    }
}
