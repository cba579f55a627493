//! Reading what the broker delivers: commands for us, or dead letters with a reason.
//!
//! Invariant: every message in a delivery becomes one of the two, whatever is in it; one that cannot be read harms
//! no other.

use std::sync::Arc;

use amends_broker::Delivery;
use amends_contract::{
    COMMAND_BYTES_MAX, Cause, Command, DeadLetter, DeadReason, Envelope, Names, OfPart, Stream, Token, sift,
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
    pub(crate) dead: Vec<(DeadLetter, Arc<Parcel>)>,
    /// There was nothing in it at all.
    pub(crate) empty: Option<Arc<Parcel>>,
}

/// Reads a delivery; `message` is the same, to be acknowledged.
pub(crate) fn read(core: &Core, names: &Names, delivery: &Delivery, message: Box<dyn Acknowledge>) -> Read {
    let understand = |envelope, text: &[u8]| command(core, names, delivery, envelope, text.len());
    let (commands, reasons) = sift(&delivery.body, understand);
    let parcel = Parcel::new(message, (commands.len() + reasons.len()).max(1));
    let traceparent = delivery.traceparent().map(str::to_owned);
    let cause = Some(Cause { stream_seq: delivery.stream_seq, delivery: delivery.delivered });
    let task = |(_, command)| Task {
        command,
        cause,
        traceparent: traceparent.clone(),
        parcel: Some(Arc::clone(&parcel)),
    };
    let tasks: Vec<Task> = commands.into_iter().map(task).collect();
    let empty = (tasks.is_empty() && reasons.is_empty()).then(|| Arc::clone(&parcel));
    let dead = reasons.into_iter();
    let dead = dead.map(|reason| (dead_letter(&core.name, names, delivery, reason), Arc::clone(&parcel)));
    Read { tasks, dead: dead.collect(), empty }
}

fn dead_letter(
    name: &Token,
    names: &Names,
    delivery: &Delivery,
    (part, reason): OfPart<DeadReason>,
) -> DeadLetter {
    counter!(meter::DEAD, "reason" => reason.code.clone()).increment(1);
    tracing::warn!(
        subject = delivery.subject,
        seq = delivery.stream_seq,
        element = part.element(),
        reason = reason.message,
        "set aside"
    );
    let origin = delivery.origin(names.stream(Stream::Command), part);
    DeadLetter::new(name.clone(), delivery.stored_at, reason, origin)
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
