//! Reading what the broker delivers: commands for us, or dead letters with a reason.
//!
//! Invariant: every message in a delivery becomes exactly one of the two, whatever is in it; one that
//! cannot be read harms no other.

use std::sync::Arc;

use amends_broker::Delivery;
use amends_contract::{
    COMMAND_BYTES_MAX, Cause, Command, DeadLetter, DeadReason, Envelope, Names, Stream, Token, decode_batch,
};
use metrics::counter;

use crate::{
    core::Core,
    meter,
    task::{Acknowledge, Parcel, Task},
};

/// What was in a delivery.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) tasks: Vec<Task>,
    pub(crate) dead: Option<(DeadLetter, Arc<Parcel>)>,
    /// There was nothing in it at all.
    pub(crate) empty: Option<Arc<Parcel>>,
}

/// Reads a delivery; `message` is the same, to be acknowledged.
pub(crate) fn read(core: &Core, names: &Names, delivery: &Delivery, message: Box<dyn Acknowledge>) -> Read {
    let (commands, reasons) = commands(core, names, delivery);
    let parcel = Parcel::new(message, (commands.len() + usize::from(!reasons.is_empty())).max(1));
    let traceparent = delivery.traceparent().map(str::to_owned);
    let cause = Some(Cause { stream_seq: delivery.stream_seq, delivery: delivery.delivered });
    let task = |command| Task {
        command,
        cause,
        traceparent: traceparent.clone(),
        parcel: Some(Arc::clone(&parcel)),
    };
    let tasks: Vec<Task> = commands.into_iter().map(task).collect();
    let empty = (tasks.is_empty() && reasons.is_empty()).then(|| Arc::clone(&parcel));
    let dead = dead_letter(&core.name, names, delivery, reasons).map(|dead| (dead, parcel));
    Read { tasks, dead, empty }
}

/// One dead letter for all that cannot be read in a delivery: it holds the whole body.
fn dead_letter(
    name: &Token,
    names: &Names,
    delivery: &Delivery,
    reasons: Vec<DeadReason>,
) -> Option<DeadLetter> {
    let more = reasons.len().saturating_sub(1);
    let mut reason = reasons.into_iter().next()?;
    if more > 0 {
        reason.message = format!("{} (and {more} more of the batch)", reason.message);
    }
    counter!(meter::DEAD, "reason" => reason.code.clone()).increment(1);
    tracing::warn!(
        subject = delivery.subject,
        seq = delivery.stream_seq,
        reason = reason.message,
        "set aside"
    );
    Some(DeadLetter::new(
        name.clone(),
        delivery.stored_at,
        reason,
        (names.stream(Stream::Command), delivery.stream_seq),
        delivery.subject.clone(),
        delivery.headers(),
        &delivery.body,
    ))
}

fn commands(core: &Core, names: &Names, delivery: &Delivery) -> (Vec<Command>, Vec<DeadReason>) {
    let mut commands = Vec::new();
    let mut reasons = Vec::new();
    match decode_batch(&delivery.body) {
        Ok(envelopes) => {
            let alone = envelopes.len() == 1;
            for envelope in envelopes {
                let bytes = if alone { delivery.body.len() } else { 0 };
                let envelope = envelope.map_err(|error| DeadReason::from(&error));
                match envelope.and_then(|envelope| command(core, names, delivery, envelope, bytes)) {
                    Ok(command) => commands.push(command),
                    Err(reason) => reasons.push(reason),
                }
            }
        }
        Err(error) => reasons.push(DeadReason::from(&error)),
    }
    (commands, reasons)
}

fn command(
    core: &Core,
    names: &Names,
    delivery: &Delivery,
    envelope: Envelope,
    bytes: usize,
) -> Result<Command, DeadReason> {
    let reason = |code: &str, message: String| DeadReason { code: code.to_owned(), message };
    if bytes > COMMAND_BYTES_MAX {
        let message = format!("the command has {bytes} bytes; at most {COMMAND_BYTES_MAX} are read");
        return Err(reason("too-large", message));
    }
    let command = Command::from_envelope(envelope).map_err(|error| DeadReason::from(&error))?;
    let address = &command.address;
    if address.participant != core.name {
        return Err(reason("unroutable", format!("{address} is not for {}", core.name)));
    }
    if names.message_type(&delivery.subject) != Some(&address.message_type()) {
        return Err(reason("unroutable", format!("it is for {address}, and came on {}", delivery.subject)));
    }
    if !command.is_fence() && !core.routes.contains_key(address.command.as_str()) {
        return Err(reason("unknown-command", format!("{} knows no command {}", core.name, address.command)));
    }
    Ok(command)
}
