//! What operators say about participants, journalled: who, when, why, and until when.
//!
//! Invariant: nothing is overwritten or deleted; the last line about a participant is what is wanted of it, and
//! two who say something at once both stand here, one behind the other.

use amends_contract::{Timestamp, Token};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Set,
};

use crate::entity::participant_action::{ActiveModel, Column, Entity, Model};
use crate::text::storable;
use crate::{Error, Store};

/// Tries of whoever says something about a participant at the same time as others.
const TRIES_MAX: u32 = 10;

/// Pauses of one participant that the broker may still know of: it is told within seconds.
const PAUSES_REMEMBERED: u64 = 100;

const PAUSE: &str = "pause";
const RESUME: &str = "resume";

/// What is wanted of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParticipantWish {
    /// It gets no commands.
    Pause {
        /// When that ends by itself; `None`: somebody has to end it.
        until: Option<Timestamp>,
    },
    /// It gets them.
    Resume,
}

impl ParticipantWish {
    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause { .. } => PAUSE,
            Self::Resume => RESUME,
        }
    }
}

/// What somebody said about a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantAction {
    /// Which one.
    pub participant: Token,
    /// Counts what was said about it, from 1 on.
    pub seq: u64,
    /// What is wanted.
    pub wish: ParticipantWish,
    /// Who said so.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Everything that was said about participants, in the order of their names and of its being said.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; [`Error::Unreadable`].
    pub async fn participant_actions(&self) -> Result<Vec<ParticipantAction>, Error> {
        let query = Entity::find().order_by_asc(Column::Participant).order_by_asc(Column::Seq);
        query.all(self.reader()).await?.into_iter().map(read).collect()
    }

    /// What was said last about each participant of which something was said.
    ///
    /// # Errors
    /// As of [`Store::participant_actions`].
    pub async fn participant_wishes(&self) -> Result<Vec<ParticipantAction>, Error> {
        let last = Entity::find()
            .select_only()
            .column(Column::Participant)
            .column_as(Column::Seq.max(), "seq")
            .group_by(Column::Participant)
            .into_query();
        let key = Expr::tuple([Expr::col(Column::Participant), Expr::col(Column::Seq)]);
        let query = Entity::find().filter(key.in_subquery(last)).order_by_asc(Column::Participant);
        query.all(self.reader()).await?.into_iter().map(read).collect()
    }

    /// The last hundred pauses of this participant, whatever was said later: the broker may still keep one of them.
    ///
    /// # Errors
    /// As of [`Store::participant_actions`].
    pub async fn pauses_said(&self, participant: &Token) -> Result<Vec<ParticipantAction>, Error> {
        let query = Entity::find()
            .filter(Column::Participant.eq(participant.as_str()))
            .filter(Column::Action.eq(PAUSE))
            .order_by_desc(Column::Seq)
            .limit(PAUSES_REMEMBERED);
        query.all(self.reader()).await?.into_iter().map(read).collect()
    }

    /// Says that a participant pauses, or that it goes on; gives the line in which that stands now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: nothing was said then.
    pub async fn say_of_participant(
        &self,
        participant: &Token,
        wish: ParticipantWish,
        (actor, reason): (&str, &str),
    ) -> Result<ParticipantAction, Error> {
        let mut tries = 1;
        loop {
            match self.append(participant, wish, (actor, reason)).await {
                // Somebody else was faster: this is the next line.
                Err(error) if error.is_poison() && tries < TRIES_MAX => tries += 1,
                result => return result,
            }
        }
    }

    async fn append(
        &self,
        participant: &Token,
        wish: ParticipantWish,
        (actor, reason): (&str, &str),
    ) -> Result<ParticipantAction, Error> {
        let at = self.now().await?;
        let transaction = self.begin().await?;
        let last: Option<Option<i64>> = Entity::find()
            .select_only()
            .column_as(Column::Seq.max(), "seq")
            .filter(Column::Participant.eq(participant.as_str()))
            .into_tuple()
            .one(&transaction)
            .await?;
        let row = Model {
            participant: participant.to_string(),
            seq: last.flatten().unwrap_or(0) + 1,
            action: wish.as_str().to_owned(),
            until_ms: match wish {
                ParticipantWish::Pause { until } => until.map(Timestamp::unix_ms),
                ParticipantWish::Resume => None,
            },
            actor: storable(actor),
            reason: storable(reason),
            asked_at_ms: at.unix_ms(),
        };
        Entity::insert(active(row.clone())).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        read(row)
    }
}

fn active(row: Model) -> ActiveModel {
    ActiveModel {
        participant: Set(row.participant),
        seq: Set(row.seq),
        action: Set(row.action),
        until_ms: Set(row.until_ms),
        actor: Set(row.actor),
        reason: Set(row.reason),
        asked_at_ms: Set(row.asked_at_ms),
    }
}

fn read(row: Model) -> Result<ParticipantAction, Error> {
    let unreadable = |why: String| Error::Unreadable {
        table: "participant action",
        row: format!("{} {}", row.participant, row.seq),
        why,
    };
    let wish = match row.action.as_str() {
        PAUSE => ParticipantWish::Pause { until: row.until_ms.map(Timestamp::from_unix_ms) },
        RESUME => ParticipantWish::Resume,
        other => return Err(unreadable(format!("{other:?} is neither {PAUSE} nor {RESUME}"))),
    };
    Ok(ParticipantAction {
        participant: Token::new(&row.participant).map_err(|error| unreadable(error.to_string()))?,
        seq: u64::try_from(row.seq).map_err(|error| unreadable(error.to_string()))?,
        wish,
        actor: row.actor,
        reason: row.reason,
        at: Timestamp::from_unix_ms(row.asked_at_ms),
    })
}
