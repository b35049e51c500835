//! The token of a run: enough to replay it, and to tell beforehand when the replay would be of something else.

use crate::Options;
use odeon_simulator_os::Digest;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;
use thiserror::Error;

/// Names one run: `udp-ping:22:1f3e5a77-9c0d11ee` is seed 22 of the scenario `udp-ping`, with the fingerprints
/// of the options that the seed meant then and of the binary that ran it.
///
/// `udp-ping:22` is a token too, one that makes no promise about options and binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The scenario, or the path of the test. It may contain colons.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Fingerprints of the options and of the binary.
    pub prints: Option<Prints>,
}

/// What must agree for a replay to be the same run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prints {
    /// Of all options, as the seed draws them.
    pub options: u32,
    /// Of the executable file.
    pub binary: u32,
}

/// Why a text is not a token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// There is no colon with a seed behind it.
    #[error("`{0}` is no token: expected SCENARIO:SEED, such as udp-ping:22")]
    NoSeed(String),
    /// What stands in the seed's place is not a number.
    #[error("`{seed}` is no seed: expected a number from 0 to 18446744073709551615, such as udp-ping:22")]
    BadSeed {
        /// What stands there.
        seed: String,
    },
    /// The last part should be two fingerprints.
    #[error(
        "`{prints}` at the end of the token should be two fingerprints of eight hexadecimal digits with a \
             dash between; was it copied whole?"
    )]
    BadPrints {
        /// What stands there.
        prints: String,
    },
    /// Nothing stands before the seed.
    #[error("the token names no scenario: expected SCENARIO:SEED, such as udp-ping:22")]
    NoScenario,
}

impl Token {
    /// The token of a run that happens in this binary.
    pub fn of(scenario: &str, options: &Options, binary: BinaryPrint) -> Token {
        let prints = Prints { options: print_of_options(options), binary: binary.0 };
        Token { scenario: scenario.to_owned(), seed: options.seed, prints: Some(prints) }
    }

    /// In what a run with these options in this binary differs from the run that the token names, in words for
    /// people; empty when the replay is the same run.
    pub fn differences(&self, options: &Options, binary: BinaryPrint) -> Vec<String> {
        let Some(prints) = self.prints else { return Vec::new() };
        let now = print_of_options(options);
        let mut differences = Vec::new();
        if prints.binary != binary.0 {
            differences.push(format!(
                "the token is from another binary ({:08x}, this one is {:08x}): the same seed may tell another story",
                prints.binary, binary.0
            ));
        }
        if prints.options != now {
            differences.push(format!(
                "seed {} means other options in this binary ({:08x} then, {now:08x} now): this is another run",
                self.seed, prints.options
            ));
        }
        differences
    }
}

impl fmt::Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.scenario, self.seed)?;
        match self.prints {
            Some(prints) => write!(out, ":{:08x}-{:08x}", prints.options, prints.binary),
            None => Ok(()),
        }
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Token, TokenError> {
        let text = text.trim();
        let no_seed = || TokenError::NoSeed(text.to_owned());
        let (rest, last) = text.rsplit_once(':').ok_or_else(no_seed)?;
        // Fingerprints have a dash, a seed never has.
        let (rest, seed, prints) = if last.contains('-') {
            let (rest, seed) = rest.rsplit_once(':').ok_or_else(no_seed)?;
            (rest, seed, Some(parse_prints(last)?))
        } else {
            (rest, last, None)
        };
        let seed = seed.parse().map_err(|_| TokenError::BadSeed { seed: seed.to_owned() })?;
        if rest.is_empty() {
            return Err(TokenError::NoScenario);
        }
        Ok(Token { scenario: rest.to_owned(), seed, prints })
    }
}

fn parse_prints(text: &str) -> Result<Prints, TokenError> {
    let number = |digits: &str| {
        let complete = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        complete.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let both = text
        .split_once('-')
        .and_then(|(options, binary)| Some(Prints { options: number(options)?, binary: number(binary)? }));
    both.ok_or_else(|| TokenError::BadPrints { prints: text.to_owned() })
}

/// `Debug` prints every option, and prints equal options equally.
fn print_of_options(options: &Options) -> u32 {
    let mut digest = Digest::default();
    digest.bytes(format!("{options:?}").as_bytes());
    short(digest)
}

/// The fingerprint of an executable file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryPrint(u32);

impl BinaryPrint {
    /// The fingerprint of the running program. It reads the whole file: tens of milliseconds.
    ///
    /// # Errors
    /// When the executable cannot be found or read.
    pub fn of_this_program() -> io::Result<BinaryPrint> {
        let mut file = File::open(std::env::current_exe()?)?;
        let mut digest = Digest::default();
        let mut piece = vec![0; 256 * 1024];
        loop {
            let length = read_full(&mut file, &mut piece)?;
            if length == 0 {
                return Ok(BinaryPrint(short(digest)));
            }
            digest.bytes(&piece[..length]);
        }
    }
}

/// Fills the buffer unless the file ends, so that the fingerprint does not depend on how the file was read.
fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

/// Half of a digest: it tells versions of a program apart, and a person may have to type it.
fn short(digest: Digest) -> u32 {
    (digest.value() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_text() {
        let prints = Some(Prints { options: 0x1f3e_5a77, binary: 0x0c0d_11ee });
        for (scenario, seed) in [("udp-ping", 22), ("cluster::a_lost_owner", 0), ("x", u64::MAX)] {
            for prints in [prints, None] {
                let token = Token { scenario: scenario.into(), seed, prints };
                assert_eq!(token.to_string().parse(), Ok(token));
            }
        }
        let token = Token { scenario: "udp-ping".into(), seed: 22, prints };
        assert_eq!(token.to_string(), "udp-ping:22:1f3e5a77-0c0d11ee");
    }

    #[test]
    fn a_text_that_is_no_token_is_told_why() {
        let why = |text: &str| text.parse::<Token>().expect_err("this is no token");
        assert_eq!(why("udp-ping"), TokenError::NoSeed("udp-ping".into()));
        assert_eq!(why("udp-ping:many"), TokenError::BadSeed { seed: "many".into() });
        assert_eq!(why(":22"), TokenError::NoScenario);
        assert_eq!(
            why("udp-ping:22:1f3e5a77-9c0d"),
            TokenError::BadPrints { prints: "1f3e5a77-9c0d".into() }
        );
        assert_eq!(
            why("udp-ping:22:1f3e5a77-9c0d11é"),
            TokenError::BadPrints { prints: "1f3e5a77-9c0d11é".into() }
        );
        assert_eq!(why("1f3e5a77-9c0d11ee"), TokenError::NoSeed("1f3e5a77-9c0d11ee".into()));
    }

    #[test]
    fn another_binary_and_other_options_are_told_before_a_replay() {
        let here = BinaryPrint(7);
        let options = Options::from_seed(22);
        let token = Token::of("udp-ping", &options, here);
        assert!(token.differences(&options, here).is_empty());
        assert!(token.differences(&options, BinaryPrint(8))[0].contains("another binary"));
        assert!(token.differences(&Options::calm(22), here)[0].contains("other options"));
        let short: Token = "udp-ping:22".parse().expect("a short token");
        assert!(short.differences(&Options::calm(22), BinaryPrint(8)).is_empty());
    }

    #[test]
    fn the_same_binary_has_the_same_fingerprint() {
        let print = BinaryPrint::of_this_program().expect("a program can read itself");
        assert_eq!(BinaryPrint::of_this_program().ok(), Some(print));
    }
}
