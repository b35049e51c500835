//! Odeon's platform actors: the gateway and the management interface.
