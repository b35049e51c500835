//! The log of a node that `up` keeps: a file that the node writes by itself, so that it needs nobody who reads. What
//! people should look at is read from there and shown, a line each.

use crate::date;
use crate::shown;
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A longer file is put aside when its node starts.
const BYTES_MAX: u64 = 16 << 20;
/// Most that is read at once. The rest has its turn later.
const READ_MAX: u64 = 1 << 20;
/// Longest line that is shown, in characters.
const SHOWN_MAX: usize = 300;
/// Libraries below Odeon: what they tell is told by Odeon, too, where it matters.
const LIBRARIES: [&str; 5] = ["chitchat", "openraft", "quinn", "ractor", "rustls"];
/// What every line has.
const USUAL: [&str; 6] = ["timestamp", "level", "message", "target", "span", "spans"];

/// The log of one node.
#[derive(Debug)]
pub(super) struct News {
    path: PathBuf,
    /// Whose it is: what it says of itself need not be said again.
    node: String,
    read: Option<File>,
    /// The beginning of a line whose end has not been written yet.
    begun: Vec<u8>,
}

impl News {
    /// In the directory of the node with this name.
    pub(super) fn of(directory: &Path, node: &str) -> Self {
        Self { path: directory.join("log"), node: node.into(), read: None, begun: Vec::new() }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// For a node that starts: a file to which it appends. What is in it by now is no news.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn begin(&mut self) -> io::Result<File> {
        if fs::metadata(&self.path).is_ok_and(|found| found.len() > BYTES_MAX) {
            fs::rename(&self.path, self.path.with_extension("1"))?;
        }
        let mut file = File::options().append(true).create(true).open(&self.path)?;
        let begins = serde_json::json!({
            "timestamp": date::show(date::now()), "level": "INFO", "message": "`up` starts the node", "target": module_path!(),
        });
        writeln!(file, "{begins}")?;
        let mut read = File::open(&self.path)?;
        read.seek(SeekFrom::End(0))?;
        self.read = Some(read);
        self.begun.clear();
        Ok(file)
    }

    /// What was written since the last time and is for people. A file that cannot be read has no news.
    pub(super) fn next(&mut self) -> Vec<Line> {
        let Some(read) = &mut self.read else { return Vec::new() };
        let mut bytes = std::mem::take(&mut self.begun);
        let _ = read.take(READ_MAX).read_to_end(&mut bytes);
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.begun = bytes.split_off(whole);
        if self.begun.len() as u64 > READ_MAX {
            // no line
            self.begun.clear();
        }
        String::from_utf8_lossy(&bytes).lines().filter_map(|line| for_people(line, &self.node)).collect()
    }
}

/// A line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// It is no more than a warning.
    pub(super) is_warning: bool,
}

/// A warning, an error, or what is no line of a log but was written all the same: by a handler that prints, or by an end
/// that was none in order.
fn for_people(line: &str, node: &str) -> Option<Line> {
    if !line.starts_with('{') {
        let text = shown::within(line, SHOWN_MAX);
        return (!line.trim().is_empty()).then_some(Line { text, is_warning: false });
    }
    // most lines are of no concern, and quickly known by that
    if !["WARN", "ERROR"].iter().any(|level| line.contains(level)) {
        return None;
    }
    let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let level = text("level").filter(|level| ["WARN", "ERROR"].contains(level))?;
    let is_warning = level == "WARN";
    let target = text("target").and_then(|target| target.split("::").next()).unwrap_or_default();
    if LIBRARIES.contains(&target) {
        return None;
    }
    let mut said = format!("{level} {}", text("message").unwrap_or_default());
    for (name, value) in fields.iter().filter(|(name, _)| !USUAL.contains(&name.as_str())) {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        if name == "node" && value == node {
            continue;
        }
        said.push_str(&format!(" {name}={value}"));
    }
    Some(Line { text: shown::within(&said, SHOWN_MAX), is_warning })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Option<(String, bool)> {
        for_people(line, "one").map(|line| (line.text, line.is_warning))
    }

    #[test]
    fn warnings_errors_and_what_is_no_line_of_a_log_are_for_people() {
        let warning = r#"{"timestamp":"t","level":"WARN","message":"a peer\nis away","peer":"a:1","tries":2,"target":"x","node":"one"}"#;
        assert_eq!(shown(warning), Some((r"WARN a peer\u{a}is away peer=a:1 tries=2".into(), true)));
        let other = r#"{"level":"ERROR","message":"it is over","node":"two@1"}"#;
        assert_eq!(shown(other), Some(("ERROR it is over node=two@1".into(), false)));
        assert_eq!(shown(r#"{"level":"INFO","message":"no ERROR"}"#), None);
        assert_eq!(shown("error: no port"), Some(("error: no port".into(), false)));
        assert_eq!(shown("  "), None);
    }

    #[test]
    fn what_a_library_tells_stays_in_the_log() {
        let said = |level: &str, target: &str| {
            shown(&format!(r#"{{"level":"{level}","message":"m","target":"{target}"}}"#)).is_some()
        };
        assert!(!said("WARN", "openraft::replication") && !said("ERROR", "quinn"));
        assert!(said("ERROR", "openrafts") && said("WARN", "odeon::remote"));
    }

    #[test]
    fn each_whole_line_is_news_once_and_what_was_there_before_is_none() {
        let directory = std::env::temp_dir().join(format!("odeon-news-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a place");
        let mut news = News::of(&directory, "one");
        fs::write(news.path(), "before\n").expect("it is ours");
        let mut log = news.begin().expect("it can be opened");
        assert!(news.next().is_empty());
        log.write_all(b"first\nsec").expect("there is room");
        let mut next = || news.next().into_iter().map(|line| line.text).collect::<Vec<_>>();
        assert_eq!(next(), ["first"]);
        log.write_all(b"ond\nthird\n").expect("there is room");
        assert_eq!(next(), ["second", "third"]);
        assert!(next().is_empty());
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn a_log_that_has_grown_long_is_put_aside_at_a_start() {
        let directory = std::env::temp_dir().join(format!("odeon-news-long-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a place");
        let mut news = News::of(&directory, "one");
        File::create(news.path()).and_then(|file| file.set_len(BYTES_MAX + 1)).expect("it is ours");
        drop(news.begin().expect("it can be opened"));
        assert!(fs::metadata(news.path()).is_ok_and(|found| found.len() < 1_000));
        assert!(fs::metadata(directory.join("log.1")).is_ok_and(|found| found.len() > BYTES_MAX));
        fs::remove_dir_all(&directory).expect("it is ours");
    }
}
