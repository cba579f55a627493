//! The long settings: more orders than can be served, nothing to do at all, and a start among a hundred thousand
//! sagas that are under way.
//!
//! Invariant: an accepted order that is lost, or a refusal that does not say when to come again, is a failure.

use std::time::{Duration, Instant};

use amends_tests::Client;
use serde_json::Value;

use crate::{
    books,
    flood::{flood, place},
    load::{Amount, Load, Pace, Unwatched},
    measured::Measured,
    meters::Part,
    orders::Orders,
    participant::Who,
    proc,
    world::{Database, Layout, Places, Way, World},
};

/// Before nothing is done, so that what was begun has ended.
const CALM: Duration = Duration::from_secs(10);
/// Who was served within this time after an overload was served as usual.
const USUAL: Duration = Duration::from_millis(700);
/// Between two looks at what is under way.
const LOOK: Duration = Duration::from_millis(200);
/// When nothing has settled for so long, nothing will.
const STUCK: Duration = Duration::from_secs(300);
/// Orders that are placed at once while nobody waits for their end.
const AT_ONCE: usize = 256;

/// Twice as many orders as can be served, by REST.
pub(crate) async fn overload(
    name: &str,
    database: Database,
    lasts: Duration,
    places: &Places,
) -> anyhow::Result<Measured> {
    let layout = Layout::books(database);
    let mut world = World::start(layout, places).await?;
    let mut usual = world.door(Way::Rest, true).await?;
    let orders = Orders::new("usual");
    let amount = Amount { warm_up: 2_000, counted: 8_000, longest: Duration::from_secs(15) };
    let seen = Load::new(&mut usual, &orders, 0, Pace::Closed(500), amount).run(&mut Unwatched).await?;
    let mut wrong = seen.wrong;
    let capacity = as_f64(seen.counted) / seen.lasted.as_secs_f64().max(0.001);
    drop(usual);

    let pid = world.system.process("orchestrator").pid();
    proc::forget_peak(pid);
    let mut door = world.door(Way::Rest, false).await?;
    let mut resident = Vec::new();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "thousands a second")]
    let rate = (capacity * 2.0) as u64;
    let orders = Orders::new("too-much");
    let answered = flood(&mut door, rate, lasts, &orders, || resident.push(proc::resident_kib(pid))).await?;
    let ended = Instant::now();
    let peak = proc::peak_kib(pid, false);
    drop(door);

    let recovered = recovered(&world, ended).await?;
    let settled = settled(&world, ended).await?;
    wrong.extend(answered.wrong);
    if answered.refused_bare > 0 {
        wrong.push(format!("{} refusals did not say when to come again", answered.refused_bare));
    }
    if answered.accepted.is_empty() {
        wrong.push("nothing was accepted".to_owned());
    }
    let accepted = as_f64(answered.accepted.len() as u64);
    wrong.extend(books::findings(&world, answered.accepted).await?);
    let mib = |kib: Option<&u64>| as_f64(kib.copied().unwrap_or(0)) / 1024.0;
    let facts = [
        ("capacity, orders/s", capacity),
        ("offered, orders/s", as_f64(rate)),
        ("accepted, orders/s", accepted / lasts.as_secs_f64()),
        ("refused with Retry-After", as_f64(answered.refused)),
        ("refused without", as_f64(answered.refused_bare)),
        ("not sent, for want of connections", as_f64(answered.unsent)),
        ("memory after a quarter of it, MiB", mib(resident.get(resident.len() / 4))),
        ("memory at the end, MiB", mib(resident.last())),
        ("memory at most, MiB", as_f64(peak) / 1024.0),
        ("seconds until an order settles within 700 ms again", recovered.as_secs_f64()),
        ("seconds until all that was accepted is settled", settled.as_secs_f64()),
    ];
    Ok(Measured::of_facts(name, &facts, wrong))
}

/// How long after `since` an order was placed that was served as usual, one after the other being tried.
async fn recovered(world: &World, since: Instant) -> anyhow::Result<Duration> {
    let orders = Orders::new("probe");
    let mut door = world.door(Way::Rest, true).await?;
    let amount = Amount { warm_up: 0, counted: 1, longest: STUCK };
    for number in 0.. {
        let begun = Instant::now();
        // One that goes through: a declined one is a step shorter.
        Load::new(&mut door, &orders, number * 6, Pace::Closed(1), amount).run(&mut Unwatched).await?;
        if begun.elapsed() < USUAL {
            return Ok(begun - since);
        }
    }
    unreachable!("the numbers do not end")
}

/// How long after `since` nothing was under way any more.
async fn settled(world: &World, since: Instant) -> anyhow::Result<Duration> {
    let authorization = world.system.authorization();
    let url = world.system.admin("/v1/sagas?status=running,compensating,parked&limit=1");
    let client = Client::new();
    let (mut last, mut moved) = (Value::Null, Instant::now());
    loop {
        let answer = client.send("GET", &url, &[("authorization", &authorization)], None).await;
        if let Some(answer) = answer.ok().filter(|answer| answer.status == 200) {
            let sagas = &answer.body["sagas"];
            if sagas.as_array().is_some_and(Vec::is_empty) {
                return Ok(since.elapsed());
            }
            if *sagas != last {
                (last, moved) = (sagas.clone(), Instant::now());
            }
        }
        anyhow::ensure!(moved.elapsed() < STUCK, "stuck: this saga does not move: {last}");
        tokio::time::sleep(LOOK).await;
    }
}

/// What the product's own services take when there is nothing to do.
pub(crate) async fn idle(
    name: &str,
    database: Database,
    lasts: Duration,
    places: &Places,
) -> anyhow::Result<Measured> {
    let layout = Layout::shop(database);
    let mut world = World::start(layout, places).await?;
    let mut door = world.door(Way::Rest, true).await?;
    let amount = Amount { warm_up: 0, counted: 200, longest: STUCK };
    let orders = Orders::new("before");
    let seen = Load::new(&mut door, &orders, 0, Pace::Closed(16), amount).run(&mut Unwatched).await?;
    drop(door);
    tokio::time::sleep(CALM).await;
    let watched = world.watched();
    let watched = watched.iter().filter(|process| process.part != Part::Load);
    let taken = || watched.clone().map(|process| proc::cpu_ms(process.pid, process.with_children()));
    let before: Vec<_> = taken().collect();
    tokio::time::sleep(lasts).await;
    let idle_ms = lasts.as_secs_f64() * 1_000.0;
    let percent: Vec<_> = taken()
        .zip(before)
        .map(|(after, before)| as_f64(after.saturating_sub(before)) / idle_ms * 100.0)
        .collect();
    let ours = watched
        .clone()
        .zip(&percent)
        .filter(|(process, _)| !matches!(process.part, Part::Broker | Part::Outside));
    let all: f64 = ours.map(|(_, percent)| percent).sum();
    let names: Vec<_> = watched.clone().map(|process| format!("{}, % of a core", process.name)).collect();
    let mut facts: Vec<_> = names.iter().map(String::as_str).zip(percent).collect();
    facts.push(("all but nats-server and the outside world, % of a core", all));
    let mut wrong = seen.wrong;
    wrong.extend(books::findings(&world, []).await?);
    Ok(Measured::of_facts(name, &facts, wrong))
}

/// The orchestrator is killed and started again while so many sagas are under way, then the participants come.
pub(crate) async fn opening(
    name: &str,
    database: Database,
    open: u64,
    places: &Places,
) -> anyhow::Result<Measured> {
    let layout = Layout::books(database);
    let mut world = World::prepare(layout, places).await?;
    world.start_service("orchestrator");
    world.system.ready("orchestrator").await;
    let mut door = world.door(Way::Subject, false).await?;
    let begun = Instant::now();
    let placed = place(&mut door, &Orders::unawaited("open"), open, AT_ONCE).await?;
    let placing = begun.elapsed();
    world.system.kill("orchestrator");
    let begun = Instant::now();
    world.start_service("orchestrator");
    world.system.ready("orchestrator").await;
    let ready = begun.elapsed();
    for who in Who::ALL {
        world.start_service(who.name());
    }
    for who in Who::ALL {
        world.system.ready(who.name()).await;
    }
    let begun = Instant::now();
    let settled = settled(&world, begun).await?;
    let peak = proc::peak_kib(world.system.process("orchestrator").pid(), false);
    let count = as_f64(placed.accepted.len() as u64);
    let wrong = books::findings(&world, placed.accepted).await?;
    let facts = [
        ("accepted while no participant ran, orders/s", count / placing.as_secs_f64()),
        ("seconds until the orchestrator is ready again", ready.as_secs_f64()),
        (
            "seconds until all of them are settled, from when the participants are ready",
            settled.as_secs_f64(),
        ),
        ("settled, orders/s", count / settled.as_secs_f64()),
        ("memory of the orchestrator at most, MiB", as_f64(peak) / 1024.0),
    ];
    Ok(Measured::of_facts(name, &facts, wrong))
}

#[expect(clippy::cast_precision_loss, reason = "counts of minutes fit")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
