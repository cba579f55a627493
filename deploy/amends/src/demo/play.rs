//! Plays one order: places it, shows its steps as they are journalled, does its twist, waits for its end.
//!
//! Invariant: it waits for conditions, and for no longer than anything could take; a service that ends by
//! itself ends the wait.

use std::time::{Duration, Instant};

use amends_contract::Timestamp;
use amends_engine::JournalEntry;
use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    books::{Placed, verdict},
    fates::{Fate, Twist},
    stage::Stage,
    world::{Clients, World},
};
use crate::{
    api::{BOOKS, JOURNAL},
    narrate,
    role::Role,
};

/// How often the journal is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// The slowest order takes some seconds; one that takes this long is stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// Plays it; the order as it ended.
pub(crate) async fn play(
    fate: &'static Fate,
    world: &mut World,
    clients: &Clients,
) -> anyhow::Result<Placed<'static>> {
    world.stage.scene(fate.title, fate.expected);
    if fate.twist == Some(Twist::KillPayment) {
        forget_answers(clients, true).await?;
    }
    let started = Instant::now();
    let once = format!("demo-{}-{}", world.run, fate.email);
    let order = clients.shop.send(Method::POST, "v1/orders", &fate.order(), Some(&once)).await?;
    let id = order["id"].as_str().context("an accepted order has an id")?.to_owned();
    let mut shown = Shown { seen: 0, first_at: None };
    let mut twisted = false;
    loop {
        world.alive().await?;
        if fate.twist == Some(Twist::KillPayment) && !twisted && is_charged(clients, &id).await? {
            shown.journal(world.stage, clients, &id).await?;
            kill_payment(world, clients, started).await?;
            twisted = true;
        }
        // First the order, then the journal: when the order has ended, the journal says so, too.
        let order = clients.shop.get(&format!("v1/orders/{id}"), &[]).await?;
        shown.journal(world.stage, clients, &id).await?;
        if order["status"] != "pending" {
            let (ok, found) = verdict(fate, &order);
            world.stage.verdict(ok, &found);
            return Ok(Placed { fate, id, order });
        }
        if started.elapsed() > PATIENCE {
            bail!("order {id} does not end: {order}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What of a journal has been shown.
struct Shown {
    seen: u64,
    /// The moment of its first entry, from which the others are counted.
    first_at: Option<Timestamp>,
}

impl Shown {
    async fn journal(&mut self, stage: Stage, clients: &Clients, id: &str) -> anyhow::Result<()> {
        let path = format!("v1/sagas/{id}/journal");
        for entry in clients.admin.all(&path, &JOURNAL, Some(self.seen.to_string())).await? {
            let entry: JournalEntry = serde_json::from_value(entry).context("a journal entry")?;
            self.seen = entry.seq;
            let first_at = *self.first_at.get_or_insert(entry.at);
            let after = Duration::from_millis(entry.at.ms_since(first_at));
            for line in narrate::entry(&entry) {
                stage.step(after, &line);
            }
        }
        Ok(())
    }
}

/// Makes the provider charge and keep its answer to itself, or stops it doing so.
async fn forget_answers(clients: &Clients, forget: bool) -> anyhow::Result<()> {
    let switches = json!({ "timeout_after_charge": forget });
    clients.provider.send(Method::PUT, "v1/switches", &switches, None).await.map(|_| ())
}

/// Whether the provider has taken the money for this order.
async fn is_charged(clients: &Clients, id: &str) -> anyhow::Result<bool> {
    let charges = clients.provider.all("v1/books", &BOOKS, None).await?;
    let is_its = |charge: &Value| charge["key"].as_str().is_some_and(|key| key.starts_with(id));
    Ok(charges.iter().any(is_its))
}

async fn kill_payment(world: &mut World, clients: &Clients, started: Instant) -> anyhow::Result<()> {
    let pid = world.services()?.kill(Role::Payment).await?;
    world.stage.blow(started.elapsed(), &format!("kill -9 {pid}: payment is dead, and the money is taken"));
    forget_answers(clients, false).await?;
    world.services()?.start(Role::Payment)?;
    world.stage.blow(started.elapsed(), "payment is started again");
    Ok(())
}
