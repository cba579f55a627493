//! What operators type: `amends saga ls|show|watch` and keys beside a running orchestrator.

use std::process::{Command, Output};

use amends_tests::{
    System, amends,
    traffic::{Kind, Order, restock},
};
use serde_json::Value;

use crate::alone;

/// Runs `amends` as an operator of this system.
pub(crate) fn operate(system: &System, arguments: &[&str]) -> Output {
    let mut command = Command::new(amends());
    command.args(arguments).envs(system.env().iter().cloned());
    command.env("AMENDS_ADMIN_URL", system.admin("")).env("AMENDS_API_KEY", system.make_key("operate"));
    command.output().expect("the binary runs")
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn operators_see_what_happens() {
    let _turn = alone().await;
    let system = System::start(None).await;
    restock(&system).await;
    let mut ids = Vec::new();
    for (number, kind) in (0..).zip([Kind::Good, Kind::Declined]) {
        let placed = system.door().order(&number.to_string(), &Order::new(kind, number, 1).body()).await;
        ids.push(placed.expect("an answer").ok()["id"].as_str().expect("an id").to_owned());
    }

    let completed = operate(&system, &["saga", "watch", &ids[0]]);
    assert_eq!(completed.status.code(), Some(0), "{}", text(&completed));
    assert!(text(&completed).contains("charge-payment    done"), "{}", text(&completed));
    let compensated = operate(&system, &["saga", "watch", "--json", &ids[1]]);
    assert_eq!(compensated.status.code(), Some(1), "it did not complete: {}", text(&compensated));
    let lines = String::from_utf8_lossy(&compensated.stdout).into_owned();
    let entries: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let numbers: Vec<_> = entries.iter().map(|entry| entry["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=u64::try_from(entries.len()).expect("few")).collect::<Vec<_>>(), "no gaps");

    let listed = operate(&system, &["saga", "ls"]);
    let lines: Vec<_> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2, "plain lines, no heading: {}", text(&listed));
    assert!(
        lines[0].starts_with(&format!("{}\torder.v1\tcompensated\t-\tcard-declined\t", ids[1])),
        "{lines:?}"
    );
    let filtered = operate(&system, &["saga", "ls", "--status", "completed", "--json"]);
    let filtered: Value = serde_json::from_slice(&filtered.stdout).expect("JSON");
    assert_eq!(filtered["sagas"][0]["id"], ids[0].as_str(), "{filtered}");
    let page = operate(&system, &["saga", "ls", "--limit", "1"]);
    assert!(text(&page).contains("more: --cursor "), "{}", text(&page));

    let shown = operate(&system, &["saga", "show", &ids[1]]);
    assert!(text(&shown).contains("turning back: card-declined at charge-payment"), "{}", text(&shown));
    let wrong = operate(&system, &["saga", "ls", "--status", "nonsense"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong).contains("400"), "{}", text(&wrong));
}

#[tokio::test]
async fn one_sqlite_database_has_one_orchestrator() {
    let _turn = alone().await;
    let system = System::start(None).await;
    let second = operate(&system, &["orchestrator", "--set", "orchestrator.http.listen=127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1), "{}", text(&second));
    let migrated = operate(&system, &["migrate", "orchestrator"]);
    assert_eq!(migrated.status.code(), Some(1), "{}", text(&migrated));
}
