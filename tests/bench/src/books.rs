//! Do all books agree after a run? The auditor says so of everything that it knows; what the benchmark's own
//! participants have entered is compared here with how each saga ended.
//!
//! Invariant: a look at nothing is a finding.

use std::collections::BTreeMap;

use amends_audit::{Audit, Expectations, Other, Sources};
use amends_contract::{SagaId, Token};
use amends_tests::books;
use anyhow::Context as _;
use sea_orm::{
    ColumnTrait as _, ConnectOptions, Database as SeaOrm, DatabaseConnection, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, prelude::Uuid,
};

use crate::{
    participant::{Who, effect},
    saga,
    world::{Kind, World},
};

/// Findings that are kept.
const KEPT: usize = 20;
/// Rows in one page.
const PAGE: u64 = 5_000;
/// Characters of a saga's id, with which an effect id begins.
const ID_CHARS: usize = 36;

/// What is wrong with the books of a world in which nothing is under way any more. `accepted` are sagas that
/// somebody was told of.
pub(crate) async fn findings(
    world: &World,
    accepted: impl IntoIterator<Item = SagaId>,
) -> anyhow::Result<Vec<String>> {
    let expectations = Expectations {
        since: Some(world.since),
        accepted: accepted.into_iter().collect(),
        ..Expectations::settled()
    };
    let report = Audit::open(sources(world)?).await?.run(&expectations).await?;
    let mut findings: Vec<_> = report.findings.iter().take(KEPT).map(ToString::to_string).collect();
    if report.counters.sagas == 0 {
        findings.push("there is not a single saga: an audit of nothing proves nothing".to_owned());
    }
    if world.layout.kind == Kind::Books {
        findings.extend(entered(world).await?);
    }
    Ok(findings)
}

fn sources(world: &World) -> anyhow::Result<Sources> {
    let own = match world.layout.kind {
        Kind::Shop => return Ok(books::sources(&world.system)),
        Kind::Books => Who::ALL.map(Who::name),
    };
    let others =
        own.map(|name| Ok(Other { name: Token::new(name)?, url: world.database_url(name).to_owned() }));
    Ok(Sources {
        others: others.into_iter().collect::<anyhow::Result<_>>()?,
        ..Sources::of_orchestrator(world.database_url("orchestrator")).with_broker(&world.system.broker.url())
    })
}

/// How often each command was done for one saga.
type Done = BTreeMap<String, u32>;

/// What was entered and does not fit how the saga ended.
async fn entered(world: &World) -> anyhow::Result<Vec<String>> {
    let mut done: BTreeMap<String, Done> = BTreeMap::new();
    for who in Who::ALL {
        let db = open(world.database_url(who.name())).await?;
        read_effects(&db, &first_id(world).to_string(), &mut done).await?;
        db.close().await?;
    }
    let db = open(world.database_url("orchestrator")).await?;
    let (mut wrong, mut after) = (Vec::new(), first_id(world));
    loop {
        let rows = saga::Entity::find()
            .select_only()
            .columns([saga::Column::Id, saga::Column::Status])
            .filter(saga::Column::Id.gt(after))
            .order_by_asc(saga::Column::Id)
            .limit(PAGE)
            .into_tuple::<(Uuid, String)>()
            .all(&db)
            .await?;
        let Some((last, _)) = rows.last() else { break };
        after = *last;
        for (id, status) in rows {
            let done = done.remove(&id.to_string()).unwrap_or_default();
            wrong.extend(
                misfit(&status, &done).map(|why| format!("saga {id}: {status}, and {why}: {done:?}")),
            );
        }
    }
    db.close().await?;
    wrong.extend(done.keys().map(|id| format!("effects were entered for saga {id}, which does not exist")));
    wrong.truncate(KEPT);
    Ok(wrong)
}

async fn read_effects(
    db: &DatabaseConnection,
    from: &str,
    done: &mut BTreeMap<String, Done>,
) -> anyhow::Result<()> {
    let mut after = from.to_owned();
    loop {
        let rows = effect::Entity::find()
            .filter(effect::Column::Id.gt(after.as_str()))
            .order_by_asc(effect::Column::Id)
            .limit(PAGE)
            .all(db)
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after.clone_from(&last.id);
        for row in rows {
            let saga = row.id.get(..ID_CHARS).context("an effect id begins with the saga's")?;
            *done.entry(saga.to_owned()).or_default().entry(row.command).or_default() += 1;
        }
    }
}

/// Why what was done does not fit the end.
fn misfit(status: &str, done: &Done) -> Option<&'static str> {
    let count = |command: &str| done.get(command).copied().unwrap_or(0);
    let forward = ["reserve-stock", "charge-payment", "confirm-stock", "send-confirmation"];
    let backward = ["release-stock", "refund-payment", "send-rejection"];
    match status {
        _ if done.values().any(|count| *count > 1) => Some("something was done twice"),
        "completed" if forward.into_iter().any(|command| count(command) != 1) => Some("not all was done"),
        "completed" if backward.into_iter().any(|command| count(command) != 0) => {
            Some("something was undone")
        }
        "completed" => None,
        "compensated" if count("confirm-stock") + count("send-confirmation") > 0 => {
            Some("what cannot be undone was done")
        }
        "compensated" if count("reserve-stock") != count("release-stock") => Some("stock is held"),
        "compensated" if count("charge-payment") != count("refund-payment") => Some("money is kept"),
        "compensated" if count("send-rejection") != 1 => Some("nobody was told"),
        "compensated" => None,
        _ => Some("it has not ended"),
    }
}

/// No saga of this world has a lower id, but for those that were loaded into it.
fn first_id(world: &World) -> Uuid {
    let ms = u128::try_from(world.since.unix_ms()).unwrap_or(0);
    Uuid::from_u128(ms << 80)
}

async fn open(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Ok(SeaOrm::connect(options).await?)
}

#[test]
fn books_that_do_not_balance_are_found() {
    let done =
        |commands: &[&str]| -> Done { commands.iter().map(|command| ((*command).to_owned(), 1)).collect() };
    let all = ["reserve-stock", "charge-payment", "confirm-stock", "send-confirmation"];
    assert_eq!(misfit("completed", &done(&all)), None);
    assert_eq!(misfit("completed", &done(&all[..3])), Some("not all was done"));
    assert_eq!(misfit("running", &done(&all)), Some("it has not ended"));
    let undone = ["reserve-stock", "release-stock", "send-rejection"];
    assert_eq!(misfit("compensated", &done(&undone)), None);
    assert_eq!(misfit("compensated", &done(&undone[..2])), Some("nobody was told"));
    assert_eq!(misfit("compensated", &done(&all[..2])), Some("stock is held"));
    let twice = Done::from([("charge-payment".to_owned(), 2)]);
    assert_eq!(misfit("compensated", &twice), Some("something was done twice"));
}
