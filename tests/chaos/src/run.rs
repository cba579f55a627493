//! A run: a system is started, loaded and struck as a script says; then the weather is calm, everything has to
//! settle, and all books have to agree.
//!
//! Invariant: whatever goes wrong is written down with the line that runs it again and kept in a folder; a run
//! never stops at the first violation.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use amends_audit::{Expectations, Injected};
use amends_tests::{audit, books};
use serde_json::Value;

use crate::{
    coverage::{Coverage, Meters},
    dump,
    fault::Fault,
    load::{Load, Pace, Placed, Progress},
    plan::{Plan, Strike},
    script::{Moment, Script},
    strike::{self, Trace},
    usage::Lives,
    watch::Watch,
    world::World,
};

/// Orders in a second, unless it is said otherwise: modest, for what is looked for is right and wrong, not fast and slow.
pub const RATE: u64 = 6;
/// Counts orchestrators of an older version.
pub const OLDER: &str = "orchestrators started as the older version";
const TICK: Duration = Duration::from_millis(50);
/// L1: so long after the last fault may anything still be under way.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);
/// So long is it waited in all, to tell what is slow from what is stuck.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(180);
/// A fault explains a redelivery, and one more sending by the timer.
const SENDS_PER_FAULT: u64 = 2;
const METERS_EVERY: Duration = Duration::from_secs(1);

/// What became of a fault.
#[derive(Clone, Debug)]
pub struct Struck {
    /// What was done.
    pub fault: Fault,
    /// To whom.
    pub target: &'static str,
    /// How many sagas were in flight.
    pub in_flight: usize,
    /// Milliseconds since 1970 of its beginning and end.
    pub span_ms: (u64, u64),
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.span_ms;
        write!(f, "{from} to {to}  {}: {}, {} in flight", self.fault.name(), self.target, self.in_flight)
    }
}

/// Which run it is.
#[derive(Clone, Debug)]
pub struct Title {
    /// A word, for the folder of what is kept.
    pub name: String,
    /// The line that runs it again.
    pub again: String,
    /// What was planned.
    pub plan: Vec<String>,
}

/// What became of a run.
pub struct Outcome {
    /// Which.
    pub title: Title,
    /// How many sagas were accepted.
    pub accepted: usize,
    /// What was injected.
    pub struck: Vec<Struck>,
    /// What could not be injected, and why.
    pub failed: Vec<String>,
    /// What was seen.
    pub coverage: Coverage,
    /// Invariants that broke.
    pub violations: Vec<String>,
    /// What is worth telling, and how often it was seen.
    pub notes: BTreeMap<String, u64>,
    /// Processes that ended by themselves and were started again: the last lines of their logs.
    pub fell: BTreeMap<String, Vec<String>>,
    /// How long it took to settle after the last fault.
    pub settled_in: Duration,
    /// What the auditor says.
    pub audit: String,
    /// What the processes used.
    pub usage: String,
    /// Where everything is kept, if something was wrong.
    pub kept: Option<PathBuf>,
}

/// A run under way.
pub(crate) struct Run {
    title: Title,
    /// What is struck.
    pub(crate) world: World,
    watch: Watch,
    struck: Vec<Struck>,
    failed: Vec<String>,
    /// What broke so far.
    pub(crate) violations: Vec<String>,
    /// What was seen so far.
    pub(crate) coverage: Coverage,
    meters: Meters,
    meters_at: Instant,
    lives: Lives,
    audited: String,
    kept: Option<PathBuf>,
}

/// A fault that has not ended.
struct Active {
    strike: Strike,
    trace: Trace,
    /// Among all that was done.
    place: usize,
}

/// Carries a plan out.
pub async fn run(plan: Plan, rate: u64) -> Outcome {
    let world = World::start(&plan.topology).await;
    let pace = Pace { seed: plan.seed, rate, orders: None };
    Run::on(world, plan.title()).play(pace, &mut plan.script()).await
}

impl Run {
    /// A run on a system that has been started.
    pub(crate) fn on(world: World, title: Title) -> Self {
        let watch = Watch::new(&world.system, &world.topology.orchestrators());
        Self {
            title,
            world,
            watch,
            struck: Vec::new(),
            failed: Vec::new(),
            violations: Vec::new(),
            coverage: Coverage::default(),
            meters: Meters::default(),
            meters_at: Instant::now(),
            lives: Lives::default(),
            audited: String::new(),
            kept: None,
        }
    }

    /// Orders and faults, calm, and the comparison of all books.
    pub(crate) async fn play(mut self, pace: Pace, script: &mut dyn Script) -> Outcome {
        let watching = tokio::spawn(self.watch.clone().run());
        let load = Load::new(&self.world.system, &self.world.topology.orchestrators());
        let load = self.storm(load, pace, script).await;
        let calm = Instant::now();
        let placed = self.settle(load, calm).await;
        let settled_in = calm.elapsed();
        watching.abort();
        self.audit(&placed).await;
        self.finished(&placed, settled_in).await
    }

    async fn finished(mut self, placed: &Placed, settled_in: Duration) -> Outcome {
        self.violations.append(&mut self.world.wrong);
        if self.world.older.is_some() {
            self.coverage.add(OLDER, self.world.started_older);
        }
        for (point, count) in &self.world.died {
            self.coverage.add(&format!("died {point}"), *count);
        }
        if !self.violations.is_empty() {
            self.keep("violations").await;
        }
        Outcome {
            title: self.title,
            accepted: placed.orders.len() + placed.deals.len(),
            struck: self.struck,
            failed: self.failed,
            coverage: self.coverage,
            violations: self.violations,
            notes: self.world.notes,
            fell: self.world.fell,
            settled_in,
            audit: self.audited,
            usage: self.lives.table(),
            kept: self.kept,
        }
    }

    /// Orders and faults, until the script is over or all orders are placed, and every fault has ended.
    async fn storm(&mut self, load: Load, pace: Pace, script: &mut dyn Script) -> Load {
        let begun = Instant::now();
        let progress = Arc::new(Progress::default());
        let placing = tokio::spawn(load.place_all(pace, Arc::clone(&progress)));
        let mut active: Vec<Active> = Vec::new();
        loop {
            let now = ms(begun);
            let is_over = placing.is_finished() || script.is_over(now);
            if is_over && active.is_empty() {
                progress.stop();
                return placing.await.expect("placing does not stop with a word");
            }
            for fault in take_if(&mut active, |fault| fault.strike.ends_ms() <= now) {
                self.end(fault).await;
            }
            if !is_over {
                self.strike(script, begun, progress.placed(), &mut active).await;
            }
            if !active.is_empty() {
                self.watch.excuse();
            }
            self.look_after().await;
            tokio::time::sleep(TICK).await;
        }
    }

    /// All that is due. Making a fault takes time, too: what comes next may be late, and is made nevertheless.
    async fn strike(
        &mut self,
        script: &mut dyn Script,
        begun: Instant,
        placed: u64,
        active: &mut Vec<Active>,
    ) {
        let now_ms = ms(begun);
        loop {
            let busy = active.iter().map(|fault| fault.strike.fault.realm()).collect();
            let Some(strike) = script.next(&Moment { now_ms, placed, busy }) else { return };
            active.extend(self.begin(Strike { at_ms: ms(begun), ..strike }).await);
        }
    }

    async fn begin(&mut self, strike: Strike) -> Option<Active> {
        let in_flight = self.watch.in_flight();
        self.world.supervise();
        match strike::begin(&mut self.world, &strike).await {
            Ok(trace) => {
                let (fault, target) = (strike.fault, strike.target);
                self.struck.push(Struck { fault, target, in_flight, span_ms: (now_ms(), u64::MAX) });
                Some(Active { strike, trace, place: self.struck.len() - 1 })
            }
            Err(error) => {
                self.failed.push(format!("{strike}: {error}"));
                None
            }
        }
    }

    async fn end(&mut self, Active { strike, trace, place }: Active) {
        if let Err(error) = strike::end(&mut self.world, &strike, trace).await {
            self.failed.push(format!("{strike}: and then: {error}"));
        }
        self.struck[place].span_ms.1 = now_ms();
    }

    /// What has to be done all the time.
    async fn look_after(&mut self) {
        self.world.supervise();
        if self.kept.is_none() && self.watch.is_stuck() {
            self.violations.push("stuck: nothing has moved for 30 s of calm".to_owned());
            self.keep("stuck").await;
        }
        if self.meters_at.elapsed() > METERS_EVERY {
            self.meters_at = Instant::now();
            self.world.read_meters(&mut self.meters, &mut self.coverage).await;
            self.world.sample(&mut self.lives);
        }
    }

    /// Waits until everything has ended.
    async fn settle(&mut self, load: Load, calm: Instant) -> Placed {
        let accepting = tokio::spawn(load.all());
        self.world.heal().await;
        self.watch.excuse();
        loop {
            self.look_after().await;
            let is_accepted = accepting.is_finished();
            let open = self.watch.look().await;
            if is_accepted
                && open.as_ref().is_some_and(|open| open.values().all(|saga| saga.status == "parked"))
            {
                break;
            }
            if calm.elapsed() > GIVEN_UP_AFTER {
                let open = open.map_or_else(|| "nobody answers".to_owned(), |open| format!("{open:#?}"));
                self.violations.push(format!("L1: not settled after {GIVEN_UP_AFTER:?}: {open}"));
                self.keep("not settled").await;
                break;
            }
            tokio::time::sleep(TICK).await;
        }
        let took = calm.elapsed();
        if took > SETTLES_WITHIN && took < GIVEN_UP_AFTER {
            self.violations.push(format!("L1: it took {took:.0?} after the last fault to settle"));
        }
        for (id, saga) in self.watch.seen().open {
            self.violations.push(format!("{id}: {} {:?}", saga.status, saga.flags));
        }
        match accepting.is_finished() {
            true => accepting.await.unwrap_or_default(),
            false => {
                accepting.abort();
                self.violations.push("L1: some order was never accepted".to_owned());
                Placed::default()
            }
        }
    }

    async fn audit(&mut self, placed: &Placed) {
        self.violations.extend(placed.wrong.iter().cloned());
        if placed.orders.is_empty() {
            return self.violations.push("no order was accepted: nothing is proven".to_owned());
        }
        self.violations.extend(dead_letters(&self.world).await);
        let system = &self.world.system;
        self.violations.extend(audit::disagreements(system, &placed.orders, &placed.deals).await);
        let ids = placed.orders.iter().map(|order| &order.id).chain(placed.deals.iter().map(|deal| &deal.id));
        let ids: Vec<&str> = ids.map(String::as_str).collect();
        let report = books::report(books::sources(system), &self.expectations(placed, &ids)).await;
        self.violations.extend(report.findings.iter().map(ToString::to_string));
        self.audited = report.to_string();
        self.coverage.add("lives long enough to tell growth", self.lives.usage().len() as u64);
        self.coverage.add("tombstones in the inboxes", report.counters.tombstones);
        self.coverage.add("fences", report.counters.fences);
        self.coverage.read_sagas(system, ids.into_iter()).await;
    }

    /// What the auditor is told of what was done.
    fn expectations(&self, placed: &Placed, ids: &[&str]) -> Expectations {
        let is_poisoned = !self.world.poisoned.is_empty();
        Expectations {
            accepted: ids.iter().filter_map(|id| id.parse().ok()).collect(),
            // Whoever was told something wrong does not know what was accepted.
            accepted_is_all: placed.wrong.is_empty(),
            injected: Some(Injected {
                // Streams are wiped, and messages copied; which letters there may be is looked at here.
                poison: 0..=if is_poisoned { u64::MAX } else { 0 },
                faults: self.struck.len() as u64,
                sends_per_fault: SENDS_PER_FAULT,
            }),
            usage: self.lives.usage(),
            ..Expectations::settled()
        }
    }

    /// Keeps what one needs to know, once.
    async fn keep(&mut self, why: &str) {
        if self.kept.is_none() {
            let kept = dump::Kept { title: &self.title, struck: &self.struck, violations: &self.violations };
            self.kept = Some(dump::keep(&mut self.world, &self.watch, &kept, why).await);
        }
    }
}

/// L4: nothing is set aside but what was poisoned. Poison may be wiped before anybody reads it, and other faults
/// copy it, so neither number says anything.
async fn dead_letters(world: &World) -> Vec<String> {
    let (client, authorization) = (&world.system.client, world.system.authorization());
    let url = world.system.admin("/v1/dead-letters?limit=200");
    let answer = client.get(&url, &[("authorization", &authorization)]).await;
    let letters = answer["dead_letters"].as_array().cloned().unwrap_or_default();
    let is_poison = |letter: &&Value| {
        let is_it = |(subject, reason): &(String, String)| {
            letter["subject"] == subject.as_str() && letter["code"] == reason.as_str()
        };
        world.poisoned.iter().any(is_it)
    };
    let others = letters.iter().filter(|letter| !is_poison(letter));
    others.map(|letter| format!("L4: nobody poisoned this: {letter}")).collect()
}

fn ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn take_if<T>(all: &mut Vec<T>, is_taken: impl Fn(&T) -> bool) -> Vec<T> {
    let (taken, rest) = std::mem::take(all).into_iter().partition(is_taken);
    *all = rest;
    taken
}

/// Milliseconds since 1970, as in the ids of sagas.
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
