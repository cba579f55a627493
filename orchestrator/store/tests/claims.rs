//! Timers: each due saga goes to one claimant, and comes back when the lease is over.

use std::collections::BTreeSet;

use amends_contract::{Digest, SagaId, Token};
use amends_engine::{ActionState, HeldBy, Saga};
use amends_store::Outage;

use crate::database::Database;
use crate::sagas::{at, completed, id, next, start_of, started, token, won};

on_both_databases!(
    a_claim_is_handed_out_once,
    claimants_at_the_same_time_share_without_overlap,
    the_longest_due_come_first,
    a_claim_is_outside_version_and_journal,
    sagas_of_an_unknown_definition_are_left_to_others,
    what_an_outage_holds_is_claimed_by_its_name,
);

const HOUR_MS: u64 = 3_600_000;

fn ids(loaded: &amends_store::Loaded) -> BTreeSet<SagaId> {
    loaded.sagas.iter().map(|saga| saga.id).collect()
}

async fn a_claim_is_handed_out_once(db: Database) {
    let sagas = started(&db.store, 1..=5).await;
    won(&db.store, next(&sagas[4], completed)).await; // nothing is due of it any more
    let first = db.store.claim_due(3, HOUR_MS, &[]).await.unwrap();
    assert_eq!(first.sagas.len(), 3);
    let now = db.store.now().await.unwrap();
    assert!(now.ms_since(first.now) < HOUR_MS && first.now <= now, "{} {now}", first.now);
    let second = db.store.claim_due(3, 0, &[]).await.unwrap();
    assert_eq!(second.sagas.len(), 1);
    assert!(ids(&first).is_disjoint(&ids(&second)));
    // A lease of no time is over at once; the hour's is not.
    let third = db.store.claim_due(3, HOUR_MS, &[]).await.unwrap();
    assert_eq!(ids(&third), ids(&second));
    assert!(db.store.claim_due(3, HOUR_MS, &[]).await.unwrap().sagas.is_empty());
}

async fn claimants_at_the_same_time_share_without_overlap(db: Database) {
    started(&db.store, 0..200).await;
    let claim = async || {
        let mut claimed = Vec::new();
        loop {
            let part = db.store.claim_due(7, HOUR_MS, &[]).await.unwrap();
            claimed.extend(part.sagas.iter().map(|saga| saga.id));
            // Fewer than asked for is no proof that none is left: others may hold locks.
            if part.sagas.is_empty() {
                return claimed;
            }
        }
    };
    let (a, b, c, d) = tokio::join!(claim(), claim(), claim(), claim());
    let rest = claim().await;
    let all: Vec<SagaId> = [a, b, c, d, rest].concat();
    assert_eq!(all.len(), 200);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), (0..200).map(id).collect());
}

async fn the_longest_due_come_first(db: Database) {
    let due = |number: u32, ms: u32| {
        let mut saga = crate::sagas::saga(number);
        if let amends_engine::ActionState::InFlight(flight) = &mut saga.steps[0].action {
            flight.due_at = at(ms);
        }
        start_of(saga)
    };
    let far = 500 * 365 * 86_400_000;
    assert_eq!(db.store.due_in_ms().await.unwrap(), None);
    let mut later = due(4, 0);
    if let amends_engine::ActionState::InFlight(flight) = &mut later.saga.steps[0].action {
        flight.due_at = at(0).plus_ms(far);
    }
    won(&db.store, later).await;
    let (before, in_ms) = (db.store.now().await.unwrap(), db.store.due_in_ms().await.unwrap().unwrap());
    let due_in_ms = i64::try_from(far).unwrap() + at(0).unix_ms() - before.unix_ms();
    assert!((0..=due_in_ms).contains(&in_ms) && due_in_ms - in_ms < 3_600_000, "{in_ms} {due_in_ms}");
    db.store.commit(&[due(1, 30), due(2, 10), due(3, 20)]).await.unwrap();
    assert!(db.store.due_in_ms().await.unwrap().unwrap() <= 0);
    for expected in [2, 3, 1] {
        assert_eq!(ids(&db.store.claim_due(1, HOUR_MS, &[]).await.unwrap()), [id(expected)].into());
    }
    assert!(db.store.claim_due(1, HOUR_MS, &[]).await.unwrap().sagas.is_empty());
}

async fn a_claim_is_outside_version_and_journal(db: Database) {
    let sagas = started(&db.store, [1]).await;
    let claimed = db.store.claim_due(10, HOUR_MS, &[]).await.unwrap();
    assert_eq!(claimed.sagas, sagas);
    // Whoever was decided before the claim still wins, and ends it.
    won(&db.store, next(&sagas[0], |_| {})).await;
    let again = db.store.claim_due(10, HOUR_MS, &[]).await.unwrap();
    assert_eq!(again.sagas[0].version, 2);
    crate::sagas::assert_gapless(&db.store, id(1)).await;
}

async fn sagas_of_an_unknown_definition_are_left_to_others(db: Database) {
    let newer = |number: u32| {
        let mut saga = crate::sagas::saga(number);
        saga.digest = Digest::of(b"newer");
        start_of(saga)
    };
    db.store.commit(&[newer(1), newer(2), start_of(crate::sagas::saga(3))]).await.unwrap();
    let except = [Digest::of(b"newer"), Digest::of(b"another")];
    let ours = db.store.claim_due(10, HOUR_MS, &except).await.unwrap();
    assert_eq!(ids(&ours), [id(3)].into());
    // Not even a lease was taken of them.
    let theirs = db.store.claim_due(10, HOUR_MS, &[]).await.unwrap();
    assert_eq!(ids(&theirs), [id(1), id(2)].into());
}

async fn what_an_outage_holds_is_claimed_by_its_name(db: Database) {
    let sagas = started(&db.store, 1..=5).await;
    let (stock, pay) = (token("inventory"), token("payment"));
    let hold = |saga: &Saga, by: HeldBy, away: Option<&Token>| {
        next(saga, |saga| {
            let ActionState::InFlight(flight) = &mut saga.steps[0].action else { panic!("it is in flight") };
            (flight.held, flight.away) = (Some(by), away.cloned());
        })
    };
    assert!(!db.store.is_any_held().await.unwrap());
    won(&db.store, hold(&sagas[0], HeldBy::Broker, None)).await;
    assert!(db.store.is_any_held().await.unwrap());
    won(&db.store, hold(&sagas[1], HeldBy::Participant, Some(&stock))).await;
    won(&db.store, hold(&sagas[2], HeldBy::Participant, Some(&stock))).await;
    won(&db.store, hold(&sagas[3], HeldBy::Concurrency, None)).await;
    let names = [stock.clone(), pay.clone()];
    assert_eq!(db.store.outages(&names).await.unwrap(), [None, Some(stock.clone())]);

    let of_stock = Outage::Participant(&stock);
    let first = db.store.claim_held(of_stock, 1, HOUR_MS).await.unwrap();
    let second = db.store.claim_held(of_stock, 7, HOUR_MS).await.unwrap();
    assert_eq!((ids(&first), ids(&second)), ([id(2)].into(), [id(3)].into()));
    assert!(db.store.claim_held(of_stock, 7, HOUR_MS).await.unwrap().sagas.is_empty(), "each once");
    assert!(db.store.claim_held(Outage::Participant(&pay), 7, HOUR_MS).await.unwrap().sagas.is_empty());
    let by_broker = db.store.claim_held(Outage::Broker, 7, HOUR_MS).await.unwrap();
    assert_eq!(ids(&by_broker), [id(1)].into());

    // Let go, it is nobody's any more.
    won(&db.store, next(&first.sagas[0], completed)).await;
    won(&db.store, next(&second.sagas[0], completed)).await;
    assert_eq!(db.store.outages(&names).await.unwrap(), [None]);
}
