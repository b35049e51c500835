//! Where log lines go: standard error, in words on a terminal, as JSON lines elsewhere.
//!
//! Reading order: [`start`]; `words` is what keeps a terminal safe; `lines` is how they get there.

mod lines;
mod words;

use crate::exit::{Code, Failure};
use crate::panics;
use crate::shown;
use crate::terminal::colour_wanted;
use lines::Bounds;
pub(crate) use lines::Lines;
use odeon::core::TraceId;
use odeon::telemetry::Doing;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use std::time::Duration;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use words::Words;

/// The environment variable with a filter.
pub(crate) const VARIABLE: &str = "ODEON_LOG";

/// What the algorithm behind replicas does is told by them, in fewer words; its own are for who asks for them. To it a
/// replica that has stopped is an error for whoever still asks it something.
const QUIET: &str = "openraft=error,openraft::raft::raft_inner=off";

/// How long the end of the process waits for a reader of the last lines.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same after a second signal: a reader that reads has them by then.
const HURRY: Duration = Duration::from_millis(50);

/// The log of this process. Dropped, also by a panic, it waits a little until the last lines are written.
#[must_use = "the last lines are lost without it"]
#[derive(Debug)]
pub(crate) struct Log {
    lines: Lines,
    patience: Duration,
}

impl Log {
    /// Where its lines go.
    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The process is about to end so.
    pub(crate) fn ends_with(&mut self, code: Code) {
        if code == Code::Interrupted {
            self.patience = HURRY;
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // a reader that stands still gets no more of it
        let _ = self.lines.flush(self.patience);
        self.lines.close();
    }
}

/// Starts logging; once in a process.
///
/// # Errors
/// The filter does not parse.
pub(crate) fn start(flag: Option<&str>, configured: Option<&str>, default: &str) -> Result<Log, Failure> {
    let filter = filter(flag, configured, default)?;
    let cannot = |e: &dyn fmt::Display| Failure::failed(format_args!("logging cannot start: {e}"));
    let is_terminal = io::stderr().is_terminal();
    let notice = if is_terminal { notice_in_words } else { notice_in_json };
    let lines = Lines::start(io::stderr(), Bounds::USUAL, notice).map_err(|e| cannot(&e))?;
    // what it would say of a line that cannot be written would go where that line cannot
    let builder = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter);
    let builder = builder.with_writer(lines.clone());
    let started = if is_terminal {
        // a writer for the whole line does not know what the last one knows
        let line = Format::default().with_target(false).with_ansi(colour_wanted());
        let said = Said { line, place: in_words };
        builder.with_ansi(colour_wanted()).fmt_fields(Words).event_format(said).finish().try_init()
    } else {
        let said = Said { line: Format::default().json().flatten_event(true), place: in_json };
        builder.fmt_fields(JsonFields::new()).event_format(said).finish().try_init()
    };
    started.map_err(|e| cannot(&e))?;
    panics::log(lines.clone());
    Ok(Log { lines, patience: PATIENCE })
}

/// Whether a node that is told so could log.
///
/// # Errors
/// The filter does not parse.
pub(crate) fn check(flag: Option<&str>, configured: Option<&str>) -> Result<(), Failure> {
    filter(flag, configured, "").map(drop)
}

/// Reads a filter. What it says goes before what is quiet by default: of two for the same target the later one holds.
///
/// # Errors
/// For people: why the text is none.
pub(crate) fn parse(text: &str) -> Result<EnvFilter, String> {
    let read = EnvFilter::builder().parse(format!("{QUIET},{text}"));
    read.map_err(|problem| format!("{text:?} is no log filter: {problem}"))
}

/// What to say to whoever has written something else.
pub(crate) const ADVICE: &str = "a filter is a level or a list such as info,odeon=debug";

/// Who says which lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SaidBy {
    Flag,
    Environment,
    Configuration,
    Default,
}

impl SaidBy {
    fn name(self) -> &'static str {
        match self {
            Self::Flag => "--log",
            Self::Environment => VARIABLE,
            Self::Configuration => "node.log",
            Self::Default => "the default",
        }
    }
}

/// The filter that holds: a flag beats the environment, which beats the configuration.
fn chosen(flag: Option<&str>, configured: Option<&str>, default: &str) -> (String, SaidBy) {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let said = [
        (flag, SaidBy::Flag),
        (variable.as_deref(), SaidBy::Environment),
        (configured, SaidBy::Configuration),
    ];
    let first = said.into_iter().find_map(|(text, by)| Some((text?.to_owned(), by)));
    first.unwrap_or_else(|| (default.to_owned(), SaidBy::Default))
}

/// The filter of the configuration, if it is the one that holds.
pub(crate) fn configured(flag: Option<&str>, configured: Option<&str>) -> Option<String> {
    let (text, by) = chosen(flag, configured, "");
    (by == SaidBy::Configuration).then_some(text)
}

/// Which lines are written.
fn filter(flag: Option<&str>, configured: Option<&str>, default: &str) -> Result<EnvFilter, Failure> {
    let (text, by) = chosen(flag, configured, default);
    parse(&text).map_err(|problem| Failure::usage(format_args!("{}: {problem}", by.name())).advice(ADVICE))
}

fn now() -> String {
    let mut time = String::new();
    // without a time it is still worth reading
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

fn notice_in_words(dropped: u64) -> String {
    format!("{}  WARN {dropped} log lines were dropped\n", now())
}

fn notice_in_json(dropped: u64) -> String {
    let message = format!("{dropped} log lines were dropped");
    let line = serde_json::json!({
        "timestamp": now(), "level": "WARN", "message": message, "dropped": dropped, "target": module_path!(),
    });
    format!("{line}\n")
}

/// Lines that end with the service and the handler run in which they were written.
struct Said<F> {
    line: F,
    /// Adds the place to a finished line.
    place: fn(&mut String, &Doing),
}

impl<S, N, F> FormatEvent<S, N> for Said<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(doing) = odeon::telemetry::doing() else { return self.line.format_event(cx, to, event) };
        let mut line = String::new();
        self.line.format_event(cx, Writer::new(&mut line), event)?;
        (self.place)(&mut line, &doing);
        to.write_str(&line)
    }
}

/// `… (cart#ada.add #17 trace 4bf9…)`
fn in_words(line: &mut String, doing: &Doing) {
    line.truncate(line.trim_end().len());
    let _ = write!(line, " ({}", doing.service);
    if let Some(key) = &doing.key {
        let _ = write!(line, "#{}", shown::line(&key.escape_debug().to_string()));
    }
    if let Some(method) = doing.method {
        let _ = write!(line, ".{method}");
    }
    let _ = write!(line, " {}", doing.cell);
    if doing.trace != TraceId::default() {
        let _ = write!(line, " trace {}", doing.trace);
    }
    line.push_str(")\n");
}

/// Further members of the object. What the author said under the same name stays as it is.
fn in_json(line: &mut String, doing: &Doing) {
    let whole = line.trim_end();
    let Some(open) = whole.strip_suffix('}') else { return };
    let Ok(said) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(whole) else { return };
    let place = [
        ("node", doing.node.as_ref().map(ToString::to_string)),
        ("service", Some(doing.service.to_string())),
        ("key", doing.key.as_ref().map(ToString::to_string)),
        ("cell", Some(doing.cell.to_string())),
        ("method", doing.method.map(ToString::to_string)),
        ("trace", (doing.trace != TraceId::default()).then(|| doing.trace.to_string())),
    ];
    let mut longer = open.to_owned();
    for (name, value) in place {
        if let Some(value) = value.filter(|_| !said.contains_key(name)) {
            let comma = if longer.ends_with('{') { "" } else { "," };
            let _ = write!(longer, "{comma}\"{name}\":{}", serde_json::Value::String(value));
        }
    }
    longer.push_str("}\n");
    *line = longer;
}

#[cfg(test)]
mod tests {
    use super::*;
    use odeon::prelude::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::{MakeWriter, Subscriber};

    #[odeon::contract(name = "teller", version = "1.0")]
    trait Teller {
        async fn tell(&self, cx: &Cx, what: String);
    }

    #[derive(Clone, Default)]
    struct Loud;

    #[odeon::service]
    impl Teller for Loud {
        async fn tell(&self, cx: &Cx, what: String) {
            tracing::info!(what, "told");
            tracing::info!(service = "mine", "named");
            let (done, wait) = tokio::sync::oneshot::channel();
            cx.spawn(async move {
                tracing::info!("beside");
                let _ = done.send(());
            });
            let _ = wait.await;
        }
    }

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panics").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Paper {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// The lines of one call to an entity, under the given subscriber.
    fn lines(subscriber: impl tracing::Subscriber + Send + Sync, paper: &Paper) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tracing::subscriber::with_default(subscriber, || {
            runtime.block_on(async {
                tracing::info!("outside");
                let bench = odeon::test::Bench::new()
                    .entity("loud", Loud)
                    .host("other", |_| async { Ok(Loud) })
                    .await;
                let loud: TellerRef = bench.node().entity("loud", "a \"b\"").expect("it is there");
                loud.tell("a }\n\"quoted\"".into()).await.expect("it is told");
            });
        });
        let said = String::from_utf8(paper.0.lock().expect("no writer panics").clone()).expect("text");
        said.lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_json_line_of_a_handler_says_where_it_was_written() {
        let paper = Paper::default();
        let said = Said { line: Format::default().json().flatten_event(true), place: in_json };
        let subscriber = Subscriber::builder().fmt_fields(JsonFields::new()).event_format(said);
        let lines = lines(subscriber.with_writer(paper.clone()).finish(), &paper);
        let lines: Vec<serde_json::Value> =
            lines.iter().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
        let line = |message: &str| lines.iter().find(|l| l["message"] == message).expect("it was written");
        let told = line("told");
        assert_eq!((&told["service"], &told["method"]), (&"loud".into(), &"tell".into()), "{told}");
        assert_eq!((&told["key"], &told["node"]), (&"a \"b\"".into(), &"bench".into()), "{told}");
        assert_eq!(told["what"], "a }\n\"quoted\"");
        assert_eq!(line("named")["service"], "mine");
        let beside = line("beside");
        assert_eq!((&beside["service"], beside.get("method")), (&"loud".into(), None), "{beside}");
        assert_eq!(line("outside").get("service"), None);
    }

    #[test]
    fn a_line_in_words_ends_with_where_it_was_written() {
        let paper = Paper::default();
        let said = Said { line: Format::default().with_target(false).with_ansi(false), place: in_words };
        let subscriber = Subscriber::builder().with_ansi(false).fmt_fields(Words).event_format(said);
        let lines = lines(subscriber.with_writer(paper.clone()).finish(), &paper);
        let line = |message: &str| lines.iter().find(|l| l.contains(message)).expect("it was written");
        let told = line("told");
        assert!(told.contains(r#"(loud#a \"b\".tell #"#) && told.ends_with(')'), "{told}");
        assert!(!line("outside").ends_with(')'));
    }

    /// What a client, or the input of one, may want to do to a terminal.
    const HOSTILE: &str = "a\u{1b}[31m\r\n\u{9b}2J\u{7f}\u{2028}\u{202e}\u{2066}\u{200b}\u{feff}z";
    const HARMLESS: &str = r"a\u{1b}[31m\u{d}\u{a}\u{9b}2J\u{7f}\u{2028}\u{202e}\u{2066}\u{200b}\u{feff}z";

    fn in_words_with(ansi: bool, log: impl FnOnce()) -> String {
        let paper = Paper::default();
        let line = Format::default().with_target(false).with_ansi(ansi).without_time();
        let said = Said { line, place: in_words };
        let subscriber = Subscriber::builder().with_ansi(ansi).fmt_fields(Words).event_format(said);
        tracing::subscriber::with_default(subscriber.with_writer(paper.clone()).finish(), log);
        String::from_utf8(paper.0.lock().expect("no writer panics").clone()).expect("text")
    }

    #[test]
    fn no_text_of_others_acts_on_the_terminal_that_shows_the_log() {
        let said = in_words_with(false, || {
            let _span = tracing::info_span!("call", key = %HOSTILE).entered();
            tracing::info!(name = %HOSTILE, error = &io::Error::other(HOSTILE) as &dyn std::error::Error, "{HOSTILE}");
        });
        assert_eq!(
            said,
            format!(" INFO call{{key={HARMLESS}}}: {HARMLESS} name={HARMLESS} error={HARMLESS}\n")
        );
        let coloured = in_words_with(true, || tracing::info!(name = %HOSTILE, "{HOSTILE}"));
        assert!(coloured.contains("\u{1b}[32m INFO") && coloured.contains(HARMLESS), "{coloured:?}");
        assert!(!coloured.contains("\u{1b}[31m") && coloured.lines().count() == 1, "{coloured:?}");
    }

    #[test]
    fn a_line_of_a_backtrace_is_none_of_the_log() {
        let said = in_words_with(false, || tracing::error!(backtrace = %"0: a\n at b\r\u{1b}", "panicked"));
        assert_eq!(said, "ERROR panicked backtrace=0: a\n     at b\\u{d}\\u{1b}\n");
    }

    #[test]
    fn a_panic_is_one_line_of_the_log_with_its_place_and_thread() {
        let paper = Paper::default();
        let said = Said { line: Format::default().json().flatten_event(true), place: in_json };
        let subscriber = Subscriber::builder().fmt_fields(JsonFields::new()).event_format(said);
        let subscriber = subscriber.with_writer(paper.clone()).finish();
        panics::log(Lines::start(io::stderr(), Bounds::USUAL, notice_in_words).expect("a thread"));
        tracing::subscriber::with_default(subscriber, || {
            let panicked = std::panic::catch_unwind(|| panic!("on\npurpose, as {} said", "it"));
            assert!(panicked.is_err());
        });
        let written = String::from_utf8(paper.0.lock().expect("no writer panics").clone()).expect("text");
        let line: serde_json::Value = serde_json::from_str(&written).expect("one object");
        assert_eq!(
            (&line["level"], &line["message"]),
            (&"ERROR".into(), &"panicked: on\npurpose, as it said".into())
        );
        assert!(line["place"].as_str().is_some_and(|place| place.contains("log/mod.rs:")), "{line}");
        assert_eq!(line["thread"].as_str(), std::thread::current().name());
    }
}
