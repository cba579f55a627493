//! `amends participant ls|pause|resume`, by the admin API.
//!
//! Invariant: `--json` shows what the API said, unchanged.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{Api, text},
    cli::{Participant, ParticipantCommand, WhyParticipant},
    output::Output,
};

pub(super) async fn run(command: &Participant, output: &mut Output) -> anyhow::Result<bool> {
    let api = Api::new(&command.api.url, command.api.api_key.clone())?;
    match &command.command {
        ParticipantCommand::Ls { json } => ls(&api, *json, output).await?,
        ParticipantCommand::Pause { why, span } => {
            let mut body = json!({ "action": "pause", "reason": why.reason });
            if let Some(span) = span {
                body["for_s"] = json!(span.seconds());
            }
            act(&api, why, &body, output).await?;
        }
        ParticipantCommand::Resume { why } => {
            act(&api, why, &json!({ "action": "resume", "reason": why.reason }), output).await?;
        }
    }
    Ok(true)
}

async fn ls(api: &Api, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let list = api.get("v1/participants", &[]).await?;
    if json {
        return Ok(output.json(&list)?);
    }
    let items = list["participants"].as_array().context("the answer has no participants")?;
    let row = |item: &Value| {
        let instances = item["instances"].as_array().map_or(0, Vec::len).to_string();
        let counts =
            ["/consumer/waiting", "/consumer/backlog", "/consumer/ack_pending", "/consumer/redelivered"];
        let counts = counts.iter().map(|pointer| text(item, pointer));
        [text(item, "/name"), instances].into_iter().chain(counts).chain([paused(item)]).collect::<Vec<_>>()
    };
    let heading = ["PARTICIPANT", "INSTANCES", "WAITING", "BACKLOG", "UNACKED", "REDELIVERED", "PAUSED"];
    Ok(output.table(&heading, &items.iter().map(row).collect::<Vec<_>>())?)
}

/// By whom, until when and why; a dash for one that goes on.
fn paused(item: &Value) -> String {
    if item["pause"].is_object() {
        return by(&item["pause"]);
    }
    match item["consumer"]["paused_ms"].as_u64() {
        Some(ms) if ms > 0 => format!("at the broker by hand, for {} s more", ms.div_ceil(1_000)),
        _ => "-".to_owned(),
    }
}

fn by(pause: &Value) -> String {
    let end = match text(pause, "/until").as_str() {
        "-" => String::new(),
        until => format!(" until {until}"),
    };
    format!("by {}{end}: {}", text(pause, "/actor"), text(pause, "/reason"))
}

async fn act(api: &Api, why: &WhyParticipant, body: &Value, output: &mut Output) -> anyhow::Result<()> {
    let path = format!("v1/participants/{}/actions", why.name);
    let said = api.send(Method::POST, &path, body, None).await?;
    if why.json {
        return Ok(output.json(&said)?);
    }
    let holds = match &said["pause"] {
        Value::Null => "goes on".to_owned(),
        pause => format!("is paused {}", by(pause)),
    };
    let later = if said["applied"] == true { "" } else { "; the broker is told as soon as it is there" };
    Ok(output.line(format_args!("{} {holds}{later}", why.name))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_who_paused_a_participant() {
        let pause = json!({ "actor": "ada", "reason": "it moves", "since": "S" });
        assert_eq!(paused(&json!({ "pause": pause, "consumer": { "paused_ms": 5 } })), "by ada: it moves");
        let ends = json!({ "actor": "ada", "reason": "it moves", "until": "T" });
        assert_eq!(paused(&json!({ "pause": ends })), "by ada until T: it moves");
        let by_hand = json!({ "consumer": { "paused_ms": 1_001 } });
        assert_eq!(paused(&by_hand), "at the broker by hand, for 2 s more");
        assert_eq!(paused(&json!({ "consumer": { "paused_ms": 0 } })), "-");
    }
}
