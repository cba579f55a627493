//! What one needs to know when something was wrong, in a folder that is named.
//!
//! Invariant: it reads whatever still answers, and never fails because something does not.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use amends_tests::Wire;
use serde_json::{Value, json};

use crate::{
    run::{Struck, Title},
    watch::Watch,
    world::World,
};

/// Most sagas whose rows and journals are written out; the databases are kept whole.
const SAGAS_MAX: usize = 20;
const PATIENCE: Duration = Duration::from_secs(3);
const STREAMS: [&str; 4] = ["AMENDS_CMD", "AMENDS_REPLY", "AMENDS_EVENT", "AMENDS_DEAD"];

/// What the run itself knows.
pub(crate) struct Kept<'a> {
    /// Which it is.
    pub(crate) title: &'a Title,
    /// What was done so far.
    pub(crate) struck: &'a [Struck],
    /// What broke so far.
    pub(crate) violations: &'a [String],
}

/// Writes it, and gives the folder.
pub(crate) async fn keep(world: &mut World, watch: &Watch, kept: &Kept<'_>, why: &str) -> PathBuf {
    let Kept { title, struck, violations } = kept;
    let folder = folder().join(format!("{}-{}", title.name, std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let _ = fs::create_dir_all(&folder);
    let write = |name: &str, text: String| drop(fs::write(folder.join(name), text));
    write("plan.txt", format!("{}\n{}\n", title.again, title.plan.join("\n")));
    let struck: Vec<_> = struck.iter().map(ToString::to_string).collect();
    write("struck.txt", format!("{}\n", struck.join("\n")));
    write("why.txt", format!("{why}\n{}\n", violations.join("\n")));
    let seen = watch.seen();
    write("open.txt", format!("{seen:#?}\n"));
    for id in seen.open.keys().take(SAGAS_MAX) {
        for (what, path) in [("saga", String::new()), ("journal", "/journal?limit=200".to_owned())] {
            if let Some(text) = read(world, &format!("/v1/sagas/{id}{path}")).await {
                write(&format!("{id}.{what}.json"), text);
            }
        }
    }
    let url = world.system.broker.url();
    // A thread of its own: the wire speaks without tokio, and stops with a word where nobody answers.
    let streams = tokio::task::spawn_blocking(move || streams(&url)).await.unwrap_or_default();
    write("streams.json", format!("{streams:#}\n"));
    world.keep(&folder);
    folder
}

async fn read(world: &World, path: &str) -> Option<String> {
    let authorization = world.system.authorization();
    for orchestrator in world.topology.orchestrators() {
        let url = world.system.admin_of(orchestrator, path);
        let headers = [("authorization", authorization.as_str())];
        let sending = world.system.client.send("GET", &url, &headers, None);
        if let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, sending).await {
            return Some(format!("{:#}\n", answer.body));
        }
    }
    None
}

fn streams(url: &str) -> Value {
    let mut wire = Wire::connect(url);
    let mut found = serde_json::Map::new();
    for stream in STREAMS {
        let info = wire.api(&format!("STREAM.INFO.{stream}"), &json!({}));
        let consumers = wire.api(&format!("CONSUMER.LIST.{stream}"), &json!({}));
        found.insert(stream.to_owned(), json!({ "stream": info, "consumers": consumers }));
    }
    Value::Object(found)
}

/// `chaos` beside the binary's folder, in cargo's own.
fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.parent().and_then(Path::parent).map(Path::to_owned);
    target.unwrap_or_else(std::env::temp_dir).join("chaos")
}
