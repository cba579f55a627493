//! What the end of one external call does to its row: the rules of rule 5, case by case.
//!
//! Invariant: only what is definite settles a row. That a call failed settles nothing either, unless it
//! was the only one that can have been made.

use std::collections::BTreeMap;

use amends_contract::{EffectId, Event, Outcome, Timestamp};
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};

use crate::{
    CallOutcome, HandlerError,
    calls::{Calls, Finished},
    core::Core,
    database::Failure,
    domain,
    entity::inbox::{Model, State},
    inbox, reply,
};

/// What a transaction is going to write.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) settled: Vec<Model>,
    pub(crate) postponed: Vec<(String, Timestamp)>,
    pub(crate) forgotten: Vec<String>,
    pub(crate) given_back: Vec<String>,
    /// Actions whose undos wait for this.
    pub(crate) woken: Vec<EffectId>,
    pub(crate) events: Vec<Event>,
    /// By effect id: what to say, and the outcome's name.
    pub(crate) answers: BTreeMap<String, (Vec<u8>, &'static str)>,
}

/// A transaction that records outcomes; its rows are locked.
pub(crate) struct Settling<'a> {
    pub(crate) core: &'a Core,
    pub(crate) calls: &'a Calls,
    pub(crate) tx: &'a DatabaseTransaction,
    pub(crate) now: Timestamp,
    pub(crate) writes: Writes,
}

impl Settling<'_> {
    /// Takes the end of one call.
    ///
    /// # Errors
    /// When the whole transaction has to be run again.
    pub(crate) async fn take(&mut self, finished: &Finished, row: &Model) -> Result<(), DbErr> {
        if !row.is_unsettled() {
            // Somebody was faster; who asked us gets the same answer.
            if let Some(body) = row.reply.clone() {
                self.writes.answers.insert(row.effect_id.clone(), (body, "repeated"));
            }
            return Ok(());
        }
        match &finished.outcome {
            None => self.writes.given_back.push(row.effect_id.clone()),
            Some(CallOutcome::Unknown { code, retry_after_ms }) => {
                tracing::info!(
                    effect = row.effect_id,
                    code,
                    calls = row.calls,
                    "a call's outcome is unknown"
                );
                self.postpone(row, *retry_after_ms);
            }
            Some(CallOutcome::Definite(Outcome::Failed { code, retry_after_ms })) => {
                let failed = Outcome::Failed { code: reply::clean(code), retry_after_ms: *retry_after_ms };
                self.failed(finished, row, &failed, *retry_after_ms).await?;
            }
            Some(CallOutcome::Definite(outcome)) => self.ended(finished, row, outcome).await?,
        }
        Ok(())
    }

    /// A definite, final outcome: the service's own rows and the inbox row.
    async fn ended(&mut self, finished: &Finished, row: &Model, outcome: &Outcome) -> Result<(), DbErr> {
        let call = &finished.call;
        let judged = domain::judge_call(&self.core.name, &call.intent.command, call.cause, outcome.clone());
        let Some((outcome, body)) = judged else {
            self.postpone(row, None);
            return Ok(());
        };
        if !self.tell(finished, &outcome).await? {
            self.postpone(row, None);
            return Ok(());
        }
        self.settle(finished, State::Final, &outcome, body);
        if row.state == State::Voiding {
            self.writes.woken.push(call.intent.effect.clone());
        }
        Ok(())
    }

    /// This call did nothing. If it was the only one, nothing has happened at all: an action that is to be
    /// undone never ran and never will; who waits for an answer is told, as if it had not been asked for.
    /// Otherwise an earlier call may have happened, and the same is tried again.
    async fn failed(
        &mut self,
        finished: &Finished,
        row: &Model,
        failed: &Outcome,
        retry_after_ms: Option<u64>,
    ) -> Result<(), DbErr> {
        let call = &finished.call;
        let only = call.first && row.calls == 1;
        let voiding = row.state == State::Voiding;
        let told =
            only && (voiding || self.calls.is_awaited(&row.effect_id)) && self.tell(finished, failed).await?;
        let answer =
            |outcome| reply::encode_plain(&self.core.name, &call.intent.command, call.cause, outcome);
        if !told {
            self.postpone(row, retry_after_ms);
        } else if voiding {
            let body = answer(&Outcome::Cancelled);
            self.settle(finished, State::Tombstone, &Outcome::Cancelled, body);
            self.writes.woken.push(call.intent.effect.clone());
        } else {
            let body = answer(failed);
            self.writes.answers.insert(row.effect_id.clone(), (body, failed.name()));
            self.writes.forgotten.push(row.effect_id.clone());
        }
        Ok(())
    }

    /// Tells the service; `false` if it could not take it.
    async fn tell(&mut self, finished: &Finished, outcome: &Outcome) -> Result<bool, DbErr> {
        let call = &finished.call;
        let savepoint = self.tx.begin().await?;
        let scope = domain::Scope {
            core: self.core,
            db: &savepoint,
            now: self.now,
            command: &call.intent.command,
            undone: call.intent.undone.as_ref(),
        };
        let (result, events) = scope.record(&*call.external, &call.intent, outcome).await;
        match result {
            Ok(()) => {
                savepoint.commit().await?;
                self.writes.events.extend(events);
                Ok(true)
            }
            Err(HandlerError::Database(error)) if Failure::of(&error) != Failure::Defect => {
                savepoint.rollback().await?;
                Err(error)
            }
            Err(error) => {
                tracing::error!(effect = %call.intent.effect, %error, "an outcome could not be recorded");
                savepoint.rollback().await?;
                Ok(false)
            }
        }
    }

    fn settle(&mut self, finished: &Finished, state: State, outcome: &Outcome, body: Vec<u8>) {
        let effect = &finished.call.intent.effect;
        self.writes.answers.insert(effect.to_string(), (body.clone(), outcome.name()));
        self.writes.settled.push(Model {
            outcome: Some(outcome.name().to_owned()),
            reply: Some(body),
            ..inbox::row(effect, state, self.now)
        });
    }

    /// It is looked into again later.
    fn postpone(&mut self, row: &Model, retry_after_ms: Option<u64>) {
        let due = match retry_after_ms {
            Some(ms) => self.now.plus_ms(ms.min(self.core.config.recover_cap_ms)),
            None => self.core.due_again(self.now, row.calls),
        };
        self.writes.postponed.push((row.effect_id.clone(), due));
    }
}
