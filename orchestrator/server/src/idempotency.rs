//! Asking twice, getting one saga: the caller's key, and the answer that is kept with the saga.
//!
//! Invariant: the key is taken in the saga's own transaction, so it never exists without the saga nor the
//! saga without it; what is remembered in this process only tells a caller sooner.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use amends_contract::Digest;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// Longest key, in bytes, as payment providers have it.
pub const KEY_BYTES_MAX: usize = 255;

/// A caller's key for one request: visible ASCII, opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

/// The text cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("1 to {KEY_BYTES_MAX} visible ASCII characters are expected, such as a UUID")]
pub struct InvalidKey;

impl Key {
    /// Takes the header's value.
    ///
    /// # Errors
    /// [`InvalidKey`] when it is empty, too long, or has anything but visible ASCII.
    pub fn new(value: &[u8]) -> Result<Self, InvalidKey> {
        let fits = (1..=KEY_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
        let text = std::str::from_utf8(value).ok().filter(|_| fits).ok_or(InvalidKey)?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a request means, for comparison: the same key with another meaning is a mistake. Each object of `asked` has
/// its keys in order.
#[must_use]
pub fn meaning(operation: &str, asked: &impl Serialize) -> Digest {
    /// In the order of the canonical form.
    #[derive(Serialize)]
    struct Meaning<'a, T> {
        asked: &'a T,
        operation: &'a str,
    }
    Digest::of_sorted(&Meaning { asked, operation })
}

/// The first answer to a key, kept for ever after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers beyond the usual ones, names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The JSON body.
    pub body: Box<RawValue>,
}

impl Answer {
    /// A body.
    #[must_use]
    pub fn body(of: &impl Serialize) -> Box<RawValue> {
        to_raw_value(of).unwrap_or_else(|_| unreachable!("what is answered is plain JSON"))
    }

    /// As it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("texts and JSON"))
    }

    /// Reads a stored one.
    ///
    /// # Errors
    /// When another version wrote what this one cannot read.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// The keys whose first request is being committed in this process.
#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<(Uuid, Key)>>>);

/// Holds a key until it is dropped.
pub struct Held {
    keys: InFlight,
    key: (Uuid, Key),
}

impl InFlight {
    /// Holds the key of this owner; `None` while somebody else holds it.
    #[must_use]
    pub fn hold(&self, owner: Uuid, key: &Key) -> Option<Held> {
        let key = (owner, key.clone());
        let fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        fresh.then(|| Held { keys: self.clone(), key })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length() {
        assert_eq!(Key::new(b"8e03978e-40d5").unwrap().as_str(), "8e03978e-40d5");
        assert!(Key::new(&[b'k'; KEY_BYTES_MAX]).is_ok());
        for wrong in [&b""[..], &[b'k'; KEY_BYTES_MAX + 1], b"a b", b"a\0", b"a\t", "ä".as_bytes(), b"\xff"]
        {
            assert_eq!(Key::new(wrong), Err(InvalidKey), "{wrong:?}");
        }
    }

    #[test]
    fn the_meaning_is_the_operation_and_the_content_not_its_spelling() {
        let body: Value = serde_json::from_str(r#"{"a": 1, "b": 2}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        assert_eq!(meaning("orders", &body), meaning("orders", &same));
        assert_eq!(
            meaning("orders", &body),
            Digest::of_json(&json!({ "operation": "orders", "asked": body }))
        );
        assert_ne!(meaning("orders", &body), meaning("sagas", &body));
        assert_ne!(meaning("orders", &body), meaning("orders", &json!({ "a": 1 })));
    }

    #[test]
    fn a_key_is_held_by_one_at_a_time_and_by_its_owner() {
        let (keys, key) = (InFlight::default(), Key::new(b"k").unwrap());
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let held = keys.hold(one, &key);
        assert!(held.is_some() && keys.hold(one, &key).is_none() && keys.hold(other, &key).is_some());
        drop(held);
        assert!(keys.hold(one, &key).is_some());
    }

    #[test]
    fn an_answer_reads_back() {
        let headers = BTreeMap::from([("location".to_owned(), "/v1/orders/1".to_owned())]);
        let body = Answer::body(&json!({ "id": "1" }));
        let text = Answer { status: 202, headers, body }.to_text();
        assert_eq!(text, r#"{"status":202,"headers":{"location":"/v1/orders/1"},"body":{"id":"1"}}"#);
        assert_eq!(Answer::from_text(&text).unwrap().to_text(), text);
    }
}
