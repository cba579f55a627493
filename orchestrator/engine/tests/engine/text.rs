//! A saga's doings as text: one block for each input, moments relative to the start.

use std::fmt::Write as _;

use amends_contract::{Command, EffectId, Event, Timestamp};
use amends_engine::{Input, Output, Saga, Transition, Verdict};
use serde_json::{Map, Value};

/// One input and what it led to.
pub(crate) fn block(transition: &Transition, now: Timestamp, start: Timestamp) -> String {
    let input = &transition.entry.input;
    let mut text = format!("{} {}\n", moment(now, start), heading(input));
    if let Verdict::Ignored(why) = transition.verdict {
        let _ = writeln!(text, "  ignored: {}", why.as_str());
        return text;
    }
    for decision in &transition.entry.decisions {
        let Value::Object(fields) = serde_json::to_value(decision).unwrap() else { panic!("no object") };
        let _ = writeln!(text, "  {}", line(fields, start));
    }
    for output in &transition.outputs {
        let _ = match output {
            Output::Send(command) => writeln!(text, "  -> {}", sending(command, start)),
            Output::Emit(event) => writeln!(text, "  !! {}", emission(event)),
        };
    }
    let _ = writeln!(text, "  = {}", standing(&transition.saga, start));
    text
}

fn heading(input: &Input) -> String {
    match input {
        Input::Start { .. } => "start".to_owned(),
        Input::Reply(reply) => {
            let (effect, violation) = (&reply.effect, reply.violation.as_ref());
            let mut outcome = serde_json::to_value(&reply.outcome).unwrap();
            let name = outcome.as_object_mut().unwrap().remove("outcome").unwrap();
            let rest =
                if outcome == Value::Object(Map::new()) { String::new() } else { format!(" {outcome}") };
            let violation = violation.map(|why| format!(" (violates: {why})")).unwrap_or_default();
            let direction = in_epoch(effect);
            let name = name.as_str().unwrap();
            format!("reply {} {direction}#{} {name}{rest}{violation}", effect.step, reply.send_no)
        }
        Input::Timer { blind, down, slots } => {
            let down: Vec<&str> = down.iter().map(|token| token.as_str()).collect();
            let blind = if *blind { " blind" } else { "" };
            let down = if down.is_empty() { String::new() } else { format!(" down: {}", down.join(", ")) };
            let slots: Vec<String> = slots.iter().map(ToString::to_string).collect();
            let slots =
                if slots.is_empty() { String::new() } else { format!(" places: {}", slots.join(", ")) };
            format!("timer{blind}{down}{slots}")
        }
        Input::Release { down } => {
            let down: Vec<&str> = down.iter().map(|token| token.as_str()).collect();
            let down = if down.is_empty() { String::new() } else { format!(" down: {}", down.join(", ")) };
            format!("release{down}")
        }
        Input::Signal { name, data, actor } => format!("signal {name} by {actor}: {data}"),
        Input::Operator { action, actor, reason } => format!("{} by {actor}: {reason}", action.name()),
    }
}

/// `decided reserve-stock do attempts=3 data={...} due_at=+10s`
fn line(mut fields: Map<String, Value>, start: Timestamp) -> String {
    let mut text = String::new();
    for name in ["decision", "step", "effect"] {
        if let Some(value) = fields.remove(name) {
            let _ = write!(text, "{}{}", if text.is_empty() { "" } else { " " }, value.as_str().unwrap());
        }
    }
    for (name, value) in fields {
        let value = match value.as_str() {
            Some(word) => match word.parse::<Timestamp>() {
                Ok(at) => moment(at, start),
                Err(_) if word.contains(' ') => format!("{word:?}"),
                Err(_) => word.to_owned(),
            },
            None => value.to_string(),
        };
        let _ = write!(text, " {name}={value}");
    }
    text
}

/// `inventory.release-stock reserve-stock undo#1 undoes do/1 {...}`
fn sending(command: &Command, start: Timestamp) -> String {
    let effect = &command.effect;
    let undoes = match &command.undoes {
        Some(action) => format!(" undoes {}/{}", action.direction.as_str(), action.epoch),
        None => String::new(),
    };
    format!(
        "{} {} {}#{}{undoes} of {} {}",
        command.address,
        effect.step,
        in_epoch(effect),
        command.send_no,
        moment(command.decided_at, start),
        command.data
    )
}

/// `do`, or `do/2` in a later epoch.
fn in_epoch(effect: &EffectId) -> String {
    match effect.epoch {
        1 => effect.direction.as_str().to_owned(),
        epoch => format!("{}/{epoch}", effect.direction.as_str()),
    }
}

fn emission(event: &Event) -> String {
    let failure = event.data.get("failure").map(|failure| format!(" {failure}")).unwrap_or_default();
    let id = event.id.split_once('/').unwrap().1;
    format!("{}.{} ({id}){failure}", event.entity, event.name)
}

/// `running, held, due +10s`
fn standing(saga: &Saga, start: Timestamp) -> String {
    let flags = saga.flags();
    let named = [
        (flags.needs_attention, "needs attention"),
        (flags.held, "held"),
        (flags.awaiting, "awaiting"),
        (flags.overdue, "overdue"),
        (flags.paused, "paused"),
        (flags.alarm, "alarm"),
    ];
    let mut text = saga.status().to_string();
    for (_, name) in named.iter().filter(|(set, _)| *set) {
        let _ = write!(text, ", {name}");
    }
    if let Some(due_at) = saga.due_at() {
        let _ = write!(text, ", due {}", moment(due_at, start));
    }
    text
}

/// `+1h`, `+10.2s`
pub(crate) fn moment(at: Timestamp, start: Timestamp) -> String {
    let ms = at.unix_ms() - start.unix_ms();
    match ms {
        _ if ms != 0 && ms % 3_600_000 == 0 => format!("{:+}h", ms / 3_600_000),
        _ if ms % 1000 == 0 => format!("{:+}s", ms / 1000),
        _ => format!("{:+}ms", ms),
    }
}
