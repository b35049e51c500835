//! The bank's book in a file that all processes of the shop on a machine share: it outlives each of them, and tells who
//! has charged what.
//!
//! Each charge is one line of JSON, appended by one write: the system puts those of several processes one after the
//! other, so that nobody waits for anybody. Under a lock, a process that is stopped while it holds it would stop the
//! whole bank. A line begins with the end of the one before, and is whole once its object is: what a writer has left that
//! was killed, or had no room, is a line that breaks off. Nobody was told of that charge, and it counts for nothing.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A charge, as its line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The order.
    pub order: String,
    /// How much, in cents.
    pub cents: u64,
    /// Who has charged it: a node, with its incarnation.
    pub by: String,
}

/// Why a book cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// The system does not let it be.
    #[error(
        "the bank's book {} cannot be {done}: {problem}. Give it room and the right to write there, or name another file: \
         `book` of [services.payment]",
        path.display()
    )]
    Failed {
        /// The file.
        path: PathBuf,
        /// What was to be done: opened, read, written.
        done: &'static str,
        /// What the system says.
        problem: String,
    },
    /// There is something in it that no bank has written.
    #[error(
        "{}:{line} is no charge: {problem}. `book` of [services.payment] names a file of charges, or a new one",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Which line of it.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// Charges are written to another one.
    #[error("the bank's book is {} already, and not {}: a process has one", is.display(), asked.display())]
    Other {
        /// Where it is.
        is: PathBuf,
        /// Where it was to be.
        asked: PathBuf,
    },
}

/// The file, as far as it has been read.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    file: File,
    /// Bytes that have been read.
    read: u64,
    /// Ends of lines among them.
    lines: u64,
}

impl Book {
    /// Opens it, or makes an empty one. Nothing is read yet.
    ///
    /// # Errors
    /// [`BookError::Failed`].
    pub fn open(path: &Path) -> Result<Self, BookError> {
        let opened = File::options().read(true).append(true).create(true).open(path);
        let file = opened.map_err(|error| failed(path, "opened", &error))?;
        Ok(Self { path: path.into(), file, read: 0, lines: 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a charge at the end. Answers the bank's number for it: where its line ends.
    ///
    /// # Errors
    /// [`BookError::Failed`]: it does not count.
    pub fn append(&mut self, entry: &Entry) -> Result<u64, BookError> {
        let line = serde_json::to_string(entry).map_err(|error| failed(&self.path, "written", &error))?;
        let line = format!("\n{line}");
        let written = loop {
            match self.file.write(line.as_bytes()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => break written,
            }
        };
        match written {
            Ok(bytes) if bytes == line.len() => self.file.stream_position(),
            Ok(bytes) => {
                Err(std::io::Error::other(format!("of {} bytes there was room for {bytes}", line.len())))
            }
            Err(error) => Err(error),
        }
        .map_err(|error| failed(&self.path, "written", &error))
    }

    /// Tells each charge that is new since the last time, whoever has written it, with its number.
    ///
    /// # Errors
    /// [`BookError::Failed`]; [`BookError::Foreign`], as often as it is read.
    pub fn read_on(&mut self, mut tell: impl FnMut(u64, Entry)) -> Result<(), BookError> {
        let unread = |error| failed(&self.path, "read", &error);
        let mut file = BufReader::new(&self.file);
        file.seek(SeekFrom::Start(self.read)).map_err(unread)?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let bytes = file.read_until(b'\n', &mut line).map_err(unread)? as u64;
            let is_ended = line.pop_if(|last| *last == b'\n').is_some();
            let number = self.read + line.len() as u64;
            if !line.is_empty() {
                match serde_json::from_slice(&line) {
                    Ok(entry) => tell(number, entry),
                    Err(broken) if broken.is_eof() && is_ended => {
                        tracing::warn!(path = %self.path.display(), line = self.lines + 1, "a charge breaks off");
                    }
                    // somebody is about to write it, or has not come to its end
                    Err(broken) if broken.is_eof() => return Ok(()),
                    Err(broken) => {
                        let (path, line) = (self.path.clone(), self.lines + 1);
                        return Err(BookError::Foreign { path, line, problem: broken.to_string() });
                    }
                }
            }
            self.read += bytes;
            self.lines += u64::from(is_ended);
            if !is_ended {
                return Ok(());
            }
        }
    }
}

fn failed(path: &Path, done: &'static str, problem: &impl ToString) -> BookError {
    BookError::Failed { path: path.into(), done, problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own, which goes with its test.
    struct Place(PathBuf);

    impl Place {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("odeon-book-{test}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("the place is writable");
            Self(path)
        }

        fn book(&self) -> PathBuf {
            self.0.join("book")
        }

        fn write(&self, text: &str) {
            std::fs::write(self.book(), text).expect("the place is writable");
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn entry(order: &str, by: &str) -> Entry {
        Entry { order: order.into(), cents: 250, by: by.into() }
    }

    fn read(book: &mut Book) -> Vec<(u64, Entry)> {
        let mut all = Vec::new();
        book.read_on(|number, entry| all.push((number, entry))).expect("it can be read");
        all
    }

    #[test]
    fn whoever_opens_it_reads_what_all_have_written_each_once_and_in_order() {
        let place = Place::new("shared");
        let open = || Book::open(&place.book()).expect("it can be opened");
        let [mut north, mut south] = [open(), open()];
        let first = north.append(&entry("a", "north@1")).expect("there is room");
        assert_eq!(read(&mut south), [(first, entry("a", "north@1"))]);
        let second = south.append(&entry("b", "south@1")).expect("there is room");
        let third = north.append(&entry("\n\u{e9}", "north@1")).expect("there is room");
        let rest = [(second, entry("b", "south@1")), (third, entry("\n\u{e9}", "north@1"))];
        assert_eq!(read(&mut south), rest);
        assert_eq!(read(&mut south), []);
        assert_eq!(read(&mut north).len(), 3);
        assert!(first < second && second < third);
    }

    #[test]
    fn a_charge_that_breaks_off_counts_for_nothing_wherever_it_does() {
        let place = Place::new("torn");
        let whole = serde_json::to_string(&entry("\u{e9}-1", "north@1")).expect("plain values").into_bytes();
        for length in 0..whole.len() {
            let torn = [b"\n", &whole[..], b"\n", &whole[..length]].concat();
            std::fs::write(place.book(), torn).expect("the place is writable");
            let mut book = Book::open(&place.book()).expect("it can be opened");
            assert_eq!(read(&mut book).len(), 1, "{length}");
            book.append(&entry("b", "south@1")).expect("there is room");
            let then: Vec<_> = read(&mut book).into_iter().map(|(_, entry)| entry.order).collect();
            assert_eq!(then, ["b"], "{length}");
        }
    }

    #[test]
    fn what_no_bank_has_written_is_refused_with_its_place_each_time() {
        let place = Place::new("foreign");
        let foreign = [
            ("hello", 1),
            ("\n{\"order\":\"a\",\"cents\":1,\"by\":\"n@1\"}\n[1]\n", 3),
            ("{\"order\":\"a\",\"cents\":-1,\"by\":\"n@1\"}", 1),
            ("{\"order\":\"a\",\"cents\":1,\"by\":\"n@1\",\"more\":2}", 1),
            ("{}", 1),
        ];
        for (text, at) in foreign {
            place.write(text);
            let mut book = Book::open(&place.book()).expect("it can be opened");
            for _ in 0..2 {
                let said = book.read_on(|_, _| ()).expect_err("it is foreign").to_string();
                assert!(
                    said.contains(&format!("book:{at} is no charge")) && said.contains("names a file"),
                    "{said}"
                );
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_charge_for_which_there_is_no_room_is_refused() {
        let mut book = Book::open(Path::new("/dev/full")).expect("it is always there");
        let said = book.append(&entry("a", "north@1")).expect_err("it is full").to_string();
        assert!(said.contains("/dev/full cannot be written: No space left"), "{said}");
    }

    #[test]
    fn a_file_that_cannot_be_is_named_with_what_the_system_says() {
        let place = Place::new("unwritable");
        for path in [place.0.clone(), place.0.join("nowhere/book")] {
            let said = Book::open(&path).expect_err("there can be no file").to_string();
            assert!(said.contains(&format!("{} cannot be opened: ", path.display())), "{said}");
        }
    }
}
