//! Whether the sagas that definitions call are there to be called.
//!
//! A running step that calls a saga nobody knows waits for it to be deployed; but most often it is a slip of
//! the pen, and whoever deploys it should hear of it at once.
//!
//! Invariant: all files are looked at before any of them is stored, so that a slip costs no version.

use std::collections::BTreeSet;

use amends_contract::{DefinitionRef, Token};
use amends_definition::{Call, ChildSaga, Definition, Step, Undo};

/// A call of a saga that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{definition}: the step {step} calls the saga {}, which is neither in this folder nor in the database; \
     put its file beside this one, or mend the name{}",
    saga(call),
    if call.version.is_some() { " or the version" } else { "" }
)]
pub struct UnknownCall {
    definition: DefinitionRef,
    step: Token,
    call: ChildSaga,
}

/// The calls of sagas that are neither among `definitions` nor `stored`.
pub fn unknown_calls<'d>(
    definitions: impl Iterator<Item = &'d Definition> + Clone,
    stored: impl IntoIterator<Item = DefinitionRef>,
) -> Vec<UnknownCall> {
    let known: BTreeSet<DefinitionRef> =
        stored.into_iter().chain(definitions.clone().map(Definition::reference)).collect();
    let is_known = |call: &ChildSaga| {
        known.iter().any(|reference| {
            reference.name == call.address.command
                && call.version.is_none_or(|version| version == reference.version)
        })
    };
    let steps = definitions.flat_map(|definition| {
        let steps = definition.steps.iter().chain(&definition.on_compensated);
        steps.map(move |step| (definition, step))
    });
    let unknown = steps.flat_map(|(definition, step)| {
        let unknown = calls(step).filter(|call| !is_known(call)).cloned();
        unknown.map(|call| UnknownCall { definition: definition.reference(), step: step.name.clone(), call })
    });
    unknown.collect()
}

/// The sagas that a step calls: as its action, and as its undo.
fn calls(step: &Step) -> impl Iterator<Item = &ChildSaga> {
    let undo = match &step.undo {
        Some(Undo::Call { call, .. }) => Some(call),
        _ => None,
    };
    [Some(&step.call), undo].into_iter().flatten().filter_map(|call| match call {
        Call::Saga(child) => Some(child),
        Call::Command(_) | Call::Await(_) => None,
    })
}

fn saga(call: &ChildSaga) -> String {
    match call.version {
        Some(version) => format!("{}.v{version}", call.address.command),
        None => call.address.command.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, step: &str) -> Definition {
        let text =
            format!("saga: {name}\nversion: 1\nsteps:\n  - {{ name: only, kind: compensatable, {step} }}\n");
        Definition::compile("test.yaml", &text, &|_| Err("none".to_owned())).unwrap()
    }

    fn said(step: &str, stored: &[&str]) -> Option<String> {
        let definitions =
            [definition("parent", step), definition("child", "call: shop.sell, undo: shop.take")];
        let stored = stored.iter().map(|reference| reference.parse().unwrap());
        unknown_calls(definitions.iter(), stored).first().map(ToString::to_string)
    }

    #[test]
    fn a_call_of_nobody_is_named_with_its_place() {
        let undo = "undo: none, because: it is a test";
        assert_eq!(said(&format!("call: {{ saga: child }}, {undo}"), &[]), None);
        assert_eq!(said(&format!("call: {{ saga: child, version: 1 }}, {undo}"), &[]), None);
        assert_eq!(said(&format!("call: {{ saga: child, version: 2 }}, {undo}"), &["child.v2"]), None);
        assert_eq!(
            said(&format!("call: {{ saga: child, version: 2 }}, {undo}"), &["other.v2"]).unwrap(),
            "parent.v1: the step only calls the saga child.v2, which is neither in this folder nor in the \
             database; put its file beside this one, or mend the name or the version"
        );
        let unknown = said("call: { saga: child }, undo: { saga: chidl }", &[]).unwrap();
        assert!(unknown.contains("the step only calls the saga chidl, which"), "{unknown}");
    }
}
