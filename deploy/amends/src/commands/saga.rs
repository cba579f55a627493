//! `amends saga`: what an operator asks first, by the admin API; what an operator does stands in `act`.
//!
//! Invariant: `--json` shows what the API said, unchanged.

use std::time::Duration;

use amends_contract::SagaId;
use amends_engine::{JournalEntry, Status};
use anyhow::Context;
use serde_json::Value;

use super::act;
use crate::{
    api::{Api, JOURNAL, text},
    cli::{Saga, SagaCommand, SagaList},
    narrate,
    output::Output,
};

/// How often a watched saga is looked at: fast enough for eyes, slow enough for the server.
const LOOK_EVERY: Duration = Duration::from_millis(300);

pub(crate) async fn run(command: &Saga, output: &mut Output) -> anyhow::Result<bool> {
    let api = Api::new(&command.api.url, command.api.api_key.clone())?;
    match &command.command {
        SagaCommand::Ls(list) => ls(&api, list, output).await.map(|()| true),
        SagaCommand::Show { id, json } => show(&api, *id, *json, output).await.map(|()| true),
        SagaCommand::Watch { id, json } => watch(&api, *id, *json, output).await,
        change => self::change(&api, change, output).await.map(|()| true),
    }
}

async fn change(api: &Api, command: &SagaCommand, output: &mut Output) -> anyhow::Result<()> {
    match command {
        SagaCommand::Ls(_) | SagaCommand::Show { .. } | SagaCommand::Watch { .. } => Ok(()),
        SagaCommand::Start(start) => act::start(api, start, output).await,
        SagaCommand::Signal(signal) => act::signal(api, signal, output).await,
        SagaCommand::Retry(why) => act::plain(api, "retry-now", why, output).await,
        SagaCommand::SkipWait(why) => act::plain(api, "skip-wait", why, output).await,
        SagaCommand::Cancel(why) => act::plain(api, "cancel", why, output).await,
        SagaCommand::Compensate(why) => act::plain(api, "compensate", why, output).await,
        SagaCommand::Pause(why) => act::plain(api, "pause", why, output).await,
        SagaCommand::Resume(why) => act::plain(api, "resume", why, output).await,
        SagaCommand::Edit(edit) => act::edit(api, edit, output).await,
        SagaCommand::Settle(settle) => act::settle(api, settle, output).await,
        SagaCommand::Abandon(abandon) => act::abandon(api, abandon, output).await,
    }
}

async fn ls(api: &Api, list: &SagaList, output: &mut Output) -> anyhow::Result<()> {
    let filters = [
        ("status", &list.status),
        ("flag", &list.flag),
        ("definition", &list.definition),
        ("cursor", &list.cursor),
    ];
    let given = filters.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name, value)));
    let query: Vec<_> = given.chain([("limit", list.limit.to_string())]).collect();
    let page = api.get("v1/sagas", &query).await?;
    if list.json {
        return Ok(output.json(&page)?);
    }
    let items = page["sagas"].as_array().context("the answer has no sagas")?;
    let row = |saga: &Value| {
        vec![
            text(saga, "/id"),
            text(saga, "/definition"),
            text(saga, "/status"),
            flags(saga),
            text(saga, "/failure/code"),
            text(saga, "/started_at"),
        ]
    };
    output.table(
        &["SAGA", "DEFINITION", "STATUS", "FLAGS", "FAILURE", "STARTED"],
        &items.iter().map(row).collect::<Vec<_>>(),
    )?;
    if let Some(next) = page["next_cursor"].as_str() {
        crate::output::say(&format!("more: --cursor {next}"));
    }
    Ok(())
}

async fn show(api: &Api, id: SagaId, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let saga = api.get(&format!("v1/sagas/{id}"), &[]).await?;
    if json {
        let journal = journal(api, id, 0).await?;
        return Ok(output.json(&serde_json::json!({ "saga": saga, "journal": journal }))?);
    }
    for (name, pointer) in [
        ("saga", "/id"),
        ("definition", "/definition"),
        ("status", "/status"),
        ("failure", "/failure/code"),
        ("at step", "/failure/step"),
        ("detail", "/failure/detail"),
        ("started", "/started_at"),
        ("updated", "/updated_at"),
        ("begins", "/start_at"),
        ("deadline", "/deadline_at"),
        ("paused", "/paused/since"),
        ("paused by", "/paused/by"),
        ("output", "/output"),
        ("no output", "/output_error"),
    ] {
        let value = text(&saga, pointer);
        if value != "-" {
            output.line(format_args!("{name:<11}{value}"))?;
        }
    }
    if flags(&saga) != "-" {
        output.line(format_args!("{:<11}{}", "flags", flags(&saga)))?;
    }
    for wait in saga["awaiting"].as_array().into_iter().flatten() {
        let until = wait["until"].as_str().map(|until| format!(" until {until}")).unwrap_or_default();
        output.line(format_args!(
            "{:<11}{} for {}{until}",
            "awaiting",
            text(wait, "/signal"),
            text(wait, "/step")
        ))?;
    }
    for step in saga["steps"].as_array().into_iter().flatten() {
        for effect in ["/action", "/undo"] {
            if let Some(why) = hangs(step, effect) {
                output.line(format_args!("{:<11}{}: {why}", "hangs", text(step, "/name")))?;
            }
        }
    }
    let allowed: Vec<_> =
        saga["allowed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !allowed.is_empty() {
        output.line(format_args!("{:<11}{}", "allowed", allowed.join(", ")))?;
    }
    for entry in journal(api, id, 0).await? {
        narrate_entry(&entry, output)?;
    }
    Ok(())
}

/// Why an effect of a step does not go on by itself, or what is still wanted of it.
fn hangs(step: &Value, effect: &str) -> Option<String> {
    let (effect, word) = (step.pointer(effect)?, if effect == "/undo" { "undo " } else { "" });
    match (effect["state"].as_str()?, &effect["held_by"], &effect["wanted"]["action"]) {
        ("stuck", _, _) => {
            Some(format!("{word}stuck: {}: {}", text(effect, "/code"), text(effect, "/detail")))
        }
        (_, _, Value::String(action)) => {
            Some(format!("{word}{action} is wanted, once its old attempt is closed"))
        }
        (_, Value::String(by), _) => {
            let who = effect["away"].as_str().map(|name| format!(" {name}")).unwrap_or_default();
            Some(format!("{word}held by {by}{who}"))
        }
        _ => None,
    }
}

/// Follows the journal until the saga has ended; whether it completed.
async fn watch(api: &Api, id: SagaId, json: bool, output: &mut Output) -> anyhow::Result<bool> {
    let mut seen = 0;
    loop {
        // First the state, then the journal: when the state is an end, the journal has it.
        let saga = api.get(&format!("v1/sagas/{id}"), &[]).await?;
        let status: Status = text(&saga, "/status").parse()?;
        for entry in journal(api, id, seen).await? {
            seen = entry["seq"].as_u64().context("a journal entry has no seq")?;
            if json {
                output.json(&entry)?;
            } else {
                narrate_entry(&entry, output)?;
            }
        }
        if status.is_terminal() {
            return Ok(status == Status::Completed);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The journal behind `seen`.
async fn journal(api: &Api, id: SagaId, seen: u64) -> anyhow::Result<Vec<Value>> {
    api.all(&format!("v1/sagas/{id}/journal"), &JOURNAL, Some(seen.to_string())).await
}

fn narrate_entry(entry: &Value, output: &mut Output) -> anyhow::Result<()> {
    let entry: JournalEntry = serde_json::from_value(entry.clone()).context(
        "a journal entry of another version: use --json, or an `amends` of the orchestrator's version",
    )?;
    for line in narrate::entry(&entry) {
        let step = line.step.as_ref().map(ToString::to_string).unwrap_or_default();
        output.line(format_args!("{}  {step:<18}{}", entry.at, line.text))?;
    }
    Ok(())
}

/// The names of the flags that are set.
fn flags(saga: &Value) -> String {
    let set: Vec<&str> = saga["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if set.is_empty() { "-".to_owned() } else { set.join(",") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flags_are_shown_by_name() {
        assert_eq!(flags(&json!({ "flags": ["held", "overdue"] })), "held,overdue");
        assert_eq!(flags(&json!({ "flags": [] })), "-");
    }
}
