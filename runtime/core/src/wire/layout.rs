//! Which bit and which number stands for what in a frame. None is ever given another meaning: a later version of the
//! protocol may use those that are free.

use super::envelope::Encoding;
use crate::outcome::{Retry, UnknownCause};

pub(super) const CAST: u8 = 0;
pub(super) const CALL: u8 = 1;
pub(super) const ANSWER: u8 = 2;
pub(super) const FAILED: u8 = 3;
pub(super) const NOT_EXECUTED: u8 = 4;
pub(super) const UNKNOWN: u8 = 5;
pub(super) const CANCEL: u8 = 6;
pub(super) const VOID: u8 = 7;

/// Where the parts of the first byte are: the kind in the lowest three bits, then these, then one that must be zero.
pub(super) const KIND: u8 = 0b111;
pub(super) const CRITICALITY_AT: u32 = 3;
pub(super) const ENCODING_AT: u32 = 5;
pub(super) const RESERVED: u8 = 1 << 7;

/// The flags of a request, in the order of what they announce.
pub(super) mod flag {
    pub(crate) const INTRODUCES: u16 = 1 << 0;
    pub(crate) const KEYED: u16 = 1 << 1;
    pub(crate) const DUE: u16 = 1 << 2;
    pub(crate) const SENDER: u16 = 1 << 3;
    pub(crate) const HOLDS: u16 = 1 << 4;
    pub(crate) const REQUEST: u16 = 1 << 5;
    pub(crate) const TRACE: u16 = 1 << 6;
    pub(crate) const SAMPLED: u16 = 1 << 7;
    pub(crate) const TENANT: u16 = 1 << 8;
    pub(crate) const PRINCIPAL: u16 = 1 << 9;
    pub(crate) const CHAIN: u16 = 1 << 10;
    pub(crate) const LARGE: u16 = 1 << 11;
    pub(crate) const PLACED: u16 = 1 << 12;

    /// All that have a meaning.
    pub(crate) const KNOWN: u16 = (1 << 13) - 1;

    /// What means something only together with another one: the flag, its name, the other, its name.
    pub(crate) const NEEDS: [(u16, &str, u16, &str); 5] = [
        (KEYED, "keyed", INTRODUCES, "introduces"),
        (PLACED, "placed", INTRODUCES, "introduces"),
        (HOLDS, "holds", SENDER, "sender"),
        (SAMPLED, "sampled", TRACE, "trace"),
        (CHAIN, "chain", SENDER, "sender"),
    ];

    /// The one flag of answers, in a byte of their own.
    pub(crate) const ANSWER_LARGE: u8 = 1;
}

pub(super) const fn encoding(code: u8) -> Option<Encoding> {
    match code {
        0 => Some(Encoding::Named),
        1 => Some(Encoding::Compact),
        2 => Some(Encoding::Json),
        _ => None,
    }
}

pub(super) const fn retry_code(retry: Retry) -> u8 {
    match retry {
        Retry::Now => 0,
        Retry::Later => 1,
        Retry::Elsewhere => 2,
        Retry::Never => 3,
    }
}

pub(super) const fn retry(code: u8) -> Option<Retry> {
    match code {
        0 => Some(Retry::Now),
        1 => Some(Retry::Later),
        2 => Some(Retry::Elsewhere),
        3 => Some(Retry::Never),
        _ => None,
    }
}

pub(super) const fn cause_code(cause: UnknownCause) -> u8 {
    match cause {
        UnknownCause::TimedOut => 0,
        UnknownCause::Panicked => 1,
        UnknownCause::Killed => 2,
        UnknownCause::Unanswered => 3,
        UnknownCause::AnswerUndecodable => 4,
        UnknownCause::LinkLost => 5,
    }
}

pub(super) const fn cause(code: u8) -> Option<UnknownCause> {
    match code {
        0 => Some(UnknownCause::TimedOut),
        1 => Some(UnknownCause::Panicked),
        2 => Some(UnknownCause::Killed),
        3 => Some(UnknownCause::Unanswered),
        4 => Some(UnknownCause::AnswerUndecodable),
        5 => Some(UnknownCause::LinkLost),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_for_one_thing() {
        for code in 0..=u8::MAX {
            assert_eq!(encoding(code).map_or(code, |e| e as u8), code);
            assert_eq!(retry(code).map_or(code, retry_code), code);
            assert_eq!(cause(code).map_or(code, cause_code), code);
        }
        assert_eq!((0..=u8::MAX).filter_map(encoding).count(), 3);
        assert_eq!((0..=u8::MAX).filter_map(retry).count(), 4);
        assert_eq!((0..=u8::MAX).filter_map(cause).count(), 6);
    }
}
