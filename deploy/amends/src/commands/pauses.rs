//! `amends definition ls|pause|resume`: what the orchestrator has loaded, and whether its sagas go on.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::Api,
    cli::{DefinitionList, PauseDefinition},
    output::Output,
};

pub(super) async fn ls(list: &DefinitionList, output: &mut Output) -> anyhow::Result<()> {
    let api = Api::new(&list.api.url, list.api.api_key.clone())?;
    let page = api.get("v1/definitions", &[]).await?;
    if list.json {
        return Ok(output.json(&page)?);
    }
    let items = page["definitions"].as_array().context("the answer has no definitions")?;
    let row = |item: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let paused = match &item["paused"] {
            Value::Null => "-".to_owned(),
            pause => format!("since {}: {}", text(&pause["since"]), text(&pause["reason"])),
        };
        let name = format!("{}.v{}", text(&item["name"]), item["version"]);
        vec![name, text(&item["digest"]), paused, text(&item["description"])]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    Ok(output.table(&["DEFINITION", "DIGEST", "PAUSED", "DESCRIPTION"], &rows)?)
}

/// `what` is `pause` or `resume`.
pub(super) async fn say(what: &str, command: &PauseDefinition, output: &mut Output) -> anyhow::Result<()> {
    let api = Api::new(&command.api.url, command.api.api_key.clone())?;
    let path = format!("v1/definitions/{}/{what}", command.name);
    let said = api.send(Method::POST, &path, &json!({ "reason": command.reason }), None).await?;
    if command.json {
        return Ok(output.json(&said)?);
    }
    let holds =
        if said["paused"] == true { "is paused: no new saga begins, open ones pause" } else { "goes on" };
    Ok(output.line(format_args!("{} {holds}", command.name))?)
}
