//! Stories that the cores must tell: commands and outcomes as text, one folder a core; and laws that hold in all.
//!
//! `ODEON_REWRITE=1 cargo test -p odeon-core --test scenarios` writes the outcomes anew; review them as a diff.

mod story;
mod supervision;
mod supervision_laws;
mod wire_duel;
mod wire_frames;
mod wire_handshake;
