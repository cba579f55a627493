//! Every planted bug that a running system can carry is caught by the auditor: `make planted`, `make planted ONLY=no-tombstone`.
//!
//! For each bug a real system is started with it, one play provokes the situation in which it bites, and the auditor has to say
//! what it breaks. The same play without the bug has to find nothing.
//!
//! Invariant: a bug counts as caught only by an invariant that names its harm, not by the journal being decided again otherwise,
//! and not by a run that was merely slow.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

mod messages;
mod plants;
mod play;
mod plays;
mod refused;
mod scenery;
mod stage;
mod table;

use std::time::{Duration, Instant};

use amends_audit::{Finding, Invariant, Report};
use amends_planted::Bug;

use plants::Plant;
use play::Play;
use stage::Stage;

/// How a play went.
struct Performed {
    findings: Vec<Finding>,
    /// Where the play could not go on, if it could not.
    stopped: Option<String>,
    took: Duration,
}

/// What became of a bug.
struct Caught {
    plant: Plant,
    performed: Performed,
}

impl Caught {
    /// Whether all was found that it breaks.
    fn is_caught(&self) -> bool {
        self.plant.found_as.iter().all(|invariant| self.first(*invariant).is_some())
    }

    /// A finding that says what it does to whom it may concern.
    fn example(&self) -> Option<&Finding> {
        self.plant.found_as.iter().find_map(|invariant| self.first(*invariant))
    }

    fn first(&self, invariant: Invariant) -> Option<&Finding> {
        self.performed.findings.iter().find(|finding| finding.invariant == invariant)
    }
}

/// Plays without a bug and with each that is wanted, and prints what was found; whether each was caught, and nothing else.
///
/// # Errors
/// Why nothing can be played.
pub async fn run(only: &str) -> Result<bool, String> {
    let wanted = wanted(only).map_err(|why| format!("ONLY={only}: {why}"))?;
    if let Some(why) = stage::impossible() {
        return Err(why.to_owned());
    }
    let mut is_well = true;
    let mut all = Vec::new();
    for plants in wanted.chunk_by(|one, next| one.play.name == next.play.name) {
        is_well &= control(&plants[0].play).await;
        for plant in plants {
            let performed = perform(&plant.play, Some(plant.bug)).await;
            println!("  {:<24} {}", plant.bug.name(), told(&performed));
            all.push(Caught { plant: *plant, performed });
        }
    }
    println!("\n{}", table::table(&all));
    if only.trim().is_empty() {
        is_well &= cannot_be_carried().await;
    }
    let caught = all.iter().filter(|caught| caught.is_caught()).count();
    is_well &= caught == all.len();
    println!("\n{} {caught} of {} planted bugs caught", if is_well { "held:" } else { "FAILED:" }, all.len());
    Ok(is_well)
}

/// Those bugs whose names are given, or all.
fn wanted(only: &str) -> Result<Vec<Plant>, String> {
    let names = only.split(',').map(str::trim).filter(|name| !name.is_empty());
    let bugs: Result<Vec<Bug>, _> = names.map(str::parse).collect();
    let bugs = bugs.map_err(|error| error.to_string())?;
    Ok(plants::ALL.iter().filter(|plant| bugs.is_empty() || bugs.contains(&plant.bug)).copied().collect())
}

/// Plays without a bug: nothing may be found.
async fn control(play: &Play) -> bool {
    let performed = perform(play, None).await;
    println!("{:<26} {}", play.name, told(&performed));
    for finding in &performed.findings {
        println!("    WITHOUT A BUG: {finding}");
    }
    performed.findings.is_empty() && performed.stopped.is_none()
}

async fn perform(play: &Play, bug: Option<Bug>) -> Performed {
    let begun = Instant::now();
    let mut stage = Stage::start(play.scenery, bug).await;
    let mut stopped = (play.acts)(&mut stage).await.err();
    if let Err(why) = stage.settle().await {
        stopped.get_or_insert(why);
    }
    let Report { findings, .. } = stage.audit().await;
    Performed { findings, stopped, took: begun.elapsed() }
}

fn told(performed: &Performed) -> String {
    let found = match table::found_as(&performed.findings) {
        none if none.is_empty() => "nothing found".to_owned(),
        some => some,
    };
    let stopped = performed.stopped.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    format!("{:>5.1?}  {found}{stopped}", performed.took)
}

/// What no running system can carry: the database refuses it.
async fn cannot_be_carried() -> bool {
    match refused::refused().await {
        Ok(answer) => {
            println!("cannot be planted: {}:\n  {answer}", refused::LOSERS_ENTRY);
            true
        }
        Err(why) => {
            println!("FAILED: {}: {why}", refused::LOSERS_ENTRY);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_a_play() {
        for bug in Bug::ALL {
            let count = plants::ALL.iter().filter(|plant| plant.bug == bug).count();
            assert_eq!(count, 1, "{bug}");
        }
    }

    #[test]
    fn bugs_are_found_by_their_names() {
        assert_eq!(wanted("").unwrap().len(), Bug::ALL.len());
        assert_eq!(wanted("no-tombstone, guesses-pivot").unwrap().len(), 2);
        assert!(wanted("no-tombstones").is_err_and(|why| why.contains("no-tombstone,")));
    }

    #[test]
    fn what_a_bug_is_found_as_is_never_only_that_it_is_decided_again_otherwise() {
        for plant in plants::ALL {
            assert!(!plant.found_as.is_empty(), "{}", plant.bug);
            assert!(!plant.found_as.contains(&Invariant::I1), "{}", plant.bug);
        }
    }
}
