//! What people read: lines, tables and colours on standard output; never colours where nobody sees them.

use crate::exit::Failure;
use crate::shown;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    interactive: bool,
    colour: bool,
    colour_errors: bool,
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    /// The thing itself.
    Strong,
    /// Secondary.
    Quiet,
    /// As it should be.
    Good,
    /// Look here.
    Warning,
    /// Wrong.
    Bad,
}

impl Terminal {
    /// Standard output of this process. `NO_COLOR` is honoured (no-color.org).
    pub(crate) fn standard() -> Self {
        let interactive = io::stdout().is_terminal();
        let wanted = colour_wanted();
        let colour_errors = wanted && io::stderr().is_terminal();
        Self { interactive, colour: wanted && interactive, colour_errors }
    }

    /// Without colours, for a file.
    pub(crate) fn plain() -> Self {
        Self { interactive: false, colour: false, colour_errors: false }
    }

    /// Whether somebody watches: progress lines make sense.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Prints one line.
    pub(crate) fn line(&self, text: impl Display) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Prints a value for programs.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Failure::failed(format_args!("the answer cannot be printed as JSON: {e}")))?;
        Ok(self.line(text)?)
    }

    /// Replaces the current line; only where somebody watches.
    pub(crate) fn progress(&self, text: impl Display) -> io::Result<()> {
        if !self.interactive {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        write!(out, "\r\x1b[K{text}")?;
        out.flush()
    }

    /// What takes the current line of [`Self::progress`] away, in front of what comes next.
    pub(crate) fn progressed(&self) -> &'static str {
        if self.interactive { "\r\x1b[K" } else { "" }
    }

    /// Clears the screen for the next picture of a watch; only where somebody watches.
    pub(crate) fn clear(&self) -> io::Result<()> {
        if !self.interactive {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        write!(out, "\x1b[2J\x1b[H")?;
        out.flush()
    }

    /// The text in a tone, for standard output. Nothing in it is followed by the terminal.
    pub(crate) fn paint(&self, tone: Tone, text: impl Display) -> String {
        paint(self.colour, tone, text)
    }

    /// The text in a tone, for standard error.
    pub(crate) fn paint_error(&self, tone: Tone, text: impl Display) -> String {
        paint(self.colour_errors, tone, text)
    }

    /// Prints a table: headings, then rows, each column as wide as its widest cell.
    pub(crate) fn table(&self, table: &Table) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in table.lines(self) {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

/// Whether the user lets programs colour: `NO_COLOR` (no-color.org) and terminals that cannot.
pub(crate) fn colour_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    !refused && !dumb
}

fn paint(colour: bool, tone: Tone, text: impl Display) -> String {
    let text = text.to_string();
    let text = shown::line(&text);
    if !colour {
        return text.into_owned();
    }
    let code = match tone {
        Tone::Strong => 1,
        Tone::Quiet => 2,
        Tone::Good => 32,
        Tone::Warning => 33,
        Tone::Bad => 31,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// JSON over several lines, every field and digit as it came; what a terminal would follow stands escaped.
pub(crate) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    let mut chars = json.chars().filter(|c| !c.is_ascii_whitespace() || c == &' ').peekable();
    while let Some(c) = chars.next() {
        if quoted {
            match shown::acts(c) {
                // JSON's own way (RFC 8259, section 7); all of these have four digits at the most
                true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                false => out.push(c),
            }
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match c {
            ' ' => {}
            '"' => {
                quoted = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {}
                if !matches!(chars.peek(), Some('}' | ']')) {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }
    }
    out
}

/// Rows under headings.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    number: bool,
}

impl Table {
    /// No columns.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A column of text.
    pub(crate) fn text(mut self, name: &'static str) -> Self {
        self.columns.push(Column { name, number: false });
        self
    }

    /// A column of numbers: aligned to the right.
    pub(crate) fn number(mut self, name: &'static str) -> Self {
        self.columns.push(Column { name, number: true });
        self
    }

    /// One more row: as many cells as there are columns. Nothing in them is followed by the terminal.
    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| shown::line(&cell).into_owned()).collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// As it stands on a terminal.
    pub(crate) fn lines(&self, terminal: &Terminal) -> Vec<String> {
        let widths = self.widths();
        let headings: Vec<String> = self.columns.iter().map(|c| c.name.to_uppercase()).collect();
        let headings = terminal.paint(Tone::Quiet, self.row(&headings, &widths));
        [headings].into_iter().chain(self.rows.iter().map(|row| self.row(row, &widths))).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let width = |i: usize, c: &Column| {
            let cells = self.rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(c.name.chars().count())
        };
        self.columns.iter().enumerate().map(|(i, c)| width(i, c)).collect()
    }

    fn row(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), column) in cells.iter().zip(widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let room = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column.number {
                line.push_str(&room);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&room);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_end_together() {
        let mut table = Table::new().text("service").number("waiting");
        table.push(["greeter".into(), "7".into()]);
        table.push(["shop".into(), "1234567".into()]);
        let widths = table.widths();
        assert_eq!(table.row(&table.rows[0], &widths), "greeter        7");
        assert_eq!(table.row(&table.rows[1], &widths), "shop     1234567");
    }

    #[test]
    fn json_is_laid_out_and_otherwise_left_as_it_is() {
        let laid_out = "{\n  \"b\": [\n    1.50,\n    {}\n  ],\n  \"a\": \"x, \\\"{y}\\\\\"\n}";
        assert_eq!(pretty(r#"{"b":[1.50, { }],"a":"x, \"{y}\\"}"#), laid_out);
        assert_eq!(pretty("\"\u{9b}2J \u{202e}\""), r#""\u009b2J \u202e""#);
        assert_eq!(pretty("[]"), "[]");
        assert_eq!(pretty("7"), "7");
    }

    #[test]
    fn without_colours_a_painted_text_is_the_text() {
        assert_eq!(paint(false, Tone::Bad, "down"), "down");
        assert_eq!(paint(true, Tone::Bad, "down"), "\x1b[31mdown\x1b[0m");
    }
}
