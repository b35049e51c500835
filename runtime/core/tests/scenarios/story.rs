//! The form of a story: a command of one or more lines, `----`, the outcome, an empty line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Who understands the commands of a story. A new one for each file.
pub(crate) trait Teller {
    /// Does what a command says and tells the outcome; empty when there was none.
    fn tell(&mut self, command: &str) -> Result<String, String>;
}

/// Plays all stories of a folder. Fails when an outcome differs from the file, unless the files are to be rewritten.
pub(crate) fn play<T: Teller>(folder: &str, new: impl Fn() -> T) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(folder);
    let rewrite = std::env::var_os("ODEON_REWRITE").is_some_and(|value| value == "1");
    let mut faults = String::new();
    for file in stories(&folder) {
        let written = std::fs::read_to_string(&file).expect("a story is readable text");
        let told = retell(&written, &mut new()).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
        if told == written {
            continue;
        }
        if rewrite {
            std::fs::write(&file, told).expect("the story can be rewritten");
        } else {
            let _ = writeln!(faults, "{}:\n{}", file.display(), first_difference(&written, &told));
        }
    }
    assert!(faults.is_empty(), "{faults}\nODEON_REWRITE=1 writes the outcomes anew");
}

fn stories(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder of stories exists");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("its entries can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no stories in {}", folder.display());
    files
}

/// The same story with the outcomes of now.
fn retell(written: &str, teller: &mut impl Teller) -> Result<String, String> {
    let mut told = String::new();
    let mut lines = written.lines().enumerate().peekable();
    while let Some((_, line)) = lines.next() {
        told += line;
        told.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut command = line.to_owned();
        loop {
            let Some((number, line)) = lines.next() else {
                return Err(format!("the story ends before the ---- of {command:?}"));
            };
            told += line;
            told.push('\n');
            if line == "----" {
                let outcome = teller.tell(&command).map_err(|fault| format!("line {number}: {fault}"))?;
                told += if outcome.is_empty() { "(nothing)" } else { outcome.trim_end() };
                told.push('\n');
                break;
            }
            command.push('\n');
            command += line;
        }
        while lines.peek().is_some_and(|(_, line)| !line.is_empty()) {
            lines.next();
        }
    }
    Ok(told)
}

fn first_difference(written: &str, told: &str) -> String {
    let differs = |(_, (left, right)): &(usize, (&str, &str))| left != right;
    match written.lines().zip(told.lines()).enumerate().find(differs) {
        Some((at, (left, right))) => format!("line {}\n  written: {left}\n  now:     {right}", at + 1),
        None => "one is longer than the other".to_owned(),
    }
}
