//! On PostgreSQL, where the SQL differs: other clocks, other orders of text, snapshots that have to be asked
//! for. The plants go one after the other into the same databases.

use amends_audit::Expectations;
use amends_tests::{Cluster, books};
use sea_orm::Database;

use crate::{
    day::Day,
    plants::{self, Plant},
};

#[tokio::test]
async fn the_books_on_postgresql_agree_until_somebody_changes_them() {
    let cluster = Cluster::start();
    let mut day = Day::live(Some(&cluster)).await;
    let report = books::balanced(&day.system).await;
    assert!(report.counters.completed >= 4 && report.counters.acknowledged_commands > 20, "{report}");
    let sources = books::sources(&day.system);
    for name in ["orchestrator", "notification", "payment", "inventory", "provider"] {
        day.system.kill(name);
    }
    for Plant { name, invariant, saga, owner, plant } in plants::on_any_database(&day) {
        let (_, setting) = books::OWNERS.iter().find(|(found, _)| *found == owner).expect("an owner");
        let db = Database::connect(day.system.setting(setting)).await.expect("the database answers");
        plant(db.clone()).await;
        db.close().await.expect("the connection can be closed");
        let report = books::report(sources.clone(), &Expectations::settled()).await;
        let named = report.of(invariant).any(|finding| match saga.as_deref() {
            Some(saga) => finding.saga.is_some_and(|found| found.to_string() == saga),
            None => finding.saga.is_none(),
        });
        assert!(named, "{name}: {invariant} should name {saga:?}:\n{report}");
    }
}
