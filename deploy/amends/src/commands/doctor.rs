//! `amends doctor`: does this deployment keep what Amends needs, and what would be lost in which failure?
//!
//! Invariant: it only reads, and goes on when parts are down.

use std::time::Duration;

use amends_doctor::{Area, Deployment, Finding, Level, Participant, Report};
use amends_participant::Pools;
use amends_service::HttpConfig;
use serde_json::{Map, Value, json};

use crate::{
    cli::{Doctor, Examined, Settings},
    config::{self, Config},
    output::Output,
};

/// Whether it passes.
pub(crate) async fn run(command: &Doctor, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let deployment = deployment(command, config::load(settings)?.value);
    let report = Box::pin(amends_doctor::examine(&deployment, Duration::from_secs(command.wait))).await?;
    match command.json {
        true => tell_programs(&report, output)?,
        false => tell_people(&report, command.quiet, output)?,
    }
    Ok(report.passes(command.strict))
}

fn deployment(command: &Doctor, config: Config) -> Deployment {
    let wanted = |role| command.roles.is_empty() || command.roles.contains(&role);
    let Config { nats, orchestrator, inventory, payment, notification, .. } = config;
    let mut participants = Vec::new();
    if wanted(Examined::Inventory) {
        let of = (inventory.database.url, inventory.pools, inventory.http, inventory.participant);
        participants.push(participant("inventory", of, amends_inventory::migrations()));
    }
    if wanted(Examined::Payment) {
        let of = (payment.database.url, payment.pools, payment.http, payment.participant);
        participants.push(participant("payment", of, amends_payment::migrations()));
    }
    if wanted(Examined::Notification) {
        let of = (notification.database.url, notification.pools, notification.http, notification.participant);
        participants.push(participant("notification", of, amends_notification::migrations()));
    }
    Deployment { nats, orchestrator: wanted(Examined::Orchestrator).then_some(orchestrator), participants }
}

fn participant(
    name: &'static str,
    (url, pools, http, config): (String, Pools, HttpConfig, amends_participant::Config),
    migrations: Vec<String>,
) -> Participant {
    Participant {
        name,
        url,
        connections_max: pools.readers_max.saturating_add(pools.writers_max),
        http,
        horizon_s: config.horizon_s,
        purge_margin_s: config.purge_margin_s,
        event_kept_s: config.event_kept_s,
        batch_count_max: config.batch_count_max,
        migrations,
    }
}

fn tell_people(report: &Report, quiet: bool, output: &mut Output) -> anyhow::Result<()> {
    for area in Area::ALL {
        let shown = |finding: &&Finding| finding.area == area && (!quiet || finding.level > Level::Note);
        let findings: Vec<&Finding> = report.findings.iter().filter(shown).collect();
        if findings.is_empty() {
            continue;
        }
        output.line(area.as_str())?;
        for finding in findings {
            output.line(format_args!("  {:<8} {}", finding.level.as_str(), finding.found))?;
            for (word, text) in [("why", &finding.why), ("do", &finding.remedy)] {
                if let Some(text) = text {
                    output.line(format_args!("  {:<8} {word}: {text}", ""))?;
                }
            }
        }
        output.line("")?;
    }
    if !quiet {
        output.line("what would be lost")?;
        for loss in &report.losses {
            output.line(format_args!("  {}", loss.failure))?;
            output.line(format_args!("    lost: {}", loss.lost))?;
            output.line(format_args!("    then: {}", loss.then))?;
        }
        output.line("")?;
    }
    let counts = report.counts();
    let count = |level| counts.get(&level).copied().unwrap_or(0);
    Ok(output.line(format_args!(
        "{} errors, {} warnings, {} not looked at, {} notes, {} ok",
        count(Level::Error),
        count(Level::Warning),
        count(Level::Unseen),
        count(Level::Note),
        count(Level::Ok)
    ))?)
}

fn tell_programs(report: &Report, output: &mut Output) -> anyhow::Result<()> {
    for finding in &report.findings {
        output.json(finding)?;
    }
    let counts: Map<String, Value> =
        report.counts().into_iter().map(|(level, count)| (level.as_str().to_owned(), json!(count))).collect();
    Ok(output.json(&json!({ "summary": { "counts": counts, "losses": report.losses } }))?)
}
