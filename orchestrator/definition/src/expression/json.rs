//! JSON as the interpreter sees it: lists and objects are looked into, not copied.
//!
//! Invariant: a clone of any of these values costs the same, however large the JSON is; and an object
//! gives its keys sorted.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use amends_contract::{Json, Token};
use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator as ValIterator, Sizer};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, CelUInt, Type};
use cel::common::value::{CowVal, Val};
use serde_json::{Map, Value};

/// A JSON value for the interpreter. A whole number over 64 bits with sign stays unsigned, so that
/// arithmetic refuses it; rendering it is an error, too.
pub(super) fn val<'a>(value: &'a Value) -> Box<dyn Val + 'a> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => {
            if let Some(int) = number.as_i64() {
                Box::new(CelInt::from(int))
            } else if let Some(uint) = number.as_u64() {
                Box::new(CelUInt::from(uint))
            } else {
                Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
            }
        }
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => Box::new(JsonList::new(items)),
        Value::Object(map) => Box::new(JsonMap::new(Fields::Object(map))),
    }
}

/// The outputs of the steps, as a map.
pub(super) fn outputs<'a>(steps: &'a BTreeMap<Token, Json>) -> Box<dyn Val + 'a> {
    Box::new(JsonMap::new(Fields::Steps(steps)))
}

#[derive(Debug)]
struct JsonList<'a> {
    items: &'a [Value],
    /// The elements, made when somebody goes through the list: the interpreter wants to borrow them.
    vals: OnceLock<Vec<Box<dyn Val + 'a>>>,
}

impl<'a> JsonList<'a> {
    const fn new(items: &'a [Value]) -> Self {
        Self { items, vals: OnceLock::new() }
    }
}

impl Val for JsonList<'_> {
    fn get_type(&self) -> &Type {
        CelList::cel_type()
    }

    fn cel_type() -> &'static Type {
        CelList::cel_type()
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Self::new(self.items))
    }
}

impl Indexer for JsonList<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let Some(position) = index.downcast_ref::<CelInt>().map(|index| *index.inner()) else {
            return Err(ExecutionError::UnexpectedType {
                got: index.get_type().name().to_owned(),
                want: CelInt::cel_type().name().to_owned(),
            });
        };
        let item = usize::try_from(position).ok().and_then(|position| self.items.get(position));
        item.map(|item| CowVal::Owned(val(item)))
            .ok_or_else(|| ExecutionError::IndexOutOfBounds(cel::Value::Int(position)))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl Sizer for JsonList<'_> {
    fn size(&self) -> CelInt {
        size(self.items.len())
    }
}

impl Iterable for JsonList<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn ValIterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Borrowed(self.vals.get_or_init(|| self.items.iter().map(val).collect()).iter()))
    }
}

/// Lends out boxed values.
struct Borrowed<'b, 'a>(std::slice::Iter<'b, Box<dyn Val + 'a>>);

impl<'b, 'a: 'v, 'v> ValIterator<'b, 'v> for Borrowed<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|val| &**val as &'b (dyn Val + 'v))
    }
}

#[derive(Debug)]
struct JsonMap<'a> {
    fields: Fields<'a>,
    /// Its keys, made when somebody goes through the map.
    keys: OnceLock<Vec<Box<dyn Val + 'a>>>,
}

#[derive(Clone, Copy, Debug)]
enum Fields<'a> {
    Object(&'a Map<String, Value>),
    Steps(&'a BTreeMap<Token, Json>),
}

impl<'a> Fields<'a> {
    fn get(self, key: &str) -> Option<&'a Value> {
        match self {
            Self::Object(map) => map.get(key),
            Self::Steps(steps) => steps.get(key).map(|output| &**output),
        }
    }

    fn keys(self) -> Vec<Box<dyn Val + 'a>> {
        let boxed = |key: &'a str| -> Box<dyn Val + 'a> { Box::new(CelString::from(key)) };
        match self {
            Self::Object(map) => map.keys().map(|key| boxed(key)).collect(),
            Self::Steps(steps) => steps.keys().map(|key| boxed(key)).collect(),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Object(map) => map.len(),
            Self::Steps(steps) => steps.len(),
        }
    }
}

impl<'a> JsonMap<'a> {
    const fn new(fields: Fields<'a>) -> Self {
        Self { fields, keys: OnceLock::new() }
    }
}

impl Val for JsonMap<'_> {
    fn get_type(&self) -> &Type {
        CelMap::cel_type()
    }

    fn cel_type() -> &'static Type {
        CelMap::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Self::new(self.fields))
    }
}

impl Indexer for JsonMap<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let key = text(key)?;
        let value = self.fields.get(key).ok_or_else(|| ExecutionError::no_such_key(key))?;
        Ok(CowVal::Owned(val(value)))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Container for JsonMap<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.fields.get(text(key)?).is_some())
    }
}

impl Sizer for JsonMap<'_> {
    fn size(&self) -> CelInt {
        size(self.fields.len())
    }
}

impl Iterable for JsonMap<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn ValIterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Borrowed(self.keys.get_or_init(|| self.fields.keys()).iter()))
    }
}

fn text(key: &dyn Val) -> Result<&str, ExecutionError> {
    key.downcast_ref::<CelString<'_>>().map(CelString::inner).ok_or_else(|| ExecutionError::UnexpectedType {
        got: key.get_type().name().to_owned(),
        want: CelString::cel_type().name().to_owned(),
    })
}

fn size(len: usize) -> CelInt {
    CelInt::from(i64::try_from(len).unwrap_or(i64::MAX))
}
