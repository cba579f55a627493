//! What nobody sees until it hurts: sagas that nobody knows how to go on with, and ended ones that stay.

use std::fs;

use amends_tests::{Definitions, eventually};
use sea_orm::{ConnectionTrait, Database};

use super::{Desk, Page};
use crate::alone;

const V2: &str = "order.v2.yaml";

#[tokio::test]
async fn sagas_of_a_definition_that_is_gone_wait_until_its_file_is_back() {
    let _turn = alone().await;
    let definitions = Definitions::of(&["order.v1"]);
    definitions.derive("order.v1.yaml", V2, &[("version: 1\n", "version: 2\n")]);
    let mut desk = Desk::on(&definitions, None).await;
    let page = Page::named("definition-unknown");
    desk.system.kill("payment");
    let saga = desk.order(1).await;
    desk.system.step_is(&saga, "charge-payment", "sent").await;

    // Somebody tidies up, in the folder and in the database.
    desk.system.kill("orchestrator");
    let file = desk.definitions.path().join(V2);
    let kept = fs::read_to_string(&file).expect("a definition");
    fs::remove_file(&file).expect("it can be removed");
    let url = desk.system.setting("AMENDS_ORCHESTRATOR__DATABASE__URL");
    let database = Database::connect(url).await.expect("the database opens");
    let gone = database.execute_unprepared("DELETE FROM definitions WHERE version = 2").await;
    assert_eq!(gone.expect("a row can be deleted").rows_affected(), 1);
    database.close().await.expect("it closes");
    desk.system.start_service("orchestrator");
    desk.system.ready("orchestrator").await;
    desk.system.start_service("payment");
    desk.system.ready("payment").await;
    let said = desk.says(&page, "check", (&[], &[&saga, page.shown()])).await;
    assert!(said.contains("order.v1") && !said.lines().any(|line| line.starts_with("order.v2")), "{said}");
    assert!(desk.system.process("orchestrator").log().contains("not stored; its sagas wait until it is"));
    let other = desk.order(2).await;
    desk.status_is(&other, "completed").await;

    fs::write(&file, kept).expect("it can be written");
    desk.restart("orchestrator", &[]).await;
    desk.status_is(&saga, "completed").await;
    desk.gone(&page).await;
    assert!(!desk.done(&page, "over", &[]).contains(&saga));
    desk.is_well().await;
}

#[tokio::test]
async fn ended_sagas_are_deleted_when_their_archive_can_be_written_again() {
    let _turn = alone().await;
    let definitions = Definitions::of(&["order.v1"]);
    definitions.derive("order.v1.yaml", "order.v1.yaml", &[("retention: 30d", "retention: 1s")]);
    let mut desk = Desk::on(&definitions, None).await;
    let page = Page::named("retention-overdue");
    let archive = desk.system.folder().join("archive");
    // No folder can be made where a file is.
    fs::write(&archive, "").expect("a file can be written");
    let place = archive.display().to_string();
    let settings = [
        ("AMENDS_ORCHESTRATOR__RETENTION__INTERVAL_S", "1"),
        ("AMENDS_ORCHESTRATOR__RETENTION__ARCHIVE", place.as_str()),
    ];
    desk.restart("orchestrator", &settings).await;
    let saga = desk.order(1).await;
    desk.status_is(&saga, "completed").await;
    let overdue = |said: &str| -> f64 {
        let mut lines =
            said.lines().filter_map(|line| line.strip_prefix("amends_retention_overdue_seconds "));
        lines.next().and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    let first = overdue(&desk.seen(&page, "check").await);
    let look = async || (overdue(&desk.done(&page, "check", &[])) > first + 1.0).then_some(());
    eventually("it grows", look, async || desk.done(&page, "check", &[])).await;
    let log = desk.system.process("orchestrator").log();
    for part in ["sagas whose time is over could not be deleted", "the archive cannot be written"] {
        assert!(log.contains(part) && page.text.contains(part), "{part}\n{log}");
    }
    desk.status_is(&saga, "completed").await;

    fs::remove_file(&archive).expect("it can be removed");
    let said = desk.says(&page, "over", (&[], &["amends_sagas_deleted_total 1"])).await;
    let look = async || (overdue(&desk.done(&page, "over", &[])) < 0.5).then_some(());
    eventually("nothing is overdue", look, async || said.clone()).await;
    let kept: Vec<_> = fs::read_dir(&archive).expect("it was made").flatten().collect();
    assert_eq!(kept.len(), 1, "a file of today: {kept:?}");
    assert!(fs::read_to_string(kept[0].path()).expect("it can be read").contains(&saga));
    assert!(!desk.done(&page, "gone", &[("SAGA", &saga)]).is_empty());
    desk.is_well().await;
}
