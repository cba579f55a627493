//! What a handler works with: the transaction, the moment, the action an undo undoes, and its events.
//!
//! Invariant: all that is done through it is committed together with the inbox row, or not at all.

use amends_contract::{Command, EffectId, Event, SagaId, Timestamp, Token};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::HandlerError;

/// One command's share of the batch's transaction.
pub struct Work<'a> {
    db: &'a DatabaseTransaction,
    now: Timestamp,
    source: &'a Token,
    command: &'a Command,
    undone: Option<&'a Undone>,
    events: Vec<Event>,
}

/// The action that an undo undoes: it has succeeded, and this is what the inbox knows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// The action; also the idempotency key of its call, if it made one.
    pub effect: EffectId,
    /// Its recorded output. (Its data is the undo's own: an undo carries the data of its action.)
    #[serde(default)]
    pub output: Value,
    /// What [`External::prepare`](crate::External::prepare) kept for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Value>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        db: &'a DatabaseTransaction,
        now: Timestamp,
        source: &'a Token,
        command: &'a Command,
        undone: Option<&'a Undone>,
    ) -> Self {
        Self { db, now, source, command, undone, events: Vec::new() }
    }

    /// The batch's transaction, or a savepoint of it. Neither commit it nor keep it.
    #[must_use]
    pub const fn db(&self) -> &'a DatabaseTransaction {
        self.db
    }

    /// What is to be done.
    #[must_use]
    pub const fn command(&self) -> &'a Command {
        self.command
    }

    /// The database's clock, read once for the batch.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// On an undo: the action. `None` on an action.
    #[must_use]
    pub const fn undone(&self) -> Option<&'a Undone> {
        self.undone
    }

    /// Says what happened, to whoever cares: `event.<entity>.<name>`, published after the commit. Its id
    /// derives from the effect, so that readers recognise it.
    ///
    /// # Errors
    /// [`HandlerError::Internal`] when entity or name is no token.
    pub fn event(&mut self, entity: &str, name: &str, data: Value) -> Result<(), HandlerError> {
        let token = |text: &str| Token::new(text).map_err(|error| HandlerError::Internal(error.to_string()));
        let (entity, name) = (token(entity)?, token(name)?);
        let earlier = self.events.iter().filter(|event| event.entity == entity && event.name == name).count();
        let effect = &self.command.effect;
        let id = match earlier {
            0 => format!("{effect}/{entity}.{name}"),
            _ => format!("{effect}/{entity}.{name}/{}", earlier + 1),
        };
        let saga: (SagaId, _) = (effect.saga, self.command.definition.clone());
        self.events.push(Event {
            id,
            source: self.source.clone(),
            entity,
            name,
            at: self.now,
            saga: Some(saga),
            data: data.into(),
        });
        Ok(())
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }
}
