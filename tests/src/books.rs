//! The auditor on a system of a test: where its books are, and that they agree.
//!
//! It reads the very databases and streams, beside the running services or after they were killed.
//!
//! Invariant: nothing of what it looks at is changed by it.

use std::path::Path;

use amends_audit::{Audit, Expectations, Report, Sources};

use crate::System;

/// The owners of databases, with the settings that name those.
pub const OWNERS: [(&str, &str); 5] = [
    ("orchestrator", "AMENDS_ORCHESTRATOR__DATABASE__URL"),
    ("inventory", "AMENDS_INVENTORY__DATABASE__URL"),
    ("payment", "AMENDS_PAYMENT__DATABASE__URL"),
    ("notification", "AMENDS_NOTIFICATION__DATABASE__URL"),
    ("provider", "AMENDS_PROVIDER__DATABASE__URL"),
];

/// All books of a system, of the services that were ever started.
#[must_use]
pub fn sources(system: &System) -> Sources {
    let url = |owner: &str| {
        let (_, setting) = OWNERS.iter().find(|(name, _)| *name == owner).expect("an owner of a database");
        system.runs(owner).then(|| system.setting(setting).to_owned())
    };
    Sources {
        inventory: url("inventory"),
        payment: url("payment"),
        notification: url("notification"),
        provider: url("provider"),
        mail_catcher: system.runs("mail-catcher").then(|| system.url("mail-catcher", "")),
        ..Sources::of_orchestrator(system.setting("AMENDS_ORCHESTRATOR__DATABASE__URL"))
            .with_broker(&system.broker.url())
    }
}

/// The same with SQLite databases that were copied into a folder, and without mail catcher.
#[must_use]
pub fn sources_in(folder: &Path, broker: &str) -> Sources {
    let url = |owner: &str| format!("sqlite://{}", folder.join(owner).with_extension("db").display());
    Sources {
        inventory: Some(url("inventory")),
        payment: Some(url("payment")),
        notification: Some(url("notification")),
        provider: Some(url("provider")),
        ..Sources::of_orchestrator(&url("orchestrator")).with_broker(broker)
    }
}

/// What the auditor says.
///
/// # Panics
/// When one of the books cannot be read.
pub async fn report(sources: Sources, expectations: &Expectations) -> Report {
    let audit = Audit::open(sources).await.expect("the books can be opened");
    audit.run(expectations).await.expect("the books can be read")
}

/// Demands that all books of a system agree in which nothing is under way any more.
///
/// # Panics
/// When they do not; with every finding.
pub async fn balanced(system: &System) -> Report {
    let report = report(sources(system), &Expectations::settled()).await;
    assert!(report.is_clean(), "the auditor says:\n{report}\n{}", system.dump().await);
    report
}
