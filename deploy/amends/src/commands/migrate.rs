//! `amends migrate`: brings databases to this version's schema.
//!
//! Each service does the same when it starts; this is for those who want it done, or refused, before.
//!
//! Invariant: a SQLite database that an orchestrator is using is left alone.

use amends_store::{Access, Store};
use anyhow::Context;
use serde_json::json;

use crate::{
    cli::{Migrate, Owner, Settings},
    config,
    output::Output,
};

const ALL: [Owner; 4] = [Owner::Orchestrator, Owner::Inventory, Owner::Payment, Owner::Notification];

pub(crate) async fn run(command: &Migrate, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let config = config::load(settings)?.value;
    let owners = if command.services.is_empty() { &ALL[..] } else { &command.services };
    for owner in owners {
        match owner {
            Owner::Orchestrator => orchestrator(&config.orchestrator).await.context("orchestrator")?,
            Owner::Inventory => amends_inventory::migrate(&config.inventory).await.context("inventory")?,
            Owner::Payment => amends_payment::migrate(&config.payment).await.context("payment")?,
            Owner::Notification => {
                amends_notification::migrate(&config.notification).await.context("notification")?;
            }
        }
        if command.json {
            output.json(&json!({ "database": owner.name(), "up_to_date": true }))?;
        } else {
            output.line(format_args!("{}: up to date", owner.name()))?;
        }
    }
    Ok(true)
}

async fn orchestrator(config: &amends_server::Config) -> anyhow::Result<()> {
    let store = Store::connect(&config.database, Access::Exclusive).await?;
    store.migrate().await?;
    store.close().await;
    Ok(())
}
