//! Rows for PostgreSQL as arrays of their columns: each column is one parameter, and a statement has the same words
//! however many rows it takes, so that it is prepared once. A single row is bound as it is, which the server is done
//! with in half the time.
//!
//! Invariant: what comes out of the table is what went in, NULLs included.

use sea_orm::sea_query::{ArrayType, Value};

/// The parameters of a statement in the making.
#[derive(Default)]
pub(super) struct Arrays {
    parameters: Vec<Value>,
}

/// A column of rows that are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given<'a> {
    pub(super) name: &'a str,
    pub(super) null: Null,
}

/// What of a column may be NULL. The library's arrays have no NULLs, so that something must stand for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Null {
    Never,
    /// Any value, or none.
    Maybe,
    /// None, or a text that is not empty.
    OrText,
}

impl Arrays {
    /// The rows, of which there is at least one, as a table `v` with these columns.
    pub(super) fn table(&mut self, columns: &[Given<'_>], rows: &[&[Value]]) -> String {
        match rows {
            [row] => self.one(columns, row),
            rows => self.many(columns, rows),
        }
    }

    fn one(&mut self, columns: &[Given<'_>], row: &[Value]) -> String {
        let mut values = Vec::with_capacity(row.len());
        for (Given { name, .. }, value) in columns.iter().zip(row) {
            self.parameters.push(value.clone());
            values.push(format!("${}::{} AS {name}", self.parameters.len(), type_of(&value.array_type())));
        }
        format!("(SELECT {}) AS v", values.join(", "))
    }

    fn many(&mut self, columns: &[Given<'_>], rows: &[&[Value]]) -> String {
        let (mut arrays, mut values, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (place, Given { name, null }) in columns.iter().enumerate() {
            let of = rows.first().map_or(ArrayType::String, |row| row[place].array_type());
            let value = match (&of, null) {
                (_, Null::Never) | (ArrayType::Uuid | ArrayType::Bool, _) => format!("u.{name}"),
                (ArrayType::BigInt, _) => format!("NULLIF(u.{name}, {NO_NUMBER})"),
                (_, Null::OrText) => format!("NULLIF(u.{name}, '')"),
                (_, Null::Maybe) => format!("CASE WHEN u.{name} = '' THEN NULL ELSE substr(u.{name}, 2) END"),
            };
            let sql = type_of(&of);
            let elements = rows.iter().map(|row| element(&row[place], *null)).collect();
            self.parameters.push(Value::Array(of, Some(Box::new(elements))));
            arrays.push(format!("${}::{sql}[]", self.parameters.len()));
            values.push(format!("{value} AS {name}"));
            names.push(*name);
        }
        let (arrays, values, names) = (arrays.join(", "), values.join(", "), names.join(", "));
        format!("(SELECT {values} FROM UNNEST({arrays}) AS u ({names})) AS v")
    }

    pub(super) fn into_parameters(self) -> Vec<Value> {
        self.parameters
    }
}

/// Columns none of which is ever NULL.
pub(super) fn never_null<'a>(names: &[&'a str]) -> Vec<Given<'a>> {
    names.iter().map(|name| Given { name, null: Null::Never }).collect()
}

/// What the server calls a type.
const fn type_of(values: &ArrayType) -> &'static str {
    match values {
        ArrayType::Uuid => "uuid",
        ArrayType::Bool => "boolean",
        ArrayType::BigInt => "bigint",
        _ => "text",
    }
}

/// Stands for a number that is none. No counter and no moment is that small. As an expression, for the literal would be
/// a sign and a number that is one too large.
const NO_NUMBER: &str = "(-9223372036854775807 - 1)";

/// The element of an array that stands for a value: where it may be NULL, a text has a character before it, unless it is
/// never empty, and NULL is empty.
fn element(value: &Value, null: Null) -> Value {
    match (value, null) {
        (Value::String(None), Null::Maybe | Null::OrText) => String::new().into(),
        (Value::String(Some(text)), Null::Maybe) => format!("={text}").into(),
        (Value::BigInt(None), Null::Maybe | Null::OrText) => i64::MIN.into(),
        (value, _) => value.clone(),
    }
}
