//! How the program ends: exit codes that scripts can rely on, and what a person reads when it did not do what was
//! asked.

use std::fmt;
use std::io;
use std::process::{ExitCode, Termination};

/// The exit codes, as every `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done.
    Done = 0,
    /// It was tried and failed; of `call`: the service answered with its own error.
    Failed = 1,
    /// A flag or the configuration cannot be used. Nothing was tried.
    Usage = 2,
    /// There is no node to talk to, or it refused the token.
    Unreachable = 3,
    /// The call, or what was ordered of the cluster, certainly did not run.
    NotExecuted = 4,
    /// It may have run.
    Unknown = 5,
    /// A second signal ended the node before it had stopped in order.
    Interrupted = 130,
}

/// For `--help`.
pub(crate) const CODES: &str = "\
Exit codes:
    0  done
    1  it failed; of `call`: the service answered with its own error
    2  a flag or the configuration cannot be used
    3  the node cannot be reached, or refused the token
    4  the call, or the order to the cluster, was certainly not executed
    5  the outcome of that is unknown: it may have run
  130  a second signal ended the node before it had stopped in order";

/// How the program ended. Return it from `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "return it from main, or the exit code is lost"]
pub struct Exit(pub(crate) Code);

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.0 as u8)
    }
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the program ends with.
    pub(crate) code: Code,
    /// What was wrong, and where; nothing when there is nobody left to read it, or it has been said already.
    pub(crate) problem: String,
    /// What to do about it.
    pub(crate) advice: Option<String>,
}

impl Failure {
    /// With what a person should read.
    pub(crate) fn new(code: Code, problem: impl fmt::Display) -> Self {
        Self { code, problem: problem.to_string(), advice: None }
    }

    /// It was tried and failed.
    pub(crate) fn failed(problem: impl fmt::Display) -> Self {
        Self::new(Code::Failed, problem)
    }

    /// A flag or the configuration cannot be used.
    pub(crate) fn usage(problem: impl fmt::Display) -> Self {
        Self::new(Code::Usage, problem)
    }

    /// Ends with this code; what there is to say was printed.
    pub(crate) fn said(code: Code) -> Self {
        Self::new(code, "")
    }

    /// With what to do about it.
    pub(crate) fn advice(mut self, advice: impl fmt::Display) -> Self {
        self.advice = Some(advice.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        match &self.advice {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    /// For writing to the terminal. Whoever reads may leave at any time (`odeon ps | head -1`): no error.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::said(Code::Done),
            _ => Self::failed(format_args!("cannot write the output: {error}")),
        }
    }
}
