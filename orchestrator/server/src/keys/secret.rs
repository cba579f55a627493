//! The text of an API key: `amk_<12 hex digits>_<64 hex digits>`.
//!
//! The first two parts are the prefix by which it is found and listed; the last part is the secret.
//!
//! Invariant: `Debug` shows the prefix only.

use std::fmt;
use std::str::FromStr;

use amends_contract::Digest;

/// What every key begins with, so that scanners for leaked secrets can know ours.
const MARK: &str = "amk_";

/// Random bytes of the prefix: enough that no two keys of an installation meet.
const PREFIX_BYTES: usize = 6;

/// Random bytes of the secret.
const SECRET_BYTES: usize = 32;

/// Length of the prefix with its mark.
const PREFIX_LEN: usize = MARK.len() + 2 * PREFIX_BYTES;

/// Length of the whole.
const LEN: usize = PREFIX_LEN + 1 + 2 * SECRET_BYTES;

/// A key's text.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

/// The text is not formed like a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API key: amk_<12 hex digits>_<64 hex digits> is expected")]
pub struct InvalidKey;

impl KeyText {
    /// A new one, from the operating system's randomness by way of a cryptographic generator.
    pub(super) fn generate() -> Self {
        let mut random = [0_u8; PREFIX_BYTES + SECRET_BYTES];
        rand::fill(&mut random);
        let (prefix, secret) = random.split_at(PREFIX_BYTES);
        Self(format!("{MARK}{}_{}", hex::encode(prefix), hex::encode(secret)))
    }

    /// The part that may be shown.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..PREFIX_LEN]
    }

    /// The whole, secret part included: for the one who asked for it, and for nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the whole.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl FromStr for KeyText {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != LEN || !text.is_ascii() {
            return Err(InvalidKey);
        }
        let (prefix, secret) = text.split_at(PREFIX_LEN);
        match (prefix.strip_prefix(MARK), secret.strip_prefix('_')) {
            (Some(prefix), Some(secret)) if is_hex(prefix) && is_hex(secret) => Ok(Self(text.to_owned())),
            _ => Err(InvalidKey),
        }
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_***", self.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_hides_its_secret() {
        let key = KeyText::generate();
        assert_eq!(key.reveal().parse(), Ok(key.clone()));
        assert_ne!(key, KeyText::generate());
        assert_eq!(format!("{key:?}"), format!("{}_***", key.prefix()));
    }

    #[test]
    fn what_is_not_formed_like_a_key_is_refused() {
        let key = KeyText::generate();
        let key = key.reveal();
        let wrong = [
            String::new(),
            key.to_uppercase(),
            key.replacen("amk_", "amx_", 1),
            format!("{key}0"),
            key[..LEN - 1].to_owned(),
            format!("{}ä", &key[..LEN - 2]),
            key.replacen('_', "0", 2),
        ];
        for text in wrong {
            assert_eq!(text.parse::<KeyText>(), Err(InvalidKey), "{text}");
        }
    }
}
