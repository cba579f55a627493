//! `amends key create|ls|revoke`: API keys, in the orchestrator's database.
//!
//! Here and not in the API, because the first key has to come from somewhere, and whoever may write the
//! database may do anything already.
//!
//! Invariant: a key's text is printed once, by `create`, and nowhere else.

use amends_server::keys::{self, KeyText, Scope};
use amends_store::{Access, ApiKey, Store};
use serde_json::json;

use crate::{
    cli::{Key, Settings},
    config,
    output::{Output, say},
};

pub(crate) async fn run(command: &Key, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let config = config::load(settings)?.value.orchestrator;
    match command {
        Key::Create { scope, name, json } => {
            let text = create(&config, name, scope).await?;
            if *json {
                output.json(
                    &json!({ "key": text.reveal(), "prefix": text.prefix(), "name": name, "scopes": scope }),
                )?;
            } else {
                // For people beside it, so that `KEY=$(amends key create ..)` takes the key alone.
                say("This is the only time that the key is shown:");
                output.line(text.reveal())?;
            }
        }
        Key::Ls { json } => {
            let store = open(&config, Access::ReadOnly).await?;
            let keys = keys::list(&store).await?;
            store.close().await;
            if *json {
                output.json(&keys.iter().map(as_json).collect::<Vec<_>>())?;
            } else {
                let rows: Vec<_> = keys.iter().map(as_row).collect();
                output.table(&["KEY", "NAME", "SCOPES", "MADE", "LAST USED", "REVOKED"], &rows)?;
            }
        }
        Key::Revoke { prefix, json } => {
            let store = open(&config, Access::Shared).await?;
            let key = keys::revoke(&store, prefix).await?;
            store.close().await;
            if *json {
                output.json(&as_json(&key))?;
            } else {
                output.line(format_args!("{} ({}) opens nothing any more", key.prefix, key.name))?;
            }
        }
    }
    Ok(true)
}

/// Makes a key; the database and its tables, too, if this comes first.
pub(crate) async fn create(
    config: &amends_server::Config,
    name: &str,
    scopes: &[Scope],
) -> anyhow::Result<KeyText> {
    let store = open(config, Access::Shared).await?;
    store.migrate().await?;
    let created = keys::create(&store, name, scopes).await?;
    store.close().await;
    Ok(created.text)
}

async fn open(config: &amends_server::Config, access: Access) -> anyhow::Result<Store> {
    Ok(Store::connect(&config.database, access).await?)
}

fn as_json(key: &ApiKey) -> serde_json::Value {
    json!({
        "prefix": key.prefix,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    })
}

fn as_row(key: &ApiKey) -> Vec<String> {
    let moment = |at: Option<amends_contract::Timestamp>| at.map_or("-".to_owned(), |at| at.to_string());
    vec![
        key.prefix.clone(),
        key.name.clone(),
        key.scopes.join(","),
        key.created_at.to_string(),
        moment(key.last_used_at),
        moment(key.revoked_at),
    ]
}
