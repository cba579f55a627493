//! Pauses participants, and lets them go on: keeps the broker's consumers as operators want them.
//!
//! The wish is a line in the database; a loop in each process compares it with the consumer. So it outlives a
//! broker that was wiped, a consumer that was made anew, and every orchestrator.
//!
//! Invariant: what somebody paused at the broker by hand is left alone: no pause is ended, or made shorter, that
//! was not said here.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use amends_broker::Broker;
use amends_contract::{ORCHESTRATOR, Stream, Timestamp, Token};
use amends_store::{Error, ParticipantAction, ParticipantWish, Store};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Core;
use super::config::LoopsConfig;

/// How long a pause without an end is for the broker, which knows only those with one: a century.
const ENDLESS_MS: u64 = 100 * 365 * 24 * 3_600 * 1_000;

/// The pauses of participants that are in force, as far as this process has heard. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ParticipantPauses(Arc<RwLock<Vec<ParticipantAction>>>);

impl ParticipantPauses {
    /// The pause of this participant, if it is paused.
    #[must_use]
    pub fn of(&self, participant: &Token) -> Option<ParticipantAction> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|pause| pause.participant == *participant).cloned()
    }

    /// Whether it is paused.
    pub(crate) fn hold(&self, participant: &Token) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|pause| pause.participant == *participant)
    }

    /// Reads what was said last about each participant.
    async fn refresh(&self, store: &Store) -> Result<Vec<Wanted>, Error> {
        let wishes = store.participant_wishes().await?;
        let now = if wishes.is_empty() { Timestamp::from_unix_ms(0) } else { store.now().await? };
        let wanted: Vec<Wanted> =
            wishes.into_iter().map(|said| Wanted { until: until(&said, now), said }).collect();
        let in_force = wanted.iter().filter(|wanted| wanted.until.is_some());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) =
            in_force.map(|wanted| wanted.said.clone()).collect();
        Ok(wanted)
    }
}

/// What is wanted of a participant.
struct Wanted {
    said: ParticipantAction,
    /// Until when it pauses, as the broker is told; `None`: it goes on.
    until: Option<Timestamp>,
}

/// Until when the broker shall pause it; `None` when it goes on, or the pause is over.
fn until(said: &ParticipantAction, now: Timestamp) -> Option<Timestamp> {
    told(said).filter(|until| *until > now)
}

/// What the broker is told of a pause.
fn told(said: &ParticipantAction) -> Option<Timestamp> {
    match said.wish {
        ParticipantWish::Pause { until } => Some(until.unwrap_or_else(|| said.at.plus_ms(ENDLESS_MS))),
        ParticipantWish::Resume => None,
    }
}

/// What became of an operator's wish.
#[derive(Debug)]
pub struct ParticipantSaid {
    /// What was said.
    pub said: ParticipantAction,
    /// Whether the broker's consumer is as it shall be. If not, it is made so as soon as both are there.
    pub applied: bool,
}

/// Why nothing was said about a participant.
#[derive(Debug, thiserror::Error)]
pub enum ParticipantError {
    /// No definition calls it.
    #[error("no definition that is loaded calls a participant {0}")]
    NotFound(Token),
    /// It would end before it begins.
    #[error("{until} has passed; it is {now}")]
    Passed {
        /// Until when it was to pause.
        until: Timestamp,
        /// What the database's clock says.
        now: Timestamp,
    },
    /// It goes on already.
    #[error("{0} is not paused")]
    NotPaused(Token),
    /// Nobody here has paused it, and the broker does not say whether somebody did by hand.
    #[error(transparent)]
    Broker(#[from] amends_broker::Error),
    /// The database says no.
    #[error(transparent)]
    Store(#[from] Error),
}

/// For how long a participant pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseEnd {
    /// Until somebody ends it.
    Open,
    /// Until this moment.
    At(Timestamp),
    /// For so many milliseconds, by the database's clock.
    After(u64),
}

impl Core {
    /// The pauses of participants that are in force.
    #[must_use]
    pub const fn participant_pauses(&self) -> &ParticipantPauses {
        &self.halts
    }

    /// Pauses a participant: it gets no commands, its sagas are held, and nothing burns. Whoever has paused it
    /// before, this is what holds now.
    ///
    /// # Errors
    /// [`ParticipantError`]: nothing was said.
    pub async fn pause_participant(
        &self,
        participant: &Token,
        end: PauseEnd,
        (actor, reason): (&str, &str),
    ) -> Result<ParticipantSaid, ParticipantError> {
        self.known(participant)?;
        let now = self.store.now().await?;
        let until = match end {
            PauseEnd::Open => None,
            PauseEnd::At(until) if until <= now => return Err(ParticipantError::Passed { until, now }),
            PauseEnd::At(until) => Some(until),
            PauseEnd::After(ms) => Some(now.plus_ms(ms)),
        };
        let wish = ParticipantWish::Pause { until };
        let said = self.store.say_of_participant(participant, wish, (actor, reason)).await?;
        self.halts.refresh(&self.store).await?;
        let applied = match told(&said) {
            Some(until) => self.broker.pause_consumer(Stream::Command, participant, until).await,
            None => Ok(true),
        };
        Ok(ParticipantSaid { said, applied: is_applied(participant, applied) })
    }

    /// Lets a participant go on, also when it was paused at the broker by hand.
    ///
    /// # Errors
    /// [`ParticipantError`]: nothing was said.
    pub async fn resume_participant(
        &self,
        participant: &Token,
        (actor, reason): (&str, &str),
    ) -> Result<ParticipantSaid, ParticipantError> {
        self.known(participant)?;
        self.halts.refresh(&self.store).await?;
        if !self.halts.hold(participant) {
            let status = self.broker.consumer_status(Stream::Command, participant).await?;
            if status.is_none_or(|status| status.paused_ms == 0) {
                return Err(ParticipantError::NotPaused(participant.clone()));
            }
        }
        let wish = ParticipantWish::Resume;
        let said = self.store.say_of_participant(participant, wish, (actor, reason)).await?;
        self.halts.refresh(&self.store).await?;
        let applied = self.broker.resume_consumer(Stream::Command, participant).await;
        Ok(ParticipantSaid { said, applied: is_applied(participant, applied) })
    }

    fn known(&self, participant: &Token) -> Result<(), ParticipantError> {
        let is_called = self.definitions.participants().contains(participant);
        if is_called && participant.as_str() != ORCHESTRATOR {
            return Ok(());
        }
        Err(ParticipantError::NotFound(participant.clone()))
    }
}

fn is_applied(participant: &Token, answer: Result<bool, amends_broker::Error>) -> bool {
    answer.unwrap_or_else(|error| {
        tracing::warn!(%participant, %error, "the broker hears of it later that a participant pauses, or goes on");
        false
    })
}

/// The loop's parts.
pub(crate) struct ParticipantPauser {
    pauses: ParticipantPauses,
    store: Store,
    broker: Broker,
    interval: Duration,
    settled_interval: Duration,
    /// Participants that go on, and when that was last seen to be so. Said again, it has another number.
    settled: HashMap<(Token, u64), Instant>,
}

impl ParticipantPauser {
    pub(crate) fn new(
        pauses: &ParticipantPauses,
        store: &Store,
        broker: &Broker,
        config: &LoopsConfig,
    ) -> Self {
        Self {
            pauses: pauses.clone(),
            store: store.clone(),
            broker: broker.clone(),
            interval: Duration::from_millis(config.pause_interval_ms.max(1)),
            settled_interval: Duration::from_millis(config.idle_interval_ms),
            settled: HashMap::new(),
        }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.broker.topology_changes();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
                // A store that was rolled back has old pauses in it, a new one has none.
                Ok(()) = changes.changed() => self.settled.clear(),
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "pauses of participants wait for the database");
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let wanted = self.pauses.refresh(&self.store).await?;
        let is_settled = |said: &(Token, u64)| {
            wanted.iter().any(|wanted| wanted.until.is_none() && key(&wanted.said) == *said)
        };
        self.settled.retain(|said, _| is_settled(said));
        for wanted in wanted {
            let key = key(&wanted.said);
            if self.settled.get(&key).is_some_and(|at| at.elapsed() < self.settled_interval) {
                continue;
            }
            match self.see_to(&wanted).await? {
                Ok(()) if wanted.until.is_none() => drop(self.settled.insert(key, Instant::now())),
                Ok(()) => {}
                // The next look finds it again; what the broker's absence means for sagas, others say.
                Err(error) => tracing::debug!(participant = %key.0, %error, "a pause waits for the broker"),
            }
        }
        Ok(())
    }

    /// Makes the consumer what is wanted.
    async fn see_to(&self, wanted: &Wanted) -> Result<Result<(), amends_broker::Error>, Error> {
        let participant = &wanted.said.participant;
        let found = match self.broker.consumer_status(Stream::Command, participant).await {
            Ok(Some(status)) => status.paused_until,
            // It is made by its participant, and paused as soon as it is there.
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        let is_ours = match found {
            Some(found) if wanted.until != Some(found) => {
                let said = self.store.pauses_said(participant).await?;
                said.iter().any(|said| told(said) == Some(found))
            }
            _ => false,
        };
        let done = match change(found, wanted.until, is_ours) {
            Change::Nothing => return Ok(Ok(())),
            Change::Pause(until) => self.broker.pause_consumer(Stream::Command, participant, until).await,
            Change::Resume => self.broker.resume_consumer(Stream::Command, participant).await,
        };
        Ok(done.map(|_| {
            tracing::info!(%participant, ?found, until = ?wanted.until, "a participant's pause is as wanted again");
        }))
    }
}

fn key(said: &ParticipantAction) -> (Token, u64) {
    (said.participant.clone(), said.seq)
}

/// What is to be done at the broker.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    Pause(Timestamp),
    Resume,
}

/// `found` is until when it is paused, and `is_ours` whether that was ever said here.
fn change(found: Option<Timestamp>, wanted: Option<Timestamp>, is_ours: bool) -> Change {
    match (found, wanted) {
        (None, Some(wanted)) => Change::Pause(wanted),
        (Some(found), Some(wanted)) if found < wanted || (found > wanted && is_ours) => Change::Pause(wanted),
        (Some(_), None) if is_ours => Change::Resume,
        _ => Change::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_by_hand_is_neither_ended_nor_made_shorter() {
        let at = |ms| Some(Timestamp::from_unix_ms(ms));
        let pause = |ms| Change::Pause(Timestamp::from_unix_ms(ms));
        for (found, wanted, is_ours, expected) in [
            (None, None, false, Change::Nothing),
            (None, at(2), false, pause(2)),
            (at(2), at(2), true, Change::Nothing),
            (at(1), at(2), false, pause(2)),
            (at(1), at(2), true, pause(2)),
            (at(3), at(2), true, pause(2)),
            (at(3), at(2), false, Change::Nothing),
            (at(3), None, false, Change::Nothing),
            (at(3), None, true, Change::Resume),
        ] {
            assert_eq!(change(found, wanted, is_ours), expected, "{found:?} {wanted:?} {is_ours}");
        }
    }

    #[test]
    fn a_pause_without_an_end_is_a_long_one_for_the_broker() {
        let said = |wish| ParticipantAction {
            participant: Token::new("inventory").unwrap(),
            seq: 1,
            wish,
            actor: "ada".to_owned(),
            reason: "because".to_owned(),
            at: Timestamp::from_unix_ms(1_000),
        };
        let now = Timestamp::from_unix_ms(5_000);
        let open = said(ParticipantWish::Pause { until: None });
        assert_eq!(until(&open, now), Some(Timestamp::from_unix_ms(1_000).plus_ms(ENDLESS_MS)));
        let over = said(ParticipantWish::Pause { until: Some(now) });
        assert_eq!((until(&over, now), told(&over)), (None, Some(now)));
        assert_eq!(told(&said(ParticipantWish::Resume)), None);
    }
}
