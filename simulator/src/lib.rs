//! Runs whole nodes, unmodified, under virtual time from one seed.
