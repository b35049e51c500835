//! The bound of gossip. Each message but the last of an exchange holds a digest: an entry for every node that is known,
//! the dead ones of the last minutes too. chitchat computes room for the rest as 65,507 bytes less that digest, and
//! does not notice when the digest is larger; so what would let it grow that far is refused before chitchat sees it.

use chitchat::{ChitchatId, Deserializable, Serializable};
use std::collections::BTreeSet;

/// Longest message of gossip, in bytes: what chitchat believes to fit a datagram.
pub(super) const MESSAGE_MAX: usize = 65_507;
/// Longest digest, in bytes; the rest is for what has changed. Of nodes with names of 16 bytes, the longest that there
/// are, and IPv4 addresses it holds 1,052, with IPv6 ones 869.
const DIGEST_MAX: usize = 60_000;
/// Heartbeat and two versions of a node.
const NUMBERS: usize = 24;
/// Number, version and kind of a message.
const HEAD: usize = 4;
/// The kinds of message that hold a digest.
const WITH_DIGEST: [u8; 2] = [0, 1];

/// The nodes that a digest of ours would hold.
#[derive(Debug, Default)]
pub(super) struct Digest {
    nodes: BTreeSet<ChitchatId>,
    bytes: usize,
    is_full: bool,
}

fn length(id: &ChitchatId) -> usize {
    id.serialized_len() + NUMBERS
}

impl Digest {
    /// It is this now.
    pub(super) fn set<'a>(&mut self, nodes: impl Iterator<Item = &'a ChitchatId>) {
        self.nodes = nodes.cloned().collect();
        self.bytes = self.nodes.iter().map(length).sum();
    }

    /// Whether it has room for the nodes of a message that has come. They count from now on.
    ///
    /// # Errors
    /// The message cannot be read.
    pub(super) fn admit(&mut self, message: &[u8]) -> anyhow::Result<bool> {
        let new: Vec<_> = nodes(message)?.into_iter().filter(|id| !self.nodes.contains(id)).collect();
        let bytes = self.bytes + new.iter().map(length).sum::<usize>();
        let fits = bytes <= DIGEST_MAX;
        if fits {
            self.bytes = bytes;
            self.nodes.extend(new);
        } else if !self.is_full {
            tracing::error!(
                known = self.nodes.len(),
                new = new.len(),
                "there are more nodes, living and lately dead, than gossip can carry: it is cut off from those that \
                 know of more. Make the cluster smaller"
            );
        }
        self.is_full = !fits;
        Ok(fits)
    }
}

/// The nodes in the digest of a message.
fn nodes(message: &[u8]) -> anyhow::Result<BTreeSet<ChitchatId>> {
    let mut found = BTreeSet::new();
    let Some(mut rest) = message.get(HEAD..).filter(|_| WITH_DIGEST.contains(&message[HEAD - 1])) else {
        return Ok(found);
    };
    for _ in 0..u16::deserialize(&mut rest)? {
        found.insert(ChitchatId::deserialize(&mut rest)?);
        <[u8; NUMBERS]>::deserialize(&mut rest)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with a digest of some nodes, with names as long as can be.
    fn syn(nodes: std::ops::Range<u32>) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0];
        (nodes.len() as u16).serialize(&mut bytes);
        for at in nodes {
            let id = ChitchatId::new(format!("n{at:015}"), 1, ([10, 0, 0, 1], 7_000).into());
            id.serialize(&mut bytes);
            bytes.extend([0; NUMBERS]);
        }
        bytes
    }

    #[test]
    fn a_digest_takes_as_many_nodes_as_it_says_and_knows_them_again() {
        let mut digest = Digest::default();
        assert!(digest.admit(&syn(0..1_000)).expect("it is read"));
        assert!(digest.admit(&syn(0..1_000)).expect("it is read"), "nothing new");
        assert!(!digest.admit(&syn(500..1_100)).expect("it is read"), "too many");
        assert!(digest.admit(&syn(1_000..1_052)).expect("it is read"));
        assert!(!digest.admit(&syn(1_052..1_053)).expect("it is read"));
        assert!(digest.bytes <= DIGEST_MAX && DIGEST_MAX < MESSAGE_MAX);
        digest.set(std::iter::empty());
        assert!(digest.admit(&syn(1_052..1_053)).expect("it is read"), "the others were forgotten");
    }

    #[test]
    fn a_message_that_is_cut_off_is_an_error_and_one_without_a_digest_fits() {
        let whole = syn(0..3);
        for length in HEAD..whole.len() {
            assert!(Digest::default().admit(&whole[..length]).is_err(), "{length}");
        }
        assert!(Digest::default().admit(&[0, 0, 0, 2, 7]).expect("it has no digest"));
        assert!(Digest::default().admit(&[]).expect("chitchat says what is wrong with it"));
    }

    #[tokio::test]
    async fn the_layout_is_that_of_chitchat() {
        let mut digest = Digest::default();
        // what a node says that knows itself only
        let message = super::super::wire::tests::first_message().await;
        assert!(digest.admit(&message).expect("it is read"));
        assert_eq!(digest.nodes.len(), 1);
    }
}
