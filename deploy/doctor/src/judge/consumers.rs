//! The consumers: are they there, as configured, and does somebody read?

use crate::facts::{Consumer, Facts};
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const EXISTS: Check = Check(Area::Streams, "consumer");
const DIFFERS: Check = Check(Area::Streams, "consumer-differs");
const READ: Check = Check(Area::Streams, "consumer-read");
const PAUSED: Check = Check(Area::Streams, "consumer-paused");

pub(super) fn judge(_deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let Ok(broker) = &facts.broker else { return Vec::new() };
    broker.consumers.iter().flat_map(of_consumer).collect()
}

fn of_consumer(consumer: &Consumer) -> Vec<Finding> {
    let Consumer { stream, name, owner, seen } = consumer;
    let what = format!("consumer {name} on {} messages", stream.token());
    let found = match seen {
        Ok(Some(found)) => found,
        Ok(None) => {
            return vec![EXISTS.warning(
                format!("{what} does not exist"),
                format!("{owner} makes it when it starts; until then nobody reads what is sent to it"),
                format!("start {owner}"),
            )];
        }
        Err(why) => {
            return vec![EXISTS.unseen(format!("{what} could not be looked at"), why.clone())];
        }
    };
    let mut findings = Vec::new();
    for difference in &found.differences {
        findings.push(DIFFERS.warning(
            difference.to_string(),
            "an existing consumer is never changed by us: it was made with other settings, or by hand",
            format!("stop {owner}, `nats consumer rm` it, start {owner}: what is still wanted is sent again"),
        ));
    }
    if found.paused_ms > 0 {
        findings.push(PAUSED.warning(
            format!("{what} is paused for another {} s", found.paused_ms.div_ceil(1_000)),
            "somebody paused it; the sagas that need it are held meanwhile",
            "`amends participant ls` says who and why, `amends participant resume` ends it, by hand or not",
        ));
    }
    let pending = found.pending;
    findings.push(match found.waiting {
        0 if found.paused_ms == 0 => READ.warning(
            format!("{what}: nobody reads, {pending} messages wait"),
            format!("{owner} is away, or busy for longer than a pull"),
            format!("is {owner} running? its /readyz and its log say what it waits for"),
        ),
        _ => EXISTS.ok(format!("{what}: {} readers, {pending} messages wait", found.waiting)),
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::tests::{deployment, facts, level};

    fn judged(change: impl FnOnce(&mut Consumer)) -> Vec<Finding> {
        let mut facts = facts();
        change(&mut facts.broker.as_mut().unwrap().consumers[0]);
        judge(&deployment(), &facts)
    }

    #[test]
    fn a_consumer_that_is_read_is_sound() {
        let findings = judged(|_| {});
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    }

    #[test]
    fn a_consumer_that_is_missing_unread_or_paused_is_found() {
        assert!(judged(|it| it.seen = Ok(None)).iter().any(|finding| finding.level == Level::Warning));
        let unread = judged(|it| it.seen.as_mut().unwrap().as_mut().unwrap().waiting = 0);
        assert_eq!(level(&unread, "consumer-read"), Level::Warning);
        let paused = judged(|it| it.seen.as_mut().unwrap().as_mut().unwrap().paused_ms = 5_000);
        assert_eq!(level(&paused, "consumer-paused"), Level::Warning);
    }
}
