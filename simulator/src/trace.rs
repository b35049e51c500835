//! Log lines: what programs under simulation say reaches the trace, and so the hash.

use crate::reach::Reached;
use odeon::reach::TARGET;
use odeon_simulator_os as os;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_core::span::Current;

/// Records a line for the host whose turn it is, or for the script. Outside a simulation it does nothing.
pub fn line(text: &str) {
    os::with(|kernel| kernel.log(text));
}

/// A span that is open.
struct Span {
    name: &'static str,
    fields: String,
    metadata: &'static Metadata<'static>,
    references: usize,
}

/// Everything the subscriber remembers.
#[derive(Default)]
struct Spans {
    open: BTreeMap<u64, Span>,
    /// The spans entered on the simulation's one thread, innermost last.
    entered: Vec<u64>,
    last: u64,
}

/// The subscriber of a simulation's thread: every event and every new span becomes a line.
///
/// Of Odeon's own targets all levels are recorded; of other libraries what is `INFO` or graver, since their
/// finer levels cost more to format than the whole simulation of a packet; of openraft, which tells of each tick of
/// its clock, what is `WARN` or graver.
#[derive(Default)]
pub(crate) struct Recording {
    spans: Mutex<Spans>,
    reached: Reached,
}

impl Recording {
    /// Counts points that are reached.
    pub(crate) fn counting(reached: &Reached) -> Self {
        Self { reached: reached.clone(), ..Self::default() }
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects fields as text, the message first and bare.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!(" {value:?}"));
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

impl Subscriber for Recording {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let (target, level) = (metadata.target(), *metadata.level());
        let most = if target.starts_with("openraft") { Level::WARN } else { Level::INFO };
        target.starts_with("odeon") || level <= most
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Text(String::new());
        attributes.record(&mut text);
        let metadata = attributes.metadata();
        let mut spans = self.spans();
        spans.last += 1;
        let number = spans.last;
        line(&format!("span {number} {}{}", metadata.name(), text.0));
        let span = Span { name: metadata.name(), fields: text.0, metadata, references: 1 };
        spans.open.insert(number, span);
        Id::from_u64(number)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        line(&format!("span {} records{}", span.into_u64(), text.0));
        if let Some(span) = self.spans().open.get_mut(&span.into_u64()) {
            span.fields.push_str(&text.0);
        }
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        line(&format!("span {} follows {}", span.into_u64(), follows.into_u64()));
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let metadata = event.metadata();
        if metadata.target() == TARGET {
            self.reached.note(text.0.trim_start());
        }
        let mut said = format!("{} {}{}", metadata.level(), metadata.target(), text.0);
        let spans = self.spans();
        for number in spans.entered.iter().rev() {
            if let Some(span) = spans.open.get(number) {
                let _ = write!(said, " [{}{}]", span.name, span.fields);
            }
        }
        line(&said);
    }

    fn enter(&self, span: &Id) {
        self.spans().entered.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut spans = self.spans();
        if let Some(at) = spans.entered.iter().rposition(|number| *number == span.into_u64()) {
            spans.entered.remove(at);
        }
    }

    fn clone_span(&self, span: &Id) -> Id {
        if let Some(open) = self.spans().open.get_mut(&span.into_u64()) {
            open.references += 1;
        }
        span.clone()
    }

    fn current_span(&self) -> Current {
        let spans = self.spans();
        let innermost = spans.entered.last().and_then(|number| Some((*number, spans.open.get(number)?)));
        match innermost {
            Some((number, span)) => Current::new(Id::from_u64(number), span.metadata),
            None => Current::none(),
        }
    }

    fn try_close(&self, span: Id) -> bool {
        let mut spans = self.spans();
        let number = span.into_u64();
        let Some(open) = spans.open.get_mut(&number) else { return false };
        open.references -= 1;
        let closed = open.references == 0;
        if closed {
            spans.open.remove(&number);
        }
        closed
    }
}
