//! Rendezvous hashing: which of several nodes has a key, agreed upon without a word by all who see the same nodes.
//! (Thaler, Ravishankar: "Using name-based mappings to increase hit rates", 1998.)

use crate::id::{NodeName, ServiceName};

/// The weight of a node for a key of a service: the node with the highest one has the key. When a node comes or goes
/// only its own keys move. It is part of the protocol between nodes, so it never changes.
pub fn weight(node: &NodeName, service: &ServiceName, key: &str) -> u64 {
    of(node, service).with(key).finish()
}

/// What the weights of a node for all keys of a service begin with.
pub(crate) fn of(node: &NodeName, service: &ServiceName) -> Hash {
    Hash::EMPTY.with(node.as_str()).with(service.namespace()).with(service.name())
}

/// A hash of several texts, which is the same in all versions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(u64);

impl Hash {
    /// That of none.
    pub(crate) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// With one more text.
    #[must_use]
    pub(crate) fn with(self, part: &str) -> Self {
        // FNV-1a; no text contains the byte that ends each part
        let bytes = part.bytes().chain([0xff]);
        Self(bytes.fold(self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// Its value, each bit of which depends on all of the texts.
    pub(crate) fn finish(self) -> u64 {
        // the finaliser of SplitMix64 (Steele, Lea, Flood 2014): names that differ in one letter weigh nothing alike
        let hash = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }
}

/// The one of some nodes that has a key, whatever order they come in. None: there are no nodes.
pub fn highest<'a>(
    nodes: impl IntoIterator<Item = &'a NodeName>,
    service: &ServiceName,
    key: &str,
) -> Option<&'a NodeName> {
    // of two equal weights the greater name decides
    nodes.into_iter().max_by_key(|node| (weight(node, service, key), *node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn nodes(count: usize) -> Vec<NodeName> {
        (0..count).map(|at| format!("node-{at}").parse().expect("a name")).collect()
    }

    fn owners(nodes: &[NodeName]) -> Vec<NodeName> {
        let service = "cart".parse().expect("a name");
        let keys = (0..10_000).map(|key| format!("customer-{key}"));
        keys.map(|key| highest(nodes, &service, &key).expect("there are nodes").clone()).collect()
    }

    #[test]
    fn the_order_of_the_nodes_does_not_matter() {
        let mut all = nodes(7);
        let before = owners(&all);
        all.reverse();
        assert_eq!(owners(&all), before);
        assert_eq!(highest(&[], &"cart".parse().expect("a name"), "k"), None);
    }

    #[test]
    fn each_node_has_its_share_of_the_keys() {
        let mut shares: BTreeMap<NodeName, usize> = BTreeMap::new();
        owners(&nodes(5)).into_iter().for_each(|owner| *shares.entry(owner).or_default() += 1);
        assert_eq!(shares.len(), 5);
        assert!(shares.values().all(|share| (1_800..2_200).contains(share)), "{shares:?}");
    }

    #[test]
    fn only_the_keys_of_a_node_that_goes_move() {
        let mut all = nodes(5);
        let before = owners(&all);
        let gone = all.remove(2);
        let after = owners(&all);
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        assert!(moved.clone().all(|(old, _)| *old == gone));
        assert!(moved.count() > 1_800);
    }

    #[test]
    fn the_weight_is_what_other_versions_compute() {
        let (node, service) = ("north".parse().expect("a name"), "shop/cart".parse().expect("a name"));
        // computed apart from this code, from the definitions of FNV-1a and SplitMix64
        assert_eq!(weight(&node, &service, "a"), 0xac94_e3cf_98e6_cd7d);
    }
}
