//! Odeon's decisions: pure state machines and functions, no I/O, no clock, no entropy.
