//! A table, aligned by hand: headings, and columns as wide as what is in them.

use std::fmt::Write as _;

use crate::cli::term::{Colour, Style, plain, styled};

/// A table.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

struct Column {
    heading: &'static str,
    align: Align,
}

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Align {
    /// At its left.
    Left,
    /// At its right, as numbers do.
    Right,
}

/// What stands in one row of one column.
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Takes a text; nothing is shown as a dash.
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self::styled(text, Style::Plain)
    }

    /// Takes a text and what it means.
    pub(super) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        let text = plain(text.as_ref());
        if text.is_empty() { Self { text: "–".into(), style: Style::Quiet } } else { Self { text, style } }
    }
}

impl Table {
    /// Takes the headings.
    pub(super) fn new<const N: usize>(columns: [(&'static str, Align); N]) -> Self {
        let columns = columns.into_iter().map(|(heading, align)| Column { heading, align }).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Returns the table as text, each line indented by so many spaces and with no space at its end.
    pub(super) fn text(&self, colour: Colour, indent: usize) -> String {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(nth, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(nth)).map(|cell| width(&cell.text));
                cells.chain([width(column.heading)]).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        let headings = self.columns.iter().map(|column| (column.heading, Style::Quiet));
        self.line(&mut text, headings, &widths, colour, indent);
        for row in &self.rows {
            let cells = row.iter().map(|cell| (cell.text.as_str(), cell.style));
            self.line(&mut text, cells, &widths, colour, indent);
        }
        text
    }

    fn line<'c>(
        &self,
        text: &mut String,
        cells: impl Iterator<Item = (&'c str, Style)>,
        widths: &[usize],
        colour: Colour,
        indent: usize,
    ) {
        let mut spaces = indent;
        for ((cell, style), (column, &wide)) in cells.zip(self.columns.iter().zip(widths)) {
            let rest = wide - width(cell).min(wide);
            let (before, after) = match column.align {
                Align::Left => (0, rest),
                Align::Right => (rest, 0),
            };
            let cell = styled(colour, style, cell);
            write!(text, "{:1$}{cell}", "", spaces + before).expect("a String takes everything");
            spaces = after + 2;
        }
        text.push('\n');
    }
}

/// As many columns as a terminal takes for it, for the scripts that numbers, names and languages here are written in.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Names and values, the values one below the other.
pub(super) fn pairs<'p>(pairs: impl IntoIterator<Item = (&'p str, String)>, colour: Colour, indent: usize) -> String {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let wide = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        let name = styled(colour, Style::Quiet, &format!("{name:wide$}"));
        writeln!(text, "{:indent$}{name}  {}", "", plain(&value)).expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new([("NAME", Align::Left), ("N", Align::Right), ("LAST", Align::Left)]);
        table.row(["a", "100", "x"].map(Cell::new));
        table.row([Cell::new("Müller"), Cell::new(""), Cell::styled("bad", Style::Bad)]);

        assert_eq!(table.text(Colour::Plain, 0), "NAME      N  LAST\na       100  x\nMüller    –  bad\n");
        assert!(table.text(Colour::Used, 2).ends_with("  Müller    \x1b[2m–\x1b[0m  \x1b[1;31mbad\x1b[0m\n"));
    }

    #[test]
    fn pairs_stand_below_each_other() {
        let text = pairs([("a", "1".into()), ("long", "2\x07".into())], Colour::Plain, 2);

        assert_eq!(text, "  a     1\n  long  2\u{fffd}\n");
    }
}
