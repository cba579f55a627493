//! The commands of a batch that bulk handlers do, many at once.
//!
//! Invariant: what is done here has a final, legal, sendable outcome, each; in any other case the transaction is to be
//! rolled back, and the commands are to be done alone, where one cannot harm another.

use std::collections::{BTreeMap, HashMap};

use amends_contract::{Event, Outcome};
use amends_inbox::Decision;

use crate::{
    BulkHandler, HandlerError, Undone, Work,
    batch::{Batch, Done, Setback},
    database::Failure,
    domain::{self, Verdict},
    participant::Route,
    step,
    task::Task,
};

/// A command that is to be done together with others of its name.
struct Job<'a> {
    /// Its place in the batch.
    place: usize,
    task: &'a Task,
    undone: Option<Undone>,
}

/// What came of a job.
struct Handled {
    outcome: Outcome,
    body: Vec<u8>,
    events: Vec<Event>,
}

/// Does what can be done at once; gives what came of it by the tasks' places.
///
/// # Errors
/// When the whole batch has to be run again; after [`Setback::Together`] without this.
pub(crate) async fn run(
    batch: &mut Batch<'_>,
    tasks: &[Task],
    decisions: &[Decision],
) -> Result<HashMap<usize, Done>, Setback> {
    let mut done = HashMap::new();
    for (command, jobs) in jobs(batch, tasks, decisions) {
        let Some(Route::Bulk(handler)) = batch.core.routes.get(command) else { continue };
        for (job, handled) in jobs.iter().zip(together(batch, &**handler, &jobs).await?) {
            let Handled { outcome, body, events } = handled;
            done.insert(job.place, step::handled(batch, job.task, &outcome, body, events));
        }
    }
    Ok(done)
}

/// The commands that bulk handlers are to do, by their names.
fn jobs<'a>(batch: &Batch<'_>, tasks: &'a [Task], decisions: &[Decision]) -> BTreeMap<&'a str, Vec<Job<'a>>> {
    let mut jobs: BTreeMap<&str, Vec<Job<'_>>> = BTreeMap::new();
    for (place, (task, decision)) in tasks.iter().zip(decisions).enumerate() {
        let command = task.command.address.command.as_str();
        if *decision == Decision::Run
            && matches!(batch.core.routes.get(command), Some(Route::Bulk(_)))
            && let Ok(undone) = step::undone(batch, task)
        {
            jobs.entry(command).or_default().push(Job { place, task, undone });
        }
    }
    jobs
}

/// Does the jobs. Not in a savepoint: that they have to be done alone is too rare to be prepared for each time.
async fn together(
    batch: &Batch<'_>,
    handler: &dyn BulkHandler,
    jobs: &[Job<'_>],
) -> Result<Vec<Handled>, Setback> {
    let (tx, now, name) = (batch.tx, batch.now, &batch.core.name);
    let works = jobs.iter().map(|job| Work::new(tx, now, name, &job.task.command, job.undone.as_ref()));
    let (result, events) = domain::handle_many(handler, works.collect()).await;
    match result.and_then(|outcomes| judged(batch, jobs, outcomes, events)) {
        Err(HandlerError::Database(error)) if Failure::of(&error) != Failure::Defect => Err(error.into()),
        Err(why) => {
            tracing::warn!(commands = jobs.len(), %why, "commands that were to be done at once are done one by one");
            Err(Setback::Together)
        }
        Ok(handled) => Ok(handled),
    }
}

/// What the outcomes come to, if all of them may be recorded as they are.
fn judged(
    batch: &Batch<'_>,
    jobs: &[Job<'_>],
    outcomes: Vec<Outcome>,
    events: Vec<Vec<Event>>,
) -> Result<Vec<Handled>, HandlerError> {
    let mut handled = Vec::with_capacity(jobs.len());
    for ((job, outcome), events) in jobs.iter().zip(outcomes).zip(events) {
        let was_rejected = matches!(outcome, Outcome::Rejected { .. });
        match domain::judge(&batch.core.name, &job.task.command, job.task.cause, Ok(outcome)) {
            // One that succeeded and cannot be sent is rejected, so what it did must go.
            Verdict::Final { outcome, body }
                if was_rejected == matches!(outcome, Outcome::Rejected { .. }) =>
            {
                handled.push(Handled { outcome, body, events });
            }
            Verdict::Final { .. } => {
                return Err(HandlerError::Internal("an outcome cannot be sent".to_owned()));
            }
            Verdict::NotYet { why, .. } => return Err(why),
        }
    }
    Ok(handled)
}
