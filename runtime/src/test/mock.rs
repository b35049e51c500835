//! What generated mocks are made of: the closures that answer, and the memory of what was asked.

use odeon_core::Refusal;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long [`Calls::reached`] waits: generous, for slow machines.
const REACHED_WITHIN: Duration = Duration::from_secs(10);

/// One message that a mock was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The method.
    pub method: &'static str,
    /// Its arguments by name.
    pub arguments: Value,
}

#[derive(Default)]
struct Memory {
    asked: Mutex<Vec<Asked>>,
    grown: Notify,
}

/// What a mock was sent, in order. Take it by `mock.calls()` before the mock goes to its node.
#[derive(Clone, Default)]
pub struct Calls(Arc<Memory>);

impl Calls {
    /// Everything.
    pub fn all(&self) -> Vec<Asked> {
        self.0.asked.lock().clone()
    }

    /// The arguments of each message of one method.
    pub fn of(&self, method: &str) -> Vec<Value> {
        let asked = self.0.asked.lock();
        asked.iter().filter(|a| a.method == method).map(|a| a.arguments.clone()).collect()
    }

    /// How many messages of one method.
    pub fn count(&self, method: &str) -> usize {
        self.0.asked.lock().iter().filter(|a| a.method == method).count()
    }

    /// Waits for messages that nobody answers: ends once there were so many of one method.
    ///
    /// # Panics
    /// After ten seconds, with what there was.
    pub async fn reached(&self, method: &str, count: usize) {
        let reached = async {
            loop {
                let grown = self.0.grown.notified();
                if self.count(method) >= count {
                    return;
                }
                grown.await;
            }
        };
        let in_time = tokio::time::timeout(REACHED_WITHIN, reached).await.is_ok();
        assert!(in_time, "not {count} of `{method}` within {REACHED_WITHIN:?}, but {:?}", self.all());
    }

    /// Remembers a message.
    #[doc(hidden)]
    pub fn record(&self, method: &'static str, arguments: &[(&str, Value)]) {
        let arguments: Map<_, _> =
            arguments.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        self.0.asked.lock().push(Asked { method, arguments: Value::Object(arguments) });
        self.0.grown.notify_waiters();
    }
}

/// An argument as it is remembered; one that JSON cannot express says so.
#[doc(hidden)]
pub fn recorded(argument: &impl Serialize) -> Value {
    serde_json::to_value(argument)
        .unwrap_or_else(|problem| Value::String(format!("not expressible: {problem}")))
}

fn missing(contract: &str, method: &str) -> (String, String) {
    (format!("the mock of {contract}"), format!("{method}: give it an answer with `on_{method}`"))
}

/// Why a mock does not execute a call: nobody said what to answer.
#[doc(hidden)]
pub fn unanswered(contract: &str, method: &str) -> Refusal {
    let (service, method) = missing(contract, method);
    Refusal::UnknownMethod { service, method }
}

/// The closure that answers a method, if there is one. Clones share it.
#[doc(hidden)]
pub struct Script<F: ?Sized>(Option<Arc<Mutex<Box<F>>>>);

impl<F: ?Sized> Script<F> {
    /// With a closure.
    pub fn new(closure: Box<F>) -> Self {
        Self(Some(Arc::new(Mutex::new(closure))))
    }

    /// Whether there is a closure.
    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Runs the closure.
    ///
    /// # Panics
    /// There is none.
    pub fn answer<T>(&self, contract: &str, method: &str, run: impl FnOnce(&mut F) -> T) -> T {
        let Some(closure) = &self.0 else {
            let (mock, method) = missing(contract, method);
            panic!("{mock} has no method {method}");
        };
        run(&mut closure.lock())
    }
}

impl<F: ?Sized> Clone for Script<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: ?Sized> Default for Script<F> {
    fn default() -> Self {
        Self(None)
    }
}
