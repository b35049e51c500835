//! chitchat's socket, over the links that there are. Its one task serves all peers in turn, so nothing here waits for
//! the network: what has no link, or no room, is dropped, counted, and said anew in the next round.

use super::super::core::Core;
use super::digest::{Digest, MESSAGE_MAX};
use super::outbox::Counts;
use crate::remote::peer::Peer;
use async_trait::async_trait;
use bytes::Bytes;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable, Serializable};
use std::net::SocketAddr;
use std::sync::Arc;

/// The links of a node, as chitchat sees them.
#[derive(Clone)]
pub(super) struct Wire(pub(super) Arc<Core>);

#[async_trait]
impl Transport for Wire {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Socket for Wire {
    /// Hands a message to the link, if there is one; if not, somebody is told that one is missed. Never waits.
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let known = self.0.gossip_peer(to);
        let Some(peer) = known.as_ref().filter(|peer| peer.is_connected()) else {
            self.0.gossip.miss(to, known.as_deref());
            return Ok(());
        };
        let bytes = message.serialize_to_vec();
        if bytes.len() > MESSAGE_MAX {
            peer.outbox.count(Counts::dropped);
            tracing::error!(bytes = bytes.len(), "a message of gossip is too long: it is dropped");
        } else {
            peer.outbox.push(Bytes::from(bytes));
        }
        Ok(())
    }

    /// The next message that makes sense. Loses nothing when it is dropped, and never fails: an error would end
    /// gossip for good.
    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let (peer, bytes) = self.0.gossip.next().await;
            // of a peer that has gone in the meantime nothing is known to which one could answer
            let Some(address) = self.0.gossip_address(&peer) else { continue };
            if let Some(message) = self.read(&peer, &bytes) {
                return Ok((address, message));
            }
        }
    }
}

impl Wire {
    fn read(&self, peer: &Peer, bytes: &[u8]) -> Option<ChitchatMessage> {
        let read = decode(bytes).and_then(|message| Ok((self.0.gossip.digest.lock().admit(bytes)?, message)));
        match read {
            Ok((true, message)) => Some(message),
            Ok((false, _)) => {
                peer.outbox.count(Counts::dropped);
                None
            }
            Err(error) => {
                peer.outbox.count(Counts::bad);
                tracing::debug!(peer = %peer.node, %error, "a message of gossip makes no sense");
                None
            }
        }
    }
}

fn decode(mut bytes: &[u8]) -> anyhow::Result<ChitchatMessage> {
    anyhow::ensure!(bytes.len() <= MESSAGE_MAX, "{} bytes: {MESSAGE_MAX} are allowed", bytes.len());
    let message = ChitchatMessage::deserialize(&mut bytes)?;
    anyhow::ensure!(bytes.is_empty(), "there are {} bytes behind it", bytes.len());
    Ok(message)
}

/// Reads a message as it is read from a peer, and tells whether it would be heard. chitchat writes only what it has made
/// itself, and takes for granted that it has: what was read is not written anew. For the fuzz target.
///
/// # Errors
/// For people: why it makes no sense.
#[doc(hidden)]
pub fn gossip_read(bytes: &[u8]) -> Result<bool, String> {
    let heard = decode(bytes).and_then(|_| Digest::default().admit(bytes));
    heard.map_err(|error| error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use chitchat::{ChitchatConfig, ChitchatId, FailureDetectorConfig, spawn_chitchat};
    use std::time::Duration;
    use tokio::sync::mpsc;

    /// Gives away what chitchat sends.
    struct Tap(mpsc::UnboundedSender<Vec<u8>>);

    #[async_trait]
    impl Transport for Tap {
        async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
            Ok(Box::new(Self(self.0.clone())))
        }
    }

    #[async_trait]
    impl Socket for Tap {
        async fn send(&mut self, _: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
            Ok(self.0.send(message.serialize_to_vec())?)
        }
        async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
            std::future::pending().await
        }
    }

    /// What a node says that knows itself only.
    pub(in super::super) async fn first_message() -> Vec<u8> {
        let (tap, mut said) = mpsc::unbounded_channel();
        let address = SocketAddr::from(([127, 0, 0, 1], 7_000));
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new("north", 3, address),
            cluster_id: "test".into(),
            gossip_interval: Duration::from_secs(1),
            listen_addr: address,
            seed_nodes: Vec::new(),
            failure_detector_config: FailureDetectorConfig::default(),
            marked_for_deletion_grace_period: Duration::from_secs(1),
            catchup_callback: None,
            extra_liveness_predicate: None,
        };
        let chitchat = spawn_chitchat(config, Vec::new(), &Tap(tap)).await.expect("it needs no socket");
        chitchat.gossip(SocketAddr::from(([127, 0, 0, 1], 7_001))).expect("it runs");
        said.recv().await.expect("it says something")
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused_whatever_it_is() {
        let message = first_message().await;
        assert!(decode(&message).is_ok());
        for length in 0..message.len() {
            assert!(decode(&message[..length]).is_err(), "cut off after {length}");
        }
        for at in 0..4 {
            let mut wrong = message.clone();
            wrong[at] ^= 0x55;
            assert!(decode(&wrong).is_err(), "another byte at {at}");
        }
        assert!(decode(&[&message[..], &[0]].concat()).is_err(), "one byte more");
        assert!(decode(&vec![0; MESSAGE_MAX + 1]).is_err(), "too long");
    }
}
