//! `amends demo`: five orders with five fates, over real services and a real broker, and an audit.
//!
//! A stranger types one command and sees orders settle, kills included; a machine runs the same with
//! `--once` and believes the exit code.
//!
//! Invariant: when it ends, however it is ended but by kill -9, no process and no file of it is left; and
//! even then the kernel ends its processes.

mod books;
mod broker;
mod child;
mod databases;
mod fates;
mod logs;
mod play;
mod ports;
mod scratch;
mod services;
mod stage;
mod world;

use std::{path::PathBuf, time::Duration};

use amends_audit::{Audit, Expectations};
use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{BOOKS, ITEMS},
    cli::Demo,
    commands::audit,
    output::say,
};
use fates::FATES;
use stage::Stage;
use world::{Clients, World};

/// How often the services are looked at while nobody does anything.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs it: whether all was as it should be.
pub(crate) async fn run(command: &Demo) -> anyhow::Result<bool> {
    let mut world = World::new(Stage::stdout())?;
    logs::init(&world.scratch.log())?;
    let interrupted = signals(world.scratch.path().to_owned())?;
    let shown = tokio::select! {
        shown = Box::pin(show(command, &mut world)) => shown,
        // To be ended is how the demo ends; a check that was interrupted has checked nothing.
        () = interrupted.cancelled() => Ok(!command.once),
    };
    let stage = world.stage;
    if shown.is_err() {
        for (log, lines) in world.troubles() {
            stage.note(&format!("troubles in {log}:\n{lines}"));
        }
    }
    if interrupted.is_cancelled() {
        stage.note("ending: services drain, then everything is removed");
    }
    let left = world.remove().await;
    for error in &left {
        say(&format!("left behind: {error:#}"));
    }
    Ok(shown? && left.is_empty())
}

/// Plays the orders and checks the books; without `--once` it then stays open, until interrupted.
async fn show(command: &Demo, world: &mut World) -> anyhow::Result<bool> {
    let clients = world.start(command.processes).await?;
    let mut placed = Vec::new();
    for fate in &FATES {
        placed.push(play::play(fate, world, &clients).await?);
    }
    let charges = clients.provider.all("v1/books", &BOOKS, None).await?;
    let stock = clients.inventory.all("inventory", &ITEMS, None).await?;
    let mails = clients.mail.get("mails", &[]).await?;
    let mails = mails.as_array().context("the mail catcher gives a list")?;
    let mut checks = books::audit(&placed, &charges, &stock, mails);
    checks.push(auditor(world, &clients).await?);
    world.stage.checks("The books", &checks);
    let all_good = checks.iter().all(|(ok, _)| *ok);
    if command.once {
        return Ok(all_good);
    }
    world.stage.boxed(&places(&clients, world));
    world.stage.plain(&suggestions(&clients));
    loop {
        world.alive().await?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the auditor says, who believes no service and reads all databases and streams.
async fn auditor(world: &mut World, clients: &Clients) -> anyhow::Result<books::Check> {
    let sources = amends_audit::Sources {
        mail_catcher: Some(clients.places.mail_catcher.clone()),
        ..audit::books(world.services()?.config()?)
    };
    let report = Audit::open(sources).await?.run(&Expectations::settled()).await?;
    for finding in &report.findings {
        tracing::error!(%finding, "the auditor has found something");
    }
    let seen = report.counters;
    let said = match report.findings.first() {
        Some(finding) => finding.to_string(),
        None => "nothing is wrong".to_owned(),
    };
    let looked =
        format!("{} sagas, {} journal entries, {} commands", seen.sagas, seen.entries, seen.stored_commands);
    Ok((report.is_clean(), format!("audit: {looked}: {said}")))
}

/// Where everything is, and for how long.
fn places(clients: &Clients, world: &World) -> Vec<String> {
    let places = &clients.places;
    let mut lines = vec!["The shop is open. Ctrl-C ends it.".to_owned(), String::new()];
    lines.extend(places.urls.iter().map(|(name, url)| format!("{name:<18}{url}")));
    lines.push(format!("{:<18}{}", "broker", places.broker));
    lines.push(format!("{:<18}{}", "API key", places.key));
    lines.push(String::new());
    lines.push("Gone with Ctrl-C: all of it, the key included.".to_owned());
    lines.push(format!("{:<18}{}", "databases", places.databases));
    lines.push(format!("{:<18}{}", "files and logs", world.scratch.path().display()));
    lines
}

/// What to type next, outside of the box, to be copied.
fn suggestions(clients: &Clients) -> Vec<String> {
    let places = &clients.places;
    let order = r#"{"customer_id":"me","email":"me@shop.example","lines":[{"sku":"TEA-1","quantity":1,"unit_price":{"amount":850,"currency":"EUR"}}]}"#;
    let program = std::env::current_exe().map_or("amends".to_owned(), |path| path.display().to_string());
    vec![
        "Try an order, and look at it as an operator does:".to_owned(),
        format!("export AMENDS_API_KEY={} AMENDS_ADMIN_URL={}", places.key, places.admin),
        format!(
            "curl -s {}v1/orders -H \"Authorization: Bearer $AMENDS_API_KEY\" -H 'Idempotency-Key: my-first' -H 'Prefer: wait=5' -H 'Content-Type: application/json' -d '{order}'",
            places.orders
        ),
        format!("'{program}' saga ls"),
    ]
}

/// A token that is cancelled by the first signal to end. The second ends at once: the kernel takes the
/// processes along, and the files are removed here.
fn signals(scratch: PathBuf) -> anyhow::Result<CancellationToken> {
    const INTERRUPTED: i32 = 130;
    let listen = |kind| signal(kind).context("no signals can be listened for");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let token = CancellationToken::new();
    let first = token.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            if first.is_cancelled() {
                let _ = std::fs::remove_dir_all(&scratch);
                std::process::exit(INTERRUPTED);
            }
            first.cancel();
        }
    });
    Ok(token)
}
