//! What `#[odeon::contract]` and `#[odeon::service]` generate, and what everything else relies on.

use super::compact::{Compact, Travels};
use super::context::Cx;
use super::message::{Access, Message};
use super::reply::RawReply;
use crate::directory::Address;
use bytes::Bytes;
use odeon_core::Refusal;
use odeon_core::supervision::StopReason;
use schemars::{Schema, SchemaGenerator};
use std::fmt;

/// `major.minor` of a contract. Callers of a minor version work with any provider of the same major version and
/// an equal or higher minor one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContractVersion {
    /// Raised by a change that breaks callers.
    pub major: u16,
    /// Raised by an addition.
    pub minor: u16,
}

impl ContractVersion {
    /// Whether a provider of this version serves a caller of `wanted`.
    pub const fn serves(self, wanted: ContractVersion) -> bool {
        self.major == wanted.major && self.minor >= wanted.minor
    }

    /// What to do where a caller of `wanted` found this version of the same contract, and was refused.
    pub(crate) fn advice(self, wanted: ContractVersion) -> String {
        if self.major != wanted.major {
            format!(
                "major versions do not mix: build the caller for {self}, or lead it to a provider of {wanted}"
            )
        } else if self.minor < wanted.minor {
            format!("deploy a provider of {wanted} or a later minor version, or build the caller for {self}")
        } else {
            "on one node both must be built from the same definition of the contract: build the caller with that of \
             the provider"
                .into()
        }
    }
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One method of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name, on the wire too.
    pub name: &'static str,
    /// How the handler borrows the activation's state.
    pub access: Access,
    /// No reply: the sender learns only that the message was accepted.
    pub cast: bool,
    /// Idempotent by promise: the runtime may repeat it.
    pub read: bool,
    /// Names of the arguments, in order.
    pub arguments: &'static [&'static str],
    /// The first paragraph of its documentation.
    pub about: &'static str,
}

/// JSON Schemas of one method, for people and HTTP; never used for layout.
#[derive(Clone, Debug)]
pub struct MethodSchema {
    /// An object with one property for each argument.
    pub arguments: Schema,
    /// What it answers; none for a cast.
    pub answer: Option<Schema>,
    /// Its own error; none if it cannot fail by itself.
    pub error: Option<Schema>,
}

/// How bytes of arguments and answers are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON: from HTTP, forwarded untouched.
    Json,
    /// MessagePack with named fields.
    Named,
    /// MessagePack with structs as lists of their fields, in order. Only between nodes of the same artifact, and only
    /// for methods that are [`Compact::Safe`]: elsewhere fields would be taken for each other, without an error.
    Compact,
}

/// Encoded arguments on their way to the owner's decoder.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The encoded form; empty means no arguments.
    pub body: Bytes,
    /// How to read it.
    pub encoding: Encoding,
}

/// A contract: implemented by the generated reference type (`GreeterRef`).
pub trait Contract: Clone + Send + Sync + Sized + 'static {
    /// The messages.
    type Message: Message;
    /// The name on the wire.
    const NAME: &'static str;
    /// The version of the contract that this code was compiled with.
    const VERSION: ContractVersion;
    /// All methods; a [`Message::method`] is a position in it.
    const METHODS: &'static [Method];

    /// A reference to the address.
    fn bind(address: Address<Self::Message>) -> Self;

    /// The address of the reference.
    fn address(&self) -> &Address<Self::Message>;

    /// Reads arguments of the method at a position of [`Contract::METHODS`]; no bytes are no arguments. The answer will
    /// be encoded as the arguments were.
    ///
    /// # Errors
    /// Gives back the reply with why the arguments do not decode ([`Refusal::Undecodable`] names the field).
    fn decode(
        method: usize,
        body: &[u8],
        encoding: Encoding,
        reply: RawReply,
    ) -> Result<Self::Message, (Refusal, RawReply)>;

    /// The schema of the method at a position of [`Contract::METHODS`].
    fn schema(method: usize, generator: &mut SchemaGenerator) -> MethodSchema;

    /// What travels for the method at a position of [`Contract::METHODS`], for those who try it out; none if that is
    /// not known.
    fn travels(method: usize) -> Option<Travels> {
        let _ = method;
        None
    }

    /// Whether arguments and answers of the method at a position of [`Contract::METHODS`] may be
    /// [`Encoding::Compact`] between nodes of the same artifact. Found out anew by trying samples, which may take a
    /// millisecond: keep it, as [`Compactness`](super::compact::Compactness) does.
    fn compact(method: usize) -> Compact {
        super::compact::of(Self::travels(method))
    }
}

/// The position of a method by its name.
pub fn method_named<C: Contract>(name: &str) -> Option<usize> {
    C::METHODS.iter().position(|m| m.name == name)
}

/// A service: generated for a type by `#[odeon::service] impl Contract for Type`. Besides the contract's methods
/// the block may have `ready`, `stop` and `passivate`, which end up here.
pub trait Service: Send + Sync + Sized + 'static {
    /// The contract that it fulfils.
    type Contract: Contract;

    /// Handles a message of a method with `&self`.
    fn shared(
        &self,
        cx: &Cx,
        message: <Self::Contract as Contract>::Message,
    ) -> impl Future<Output = ()> + Send;

    /// Handles a message of a method with `&mut self`.
    fn exclusive(
        &mut self,
        cx: &Cx,
        message: <Self::Contract as Contract>::Message,
    ) -> impl Future<Output = ()> + Send;

    /// Whether it can take work. Asked after the start until it says yes.
    fn ready(&self, cx: &Cx) -> impl Future<Output = bool> + Send {
        let _ = cx;
        std::future::ready(true)
    }

    /// The last thing it does on an orderly stop.
    fn stop(&mut self, cx: &Cx, reason: StopReason) -> impl Future<Output = ()> + Send {
        let _ = (cx, reason);
        std::future::ready(())
    }

    /// What the next activation of this entity will find in [`Cx::restored`]; empty for nothing. Called before
    /// [`Service::stop`] when the entity was idle.
    fn passivate(&mut self, cx: &Cx) -> impl Future<Output = Vec<u8>> + Send {
        let _ = cx;
        std::future::ready(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::ContractVersion;

    #[test]
    fn a_provider_serves_callers_of_its_major_version_that_ask_for_no_more_than_it_has() {
        let version = |major, minor| ContractVersion { major, minor };
        for (have, wanted, serves, part) in [
            (version(1, 2), version(1, 2), true, "same definition"),
            (version(1, 2), version(1, 0), true, "same definition"),
            (version(1, 2), version(1, 3), false, "deploy a provider of 1.3 or a later minor version"),
            (version(1, 2), version(2, 0), false, "build the caller for 1.2"),
            (version(2, 5), version(1, 2), false, "a provider of 1.2"),
        ] {
            assert_eq!(have.serves(wanted), serves, "{have} for {wanted}");
            assert!(have.advice(wanted).contains(part), "{}", have.advice(wanted));
        }
    }
}
