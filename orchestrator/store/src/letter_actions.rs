//! What operators do with dead letters, journalled: who, when, why, and what came of it.
//!
//! Invariant: a redrive stands here before anything is sent, and says afterwards how it went. One without an
//! outcome was cut short: the message may or may not have been sent, and sending it again is safe.

use std::collections::HashMap;

use amends_contract::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, Set};

use crate::entity::dead_letter;
use crate::entity::letter_action::{ActiveModel, Column, Entity, Model};
use crate::text::storable;
use crate::{Error, LetterState, Store};

/// What can be done with a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterActionKind {
    /// Its body is sent to its subject again, byte for byte.
    Redrive,
    /// It shall not be sent again.
    Discard,
}

impl LetterActionKind {
    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterOutcome {
    /// Nobody said: it is under way, or its process ended in the middle.
    Unknown,
    /// It is done; a redriven message lies under this number in its stream.
    Done {
        /// The sequence of the message that was sent.
        stream_seq: Option<u64>,
    },
    /// Nothing was done.
    Failed {
        /// Why.
        why: String,
    },
}

/// An action of an operator on a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterAction {
    /// What was asked for, by its name.
    pub action: String,
    /// Who asked.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: LetterOutcome,
}

const UNKNOWN: &str = "unknown";
const DONE: &str = "done";
const FAILED: &str = "failed";

impl Store {
    /// Notes that a letter is about to be sent again. Returns the number of the note, for
    /// [`Store::redrive_ended`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; nothing shall be sent then.
    pub async fn redrive_begins(&self, letter: i64, actor: &str, reason: &str) -> Result<i64, Error> {
        let row = self.action((letter, LetterActionKind::Redrive), (actor, reason), UNKNOWN).await?;
        Ok(Entity::insert(row).exec(self.writer()).await?.last_insert_id)
    }

    /// Notes how a redrive ended: under which number the message lies in its stream, or why it was not sent.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; the note then says that nobody knows.
    pub async fn redrive_ended(
        &self,
        (letter, note): (i64, i64),
        result: Result<u64, String>,
    ) -> Result<(), Error> {
        let (outcome, seq, detail) = match &result {
            Ok(seq) => (DONE, i64::try_from(*seq).ok(), None),
            Err(why) => (FAILED, None, Some(storable(why))),
        };
        let transaction = self.begin().await?;
        Entity::update_many()
            .col_expr(Column::Outcome, Expr::value(outcome))
            .col_expr(Column::StreamSeq, Expr::value(seq))
            .col_expr(Column::Detail, Expr::value(detail))
            .filter(Column::Number.eq(note))
            .exec(&transaction)
            .await?;
        if result.is_ok() {
            set_state(&transaction, letter, LetterState::Redriven, &LetterState::ALL).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Discards a letter with which nobody has dealt yet; whether it was one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn discard(&self, letter: i64, actor: &str, reason: &str) -> Result<bool, Error> {
        let row = self.action((letter, LetterActionKind::Discard), (actor, reason), DONE).await?;
        let transaction = self.begin().await?;
        let was_open = set_state(&transaction, letter, LetterState::Discarded, &[LetterState::Open]).await?;
        if was_open {
            Entity::insert(row).exec_without_returning(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(was_open)
    }

    /// What was done with each of these letters, the first action first.
    pub(crate) async fn letter_actions(
        &self,
        letters: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Vec<LetterAction>>, Error> {
        let letters: Vec<i64> = letters.collect();
        let mut actions: HashMap<i64, Vec<LetterAction>> = HashMap::new();
        if letters.is_empty() {
            return Ok(actions);
        }
        let query = Entity::find().filter(Column::Letter.is_in(letters)).order_by_asc(Column::Number);
        for row in query.all(self.reader()).await? {
            actions.entry(row.letter).or_default().push(read(row));
        }
        Ok(actions)
    }

    async fn action(
        &self,
        (letter, kind): (i64, LetterActionKind),
        (actor, reason): (&str, &str),
        outcome: &str,
    ) -> Result<ActiveModel, Error> {
        Ok(ActiveModel {
            letter: Set(letter),
            action: Set(kind.as_str().to_owned()),
            actor: Set(storable(actor)),
            reason: Set(storable(reason)),
            asked_at_ms: Set(self.now().await?.unix_ms()),
            outcome: Set(outcome.to_owned()),
            ..ActiveModel::default()
        })
    }
}

/// Whether the letter stood as one of `from` says.
async fn set_state(
    db: &impl ConnectionTrait,
    letter: i64,
    state: LetterState,
    from: &[LetterState],
) -> Result<bool, Error> {
    use dead_letter::Column;
    let updated = dead_letter::Entity::update_many()
        .col_expr(Column::State, Expr::value(state.as_str()))
        .filter(Column::Number.eq(letter))
        .filter(Column::State.is_in(from.iter().map(|state| state.as_str())))
        .exec(db)
        .await?;
    Ok(updated.rows_affected > 0)
}

fn read(row: Model) -> LetterAction {
    let outcome = match row.outcome.as_str() {
        DONE => LetterOutcome::Done { stream_seq: row.stream_seq.and_then(|seq| u64::try_from(seq).ok()) },
        FAILED => LetterOutcome::Failed { why: row.detail.unwrap_or_default() },
        _ => LetterOutcome::Unknown,
    };
    LetterAction {
        action: row.action,
        actor: row.actor,
        reason: row.reason,
        at: Timestamp::from_unix_ms(row.asked_at_ms),
        outcome,
    }
}
