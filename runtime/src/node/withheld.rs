//! What keeps a node from being ready although its services are: found by those who look after it from outside.

use super::Node;

impl Node {
    /// The node is not ready until this is taken back ([`Node::release`]), for this reason. The subject says who has
    /// found it: each may have one reason at a time.
    pub fn withhold(&self, subject: &str, reason: &str) {
        self.0.withheld.lock().insert(subject.into(), reason.into());
    }

    /// Takes back what a subject has found, if it has found something.
    pub fn release(&self, subject: &str) {
        self.0.withheld.lock().remove(subject);
    }

    /// Whether a subject has found something.
    pub fn is_withheld(&self, subject: &str) -> bool {
        self.0.withheld.lock().contains_key(subject)
    }

    /// Why the node is not ready, apart from its services.
    pub fn withheld(&self) -> Vec<String> {
        self.0.withheld.lock().values().cloned().collect()
    }
}
