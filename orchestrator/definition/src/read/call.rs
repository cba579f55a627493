//! Whom a step or an undo calls: a participant, or another saga.

use amends_contract::{Address, FENCE, ORCHESTRATOR, Token};

use crate::draft::At;
use crate::node::{Node, Yaml};
use crate::report::Report;
use crate::{Call, ChildSaga, Rule};

use super::fields::{Fields, Words};
use super::values::{address, token, whole};

pub(super) const SAGA: Words = Words { what: "a call of a saga", known: &["saga", "version"] };

/// `participant.command`, or `{ saga: name, version: 2 }`; `what` is how messages call it.
pub(super) fn read(report: &mut Report, node: &Node, what: &str) -> Option<At<Call>> {
    match &node.yaml {
        Yaml::Map(_) => {
            let fields = Fields::read(report, node, &SAGA)?;
            saga(report, &fields)
        }
        _ => {
            let address = address(report, node, what)?;
            Some(At::new(Call::Command(address.value), address.span))
        }
    }
}

/// The words `saga` and `version` of a mapping.
pub(super) fn saga(report: &mut Report, fields: &Fields<'_>) -> Option<At<Call>> {
    let name = fields.require(report, "saga", "say which: `call: { saga: return-order }`");
    let version = fields.get("version").map(|node| whole(report, node, "the version", 1..=u32::MAX));
    let name = name.and_then(|node| token(report, node, "the name of a saga"))?;
    if name.value == FENCE {
        let message =
            format!("a saga called `{FENCE}` cannot be called: its name is a command of the protocol");
        report.add(name.span, Rule::Reserved, message, "give the saga another name");
        return None;
    }
    let version = match version {
        Some(version) => Some(version?),
        None => None,
    };
    let participant = Token::new(ORCHESTRATOR).unwrap_or_else(|_| unreachable!("it is a token"));
    let address = Address { participant, command: name.value };
    Some(At::new(Call::Saga(ChildSaga { address, version }), name.span))
}
