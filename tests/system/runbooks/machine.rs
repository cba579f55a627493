//! What a machine has wrong: the time of day.

use std::io::Write as _;

use amends_tests::Cluster;

use super::{Desk, Page};
use crate::alone;

/// Beyond what the doctor lets pass, less than what anything waits for.
const OFF: &str = "+15s";

#[tokio::test]
async fn a_database_whose_clock_is_off_is_named_and_its_jump_back_harms_nobody() {
    let _turn = alone().await;
    let mut cluster = Cluster::start();
    if !cluster.set_clock(OFF) {
        // Not by a macro: that would be kept from everybody when the test passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: faketime is not installed; docs/runbooks/clock.md was not tried"
        );
        return;
    }
    cluster.process().kill();
    cluster.start_again();
    let mut desk = Desk::new(Some(&cluster)).await;
    let page = Page::named("clock");
    let said = desk.seen(&page, "check").await;
    assert!(
        said.contains("ahead of this machine's") && said.contains("the database of orchestrator"),
        "{said}"
    );
    let ended = desk.order(1).await;
    desk.status_is(&ended, "completed").await;
    assert_eq!(messages(&desk, &ended).await, 0, "they are not where its journal says");

    desk.system.kill("payment");
    let under_way = desk.order(2).await;
    desk.system.step_is(&under_way, "charge-payment", "sent").await;
    assert!(cluster.set_clock("+0s"));
    desk.gone(&page).await;
    desk.system.start_service("payment");
    desk.status_is(&under_way, "completed").await;
    let after = desk.order(3).await;
    desk.status_is(&after, "completed").await;
    assert!(messages(&desk, &after).await >= 8, "four commands and their replies");
    desk.is_well().await;
}

/// How many messages of a saga are found by its journal.
async fn messages(desk: &Desk, saga: &str) -> usize {
    let url = desk.system.admin(&format!("/v1/sagas/{saga}/messages"));
    let authorization = desk.system.authorization();
    let found = desk.system.client.get(&url, &[("authorization", &authorization)]).await;
    found["messages"].as_array().expect("a list").len()
}
