//! Where in a configuration file something stands: line, column and the line itself, for people.

use odeon::core::ServiceName;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration file as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name, as it was given.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
}

/// A problem at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    path: PathBuf,
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
    problem: String,
    /// The whole line.
    text: String,
    /// How many characters of it are meant; at least 1.
    length: usize,
}

impl Source {
    /// The problem at the bytes that it is about.
    pub(crate) fn place(&self, at: Range<usize>, problem: impl fmt::Display) -> Placed {
        let start = floor(&self.text, at.start);
        let end = floor(&self.text, at.end.max(start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |i| start + i);
        Placed {
            path: self.path.clone(),
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            problem: problem.to_string().trim_end().replace('\n', ": "),
            text: self.text[line_start..line_end].trim_end().to_string(),
            length: self.text[start..end.min(line_end).max(start)].chars().count().max(1),
        }
    }

    /// Where a key stands that is named from the top, its name or its value.
    pub(crate) fn key(&self, path: &[&str], part: Part) -> Option<Range<usize>> {
        let document = DeTable::parse(&self.text).ok()?;
        let (first, rest) = path.split_first()?;
        let (name, mut value) = document.get_ref().get_key_value(*first)?;
        let mut found = name.span();
        for key in rest {
            (found, value) = descend(value, Step::Key(key), part)?;
        }
        Some(found)
    }

    /// Where a field of a service's section stands, its name or its value; the section or the nearest part of the
    /// path that exists when the field does not. The path is as errors name it: `limits[2].max`.
    pub(crate) fn locate(&self, service: &ServiceName, field: &str, part: Part) -> Option<Range<usize>> {
        let document = DeTable::parse(&self.text).ok()?;
        let services = document.get_ref().get("services")?.get_ref().as_table()?;
        let named = |name: &str| name.parse::<ServiceName>().is_ok_and(|n| n == *service);
        let (name, section) = services.iter().find(|(name, _)| named(name.get_ref()))?;
        let mut found = name.span();
        let mut value = section;
        for step in steps(field) {
            let Some((at, next)) = descend(value, step, part) else { break };
            found = at;
            value = next;
        }
        Some(found)
    }
}

/// What of a field is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Name,
    Value,
}

/// A step of a path: a key of a table or a position of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Position(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        let position = part.strip_suffix(']').and_then(|digits| digits.parse().ok());
        position.map_or(Step::Key(part), Step::Position)
    })
}

/// The value below a value, and where a person should look for it.
fn descend<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    step: Step<'_>,
    part: Part,
) -> Option<(Range<usize>, &'a Spanned<DeValue<'i>>)> {
    match step {
        Step::Key(key) => {
            let (name, below) = value.get_ref().as_table()?.get_key_value(key)?;
            // a table of its own would be marked over all its lines
            let by_name = part == Part::Name || below.get_ref().is_table();
            Some((if by_name { name.span() } else { below.span() }, below))
        }
        Step::Position(position) => {
            let below = value.get_ref().as_array()?.get(position)?;
            Some((below.span(), below))
        }
    }
}

/// The nearest boundary of a character at or before a byte.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, problem, text, length } = self;
        let number = line.to_string();
        let room = " ".repeat(number.len());
        // tabs keep their width, so that the mark stands below what it marks
        let indent: String =
            text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}:{line}:{column}: {problem}", Path::display(path))?;
        writeln!(f, "  {room} |")?;
        writeln!(f, "  {number} | {text}")?;
        write!(f, "  {room} | {indent}{}", "^".repeat(*length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "odeon.toml".into(), text: text.into() }
    }

    fn found(text: &str, service: &str, field: &str) -> Option<String> {
        let service = service.parse().expect("a name");
        source(text).locate(&service, field, Part::Value).map(|range| text[range].to_string())
    }

    #[test]
    fn a_place_is_shown_with_its_line_and_a_mark() {
        let text = "[node]\nname = \"one\"\nexecutors = \"two\"\n";
        let at = text.find("\"two\"").expect("it is there");
        let shown = source(text).place(at..at + 5, "expected a number").to_string();
        assert_eq!(
            shown,
            "odeon.toml:3:13: expected a number\n    |\n  3 | executors = \"two\"\n    |             ^^^^^"
        );
    }

    #[test]
    fn a_place_beyond_the_end_or_within_a_character_is_the_nearest_one() {
        let shown = source("é").place(1..9, "x").to_string();
        assert!(shown.starts_with("odeon.toml:1:1: x"), "{shown}");
        let shown = source("a\n").place(2..2, "x").to_string();
        assert!(shown.starts_with("odeon.toml:2:1: x"), "{shown}");
    }

    #[test]
    fn a_field_is_found_by_its_path() {
        let text = "[services.shop]\nlimits = [{ max = 1 }, { max = 2 }]\n[services.shop.card]\nkind = 7\n";
        assert_eq!(found(text, "shop", "limits[1].max"), Some("2".into()));
        assert_eq!(found(text, "shop", "card.kind"), Some("7".into()));
        assert_eq!(found(text, "shop", "card"), Some("card".into()));
        let name = source(text).locate(&"shop".parse().expect("a name"), "card.kind", Part::Name);
        assert_eq!(name.map(|range| &text[range]), Some("kind"));
    }

    #[test]
    fn a_key_is_found_from_the_top() {
        let text = "[cluster]\n[node]\nname = \"one\"\n";
        let key = |path: &[&str]| source(text).key(path, Part::Value).map(|range| &text[range]);
        assert_eq!(key(&["node", "name"]), Some("\"one\""));
        assert_eq!(key(&["cluster"]), Some("cluster"));
        assert_eq!(key(&["node", "log"]), None);
    }

    #[test]
    fn what_is_missing_is_placed_at_its_section() {
        let text = "[services.\"default/shop\"]\na = 1\n";
        assert_eq!(found(text, "shop", "missing.more"), Some("\"default/shop\"".into()));
        assert_eq!(found(text, "shop", ""), Some("\"default/shop\"".into()));
        assert_eq!(found(text, "other", ""), None);
    }
}
