//! A node's credentials while it runs: read, replaced, and watched for their end.

use crate::date;
use odeon::host::Blocking;
use odeon::remote::trust::{Certificate, CertificateError, CredentialsError, TrustError};
use odeon::remote::{Credentials, RenewError, Trust};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);
/// Of a certificate's life, the last part of so many is its end.
const END_SHARE: u32 = 10;

/// Why credentials are not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UseError {
    #[error("{0}")]
    Read(#[from] CredentialsError),
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    #[error("{0}")]
    Renew(#[from] RenewError),
}

impl UseError {
    /// Whether a file has something else in it than it should.
    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            Self::Read(CredentialsError::Read { error, .. }) => error.kind() == io::ErrorKind::InvalidData,
            Self::Trust(TrustError::Key { .. } | TrustError::Chain(_)) | Self::Certificate(_) => true,
            Self::Read(_) | Self::Trust(_) | Self::Renew(_) => false,
        }
    }
}

/// From when to when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    from: SystemTime,
    until: SystemTime,
}

/// Reads what lies in a directory, as a node may use it.
///
/// # Errors
/// [`UseError`].
pub(crate) async fn load(directory: &Path, blocking: &dyn Blocking) -> Result<(Trust, Life), UseError> {
    checked(&Credentials::load(directory, blocking).await?)
}

/// The same, for whoever may block.
///
/// # Errors
/// [`UseError`].
pub(crate) fn read(directory: &Path) -> Result<(Trust, Life), UseError> {
    checked(&Credentials::read(directory)?)
}

fn checked(credentials: &Credentials) -> Result<(Trust, Life), UseError> {
    let trust = Trust::new(credentials, date::now())?;
    let chain = Certificate::all_of_pem(&credentials.chain)?;
    let first = chain.first().ok_or(CertificateError::NotPem)?;
    Ok((trust, Life { from: first.from, until: first.until }))
}

impl Life {
    pub(crate) fn until(&self) -> SystemTime {
        self.until
    }

    fn is_ending(&self, now: SystemTime) -> bool {
        let whole = self.until.duration_since(self.from).unwrap_or_default();
        self.until.duration_since(now).unwrap_or_default() < whole / END_SHARE
    }
}

/// Says once a day that a certificate ends soon.
#[derive(Debug)]
pub(crate) struct Warnings {
    life: Life,
    told: Option<SystemTime>,
}

impl Warnings {
    pub(crate) fn of(life: Life) -> Self {
        Self { life, told: None }
    }

    /// Whether it is to be said now; it counts as said then.
    pub(crate) fn is_due(&mut self, now: SystemTime) -> bool {
        let told = self.told.is_some_and(|told| now.duration_since(told).unwrap_or_default() < DAY);
        let due = !told && self.life.is_ending(now);
        if due {
            self.told = Some(now);
        }
        due
    }

    /// Until when the certificate holds.
    pub(crate) fn until(&self) -> SystemTime {
        self.life.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn the_last_tenth_of_a_life_is_told_of_once_a_day() {
        let at = |hours: u64| UNIX_EPOCH + Duration::from_secs(hours * 3_600);
        let mut warnings = Warnings::of(Life { from: at(0), until: at(1_000) });
        let due: Vec<u64> = (0..1_100).filter(|hour| warnings.is_due(at(*hour))).collect();
        assert_eq!(
            due,
            [901, 925, 949, 973, 997, 1_021, 1_045, 1_069, 1_093],
            "an expired one is told of, too"
        );
        let mut renewed = Warnings::of(Life { from: at(900), until: at(1_900) });
        assert!(!renewed.is_due(at(1_100)));
    }
}
