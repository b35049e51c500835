//! The token that opens the management interface.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::fmt;

/// Fewest characters of a token.
pub const TOKEN_MIN: usize = 16;

/// A secret that opens the management interface. It is never printed.
#[derive(Clone)]
pub struct Token(Box<str>);

/// The text is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token has at least {TOKEN_MIN} printable ASCII characters and no space")]
pub struct TokenError;

impl Token {
    /// A token with this text.
    ///
    /// # Errors
    /// The text is too short, or would not fit a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let fits = text.len() >= TOKEN_MIN && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(TokenError) }
    }

    /// Whether a request shows this token: `Authorization: Bearer TOKEN` (RFC 6750).
    pub(crate) fn is_shown_by(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes) else { return false };
        let Some((scheme, secret)) = shown.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && self.equals(secret)
    }

    /// Compares in a time that tells nothing of where the difference is.
    fn equals(&self, shown: &[u8]) -> bool {
        let secret = self.0.as_bytes();
        let differing = secret.iter().zip(shown).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
        secret.len() == shown.len() && differing == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn shows(value: &str) -> bool {
        let value = value.parse().expect("a header value");
        let token = Token::new(SECRET).expect("a token");
        token.is_shown_by(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    #[test]
    fn only_the_whole_token_opens() {
        assert!(shows("Bearer 0123456789abcdef"));
        assert!(shows("bearer 0123456789abcdef"));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeg",
            "Bearer 0123456789abcdef0",
            "Basic 0123456789abcdef",
        ] {
            assert!(!shows(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_long_enough_and_never_printed() {
        assert_eq!(Token::new("short").err(), Some(TokenError));
        assert_eq!(Token::new("0123456789 abcdef").err(), Some(TokenError));
        let token = Token::new(SECRET).expect("a token");
        assert!(!format!("{token:?}").contains(SECRET));
    }
}
