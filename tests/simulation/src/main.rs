//! `make sim`: so many sagas in worlds full of faults, and a table of what they saw.
//!
//! `SEED=n` runs the one world with that seed, and tells its story if it breaks. `SAGAS=n` says how many.
//!
//! Invariant: it ends with an error if an invariant broke, or if something that should happen never did.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amends_simulation::{Counters, SAGAS_PER_WORLD, run};

fn main() -> ExitCode {
    if let Some(seed) = setting("SEED") {
        return one_world(seed);
    }
    let sagas = setting("SAGAS").unwrap_or(100_000);
    let worlds = sagas.div_ceil(SAGAS_PER_WORLD as u64);
    // Half of the seeds are the same in every run; the other half are new each time.
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs()) * 1_000_000;
    let begun = Instant::now();
    let mut counters = Counters::default();
    for world in 0..worlds {
        let seed = if world % 2 == 0 { world } else { fresh + world };
        let end = run(seed, SAGAS_PER_WORLD, None, false);
        counters.absorb(&end.counters);
        if end.violation.is_some() {
            println!("world {world} of {worlds} is broken");
            return one_world(seed);
        }
    }
    report(&counters, worlds * SAGAS_PER_WORLD as u64, begun.elapsed())
}

/// One world, with its story if it is broken.
fn one_world(seed: u64) -> ExitCode {
    let sagas = setting("SAGAS").and_then(|sagas| usize::try_from(sagas).ok());
    let end = run(seed, sagas.map_or(SAGAS_PER_WORLD, |sagas| sagas.min(SAGAS_PER_WORLD)), None, true);
    match end.violation {
        None => {
            println!("{}seed {seed}: every invariant held", end.counters.table());
            ExitCode::SUCCESS
        }
        Some(violation) => {
            for line in end.story {
                println!("{line}");
            }
            println!("\nBROKEN: {violation}\nreplay it with: make sim SEED={seed}");
            ExitCode::FAILURE
        }
    }
}

fn report(counters: &Counters, sagas: u64, took: Duration) -> ExitCode {
    let per_minute = sagas as f64 / took.as_secs_f64() * 60.0;
    println!("{}", counters.table());
    println!("{sagas} sagas in {:.1} s, {per_minute:.0} a minute; every invariant held", took.as_secs_f64());
    let missing = counters.missing();
    if missing.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("never seen: {}\nA run that does not see these proves nothing about them.", missing.join(", "));
    ExitCode::FAILURE
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).and_then(|text| text.parse().ok())
}
