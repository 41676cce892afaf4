//! Aligned tables for people.

use super::out::{Done, Out};

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// Rows under a heading, each column as wide as its widest cell.
pub(super) struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(columns: &[(&str, Align)]) -> Table {
        let heading = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        Table { columns: columns.iter().map(|(_, align)| *align).collect(), rows: vec![heading] }
    }

    /// Two columns without a heading: what, and its value.
    pub(super) fn pairs() -> Table {
        Table { columns: vec![Align::Left, Align::Left], rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Prints it.
    pub(super) fn print(&self, out: Out) -> Done {
        self.lines().iter().try_for_each(|line| out.line(line))
    }

    fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        let line = |row: &Vec<String>| {
            let cells =
                row.iter().zip(&widths).zip(&self.columns).map(|((cell, width), align)| match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_figures_stand_right() {
        let mut table = Table::new(&[("NAME", Align::Left), ("OPEN", Align::Right)]);
        table.row(["é".to_owned(), "7".to_owned()]);
        table.row(["longer".to_owned(), "12345".to_owned()]);
        assert_eq!(table.lines(), ["NAME     OPEN", "é           7", "longer  12345"]);
    }
}
