//! The calls that led to a request: which activations wait for it, on which nodes. So the receiver finds cycles, and
//! an error can name the whole way.
//!
//! Layout: a byte that counts nodes, and for each the length of its name (one byte), the name and its incarnation; a
//! byte that counts hops, and for each a byte (the node, times two, plus one if the activation is held) and the
//! activation. Node 0 is the one that sends the frame, 1 the one that receives it, those of the list follow.

use super::frame::{FrameError, number, part, put_number};
use super::limits::{HOPS_MAX, NODE_NAME_MAX};
use super::varint::{self, Reader};
use crate::id::{ActivationId, NodeId, NodeName};

const SENDER: u8 = 0;
const RECEIVER: u8 = 1;
const LISTED: u8 = 2;

/// A node, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRef<'a> {
    name: &'a str,
    incarnation: u64,
}

impl<'a> NodeRef<'a> {
    /// Its name, which is known to be one.
    pub const fn name(self) -> &'a str {
        self.name
    }

    /// Its incarnation.
    pub const fn incarnation(self) -> u64 {
        self.incarnation
    }

    /// The node, no longer borrowed.
    pub fn to_id(self) -> NodeId {
        let name = self.name.parse().expect("it was checked when it was read");
        NodeId { name, incarnation: self.incarnation }
    }
}

impl<'a> From<&'a NodeId> for NodeRef<'a> {
    fn from(id: &'a NodeId) -> Self {
        Self { name: id.name.as_str(), incarnation: id.incarnation }
    }
}

/// Where a hop is, as seen from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The node that sends the frame.
    Sender,
    /// The node that receives the frame: a cycle is possible.
    Receiver,
    /// A third one.
    Third(NodeRef<'a>),
}

/// An activation on the way here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop<'a> {
    /// Its node.
    pub place: Place<'a>,
    /// Its number there, below 2^62.
    pub activation: ActivationId,
    /// Whether it can handle nothing else while it waits.
    pub holds: bool,
}

/// The hops before the sender, the first caller first; [`HOPS_MAX`] at the most. They stay as they are encoded, so
/// reading a frame allocates nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain<'a> {
    /// Both with the byte that counts; both empty if there are no hops.
    nodes: &'a [u8],
    hops: &'a [u8],
}

impl<'a> Chain<'a> {
    /// No hops: the sender was not called, or from outside.
    pub const EMPTY: Self = Self { nodes: &[], hops: &[] };

    /// How many hops.
    #[inline]
    pub fn len(&self) -> usize {
        self.hops.first().map_or(0, |count| usize::from(*count))
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    /// The hops, the first caller first.
    pub fn hops(&self) -> impl Iterator<Item = Hop<'a>> + use<'a> {
        let nodes = self.nodes;
        let mut rest = Reader::new(self.hops.get(1..).unwrap_or_default());
        std::iter::from_fn(move || {
            let mark = rest.byte().ok()?;
            let activation = ActivationId(rest.varint().ok()?);
            let place = match mark >> 1 {
                SENDER => Place::Sender,
                RECEIVER => Place::Receiver,
                listed => Place::Third(nth(nodes, listed - LISTED)?),
            };
            Some(Hop { place, activation, holds: mark & 1 == 1 })
        })
    }

    /// Encodes hops, the first caller first, for one frame. What was in the buffer is gone; a sender keeps one.
    ///
    /// # Errors
    /// [`FrameError::ChainLength`] for too many, [`FrameError::OutOfRange`] for a number beyond 2^62.
    pub fn encode(hops: &[Hop<'_>], buffer: &'a mut Vec<u8>) -> Result<Self, FrameError> {
        buffer.clear();
        if hops.is_empty() {
            return Ok(Self::EMPTY);
        }
        if hops.len() > HOPS_MAX {
            return Err(FrameError::ChainLength { hops: hops.len() });
        }
        let mut nodes = [None; HOPS_MAX];
        let mut count = 0;
        for hop in hops {
            if let Place::Third(node) = hop.place
                && !nodes[..count].contains(&Some(node))
            {
                nodes[count] = Some(node);
                count += 1;
            }
        }
        buffer.push(count as u8);
        for node in nodes.iter().flatten() {
            buffer.push(node.name.len() as u8);
            buffer.extend_from_slice(node.name.as_bytes());
            put_number(buffer, "incarnation", node.incarnation)?;
        }
        let middle = buffer.len();
        buffer.push(hops.len() as u8);
        for hop in hops {
            let place = match hop.place {
                Place::Sender => SENDER,
                Place::Receiver => RECEIVER,
                Place::Third(node) => {
                    let at = nodes.iter().position(|n| *n == Some(node)).expect("all were listed");
                    LISTED + at as u8
                }
            };
            buffer.push(place << 1 | u8::from(hop.holds));
            put_number(buffer, "activation", hop.activation.0)?;
        }
        let (nodes, hops) = buffer.split_at(middle);
        Ok(Self { nodes, hops })
    }

    /// Appends it to a frame.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.nodes);
        out.extend_from_slice(self.hops);
    }

    /// Reads it from a frame. All is looked at here, so that [`Chain::hops`] finds nothing wrong.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let begin = *reader;
        let listed = part(reader.byte(), "chain")?;
        if usize::from(listed) > HOPS_MAX {
            return Err(FrameError::ChainNodes { nodes: listed.into() });
        }
        for _ in 0..listed {
            node(reader)?;
        }
        let middle = *reader;
        let hops = part(reader.byte(), "chain")?;
        if hops == 0 || usize::from(hops) > HOPS_MAX {
            return Err(FrameError::ChainLength { hops: hops.into() });
        }
        for _ in 0..hops {
            let place = part(reader.byte(), "chain")? >> 1;
            if place >= LISTED + listed {
                return Err(FrameError::ChainPlace { place, nodes: listed });
            }
            number(reader, "activation", varint::MAX)?;
        }
        Ok(Self { nodes: between(begin, middle), hops: between(middle, *reader) })
    }
}

/// What one place has before it and the other behind it.
fn between<'a>(from: Reader<'a>, to: Reader<'a>) -> &'a [u8] {
    &from.rest()[..from.rest().len() - to.rest().len()]
}

fn node<'a>(reader: &mut Reader<'a>) -> Result<NodeRef<'a>, FrameError> {
    let length = part(reader.byte(), "node name")?;
    if usize::from(length) > NODE_NAME_MAX {
        return Err(FrameError::NodeName);
    }
    let name = part(reader.take(length.into()), "node name")?;
    let name = std::str::from_utf8(name).map_err(|_| FrameError::NodeName)?;
    NodeName::check(name).map_err(|_| FrameError::NodeName)?;
    Ok(NodeRef { name, incarnation: number(reader, "incarnation", varint::MAX)? })
}

/// A node of the list. The names are checked once more: fifteen hops at the most, and only where there is a chain
/// over three nodes.
fn nth(nodes: &[u8], at: u8) -> Option<NodeRef<'_>> {
    let mut reader = Reader::new(nodes.get(1..)?);
    (0..at).try_for_each(|_| node(&mut reader).map(|_| ())).ok()?;
    node(&mut reader).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, incarnation: u64) -> NodeId {
        NodeId { name: name.parse().expect("a name"), incarnation }
    }

    fn hop(place: Place<'_>, activation: u64, holds: bool) -> Hop<'_> {
        Hop { place, activation: ActivationId(activation), holds }
    }

    #[test]
    fn hops_come_back_in_order_and_a_node_is_named_once() {
        let (mars, venus) = (id("mars", 3), id("venus", 900));
        let (mars, venus) = (Place::Third((&mars).into()), Place::Third((&venus).into()));
        let hops = [
            hop(mars, 1, true),
            hop(Place::Receiver, 2, false),
            hop(venus, 3, true),
            hop(mars, 4, false),
            hop(Place::Sender, 5_000_000_000, true),
        ];
        let mut buffer = b"what was there before".to_vec();
        let chain = Chain::encode(&hops, &mut buffer).expect("within the limits");
        assert_eq!(chain.len(), 5);
        assert_eq!(chain.hops().collect::<Vec<_>>(), hops);
        let mut frame = Vec::new();
        chain.put(&mut frame);
        assert_eq!(frame.windows(4).filter(|w| w == b"mars").count(), 1);
        let mut reader = Reader::new(&frame);
        assert_eq!(Chain::read(&mut reader), Ok(chain));
        assert!(reader.rest().is_empty());
    }

    #[test]
    fn incarnations_of_one_name_are_two_nodes() {
        let (old, new) = (id("mars", 3), id("mars", 4));
        let hops = [hop(Place::Third((&old).into()), 1, false), hop(Place::Third((&new).into()), 1, false)];
        let mut buffer = Vec::new();
        let chain = Chain::encode(&hops, &mut buffer).expect("within the limits");
        let nodes: Vec<_> = chain
            .hops()
            .map(|hop| match hop.place {
                Place::Third(node) => node.to_id(),
                Place::Sender | Place::Receiver => panic!("{hop:?} is elsewhere"),
            })
            .collect();
        assert_eq!(nodes, [old, new]);
    }

    #[test]
    fn a_chain_is_as_long_as_allowed_and_no_longer() {
        let mut buffer = Vec::new();
        let hops = [hop(Place::Sender, 1, false); HOPS_MAX + 1];
        let longest = Chain::encode(&hops[1..], &mut buffer).expect("within the limits");
        assert_eq!(longest.len(), HOPS_MAX);
        assert_eq!(Chain::encode(&hops, &mut buffer), Err(FrameError::ChainLength { hops: HOPS_MAX + 1 }));
        assert_eq!(Chain::encode(&[], &mut buffer), Ok(Chain::EMPTY));
    }

    #[test]
    fn what_is_no_chain_is_refused_with_what_is_wrong() {
        let read = |bytes: &[u8]| Chain::read(&mut Reader::new(bytes)).expect_err("no chain");
        assert_eq!(read(&[16]), FrameError::ChainNodes { nodes: 16 });
        assert_eq!(read(&[0, 0]), FrameError::ChainLength { hops: 0 });
        assert_eq!(read(&[0, 16]), FrameError::ChainLength { hops: 16 });
        assert_eq!(read(&[0, 1, 4, 1]), FrameError::ChainPlace { place: 2, nodes: 0 });
        assert_eq!(read(&[1, 1, b'M', 1, 1, 0, 1]), FrameError::NodeName);
        assert_eq!(read(&[1, 0, 1, 1, 0, 1]), FrameError::NodeName);
        assert_eq!(read(&[1, 17]), FrameError::NodeName);
        assert_eq!(read(&[1, 1, b'm', 1, 1, 4]), FrameError::Truncated { part: "activation" });
    }
}
