//! `amends definition plan`: what a new version would have made of recent sagas.
//!
//! Invariant: it reads the orchestrator's database and changes nothing, also beside a running orchestrator.

use amends_contract::DefinitionRef;
use amends_server::{
    core::load_file,
    plan::{self, Plan, Recent},
};
use amends_store::{Access, Store};
use serde_json::json;

use crate::{
    cli::{self, Settings},
    config,
    output::{Output, say},
};

/// Sagas in flight that are listed for people.
const LISTED_MAX: usize = 20;

pub(crate) async fn run(
    command: &cli::Plan,
    settings: &Settings,
    output: &mut Output,
) -> anyhow::Result<bool> {
    let config = config::load(settings)?.value.orchestrator;
    let after = match load_file(&command.file, config.horizon_s) {
        Ok(after) => after,
        Err(error) => {
            say(&error.to_string());
            return Ok(false);
        }
    };
    let store = Store::connect(&config.database, Access::ReadOnly).await?;
    store.check_schema().await?;
    let since = match &command.since {
        Some(since) => Some(since.moment(store.now().await?)),
        None => None,
    };
    let plan = plan::run(&store, &after, Recent { count: command.count, since }).await?;
    store.close().await;
    let definition = after.definition.reference();
    if command.json {
        output.json(&json!({ "definition": definition, "plan": plan }))?;
    } else {
        show(&definition, &plan, output)?;
    }
    Ok(true)
}

fn show(definition: &DefinitionRef, plan: &Plan, output: &mut Output) -> anyhow::Result<()> {
    let Plan { sagas, in_flight, same, other_times, .. } = plan;
    let more = if plan.more_in_flight { " (there are more: --count)" } else { "" };
    let differ: u64 = plan.differing.iter().map(|group| group.sagas).sum();
    let times = match other_times {
        0 => String::new(),
        count => format!(" ({count} of them at other times or with other attempts)"),
    };
    output.line(format_args!(
        "{definition} against {sagas} sagas of other versions, {in_flight} of them in flight{more}"
    ))?;
    output.line(format_args!("{same} the same{times}; {differ} differ"))?;
    if plan.not_compared > 0 {
        output.line(format_args!(
            "{} not compared: another engine decided them, or they cannot be read (`amends verify`)",
            plan.not_compared
        ))?;
    }
    if differ > 0 {
        let rows = plan.differing.iter().map(|group| {
            let examples: Vec<String> = group.examples.iter().map(ToString::to_string).collect();
            vec![group.sagas.to_string(), at(group.step.as_ref()), group.how.clone(), examples.join(" ")]
        });
        output.table(&["SAGAS", "STEP", "HOW", "SUCH AS"], &rows.collect::<Vec<_>>())?;
    }
    let listed = &plan.differing_in_flight;
    if !listed.is_empty() {
        output.line("in flight:")?;
        let rows = listed.iter().take(LISTED_MAX).map(|saga| {
            vec![
                saga.saga.to_string(),
                saga.definition.to_string(),
                saga.status.to_string(),
                saga.seq.to_string(),
                at(saga.step.as_ref()),
                saga.how.clone(),
            ]
        });
        output.table(&["SAGA", "DEFINITION", "STATUS", "ENTRY", "STEP", "HOW"], &rows.collect::<Vec<_>>())?;
        if listed.len() > LISTED_MAX {
            output.line(format_args!("and {} more: --json lists them all", listed.len() - LISTED_MAX))?;
        }
    }
    output.line("running sagas stay on the version that they began with; only new ones start on this one")?;
    Ok(())
}

fn at(step: Option<&String>) -> String {
    step.cloned().unwrap_or_else(|| "-".to_owned())
}
