//! JSON that is made once, then passed on, kept and written many times.
//!
//! A saga's input stands in every state of it, a command's data in its decision, in the message and in every later
//! state. Copies share one value and one text of it, so that a copy costs nothing and each writing but the first
//! is a copy of bytes.
//!
//! Invariant: it never changes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// As a value, JSON takes so many times the bytes of its text: small objects, each with room for more.
const VALUE_BYTES_PER_TEXT_BYTE: usize = 5;

/// A JSON value that is shared by its copies, its text included. It reads as a [`Value`].
///
/// It is to be written by `serde_json`: to another format its text would look like one string.
#[derive(Clone, Default)]
pub struct Json(Option<Arc<Shared>>);

/// What is not null: its value, its text, or both. The other is made when it is first asked for.
#[derive(Default)]
struct Shared {
    value: OnceLock<Value>,
    text: OnceLock<Box<RawValue>>,
}

impl Json {
    /// `null`
    pub const NULL: Self = Self(None);

    /// Whether it is `null`; a [`Value`]'s own answer would have the text read for it.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The value, copied only if somebody else has it, too.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0.map_or(Value::Null, |shared| match Arc::try_unwrap(shared) {
            Ok(mut shared) => shared.value.take().unwrap_or_else(|| shared.read()),
            Err(shared) => shared.value().clone(),
        })
    }

    /// The same as text only, which takes less memory: for what is going to be written often, and hardly ever looked at.
    /// It must not be nested deeper than `serde_json` reads (128 levels); whatever comes in or is rendered is not.
    #[must_use]
    pub fn packed(self) -> Self {
        let pack = |shared: Arc<Shared>| {
            shared.raw();
            let text =
                Arc::try_unwrap(shared).map_or_else(|shared| shared.text.clone(), |shared| shared.text);
            Arc::new(Shared { text, ..Shared::default() })
        };
        Self(self.0.map(pack))
    }

    /// Its text, without spaces.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.as_ref().map_or("null", |shared| shared.raw().get())
    }

    /// About how many bytes of memory it takes, copies not counted.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let Some(shared) = &self.0 else { return 0 };
        let text_bytes = shared.raw().get().len();
        let value_bytes =
            if shared.value.get().is_some() { text_bytes * VALUE_BYTES_PER_TEXT_BYTE } else { 0 };
        size_of::<Shared>() + text_bytes + value_bytes
    }
}

impl Shared {
    fn value(&self) -> &Value {
        self.value.get_or_init(|| self.read())
    }

    /// The value that the text says.
    fn read(&self) -> Value {
        let text = self.text.get().map_or("null", |text| text.get());
        serde_json::from_str(text).unwrap_or_else(|_| unreachable!("it was written as JSON"))
    }

    fn raw(&self) -> &RawValue {
        let make =
            || to_raw_value(self.value()).unwrap_or_else(|_| unreachable!("a JSON value can be written"));
        self.text.get_or_init(make)
    }

    /// Whether both have texts already, and the same.
    fn same_text(&self, other: &Self) -> bool {
        let texts = (self.text.get(), other.text.get());
        matches!(texts, (Some(one), Some(another)) if one.get() == another.get())
    }
}

impl Deref for Json {
    type Target = Value;

    fn deref(&self) -> &Value {
        static NULL: Value = Value::Null;
        self.0.as_ref().map_or(&NULL, |shared| shared.value())
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        let shared = |value| Arc::new(Shared { value: OnceLock::from(value), ..Shared::default() });
        Self((!value.is_null()).then(|| shared(value)))
    }
}

/// Of text that `serde_json` has written itself; of other text it is not known that it can be read.
impl From<Box<RawValue>> for Json {
    fn from(text: Box<RawValue>) -> Self {
        let shared = |text| Arc::new(Shared { text: OnceLock::from(text), ..Shared::default() });
        Self((text.get() != "null").then(|| shared(text)))
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        json.into_value()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(another)) => {
                Arc::ptr_eq(one, another) || one.same_text(another) || one.value() == another.value()
            }
            (one, another) => one.is_none() && another.is_none(),
        }
    }
}

impl Eq for Json {}

impl PartialEq<Value> for Json {
    fn eq(&self, other: &Value) -> bool {
        **self == *other
    }
}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(shared) => shared.raw().serialize(serializer),
            None => serializer.serialize_unit(),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_and_read_as_its_value() {
        for value in
            [json!(null), json!(1.5), json!("a\"\u{7}ü"), json!({ "b": [1, { "a": null }], "a": {} })]
        {
            let json = Json::from(value.clone());
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(json.text(), text);
            for _ in 0..2 {
                assert_eq!(serde_json::to_string(&[&json]).unwrap(), format!("[{text}]"));
            }
            assert_eq!(serde_json::to_value(&json).unwrap(), value);
            assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), json);
            assert_eq!(json.clone().into_value(), value);
            assert_eq!(json.is_null(), value.is_null());
            assert_eq!(json, value);
            let packed = json.clone().packed();
            assert_eq!((packed.text(), packed.clone().into_value()), (&*text, value.clone()));
            assert_eq!(Json::from(value.clone()).packed().into_value(), value);
            assert_eq!(Json::from(to_raw_value(&value).unwrap()), packed);
            assert!(packed == json && packed == value && packed == packed.clone().packed());
            let bytes = Json::from(value.clone()).packed().memory_bytes();
            assert!(value.is_null() && bytes == 0 || (text.len()..json.memory_bytes()).contains(&bytes));
        }
    }

    #[test]
    fn copies_share_value_and_text() {
        let json = Json::from(json!({ "a": 1 }));
        let copy = json.clone();
        assert_eq!(json.text().as_ptr(), copy.text().as_ptr());
        assert_ne!(json, Json::from(json!({ "a": 2 })));
        assert_ne!(json, Json::NULL);
        assert_eq!(Json::from(Value::Null), Json::NULL);
    }
}
