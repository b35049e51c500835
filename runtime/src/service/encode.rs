//! Writes typed messages as bytes, and settles their calls with answers that come back as bytes: how they go to other
//! nodes.

use super::compact;
use super::contract::Encoding;
use super::error::ContractError;
use super::reply::{RawOutcome, Reply};
use odeon_core::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::task::{Context, Poll};

/// A message that has been written.
#[derive(Debug)]
pub struct Encoded {
    /// How the arguments were written: as was wanted, or [`Encoding::Named`] where these could not be compact.
    pub encoding: Encoding,
    /// Who waits for the answer; none for a cast.
    pub awaiting: Option<Box<dyn Awaiting>>,
}

/// The answering end of a call that is under way elsewhere. Dropping it is an answer too: the outcome is unknown.
pub trait Awaiting: Send {
    /// Ends the call as it ended there; `encoding` is that of the bodies in the outcome. A body that does not decode
    /// makes the outcome unknown: it ran. Bodies are not trusted.
    fn settle(self: Box<Self>, outcome: RawOutcome, encoding: Encoding);

    /// Ready once the caller has left and wants no answer.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl fmt::Debug for dyn Awaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Awaiting")
    }
}

impl<T, E> Awaiting for Reply<T, E>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: ContractError,
{
    fn settle(self: Box<Self>, outcome: RawOutcome, encoding: Encoding) {
        Reply::settle(*self, outcome, encoding);
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Reply::poll_left(self, cx)
    }
}

/// Writes the arguments of a call behind what is in the buffer.
///
/// # Errors
/// [`Refusal::Unencodable`], which the caller has been told too. The buffer is as it was.
pub fn call<T, E>(
    arguments: &impl Serialize,
    encoding: Encoding,
    into: &mut Vec<u8>,
    reply: Reply<T, E>,
) -> Result<Encoded, Refusal>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: ContractError,
{
    match write(arguments, encoding, into) {
        Ok(encoding) => Ok(Encoded { encoding, awaiting: Some(Box::new(reply)) }),
        Err(refusal) => {
            reply.refuse(refusal.clone());
            Err(refusal)
        }
    }
}

/// Writes the arguments of a cast behind what is in the buffer.
///
/// # Errors
/// [`Refusal::Unencodable`]. The buffer is as it was.
pub fn cast(arguments: &impl Serialize, encoding: Encoding, into: &mut Vec<u8>) -> Result<Encoded, Refusal> {
    Ok(Encoded { encoding: write(arguments, encoding, into)?, awaiting: None })
}

/// A cast without arguments, which are no bytes.
///
/// # Errors
/// None: as the others.
pub fn bare_cast(encoding: Encoding) -> Result<Encoded, Refusal> {
    Ok(Encoded { encoding, awaiting: None })
}

/// A call without arguments, which are no bytes.
///
/// # Errors
/// None: as the others.
pub fn bare_call<T, E>(encoding: Encoding, reply: Reply<T, E>) -> Result<Encoded, Refusal>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: ContractError,
{
    Ok(Encoded { encoding, awaiting: Some(Box::new(reply)) })
}

fn write(arguments: &impl Serialize, encoding: Encoding, into: &mut Vec<u8>) -> Result<Encoding, Refusal> {
    let before = into.len();
    if encoding == Encoding::Compact {
        if compact::write(arguments, into).is_ok() {
            return Ok(Encoding::Compact);
        }
        into.truncate(before);
    }
    let written = match encoding {
        Encoding::Json => serde_json::to_writer(&mut *into, arguments).map_err(|e| e.to_string()),
        Encoding::Named | Encoding::Compact => named(arguments, into).map_err(|e| e.to_string()),
    };
    match written {
        Ok(()) if encoding == Encoding::Json => Ok(Encoding::Json),
        Ok(()) => Ok(Encoding::Named),
        Err(problem) => {
            into.truncate(before);
            Err(Refusal::Unencodable { problem })
        }
    }
}

/// Writes MessagePack with named fields behind what is in the buffer.
pub(super) fn named(value: &impl Serialize, into: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
    value.serialize(&mut rmp_serde::Serializer::new(into).with_struct_map())
}
