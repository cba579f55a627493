//! JSON of all kinds: numbers at the edges, hostile texts as keys and values, deep nesting.

use bolero::TypeGenerator;
use serde_json::{Map, Number, Value, json};

use crate::Text;

/// Deeper than serde_json reads.
const DEPTH_MAX: u8 = 200;

/// A JSON value.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// One that may not fit a signed one.
    Unsigned(u64),
    /// A number with a fraction; `null` if there is none such in JSON.
    Float(f64),
    /// A small number: more often what is expected.
    Small(u8),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Vec<(Text, Json)>),
    /// A list in a list in a list.
    Deep(u8),
}

impl Json {
    /// The value.
    #[must_use]
    pub fn get(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => json!(flag),
            Self::Int(number) => json!(number),
            Self::Unsigned(number) => json!(number),
            Self::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Small(number) => json!(number),
            Self::Text(text) => json!(text.get()),
            Self::List(items) => items.iter().map(Self::get).collect(),
            Self::Object(fields) => {
                fields.iter().map(|(name, value)| (name.get(), value.get())).collect::<Map<_, _>>().into()
            }
            Self::Deep(levels) => (0..levels % DEPTH_MAX).fold(json!(1), |inner, _| json!([inner])),
        }
    }
}
