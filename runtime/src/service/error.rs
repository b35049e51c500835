//! How a call ends for its caller: the handler's own error, certainly not executed, or unknown.

use odeon_core::{Refusal, Retry, UnknownCause};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

/// An error that is part of a contract: it crosses nodes, and callers decide by it.
pub trait ContractError:
    Serialize + DeserializeOwned + JsonSchema + fmt::Display + fmt::Debug + Send + 'static
{
    /// Whether the same call may be tried again. Default: never.
    fn retry(&self) -> Retry {
        Retry::Never
    }

    /// The HTTP status for callers from outside, 400 to 599. Default: 422.
    fn status(&self) -> u16 {
        422
    }
}

/// The error of a method that cannot fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl ContractError for Never {}

/// How a call ended when it did not end with a result. The caller sees exactly one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E = Never> {
    /// The handler ran and answered with its own error.
    Failed(E),
    /// It did not run and never will: safe to repeat as [`Refusal::retry`] says.
    NotExecuted(Refusal),
    /// It may have run: repeat it only if it is idempotent.
    Unknown(UnknownCause),
}

impl<E: ContractError> CallError<E> {
    /// Whether the same call may be tried again without knowing whether it is idempotent.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Failed(error) => error.retry(),
            Self::NotExecuted(refusal) => refusal.retry(),
            Self::Unknown(_) => Retry::Never,
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::NotExecuted(refusal) => write!(f, "not executed: {refusal}"),
            Self::Unknown(cause) => write!(f, "unknown outcome: {cause}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for CallError<E> {}

/// Why a service could not start. Its supervisor decides what follows.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl StartError {
    /// With what a person should read.
    pub fn new(problem: impl fmt::Display) -> Self {
        Self(problem.to_string())
    }
}
