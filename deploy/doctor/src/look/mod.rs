//! Brings the facts: asks broker, databases, files and this machine.
//!
//! Invariant: nothing here writes or judges, and no answer that fails to come stops the others.

mod broker;
mod database;
mod definitions;
mod disk;
mod machine;
mod orchestrator;

use std::time::Duration;

use futures::future::join_all;

use crate::{
    deployment::{Deployment, ORCHESTRATOR},
    facts::{Database, Facts},
};

/// All facts.
pub(crate) async fn all(deployment: &Deployment, patience: Duration) -> Result<Facts, amends_broker::Error> {
    let files = deployment.orchestrator.as_ref().map(definitions::of_folder);
    let stored = async {
        match &deployment.orchestrator {
            Some(config) => Some(orchestrator::facts(config, files.as_ref(), patience).await),
            None => None,
        }
    };
    let (stored, databases) = tokio::join!(Box::pin(stored), Box::pin(databases(deployment, patience)));
    let mut facts = Facts {
        broker: Err("it was not asked".to_owned()),
        orchestrator: stored,
        files,
        databases,
        machine: machine::facts(),
    };
    // Which consumers there should be, the definitions say.
    facts.broker = Box::pin(broker::facts(deployment, &facts, patience)).await?;
    Ok(facts)
}

async fn databases(deployment: &Deployment, patience: Duration) -> Vec<Database> {
    let orchestrator = deployment.orchestrator.iter().map(|config| {
        let pool = config.database.connections_max();
        (ORCHESTRATOR, config.database.url.as_str(), pool, None)
    });
    let participants = deployment.participants.iter().map(|participant| {
        let migrations = Some(participant.migrations.as_slice());
        (participant.name, participant.url.as_str(), participant.connections_max, migrations)
    });
    let looks =
        orchestrator.chain(participants).map(|(owner, url, connections_max, migrations)| async move {
            let seen = match migrations {
                None => {
                    database::facts(owner, url, database::Schema::Orchestrator(deployment), patience).await
                }
                Some(names) => database::facts(owner, url, database::Schema::Names(names), patience).await,
            };
            Database { owner, place: amends_service::config::redact_url(url), connections_max, seen }
        });
    join_all(looks).await
}
