//! Asks the orchestrator's tables for keys and definitions.

use std::collections::BTreeMap;
use std::time::Duration;

use amends_server::core::{compile_stored, unknown_calls};
use amends_server::keys;
use amends_store::{Access, Store};

use crate::facts::{File, OrchestratorFacts, Seen};

pub(super) async fn facts(
    config: &amends_server::Config,
    files: Option<&Seen<Vec<File>>>,
    patience: Duration,
) -> Seen<OrchestratorFacts> {
    let told = |error: amends_store::Error| error.to_string();
    let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let database = amends_store::Config {
        connect_timeout_ms: config.database.connect_timeout_ms.min(patience_ms),
        ..config.database.clone()
    };
    let store = Store::connect(&database, Access::ReadOnly).await.map_err(told)?;
    let keys = keys::list(&store).await.map_err(told);
    let keys = keys.map(|keys| keys.iter().filter(|key| key.revoked_at.is_none()).count());
    let (mut definitions, mut readable, mut unreadable) = (BTreeMap::new(), Vec::new(), Vec::new());
    let stored = store.definitions().await.map_err(told);
    for stored in stored.iter().flatten() {
        definitions.insert(stored.reference.clone(), stored.digest);
        match compile_stored(stored) {
            Ok(loaded) => readable.push(loaded.definition),
            Err(error) => unreadable.push((stored.reference.clone(), error.to_string())),
        }
    }
    store.close().await;
    let files: Vec<_> =
        files.into_iter().flatten().flatten().filter_map(|file| file.loaded.as_ref().ok()).collect();
    let calls = unknown_calls(files.iter().map(|definition| &***definition), definitions.keys().cloned());
    Ok(OrchestratorFacts {
        keys,
        definitions: stored.map(|_| definitions),
        readable,
        unreadable,
        unknown_calls: calls.iter().map(ToString::to_string).collect(),
    })
}
