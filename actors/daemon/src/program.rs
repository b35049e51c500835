//! A program with services of its own: what it is called, and what `up` suggests to try.

use crate::aside::complain;
use crate::command_line;
use crate::exit::Exit;
use crate::shown;
use crate::terminal::{Terminal, Tone};
use odeon::App;
use std::ffi::OsString;
use std::path::Path;

/// A call that `up` suggests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suggestion {
    pub(crate) service: String,
    pub(crate) key: Option<String>,
    pub(crate) method: String,
    /// In JSON.
    pub(crate) arguments: String,
}

/// A program with services of its own.
#[derive(Clone, Debug, Default)]
pub struct Program {
    suggestions: Vec<Suggestion>,
}

impl Program {
    /// Nothing to suggest: `up` makes suggestions from the services' schemas.
    pub fn new() -> Self {
        Self::default()
    }

    /// `up` suggests this call of a service or singleton. The arguments are JSON.
    #[must_use]
    pub fn suggest(self, service: &str, method: &str, arguments: &str) -> Self {
        self.suggest_call(service, None, method, arguments)
    }

    /// `up` suggests this call of an entity. The arguments are JSON.
    #[must_use]
    pub fn suggest_entity(self, service: &str, key: &str, method: &str, arguments: &str) -> Self {
        self.suggest_call(service, Some(key.into()), method, arguments)
    }

    fn suggest_call(mut self, service: &str, key: Option<String>, method: &str, arguments: &str) -> Self {
        let (service, method, arguments) = (service.into(), method.into(), arguments.into());
        self.suggestions.push(Suggestion { service, key, method, arguments });
        self
    }

    /// Runs the command line of this process.
    pub fn main(self, register: impl FnOnce(App) -> App) -> Exit {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let invoked = arguments.first().cloned().unwrap_or_else(|| "odeon".into());
        let terminal = Terminal::standard();
        let context = Invocation {
            name: Path::new(&invoked)
                .file_stem()
                .map_or_else(|| "odeon".into(), |name| name.to_string_lossy().into_owned()),
            typed: invoked.to_string_lossy().into_owned(),
            suggestions: self.suggestions,
            terminal,
        };
        match command_line::run(&context, arguments, || register(App::new())) {
            Ok(code) => Exit(code),
            Err(failure) => {
                if !failure.problem.is_empty() {
                    let failure = failure.to_string();
                    let error = terminal.paint_error(Tone::Bad, "error");
                    complain(&format!("{error}: {}", shown::lines(&failure)));
                }
                Exit(failure.code)
            }
        }
    }
}

/// How this program was called: what commands need besides their flags.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The name of the program, for its help.
    pub(crate) name: String,
    /// What was typed to start it, for suggestions that work when they are typed.
    pub(crate) typed: String,
    /// What `up` suggests.
    pub(crate) suggestions: Vec<Suggestion>,
    /// Where to print.
    pub(crate) terminal: Terminal,
}
