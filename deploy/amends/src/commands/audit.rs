//! `amends audit`: do the books of all services, the provider, the mail server and the streams agree?
//!
//! Invariant: it only reads, beside running services, and says what it did not look at.

use amends_audit::{Expectations, Other, Report, Sources};
use amends_contract::Token;
use anyhow::Context as _;
use serde_json::json;

use crate::{
    cli::{Audit, Book, Settings},
    config::{self, Config},
    output::Output,
};

/// Whether nothing was found.
pub(crate) async fn run(command: &Audit, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let config = config::load(settings)?.value;
    let horizon_ms = config.orchestrator.horizon_s.saturating_mul(1_000);
    let audit = amends_audit::Audit::open(sources(command, config)?).await?;
    let expectations = Expectations {
        since: match command.since {
            Some(since) => Some(since.moment(audit.now().await?)),
            None => None,
        },
        lease_ms: command.lease.saturating_mul(1_000),
        sends_factor: command.sends_factor,
        settled: command.settled,
        horizon_ms,
        ..Expectations::default()
    };
    let report = audit.run(&expectations).await?;
    match command.json {
        true => tell_programs(&report, output)?,
        false => tell_people(&report, output)?,
    }
    Ok(report.is_clean())
}

/// Every book that the configuration names.
pub(crate) fn books(config: Config) -> Sources {
    Sources {
        orchestrator: config.orchestrator.database,
        inventory: Some(config.inventory.database.url),
        payment: Some(config.payment.database.url),
        notification: Some(config.notification.database.url),
        others: Vec::new(),
        provider: Some(config.provider.database.url),
        mail_catcher: None,
        broker: Some(config.nats),
    }
}

fn sources(command: &Audit, config: Config) -> anyhow::Result<Sources> {
    let mut sources = books(config);
    for book in &command.without {
        match book {
            Book::Inventory => sources.inventory = None,
            Book::Payment => sources.payment = None,
            Book::Notification => sources.notification = None,
            Book::Provider => sources.provider = None,
            Book::Broker => sources.broker = None,
        }
    }
    for (name, url) in &command.participant {
        let name = Token::new(name).with_context(|| format!("--participant {name}"))?;
        sources.others.push(Other { name, url: url.clone() });
    }
    sources.mail_catcher.clone_from(&command.mail_catcher);
    Ok(sources)
}

fn tell_people(report: &Report, output: &mut Output) -> anyhow::Result<()> {
    for finding in &report.findings {
        output.line(finding)?;
    }
    for (invariant, count) in &report.found {
        let (title, kept) = (invariant.title(), report.of(*invariant).count() as u64);
        let more = if *count > kept { format!(", {} not shown", count - kept) } else { String::new() };
        output.line(format_args!("{invariant} does not hold: {title}: {count} findings{more}"))?;
    }
    for what in &report.left_behind {
        output.line(format_args!("left behind by an abandoned saga: {what}"))?;
    }
    output.line(format_args!("looked at {}", report.looked_at.join(", ")))?;
    for (name, count) in report.counters.list().into_iter().filter(|(_, count)| *count > 0) {
        output.line(format_args!("  {name:<24}{count:>12}"))?;
    }
    if report.is_clean() {
        output.line("nothing is wrong")?;
    }
    Ok(())
}

fn tell_programs(report: &Report, output: &mut Output) -> anyhow::Result<()> {
    for finding in &report.findings {
        output.json(finding)?;
    }
    let summary = json!({
        "found": report.found,
        "left_behind": report.left_behind,
        "looked_at": report.looked_at,
        "counters": report.counters,
    });
    Ok(output.json(&json!({ "summary": summary }))?)
}
