//! `starts_on`: the event that starts sagas, and what becomes of it.

use amends_contract::Token;

use crate::Rule;
use crate::draft::{At, StartsOnDraft};
use crate::node::Node;
use crate::report::Report;

use super::fields::{Fields, Words};
use super::template::template;
use super::values::{quoted, text};

pub(super) const STARTS_ON: Words = Words { what: "`starts_on`", known: &["event", "input"] };

/// Reads `starts_on`.
pub(super) fn read(report: &mut Report, node: &Node) -> Option<StartsOnDraft> {
    let fields = Fields::read(report, node, &STARTS_ON)?;
    let event = fields.require(report, "event", "say which: `event: cart.checked-out`");
    let input = fields.require(report, "input", "say what the saga gets: `input: =event.data`");
    Some(StartsOnDraft {
        event: event.and_then(|node| event_name(report, node)),
        input: input.map(|node| template(report, node)),
    })
}

/// `entity.past-participle`.
fn event_name(report: &mut Report, node: &Node) -> Option<At<(Token, Token)>> {
    let remedy = "write what it happened to and what happened: `cart.checked-out`";
    let text = text(report, node, "an event", remedy)?;
    let tokens = text
        .split_once('.')
        .and_then(|(entity, name)| Some((Token::new(entity).ok()?, Token::new(name).ok()?)));
    if tokens.is_none() {
        let message = format!("{} is not the name of an event", quoted(text));
        report.add(node.span.clone(), Rule::StartsOn, message, remedy);
    }
    tokens.map(|tokens| At::new(tokens, node.span.clone()))
}
