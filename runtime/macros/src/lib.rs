//! The contract and service attributes of Odeon.
