//! `amends verify`, on sagas that somebody tampered with: each is found, with the rule that it breaks.

use std::collections::BTreeMap;

use amends_contract::SagaId;
use amends_engine::ENGINE_VERSION;
use sea_orm::ConnectionTrait as _;

use super::world::{World, all_well, declined, order};
use crate::verify::{Finding, Summary, Wanted, run};

/// What is found, by saga; and how many were looked at.
async fn verified(world: &World, wanted: &Wanted) -> (BTreeMap<String, Finding>, Summary) {
    let mut findings = BTreeMap::new();
    let summary = run(world.core.store(), wanted, &mut |finding| {
        assert!(findings.insert(finding.saga.to_string(), finding.clone()).is_none(), "one finding a saga");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(summary.findings, findings.len() as u64);
    (findings, summary)
}

/// Changes one saga's rows behind the store's back. `{saga}` is its condition.
async fn tamper(world: &World, saga: &str, sql: &str) {
    let outside = sea_orm::Database::connect(&world.database_url).await.unwrap();
    let bytes = saga.replace('-', "");
    let (of_row, of_journal) = (format!("id = x'{bytes}'"), format!("saga_id = x'{bytes}'"));
    let sql = sql.replace("{row}", &of_row).replace("{journal}", &of_journal);
    let result = outside.execute_unprepared(&sql).await.unwrap();
    assert!(result.rows_affected() > 0, "{sql} changed nothing");
    outside.close().await.unwrap();
}

#[tokio::test]
async fn what_was_tampered_with_is_found() {
    let world = World::new().await;
    let newer = format!(r#"'"engine_version":{}'"#, ENGINE_VERSION + 1);
    let older = format!(r#"'"engine_version":{}'"#, ENGINE_VERSION - 1);
    let this = format!(r#"'"engine_version":{ENGINE_VERSION}'"#);
    let changes = [
        // The rule, where, a part of what is said, and what was done.
        ("row", None, "input", r#"UPDATE sagas SET state = replace(state, 'ada@', 'eve@') WHERE {row}"#.to_owned()),
        ("row", None, "steps charge-payment", r#"UPDATE sagas SET state = replace(state, 'ch-1', 'ch-2') WHERE {row}"#.to_owned()),
        ("columns", None, "needs_attention", "UPDATE sagas SET needs_attention = 1 WHERE {row}".to_owned()),
        ("journal", Some(2), "entry 3 where 2 belongs", "DELETE FROM journal WHERE seq = 2 AND {journal}".to_owned()),
        ("length", Some(5), "has 4 entries, the row is at version 5", "DELETE FROM journal WHERE seq = 5 AND {journal}".to_owned()),
        ("illegal", Some(3), "would be decided otherwise", r#"UPDATE journal SET entry = replace(entry, '"attempts":8', '"attempts":9') WHERE seq = 3 AND {journal}"#.to_owned()),
        ("journal", Some(4), "engine version", format!("UPDATE journal SET entry = replace(entry, {this}, {newer}) WHERE seq = 4 AND {{journal}}")),
        ("unreadable", Some(2), "entry 2 cannot be read", "UPDATE journal SET entry = '{}' WHERE seq = 2 AND {journal}".to_owned()),
        ("unreadable", None, "the row cannot be read", "UPDATE sagas SET state = '{}' WHERE {row}".to_owned()),
    ];
    let mut expected = Vec::new();
    for (number, (rule, seq, says, sql)) in changes.into_iter().enumerate() {
        let id = world.order(&format!("k{number}"), &order("c", 1)).await.id();
        world.settle(&id, all_well).await;
        expected.push((id, rule, seq, says, sql));
    }
    let running = world.order("running", &order("c", 1)).await.id();
    let compensated = world.order("compensated", &order("c", 1)).await.id();
    world.settle(&compensated, declined).await;
    let old = world.order("old", &order("c", 1)).await.id();
    world.settle(&old, all_well).await;

    let (findings, before) = verified(&world, &Wanted::default()).await;
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((before.sagas, before.folded), (12, 0));
    for (id, _, _, _, sql) in &expected {
        tamper(&world, id, sql).await;
    }
    let sql = format!("UPDATE journal SET entry = replace(entry, {this}, {older}) WHERE {{journal}}");
    tamper(&world, &old, &sql).await;

    let (mut findings, after) = verified(&world, &Wanted::default()).await;
    assert_eq!(after.sagas, 12);
    assert!(after.folded >= 5, "{after:?}");
    for (id, rule, seq, says, sql) in &expected {
        let finding = findings.remove(id).unwrap_or_else(|| panic!("{sql} is not found"));
        assert_eq!((finding.rule, finding.seq), (*rule, *seq), "{sql}: {finding:?}");
        assert!(finding.what.contains(says), "{sql}: {finding:?}");
        assert_eq!(finding.difference.is_some(), *rule == "illegal");
    }
    assert!(findings.is_empty(), "{findings:?}");

    let ids = |ids: &[&str]| -> Vec<SagaId> { ids.iter().map(|id| id.parse().unwrap()).collect() };
    let nobody = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";
    let some = Wanted { sagas: ids(&[&running, &expected[0].0, nobody]), since: None };
    let (findings, summary) = verified(&world, &some).await;
    assert_eq!((summary.sagas, summary.findings), (3, 2));
    assert_eq!((findings[nobody].rule, findings[&expected[0].0].rule), ("missing", "row"));
    let later = world.core.store().now().await.unwrap().plus_ms(60_000);
    let (_, none) = verified(&world, &Wanted { sagas: Vec::new(), since: Some(later) }).await;
    assert_eq!(none, Summary::default());
}
