//! `make chaos`, `make soak`, `make scenario` and `make planted`: runs seeds, long runs that have a name, or planted bugs,
//! and prints what was done and what came of it.
//!
//! `SEED=n` runs one seed, `MINUTES=n` one long run; otherwise some fixed seeds and one that is new, and further ones
//! for what these did not get to see. `RATE=n` places
//! so many orders in a second, `ONLY=<fault>,<fault>` makes only these. `amends-chaos scenario` reads `ONLY` as names
//! of scenarios, and `ORDERS`, `RATE` and `SEED`; `amends-chaos planted` reads `ONLY` as names of bugs.
//!
//! Invariant: it ends with an error if an invariant broke, or if something that should happen never did.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::{
    fmt,
    ops::RangeInclusive,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use amends_chaos::{
    CI_LENGTH_MS,
    coverage::Coverage,
    fault::Fault,
    plan::Plan,
    planted, report,
    run::{OLDER, Outcome, RATE, run},
    scenario,
};
use amends_tests::older;

/// Four in a row make every fault.
const FIXED: [u64; 4] = [1, 2, 3, 4];
/// A fault may find nothing to strike at its moment, as a stream that has just been wiped. These may make what
/// the others did not.
const FURTHER: RangeInclusive<u64> = 5..=8;

#[tokio::main(worker_threads = 4)]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        None => nemesis().await,
        Some("scenario") if arguments.next().is_none() => scenarios().await,
        Some("planted") if arguments.next().is_none() => plants().await,
        _ => {
            println!("amends-chaos             runs seeds: SEED, MINUTES, RATE, ONLY=<fault>,<fault>");
            println!("amends-chaos scenario    long runs: ONLY=<name>,<name>, ORDERS, RATE, SEED");
            println!("amends-chaos planted     planted bugs: ONLY=<name>,<name>\n");
            println!("{}", scenario::list());
            ExitCode::FAILURE
        }
    }
}

/// Those that are wanted, one after the other.
async fn scenarios() -> ExitCode {
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted = match scenario::wanted(&only) {
        Ok(wanted) => wanted,
        Err(wrong) => {
            println!("ONLY={only}: {wrong}\n{}", scenario::list());
            return ExitCode::FAILURE;
        }
    };
    let mut all_well = true;
    for scenario in wanted {
        let size = scenario.size.or(setting("ORDERS"), setting("RATE"), setting("SEED"));
        println!("{}: {}\n  {size}", scenario.name, scenario.about);
        let outcome = scenario.run(size).await;
        println!("{}", report::story(&outcome));
        println!("{}\n{}", report::table(std::slice::from_ref(&outcome)), report::seen(&outcome.coverage));
        println!("{}\nthe auditor saw\n{}", outcome.usage, outcome.audit);
        let unseen = scenario.unseen(&outcome);
        if !unseen.is_empty() {
            println!("never seen: {}\nA run that does not see these proves nothing.", unseen.join(", "));
        }
        let verdict = if outcome.violations.is_empty() && unseen.is_empty() { "held" } else { "FAILED" };
        let (faults, violations) = (outcome.struck.len(), outcome.violations.len());
        println!(
            "{} {verdict}: {} sagas, {faults} faults, {violations} violations\n",
            scenario.name, outcome.accepted
        );
        all_well &= verdict == "held";
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each planted bug that is wanted, and each of their plays without one.
async fn plants() -> ExitCode {
    let only = std::env::var("ONLY").unwrap_or_default();
    match planted::run(&only).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

async fn nemesis() -> ExitCode {
    let (seed, minutes) = (setting("SEED"), setting("MINUTES"));
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(5, |since| since.as_secs());
    let length_ms = minutes.map_or(CI_LENGTH_MS, |minutes| minutes * 60_000);
    let seeds = match (seed, minutes) {
        (Some(seed), _) => vec![seed],
        (None, Some(_)) => vec![fresh],
        (None, None) => FIXED.into_iter().chain([fresh]).collect(),
    };
    let skipped = amends_chaos::impossible();
    for (fault, why) in &skipped {
        println!("SKIPPED: {}: {why}", fault.name());
    }
    if older().is_none() {
        println!("SKIPPED: two versions side by side: AMENDS_OLD names no binary of an earlier commit");
    }
    let mut skipped: Vec<_> = skipped.into_iter().map(|(fault, _)| fault).collect();
    let only = std::env::var("ONLY").unwrap_or_default();
    let is_wanted =
        |fault: &Fault| only.is_empty() || only.split(',').any(|name| name.trim() == fault.name());
    let unwanted = Fault::ALL.into_iter().filter(|fault| !is_wanted(fault) && !skipped.contains(fault));
    skipped.extend(unwanted.collect::<Vec<_>>());
    if skipped.len() == Fault::ALL.len() {
        let names: Vec<_> = Fault::ALL.into_iter().map(Fault::name).collect();
        println!("ONLY={only}: there is no such fault here; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let rate = setting("RATE").unwrap_or(RATE);
    let mut outcomes = Vec::new();
    for seed in &seeds {
        outcomes.push(run_seed(Plan::of(*seed, length_ms, &skipped), rate, minutes.is_some()).await);
    }
    let is_whole = seed.is_none() && minutes.is_none() && only.is_empty();
    for seed in FURTHER.filter(|_| is_whole) {
        let unseen = Unseen::by(&outcomes, &skipped);
        if unseen.is_empty() {
            break;
        }
        let plan = Plan::of(seed, length_ms, &skipped);
        if unseen.may_be_seen_in(&plan) {
            println!("never seen so far: {unseen}");
            outcomes.push(run_seed(plan, rate, false).await);
        }
    }
    conclude(&outcomes, &skipped, seed.is_none() && only.is_empty())
}

/// Carries a plan out, and says what became of it.
async fn run_seed(plan: Plan, rate: u64, is_long: bool) -> Outcome {
    println!("SEED={}  {}  {:.0} s", plan.seed, plan.topology, plan.length_ms as f64 / 1_000.0);
    for strike in &plan.strikes {
        println!("  {strike}");
    }
    let outcome = run(plan, rate).await;
    println!("{}", report::story(&outcome));
    if is_long {
        println!("{}\n", outcome.usage);
    }
    outcome
}

/// What all runs together should have seen and did not.
struct Unseen {
    counters: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Unseen {
    fn by(outcomes: &[Outcome], skipped: &[Fault]) -> Self {
        let mut coverage = Coverage::default();
        outcomes.iter().for_each(|outcome| coverage.absorb(&outcome.coverage));
        let mut counters = coverage.missing();
        if older().is_some() && coverage.0.get(OLDER).is_none_or(|count| *count == 0) {
            counters.push(OLDER);
        }
        let was_made =
            |fault: &Fault| outcomes.iter().flat_map(|o| &o.struck).any(|struck| struck.fault == *fault);
        let is_unmade = |fault: &Fault| !was_made(fault) && !skipped.contains(fault);
        Self { counters, faults: Fault::ALL.into_iter().filter(is_unmade).collect() }
    }

    fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.faults.is_empty()
    }

    /// Whether a run of this plan may see some of it.
    fn may_be_seen_in(&self, plan: &Plan) -> bool {
        !self.counters.is_empty() || plan.strikes.iter().any(|strike| self.faults.contains(&strike.fault))
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.faults.iter().map(|fault| fault.name());
        let all: Vec<_> = self.counters.iter().copied().chain(faults).collect();
        f.write_str(&all.join(", "))
    }
}

fn conclude(outcomes: &[Outcome], skipped: &[Fault], is_whole: bool) -> ExitCode {
    let mut coverage = Coverage::default();
    outcomes.iter().for_each(|outcome| coverage.absorb(&outcome.coverage));
    println!("{}\n{}", report::table(outcomes), report::seen(&coverage));
    let violations: usize = outcomes.iter().map(|outcome| outcome.violations.len()).sum();
    let sagas: usize = outcomes.iter().map(|outcome| outcome.accepted).sum();
    let struck: usize = outcomes.iter().map(|outcome| outcome.struck.len()).sum();
    println!("\n{sagas} sagas, {struck} faults, {violations} violations");
    let unseen = Unseen::by(outcomes, skipped);
    if is_whole && !unseen.is_empty() {
        println!("never seen: {unseen}\nA run that does not see these proves nothing about them.");
        return ExitCode::FAILURE;
    }
    if violations > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).and_then(|text| text.parse().ok())
}
