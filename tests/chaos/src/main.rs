//! `make chaos` and `make soak`: runs seeds, and prints what was done and what came of it.
//!
//! `SEED=n` runs one seed, `MINUTES=n` one long run; otherwise some fixed seeds and one that is new. `RATE=n` places
//! so many orders in a second, `ONLY=<fault>,<fault>` makes only these.
//!
//! Invariant: it ends with an error if an invariant broke, or if something that should happen never did.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use amends_chaos::{
    CI_LENGTH_MS,
    coverage::Coverage,
    fault::Fault,
    plan::Plan,
    report,
    run::{Outcome, RATE, run},
};

/// Four in a row make every fault.
const FIXED: [u64; 4] = [1, 2, 3, 4];

#[tokio::main(worker_threads = 4)]
async fn main() -> ExitCode {
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
        let plan = Plan::of(*seed, length_ms, &skipped);
        println!("SEED={seed}  {}  {:.0} s", plan.topology, length_ms as f64 / 1_000.0);
        for strike in &plan.strikes {
            println!("  {strike}");
        }
        let outcome = run(plan, rate).await;
        tell(&outcome);
        outcomes.push(outcome);
    }
    conclude(&outcomes, &skipped, seed.is_none() && only.is_empty())
}

fn tell(outcome: &Outcome) {
    let Outcome { seed, accepted, settled_in, violations, .. } = outcome;
    println!("  {accepted} sagas, settled {settled_in:.1?} after the last fault");
    for failed in &outcome.failed {
        println!("  not as planned: {failed}");
    }
    for (note, count) in &outcome.notes {
        println!("  {count} times: {note}");
    }
    for (name, last) in &outcome.fell {
        println!("  ended by itself and was started again: {name}");
        last.iter().for_each(|line| println!("    {line}"));
    }
    for violation in violations {
        println!("  VIOLATION: {violation}");
    }
    if let Some(kept) = &outcome.kept {
        println!("  kept in {}\n  replay it with: make chaos SEED={seed}", kept.display());
    }
    println!();
}

fn conclude(outcomes: &[Outcome], skipped: &[Fault], is_whole: bool) -> ExitCode {
    let mut coverage = Coverage::default();
    outcomes.iter().for_each(|outcome| coverage.absorb(&outcome.coverage));
    println!("{}\n{}", report::table(outcomes), report::seen(&coverage));
    let violations: usize = outcomes.iter().map(|outcome| outcome.violations.len()).sum();
    let sagas: usize = outcomes.iter().map(|outcome| outcome.accepted).sum();
    let struck: usize = outcomes.iter().map(|outcome| outcome.struck.len()).sum();
    println!("\n{sagas} sagas, {struck} faults, {violations} violations");
    let mut unseen: Vec<_> = coverage.missing().into_iter().map(str::to_owned).collect();
    let was_made =
        |fault: &Fault| outcomes.iter().flat_map(|o| &o.struck).any(|struck| struck.fault == *fault);
    unseen.extend(
        Fault::ALL
            .into_iter()
            .filter(|fault| !was_made(fault) && !skipped.contains(fault))
            .map(|fault| fault.name().to_owned()),
    );
    if is_whole && !unseen.is_empty() {
        println!(
            "never seen: {}\nA run that does not see these proves nothing about them.",
            unseen.join(", ")
        );
        return ExitCode::FAILURE;
    }
    if violations > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).and_then(|text| text.parse().ok())
}
