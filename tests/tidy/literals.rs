//! The rule that names of the wire stand in `shared/contract` only.
//!
//! A subject that is written twice is written differently once. Tests are free: they play the outside
//! world, which knows the names from docs/PROTOCOL.md.

use proc_macro2::{Literal, TokenTree};

use crate::{
    Finding, Source,
    code::{line, walk, without_tests},
};

/// Beginnings of the kinds of subjects; behind them stands a name, a wildcard or a `{placeholder}`.
const KINDS: [&str; 5] = ["cmd.", "reply.", "event.", "dead.", "svc."];
const STREAMS: [&str; 4] = ["_CMD", "_REPLY", "_EVENT", "_DEAD"];
const HEADERS: [&str; 4] = ["nats-msg-id", "traceparent", "application/cloudevents", "nats-expected-"];

/// No subject, stream or header as a literal outside the contract.
pub(crate) fn wire_names(source: &Source) -> Vec<Finding> {
    if source.path.starts_with("shared/contract/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    walk(without_tests(source), &mut |_, token| {
        let TokenTree::Literal(literal) = token else { return };
        if let Some(text) = text(literal).filter(|text| is_wire_name(text)) {
            let what = format!("{text:?} is a name of the wire: take it from shared/contract");
            findings.push(Finding::at_line(&source.path, line(literal.span()), what));
        }
    });
    findings
}

fn text(literal: &Literal) -> Option<String> {
    match syn::Lit::new(literal.clone()) {
        syn::Lit::Str(text) => Some(text.value()),
        syn::Lit::ByteStr(text) => String::from_utf8(text.value()).ok(),
        _ => None,
    }
}

fn is_wire_name(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let subject = |text: &str| {
        let bare = text.strip_prefix("amends.").unwrap_or(text);
        KINDS.iter().any(|kind| {
            bare.strip_prefix(kind).is_some_and(|rest| {
                rest.starts_with(|c: char| c.is_ascii_lowercase() || "*>{".contains(c)) && !rest.contains(' ')
            })
        })
    };
    subject(text)
        || STREAMS.iter().any(|stream| text.ends_with(stream))
        || HEADERS.iter().any(|header| lower.contains(header))
}

#[test]
fn names_of_the_wire_are_found() {
    let found = |text: &str| wire_names(&Source::new("shared/broker/src/a.rs", text)).len();
    assert_eq!(found(r#"fn f() { g("amends.cmd.inventory.>"); h(format!("reply.{who}")); }"#), 2);
    assert_eq!(found(r#"const A: &str = "AMENDS_CMD"; fn f() { g("Nats-Msg-Id", b"traceparent") }"#), 3);
    assert_eq!(
        found(
            r#"/// Sends to `amends.cmd.x`.
        fn f() { g("the event. And more", "commands", "event") }"#
        ),
        0
    );
    assert_eq!(found(r#"#[test] fn f() { g("amends.cmd.inventory.>"); }"#), 0);
}
