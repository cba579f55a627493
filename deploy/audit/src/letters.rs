//! Dead letters (L4): as many as were injected, no more and no fewer; and that whoever dealt with one, or
//! paused a definition or a participant, said why (I11). What is done to sagas stands in their journals.
//!
//! Only whoever injected them knows how many there should be; without that they are counted.
//!
//! Invariant: pages of letters, and no body is kept.

use amends_store::{DeadLetterFilter, LetterAction};

use crate::sources::Opened;
use crate::{Error, Expectations, Invariant, Report};

/// Letters in one page: each may be some 700 KB.
const LETTERS_COUNT: u32 = 20;

pub(crate) async fn check(
    sources: &Opened,
    expectations: &Expectations,
    report: &mut Report,
) -> Result<(), Error> {
    let (all, mut cursor) = (DeadLetterFilter::default(), None);
    loop {
        let page = sources.store.dead_letters(&all, cursor, LETTERS_COUNT).await?;
        report.counters.dead_letters += page.rows.len() as u64;
        for row in &page.rows {
            for LetterAction { action, actor, reason, .. } in &row.actions {
                let what = format!("{action} of dead letter {}", row.number);
                named(&what, actor, reason, report);
            }
            if let Err(why) = &row.letter {
                let what = format!("dead letter {} cannot be read: {why}", row.number);
                report.all(Invariant::L4, what, "the table of dead letters".to_owned());
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for pause in sources.store.definition_pauses().await? {
        named(&format!("the pause of {}", pause.name), &pause.actor, &pause.reason, report);
    }
    for said in sources.store.participant_actions().await? {
        let what = format!("{} of participant {}", said.wish.as_str(), said.participant);
        named(&what, &said.actor, &said.reason, report);
    }
    let found = report.counters.dead_letters;
    if let Some(injected) =
        expectations.injected.as_ref().filter(|injected| !injected.poison.contains(&found))
    {
        let (least, most) = (injected.poison.start(), injected.poison.end());
        let what = format!("{found} dead letters; {least} to {most} messages were poison");
        report.all(Invariant::L4, what, "GET /v1/dead-letters, and the log of who injected them".to_owned());
    }
    Ok(())
}

fn named(what: &str, actor: &str, reason: &str, report: &mut Report) {
    report.counters.operator_actions += 1;
    if actor.trim().is_empty() || reason.trim().is_empty() {
        let what = format!("{what} by {actor:?} because of {reason:?}");
        report.all(Invariant::I11, what, "the orchestrator's database".to_owned());
    }
}
