//! Holds replies against the schemas of their steps, before the engine sees them.
//!
//! Invariant: what a reply is found to break becomes part of the input, so that a replay needs no schema.

use amends_contract::{Direction, Outcome};
use amends_definition::Definition;
use amends_engine::ReplyInput;

/// The reply, with what is wrong with it if its output breaks the schema of its step.
pub(crate) fn checked(reply: ReplyInput, definition: &Definition) -> ReplyInput {
    if reply.violation.is_some() {
        return reply;
    }
    let schema = definition.step(reply.effect.step.name.as_str()).and_then(|step| step.reply_schema.as_ref());
    let violation = match (&reply.outcome, schema, reply.effect.direction) {
        (Outcome::Succeeded { output }, Some(schema), Direction::Forward) => schema.check(output).err(),
        _ => None,
    };
    ReplyInput { violation, ..reply }
}
