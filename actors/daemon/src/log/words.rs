//! The fields of a line in words. Whoever calls a service may choose what stands in them: it must not colour the
//! terminal of whoever reads, move its cursor, or forge a line.

use crate::shown;
use std::error::Error;
use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// The message, then `name=value`; in them everything that acts on a terminal is escaped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words;

impl<'w> FormatFields<'w> for Words {
    fn format_fields<R: RecordFields>(&self, to: Writer<'w>, fields: R) -> fmt::Result {
        let mut sentence = Sentence { to, written: Ok(()), is_first: true };
        fields.record(&mut sentence);
        sentence.written
    }
}

struct Sentence<'w> {
    to: Writer<'w>,
    written: fmt::Result,
    is_first: bool,
}

impl Sentence<'_> {
    fn write(&mut self, field: &Field, value: &str) {
        if self.written.is_ok() {
            self.written = self.try_write(field.name(), value);
            self.is_first = false;
        }
    }

    fn try_write(&mut self, name: &str, value: &str) -> fmt::Result {
        if !self.is_first {
            self.to.write_char(' ')?;
        }
        let value = match name {
            // The only field with lines of its own: as they are indented, none passes for a line of the log.
            "backtrace" => shown::lines(value).replace('\n', "\n    ").into(),
            _ => shown::line(value),
        };
        let name = name.strip_prefix("r#").unwrap_or(name);
        match (name, self.to.has_ansi_escapes()) {
            ("message", _) => self.to.write_str(&value),
            (_, true) => write!(self.to, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{value}"),
            (_, false) => write!(self.to, "{name}={value}"),
        }
    }
}

impl Visit for Sentence<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.write(field, value),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            // a String takes everything
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.write(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, &format!("{value:?}"));
    }
}
