//! Reads the path and the headers of a request: pure, for any bytes that a client may send.
//!
//! Paths are `/v1/{service}/{method}` and `/v1/{service}/{key}/{method}`. Each segment is percent-decoded after the
//! path was split. A service in another namespace than `default` is written `namespace.name`, so that no proxy on
//! the way can take the slash of `namespace/name` for a separator.

mod headers;
mod path;

pub use headers::{HeaderError, WITHIN_MAX, Wishes};
pub use path::{PathError, Target, service_segment};

pub(crate) use path::{decode, read_service};

use std::borrow::Cow;

/// Most bytes of what a client sent that are told back to it.
const ECHO_MAX: usize = 100;

/// The beginning of what a client sent.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.len() {
        0..=ECHO_MAX => Cow::Borrowed(text),
        _ => Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(ECHO_MAX)])),
    }
}
