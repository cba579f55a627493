//! `amends saga retry|skip-wait|cancel|compensate|pause|resume|edit|settle|abandon`, `signal` and `start`.
//!
//! Invariant: whether an action is legal is the orchestrator's to say; here its words are only passed on.

use std::{fs, io::Read as _, path::Path};

use amends_contract::SagaId;
use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    api::Api,
    cli::{Abandon, Edit, Settle, Signal, Start, Why},
    output::{Output, say},
};

/// What an operator should know before it is too late.
const ABANDONING: &str = "`abandon` ends the saga without finishing or undoing what has happened: money may be \
                          taken and stock reserved for nothing, and you have to put that right by hand. It cannot \
                          be taken back, and the saga says so for ever";

/// An action that says nothing but its name.
pub(super) async fn plain(api: &Api, action: &str, why: &Why, output: &mut Output) -> anyhow::Result<()> {
    act(api, why, json!({ "action": action }), output).await
}

pub(super) async fn edit(api: &Api, edit: &Edit, output: &mut Output) -> anyhow::Result<()> {
    let body = json!({
        "action": "edit-and-retry",
        "step": edit.step,
        "effect": edit.effect.name(),
        "data": read_json(&edit.data)?,
    });
    act(api, &edit.why, body, output).await
}

pub(super) async fn settle(api: &Api, settle: &Settle, output: &mut Output) -> anyhow::Result<()> {
    let mut body = json!({ "action": "settle-step", "step": settle.step, "effect": settle.effect.name() });
    if let Some(file) = &settle.output {
        body["output"] = read_json(file)?;
    }
    act(api, &settle.why, body, output).await
}

pub(super) async fn abandon(api: &Api, abandon: &Abandon, output: &mut Output) -> anyhow::Result<()> {
    if !abandon.yes {
        bail!("{ABANDONING}. If that is what you want, say --yes; nothing was done");
    }
    plain(api, "abandon", &abandon.why, output).await
}

async fn act(api: &Api, why: &Why, mut body: Value, output: &mut Output) -> anyhow::Result<()> {
    body["reason"] = json!(why.reason);
    let saga = api.send(Method::POST, &format!("v1/sagas/{}/actions", why.id), &body, None).await?;
    if why.json {
        return Ok(output.json(&saga)?);
    }
    in_short(why.id, &saga, output)
}

pub(super) async fn signal(api: &Api, signal: &Signal, output: &mut Output) -> anyhow::Result<()> {
    let data = match (&signal.data, &signal.file) {
        (Some(text), _) => serde_json::from_str(text)
            .context("DATA is no JSON; a text needs quotes within the quotes: '\"yes\"'")?,
        (None, Some(file)) => read_json(file)?,
        (None, None) => Value::Null,
    };
    let path = format!("v1/sagas/{}/signals/{}", signal.id, signal.name);
    let saga = api.send(Method::POST, &path, &data, None).await?;
    if signal.json {
        return Ok(output.json(&saga)?);
    }
    in_short(signal.id, &saga, output)
}

/// Starts a saga; without a key of the caller's own, calling twice starts two.
pub(super) async fn start(api: &Api, start: &Start, output: &mut Output) -> anyhow::Result<()> {
    let mut body = json!({ "definition": start.definition });
    // As definitions are named everywhere else: `order`, or `order.v2`.
    if let Some((name, version)) = start.definition.rsplit_once(".v")
        && let Ok(version) = version.parse::<u32>()
    {
        body["definition"] = json!(name);
        body["version"] = json!(version);
    }
    if let Some(file) = &start.input {
        body["input"] = read_json(file)?;
    }
    if let Some(at) = start.start_at {
        body["start_at"] = json!(at);
    }
    let key = start.key.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let saga = api.send(Method::POST, "v1/sagas", &body, Some(&key)).await?;
    if start.json {
        return Ok(output.json(&saga)?);
    }
    say(&format!("follow it: amends saga watch {}", saga["id"].as_str().unwrap_or_default()));
    Ok(output.line(saga["id"].as_str().context("the answer has no id")?)?)
}

/// How the saga stands after it.
fn in_short(id: SagaId, saga: &Value, output: &mut Output) -> anyhow::Result<()> {
    let status = saga["status"].as_str().context("the answer has no status")?;
    let flags: Vec<&str> = saga["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let flags = if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(", ")) };
    Ok(output.line(format_args!("{id}: {status}{flags}"))?)
}

/// A file of JSON; `-` is standard input.
fn read_json(file: &Path) -> anyhow::Result<Value> {
    let name = file.display();
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        text
    } else {
        fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?
    };
    serde_json::from_str(&text).with_context(|| format!("{name} is no JSON"))
}
