//! The operating system that the simulator puts under a node.
