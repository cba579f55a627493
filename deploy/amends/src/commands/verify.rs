//! `amends verify`: replays stored journals through the engine and names the first illegal step of each.
//!
//! Invariant: it only reads, beside a running orchestrator, and takes no lock that one holds.

use amends_server::verify::{self, Wanted};
use amends_store::{Access, Store};
use serde_json::json;

use crate::{
    cli::{Settings, Verify},
    config,
    output::Output,
};

/// Whether everything is right.
pub(crate) async fn run(command: &Verify, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let config = config::load(settings)?.value.orchestrator;
    let store = Store::connect(&config.database, Access::ReadOnly).await?;
    store.check_schema().await?;
    let since = match &command.since {
        Some(since) => Some(since.moment(store.now().await?)),
        None => None,
    };
    let wanted = Wanted { sagas: command.sagas.clone(), since };
    let summary = verify::run(&store, &wanted, &mut |finding| {
        if command.json {
            output.json(finding)
        } else {
            output.line(format_args!("{}: {}", finding.saga, finding.what))
        }
    })
    .await?;
    store.close().await;
    if command.json {
        output.json(&json!({ "summary": summary }))?;
    } else {
        output.line(format_args!(
            "{} sagas: {} entries decided again, {} only folded; {} sagas are wrong",
            summary.sagas, summary.decided, summary.folded, summary.findings
        ))?;
    }
    Ok(summary.findings == 0)
}
