//! `amends dead-letter ls|show|redrive|discard`, by the admin API.
//!
//! Invariant: `--json` shows what the API said, unchanged.

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{Api, text},
    cli::{DeadLetter, DeadLetterCommand, DeadLetterList, WhyLetter},
    output::{Output, say},
};

pub(super) async fn run(command: &DeadLetter, output: &mut Output) -> anyhow::Result<bool> {
    let api = Api::new(&command.api.url, command.api.api_key.clone())?;
    match &command.command {
        DeadLetterCommand::Ls(list) => ls(&api, list, output).await?,
        DeadLetterCommand::Show { number, json } => show(&api, *number, *json, output).await?,
        DeadLetterCommand::Redrive(why) => act(&api, "redrive", why, output).await?,
        DeadLetterCommand::Discard(why) => act(&api, "discard", why, output).await?,
    }
    Ok(true)
}

async fn ls(api: &Api, list: &DeadLetterList, output: &mut Output) -> anyhow::Result<()> {
    let filters = [
        ("state", list.state.clone()),
        ("code", list.code.clone()),
        ("participant", list.participant.clone()),
        ("subject", list.subject.clone()),
        ("cursor", list.cursor.map(|cursor| cursor.to_string())),
        ("limit", Some(list.limit.to_string())),
    ];
    let query: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let page = api.get("v1/dead-letters", &query).await?;
    if list.json {
        return Ok(output.json(&page)?);
    }
    let items = page["dead_letters"].as_array().context("the answer has no dead letters")?;
    let row = |letter: &Value| {
        let element = letter["element"].as_u64().map(|number| format!("#{number}")).unwrap_or_default();
        let place = format!("{} {}{element}", text(letter, "/stream"), text(letter, "/stream_seq"));
        ["/number", "/state", "/code", "/participant", "/subject"]
            .iter()
            .map(|pointer| text(letter, pointer))
            .chain([place, text(letter, "/at"), text(letter, "/detail")])
            .collect::<Vec<_>>()
    };
    let heading = ["NUMBER", "STATE", "REASON", "SET ASIDE BY", "SUBJECT", "STREAM", "AT", "DETAIL"];
    output.table(&heading, &items.iter().map(row).collect::<Vec<_>>())?;
    if let Some(next) = page["next_cursor"].as_i64() {
        say(&format!("more: --cursor {next}"));
    }
    Ok(())
}

async fn show(api: &Api, number: i64, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let letter = api.get(&format!("v1/dead-letters/{number}"), &[]).await?;
    if json {
        return Ok(output.json(&letter)?);
    }
    for (name, pointer) in [
        ("letter", "/number"),
        ("state", "/state"),
        ("reason", "/code"),
        ("detail", "/detail"),
        ("by", "/participant"),
        ("at", "/at"),
        ("subject", "/subject"),
        ("stream", "/stream"),
        ("sequence", "/stream_seq"),
        ("element", "/element"),
        ("bytes", "/body_bytes"),
        ("kept", "/body_kept_bytes"),
        ("digest", "/body_digest"),
        ("unreadable", "/unreadable"),
    ] {
        let value = text(&letter, pointer);
        if value != "-" {
            output.line(format_args!("{name:<11}{value}"))?;
        }
    }
    for (name, value) in letter["headers"].as_object().into_iter().flatten() {
        output.line(format_args!("{:<11}{name}: {}", "header", value.as_str().unwrap_or_default()))?;
    }
    for action in letter["actions"].as_array().into_iter().flatten() {
        output.line(format_args!("{:<11}{}", "done", deed(action)))?;
    }
    let body = BASE64.decode(text(&letter, "/body_base64")).unwrap_or_default();
    match String::from_utf8(body) {
        Ok(body) => output.line(format_args!("\n{body}"))?,
        Err(_) => output.line(format_args!("{:<11}{}", "base64", text(&letter, "/body_base64")))?,
    }
    Ok(())
}

/// What was done, by whom, when, why, and what came of it.
fn deed(action: &Value) -> String {
    let result = match (&action["outcome"], &action["stream_seq"], &action["detail"]) {
        (_, Value::Number(seq), _) => format!(", sent as {seq}"),
        (_, _, Value::String(why)) => format!(", not sent: {why}"),
        (Value::String(outcome), ..) if outcome == "unknown" => {
            ", cut short: nobody knows whether it was sent; doing it again is safe".to_owned()
        }
        _ => String::new(),
    };
    let [what, at, actor, reason] = ["/action", "/at", "/actor", "/reason"].map(|it| text(action, it));
    format!("{what} at {at} by {actor}: {reason}{result}")
}

async fn act(api: &Api, action: &str, why: &WhyLetter, output: &mut Output) -> anyhow::Result<()> {
    let body = json!({ "action": action, "reason": why.reason });
    let path = format!("v1/dead-letters/{}/actions", why.number);
    let letter = api.send(Method::POST, &path, &body, None).await?;
    if why.json {
        return Ok(output.json(&letter)?);
    }
    let last = letter["actions"].as_array().and_then(|actions| actions.last()).unwrap_or(&Value::Null);
    Ok(output.line(format_args!("{}: {}", why.number, deed(last)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_says_what_came_of_it() {
        let told = |outcome: Value| {
            let mut action = json!({ "action": "redrive", "at": "T", "actor": "ada", "reason": "mended" });
            action.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
            deed(&action)
        };
        let done = "redrive at T by ada: mended";
        assert_eq!(told(json!({ "outcome": "done", "stream_seq": 7 })), format!("{done}, sent as 7"));
        assert_eq!(told(json!({ "outcome": "done" })), done);
        assert_eq!(
            told(json!({ "outcome": "failed", "detail": "no broker" })),
            format!("{done}, not sent: no broker")
        );
        assert!(told(json!({ "outcome": "unknown" })).contains("doing it again is safe"));
    }
}
