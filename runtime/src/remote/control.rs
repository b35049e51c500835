//! What nodes say to each other about their session: receipts and lists of services. MessagePack maps by name, each
//! behind its length in four bytes (network order): versions that are not written yet must be able to read them.

use super::watches::{Seen, Wish};
use bytes::Bytes;
use odeon_core::delivery::Receipt;
use odeon_core::topics::News;
use odeon_core::wire::limits;
use quinn::{RecvStream, SendStream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest control message, in bytes.
pub(super) const CONTROL_MAX: usize = 1 << 20;

/// One message on the control stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Control {
    /// What has become of messages.
    Receipts(Vec<LaneReceipt>),
    /// The services of the sender: all of them, in the order of their numbers.
    Services(Services),
    /// The sender has heard of a later list of services than it has.
    WantServices,
    /// A message of the gossip between nodes, as chitchat writes it.
    Gossip(Bytes),
    /// An urgent message of a replica to another one.
    Replicas(Bytes),
    /// What the sender wants to know of the receiver's activations.
    Watch(Vec<Wish>),
    /// What it does not want to know any more.
    Unwatch(Vec<u64>),
    /// What of that has ended.
    Seen(Vec<Seen>),
    /// That these are not wanted any more is known.
    Unwatched(Vec<u64>),
    /// What has changed in the list of members that the sender has of groups. Only for those who can read it.
    Topics(News),
    /// The sender knows that list of the receiver up to this number only. Only for those who can read it.
    WantTopics(u64),
}

impl Control {
    /// Whether a client may say this, too: what its session needs, and nothing more.
    pub(super) fn is_for_clients(&self) -> bool {
        matches!(self, Self::Receipts(_) | Self::WantServices)
    }
}

/// What has become of the messages of one lane.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct LaneReceipt {
    pub(super) lane: u8,
    /// Frames that need not be kept any more.
    pub(super) received: u64,
    #[serde(default)]
    pub(super) casts: Receipt,
    /// How many casts were settled under each receiver number, whatever it stood for.
    #[serde(default)]
    pub(super) settled: Vec<(u32, u64)>,
    /// Receivers whose mailboxes had no room.
    #[serde(default)]
    pub(super) full: Vec<u32>,
}

/// What a node offers. A service keeps its number as long as the node lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Services {
    /// Grows with each change.
    pub(super) number: u64,
    pub(super) services: Vec<Offer>,
    /// Numbers of those that are stateless and have no instance that is ready: they are called where others are.
    #[serde(default)]
    pub(super) resting: Vec<u32>,
}

/// One service of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) contract: String,
    pub(super) major: u16,
    pub(super) minor: u16,
    /// Whether messages need a key.
    #[serde(default)]
    pub(super) keyed: bool,
    /// Whether there is to be one activation of it: a singleton.
    #[serde(default)]
    pub(super) single: bool,
    /// Whether the sender passes messages for it on to another node: it takes no compact ones then.
    #[serde(default)]
    pub(super) relayed: bool,
    /// In the order of their numbers.
    pub(super) methods: Vec<String>,
}

/// Why a control stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    #[error("the control stream ended: {0}")]
    Read(#[from] quinn::ReadExactError),
    #[error("the control stream cannot be written: {0}")]
    Write(#[from] quinn::WriteError),
    #[error("a control message of {length} bytes: {max} are allowed")]
    TooLong { length: usize, max: usize },
    #[error("a control message that cannot be read: {0}")]
    Unreadable(String),
}

/// Writes one message.
pub(super) async fn write(stream: &mut SendStream, message: &impl Serialize) -> Result<(), ControlError> {
    stream.write_chunk(encode(message)?).await?;
    Ok(())
}

/// One message, behind its length.
pub(super) fn encode(message: &impl Serialize) -> Result<Bytes, ControlError> {
    let mut bytes = vec![0; 4];
    message
        .serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map())
        .map_err(|e| ControlError::Unreadable(e.to_string()))?;
    let length = bytes.len() - 4;
    if length > CONTROL_MAX {
        return Err(ControlError::TooLong { length, max: CONTROL_MAX });
    }
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(Bytes::from(bytes))
}

/// Reads one message of a bounded size. Not cancel-safe: whoever stops in the middle loses the stream.
pub(super) async fn read<T: DeserializeOwned>(
    stream: &mut RecvStream,
    max: usize,
) -> Result<T, ControlError> {
    decode(&read_bytes(stream, max).await?)
}

/// Reads the bytes of one message, which stand behind their length. Not cancel-safe.
pub(super) async fn read_bytes(stream: &mut RecvStream, max: usize) -> Result<Vec<u8>, ControlError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > max {
        return Err(ControlError::TooLong { length, max });
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ControlError> {
    crate::service::messagepack_check(bytes).map_err(ControlError::Unreadable)?;
    rmp_serde::from_slice(bytes).map_err(|e| ControlError::Unreadable(e.to_string()))
}

/// Reads one message of the control stream, without its length, and writes it anew with that. For the fuzz target.
///
/// # Errors
/// For people: why it cannot be read, or not be written.
#[doc(hidden)]
pub fn control_reread(bytes: &[u8]) -> Result<Bytes, String> {
    let control: Control = decode(bytes).map_err(|e| e.to_string())?;
    encode(&control).map_err(|e| e.to_string())
}

/// Longest message before a peer has been let in.
pub(super) const HANDSHAKE_MAX: usize = limits::HANDSHAKE_MAX;
