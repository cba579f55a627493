//! Asks the broker.
//!
//! Invariant: it observes; no stream or consumer is made.

use std::collections::BTreeMap;
use std::time::Duration;

use amends_broker::{Broker, ConsumerSpec, Start};
use amends_contract::{Stream, Token};
use tokio::time::timeout;

use crate::{
    deployment::{Deployment, ORCHESTRATOR},
    facts::{BrokerFacts, Consumer, Facts, Seen},
};

/// What `nats` shows us as.
const CLIENT: &str = "amends doctor";
/// How long instances have to show themselves: longer than a busy machine takes.
const INSTANCES_WAIT: Duration = Duration::from_secs(1);
/// Only the kind of a consumer's start is compared.
const MINUTES_BACK: u64 = 10;

/// What the broker says; the reason where it cannot be reached.
pub(super) async fn facts(
    deployment: &Deployment,
    known: &Facts,
    patience: Duration,
) -> Result<Seen<BrokerFacts>, amends_broker::Error> {
    let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let nats = amends_broker::Config {
        connect_timeout_ms: deployment.nats.connect_timeout_ms.min(patience_ms),
        request_timeout_ms: deployment.nats.request_timeout_ms.min(patience_ms),
        ..deployment.nats.clone()
    };
    let broker = Broker::observe(&nats, CLIENT).await?;
    if timeout(patience, broker.connected()).await.is_err() {
        let why = broker.health().not_ready().unwrap_or_else(|| "nobody answers".to_owned());
        return Ok(Err(why));
    }
    let Some(server) = broker.server() else { return Ok(Err("the server has not greeted us".to_owned())) };
    let mut streams = BTreeMap::new();
    let mut ahead_ms = None;
    for stream in Stream::ALL {
        let seen = broker.stream_facts(stream).await.map_err(|error| error.to_string());
        ahead_ms = ahead_ms.or_else(|| seen.as_ref().ok()?.as_ref()?.1);
        streams.insert(stream, seen.map(|seen| seen.map(|(facts, _)| facts)));
    }
    let mut consumers = Vec::new();
    for (spec, owner) in expected(deployment, known, &broker) {
        let seen = broker.consumer_facts(&spec).await.map_err(|error| error.to_string());
        consumers.push(Consumer { stream: spec.stream, name: spec.durable, owner, seen });
    }
    let facts = BrokerFacts {
        server,
        account: broker.account().await.map_err(|error| error.to_string()),
        streams,
        consumers,
        permissions: broker.permissions().await.unwrap_or_default(),
        instances: instances(&broker, known).await,
        ahead_ms,
    };
    broker.close().await;
    Ok(Ok(facts))
}

/// The consumers that a running deployment has, each with whose it is.
fn expected(deployment: &Deployment, known: &Facts, broker: &Broker) -> Vec<(ConsumerSpec, String)> {
    let names = broker.names();
    let back = Start::MinutesBack(MINUTES_BACK);
    let spec = |stream, durable: String, filter, start, batch_count_max| {
        (ConsumerSpec { stream, durable: durable.clone(), filter, start, batch_count_max }, durable)
    };
    let mut expected = Vec::new();
    if let Some(config) = &deployment.orchestrator {
        let batch = config.loops.batch_count_max;
        for (stream, start) in [(Stream::Reply, back), (Stream::Dead, Start::Beginning)] {
            expected.push(spec(stream, ORCHESTRATOR.to_owned(), names.all(stream), start, batch));
        }
        let mut newest = BTreeMap::new();
        for definition in known.definitions() {
            newest.insert(definition.name.clone(), definition);
        }
        for definition in newest.values() {
            let Some(event) = &definition.starts_on else { continue };
            let durable = format!("{ORCHESTRATOR}_{}_{}_{}", definition.name, event.entity, event.name);
            let filter = names.event(&event.entity, &event.name);
            let (spec, _) = spec(Stream::Event, durable, filter, Start::Beginning, batch);
            expected.push((spec, ORCHESTRATOR.to_owned()));
        }
    }
    let mut participants = known.called();
    participants.extend(deployment.participants.iter().map(|participant| participant.name.to_owned()));
    for name in participants {
        let Ok(token) = Token::new(&name) else { continue };
        let configured = deployment.participants.iter().find(|participant| participant.name == name);
        let batch = configured.map_or(deployment.nats.batch_count_max, |it| it.batch_count_max);
        expected.push(spec(Stream::Command, name, names.commands_of(&token), back, batch));
    }
    expected
}

/// How many processes of each role show themselves.
async fn instances(broker: &Broker, known: &Facts) -> Seen<BTreeMap<String, usize>> {
    let shown = broker.instances(None, INSTANCES_WAIT).await.map_err(|error| error.to_string())?;
    let mut counted = BTreeMap::new();
    let roles = known.called().into_iter().chain([ORCHESTRATOR.to_owned()]);
    for role in roles {
        let Ok(token) = Token::new(&role) else { continue };
        let service = broker.names().service_name(&token);
        counted.insert(role, shown.iter().filter(|instance| instance.name == service).count());
    }
    Ok(counted)
}
