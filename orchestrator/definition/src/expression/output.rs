//! What expressions bring, as JSON, and how two of the interpreter's values compare.
//!
//! Both look at values only through what every list and map can do, because the interpreter's own and
//! those of [`json`](super::json) mix freely.
//!
//! Invariant: maps are gone through in the order of their keys, so that value, error and cost are always
//! the same.

use std::collections::BTreeSet;

use amends_contract::DATA_DEPTH_MAX;
use cel::common::types::{CelBool, CelDouble, CelInt, CelString, Kind};
use cel::common::value::{StaticVal, Val};
use serde_json::{Map, Number, Value};

use super::error::{ExpressionErrorKind as ErrorKind, Failure};
use super::evaluate::Cost;
use crate::limits::RENDERED_BYTES_MAX;

/// How much a template may still render.
pub(crate) struct Room {
    bytes_left: usize,
}

impl Room {
    pub(crate) const fn new() -> Self {
        Self { bytes_left: RENDERED_BYTES_MAX }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| {
            let message = format!("the value has more than {RENDERED_BYTES_MAX} bytes");
            Failure::new(ErrorKind::TooLarge, message)
        })?;
        Ok(())
    }

    /// Quotes, comma, colon: a bracket's or a scalar's share.
    const PUNCTUATION: usize = 4;

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.take(text.len() + Self::PUNCTUATION)?;
        if text.contains('\0') {
            return Err(Failure::new(ErrorKind::NulCharacter, "a text contains the character U+0000"));
        }
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), Failure> {
        self.take(Self::PUNCTUATION)
    }

    /// A list or a map with `levels` left for it and what is in it; gives how many are left inside.
    fn container(&mut self, levels: usize) -> Result<usize, Failure> {
        self.take(Self::PUNCTUATION)?;
        levels.checked_sub(1).ok_or_else(|| {
            let message = format!("the value is nested more than {DATA_DEPTH_MAX} levels deep");
            Failure::new(ErrorKind::TooLarge, message)
        })
    }
}

/// Whether JSON that is in scope may be brought, with at most so many levels of lists and maps.
pub(super) fn admit(value: &Value, room: &mut Room, levels: usize) -> Result<(), Failure> {
    match value {
        Value::Null | Value::Bool(_) => room.scalar(),
        Value::Number(number) => {
            room.scalar()?;
            if number.is_u64() && number.as_i64().is_none() { Err(integer_too_large()) } else { Ok(()) }
        }
        Value::String(text) => room.text(text),
        Value::Array(items) => {
            let inside = room.container(levels)?;
            items.iter().try_for_each(|item| admit(item, room, inside))
        }
        Value::Object(map) => {
            let inside = room.container(levels)?;
            map.iter().try_for_each(|(key, item)| {
                room.text(key)?;
                admit(item, room, inside)
            })
        }
    }
}

/// The interpreter's value as JSON, with at most so many levels of lists and maps.
pub(super) fn to_json(val: &dyn Val, room: &mut Room, levels: usize) -> Result<Value, Failure> {
    match val.get_type().kind() {
        Kind::NullType => room.scalar().map(|()| Value::Null),
        Kind::Boolean => {
            room.scalar()?;
            scalar::<CelBool, _>(val, |value| Value::Bool(*value.inner()))
        }
        Kind::Int => {
            room.scalar()?;
            scalar::<CelInt, _>(val, |value| Value::from(*value.inner()))
        }
        Kind::UInt => Err(integer_too_large()),
        Kind::Double => {
            room.scalar()?;
            let number = scalar::<CelDouble, _>(val, |value| Number::from_f64(*value.inner()))?;
            let not_finite = || Failure::new(ErrorKind::NotJson, "the number is not finite");
            number.map(Value::Number).ok_or_else(not_finite)
        }
        Kind::String => {
            let text = text(val).ok_or_else(|| not_json(val))?;
            room.text(text)?;
            Ok(Value::String(text.to_owned()))
        }
        Kind::List => {
            let inside = room.container(levels)?;
            let mut items = val.as_iterable().ok_or_else(|| not_json(val))?.iter();
            let mut list = Vec::new();
            while let Some(item) = items.next() {
                list.push(to_json(item, room, inside)?);
            }
            Ok(Value::Array(list))
        }
        Kind::Map => {
            let inside = room.container(levels)?;
            let fields = val.as_indexer().ok_or_else(|| not_json(val))?;
            let mut object = Map::new();
            for key in keys(val)? {
                room.text(&key)?;
                let item = fields.get(&CelString::from(key.as_str())).map_err(Failure::from)?;
                object.insert(key.clone(), to_json(item.as_ref(), room, inside)?);
            }
            Ok(Value::Object(object))
        }
        _ => Err(not_json(val)),
    }
}

/// Whether two values are the same: lists by their elements, maps by their fields, numbers by their
/// value whatever their type.
pub(super) fn same(a: &dyn Val, b: &dyn Val, cost: &Cost) -> Result<bool, Failure> {
    cost.spend(1)?;
    match (a.get_type().kind(), b.get_type().kind()) {
        (Kind::List, Kind::List) => same_lists(a, b, cost),
        (Kind::Map, Kind::Map) => same_maps(a, b, cost),
        _ => {
            if let (Some(a), Some(b)) = (text(a), text(b)) {
                cost.spend(a.len().min(b.len()))?;
            }
            Ok(a.equals(b))
        }
    }
}

fn same_lists(a: &dyn Val, b: &dyn Val, cost: &Cost) -> Result<bool, Failure> {
    let mut a = a.as_iterable().ok_or_else(|| not_json(a))?.iter();
    let mut b = b.as_iterable().ok_or_else(|| not_json(b))?.iter();
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ok(true),
            (Some(a), Some(b)) if same(a, b, cost)? => {}
            _ => return Ok(false),
        }
    }
}

fn same_maps(a: &dyn Val, b: &dyn Val, cost: &Cost) -> Result<bool, Failure> {
    let names = keys(a)?;
    cost.spend(names.len())?;
    if names != keys(b)? {
        return Ok(false);
    }
    let a = a.as_indexer().ok_or_else(|| not_json(a))?;
    let b = b.as_indexer().ok_or_else(|| not_json(b))?;
    for name in &names {
        let name = CelString::from(name.as_str());
        let (a, b) = (a.get(&name).map_err(Failure::from)?, b.get(&name).map_err(Failure::from)?);
        if !same(a.as_ref(), b.as_ref(), cost)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The keys, sorted. Only texts are keys: an expression with another key is refused when it is loaded.
fn keys(map: &dyn Val) -> Result<BTreeSet<String>, Failure> {
    let mut keys = map.as_iterable().ok_or_else(|| not_json(map))?.iter();
    let mut sorted = BTreeSet::new();
    while let Some(key) = keys.next() {
        sorted.insert(text(key).ok_or_else(|| not_json(key))?.to_owned());
    }
    Ok(sorted)
}

pub(super) fn text(val: &dyn Val) -> Option<&str> {
    val.downcast_ref::<CelString<'_>>().map(CelString::inner)
}

/// Reads a scalar that has the type it says to have.
fn scalar<T: StaticVal, R>(val: &dyn Val, read: impl FnOnce(&T) -> R) -> Result<R, Failure> {
    val.as_any().and_then(|any| any.downcast_ref::<T>()).map(read).ok_or_else(|| not_json(val))
}

fn not_json(val: &dyn Val) -> Failure {
    Failure::new(ErrorKind::NotJson, format!("a value of type {} is no JSON", val.get_type().name()))
}

fn integer_too_large() -> Failure {
    Failure::new(ErrorKind::Overflow, "a whole number does not fit 64 bits with a sign")
}
