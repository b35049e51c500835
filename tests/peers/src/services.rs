//! The services that Odeon's measurements run.

use anyhow::Result;
use odeon::CallError;
use odeon::prelude::{Cx, Refusal};

/// Adds up what it is told, answers what it is asked.
#[odeon::contract(name = "adding", version = "1.0")]
pub trait Adding {
    /// Adds.
    #[cast]
    async fn add(&mut self, cx: &Cx, value: u64);
    /// One more than the value.
    async fn ask(&mut self, cx: &Cx, value: u64) -> u64;
    /// What was added so far.
    async fn total(&mut self, cx: &Cx) -> u64;
    /// The thread that it runs on.
    async fn thread(&mut self, cx: &Cx) -> String;
}

/// An entity that adds.
#[derive(Debug, Default)]
pub struct Sink(u64);

#[odeon::service]
impl Adding for Sink {
    async fn add(&mut self, _: &Cx, value: u64) {
        self.0 = self.0.wrapping_add(value);
    }

    async fn ask(&mut self, _: &Cx, value: u64) -> u64 {
        value + 1
    }

    async fn total(&mut self, _: &Cx) -> u64 {
        self.0
    }

    async fn thread(&mut self, _: &Cx) -> String {
        std::thread::current().name().unwrap_or_default().into()
    }
}

/// Sends to a mailbox that holds 1024 and refuses more: then the sender yields and tries again.
///
/// # Errors
/// It was refused for another reason.
pub async fn tell(sink: &AddingRef, value: u64) -> Result<()> {
    loop {
        match sink.add(value).send() {
            Ok(()) => return Ok(()),
            Err(Refusal::MailboxFull) => tokio::task::yield_now().await,
            Err(other) => return Err(other.into()),
        }
    }
}

/// Sends to a mailbox that holds 1024 and lets senders wait for room.
///
/// # Errors
/// It was refused.
pub async fn tell_waiting(sink: &AddingRef, value: u64) -> Result<()> {
    match sink.add(value).send() {
        Err(Refusal::MailboxFull) => Ok(sink.add(value).await?),
        sent => Ok(sent?),
    }
}

/// What was added so far, however full the mailbox is.
///
/// # Errors
/// The call failed.
pub async fn total(sink: &AddingRef) -> Result<u64> {
    loop {
        match sink.total().await {
            Ok(total) => return Ok(total),
            Err(CallError::NotExecuted(Refusal::MailboxFull)) => tokio::task::yield_now().await,
            Err(other) => return Err(other.into()),
        }
    }
}

/// The service of the examples: what the measurements over HTTP call.
#[odeon::contract(name = "greeter", version = "1.0")]
pub trait Greeter {
    /// Greets.
    async fn greet(&self, cx: &Cx, name: String) -> String;
}

/// Greets politely.
#[derive(Debug, Default)]
pub struct Polite;

#[odeon::service]
impl Greeter for Polite {
    async fn greet(&self, _: &Cx, name: String) -> String {
        format!("Hello, {name}")
    }
}
