//! Words on the wire, in paths, queries and cursors: names, ids, moments, digests.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use amends_contract::{DefinitionRef, Digest, EffectId, Names, SagaId, StepRef, Timestamp, Token};
use amends_fuzz::{Edited, Text, target};

use crate::one_bounded_line;

/// One of each, as it is written.
const GOOD: [&str; 7] = [
    "reserve-stock",
    "ship.12",
    "order.v1",
    "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10",
    "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/ship.12/undo/3",
    "2026-11-21T08:02:49.123+01:00",
    "15ad79303dad6529a1ab545d293326b32e7bd88178cd21470e58d05afdfc928e",
];

#[test]
fn any_text() {
    target!(Text, |text: &Text| all(&text.get()));
}

#[test]
fn an_edited_text() {
    target!(Edited, |edited: &Edited| all(&edited.text(GOOD[edited.of(GOOD.len())])));
}

fn all(text: &str) {
    one_spelling::<Token>(text);
    one_spelling::<StepRef>(text);
    one_spelling::<DefinitionRef>(text);
    one_spelling::<SagaId>(text);
    one_spelling::<EffectId>(text);
    one_spelling::<Digest>(text);
    // A moment has several spellings; they mean the same.
    if let Some(moment) = parsed::<Timestamp>(text) {
        assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
    }
    subjects(text);
}

/// Ids are compared as text in databases and logs, so there is one way to write them.
fn one_spelling<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) {
    if let Some(value) = parsed::<T>(text) {
        assert_eq!(value.to_string(), text);
        assert_eq!(text.parse::<T>().ok(), Some(value));
    }
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Option<T> {
    text.parse().map_err(|error: T::Err| one_bounded_line(&error.to_string())).ok()
}

/// What becomes part of a subject cannot add a level to it, nor a wildcard.
fn subjects(text: &str) {
    match Names::new(text) {
        Ok(names) => {
            assert_eq!(names.service(&Token::new("list").unwrap()).split('.').count(), 4, "{text:?}")
        }
        Err(error) => one_bounded_line(&error.to_string()),
    }
    let Ok(token) = Token::new(text) else { return };
    let names = Names::default();
    for subject in [names.command(&token, &token), names.event(&token, &token)] {
        assert_eq!(subject.split('.').count(), 4, "{subject}");
        assert!(!subject.contains(['*', '>', ' ', '\r', '\n']), "{subject}");
    }
}
