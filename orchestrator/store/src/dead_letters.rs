//! Dead letters, copied out of their stream so that an operator can look through them.
//!
//! Invariant: the same message set aside twice is one row. Its id alone does not tell, since a broker that
//! lost its store counts from 1 again; id and digest together do.

use std::str::FromStr;

use amends_contract::{DeadLetter, DeadReason, Digest, InvalidDigest, InvalidToken, Timestamp, Token};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select, Set,
};

use crate::entity::dead_letter::{ActiveModel, Column, Entity, Model};
use crate::text::storable;
use crate::{Error, LetterAction, Page, Store};

/// Letters inserted by one statement; each may be some 700 KB.
const LETTERS_PER_STATEMENT: usize = 16;

/// A dead letter with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// Its place in the list, and its id.
    pub number: i64,
    /// What became of it.
    pub state: LetterState,
    /// All of it, or why its row cannot be read.
    pub letter: Result<DeadLetter, String>,
    /// What operators did with it, the first one first.
    pub actions: Vec<LetterAction>,
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterState {
    /// Nobody has dealt with it.
    Open,
    /// It was sent to its subject again.
    Redriven,
    /// An operator said that it shall not be sent again.
    Discarded,
}

impl LetterState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Redriven, Self::Discarded];

    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }
}

impl FromStr for LetterState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == text);
        state.ok_or_else(|| format!("{text:?} is not one of open, redriven, discarded"))
    }
}

/// Which dead letters; an empty filter means all. Different fields narrow it down together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Any of these; empty means any.
    pub states: Vec<LetterState>,
    /// Why it was set aside, for programs.
    pub code: Option<String>,
    /// Who set it aside.
    pub participant: Option<Token>,
    /// The subject it came on.
    pub subject: Option<String>,
    /// Set aside at this moment or later.
    pub from: Option<Timestamp>,
    /// Set aside before this moment.
    pub before: Option<Timestamp>,
}

impl DeadLetterFilter {
    fn select(&self) -> Select<Entity> {
        let mut query = Entity::find();
        if !self.states.is_empty() {
            query = query.filter(Column::State.is_in(self.states.iter().map(|state| state.as_str())));
        }
        if let Some(code) = &self.code {
            query = query.filter(Column::ReasonCode.eq(storable(code)));
        }
        if let Some(participant) = &self.participant {
            query = query.filter(Column::Participant.eq(participant.as_str()));
        }
        if let Some(subject) = &self.subject {
            query = query.filter(Column::Subject.eq(storable(subject)));
        }
        if let Some(from) = self.from {
            query = query.filter(Column::SetAsideAtMs.gte(from.unix_ms()));
        }
        if let Some(before) = self.before {
            query = query.filter(Column::SetAsideAtMs.lt(before.unix_ms()));
        }
        query
    }
}

impl Store {
    /// Stores dead letters; those that are there already are left as they are. Returns how many are new.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; some may be stored then.
    pub async fn insert_dead_letters(&self, letters: &[DeadLetter]) -> Result<u64, Error> {
        let mut inserted = 0;
        for chunk in letters.chunks(LETTERS_PER_STATEMENT) {
            let same = OnConflict::columns([Column::LetterId, Column::BodyDigest]).do_nothing().to_owned();
            inserted += Entity::insert_many(chunk.iter().map(row))
                .on_conflict(same)
                .exec_without_returning(self.writer())
                .await?;
        }
        Ok(inserted)
    }

    /// One dead letter by its number; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn dead_letter(&self, number: i64) -> Result<Option<DeadLetterRow>, Error> {
        let found = Entity::find_by_id(number).one(self.reader()).await?;
        Ok(self.with_actions(found.into_iter().collect()).await?.pop())
    }

    /// Up to `limit` dead letters that were stored before `cursor`, the last stored first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<Page<DeadLetterRow, i64>, Error> {
        let mut query = filter.select();
        if let Some(cursor) = cursor {
            query = query.filter(Column::Number.lt(cursor));
        }
        let query = query.order_by_desc(Column::Number).limit(u64::from(limit) + 1);
        let mut found = query.all(self.reader()).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let rows = self.with_actions(found).await?;
        let next = rows.last().filter(|_| more).map(|row| row.number);
        Ok(Page { rows, next })
    }

    async fn with_actions(&self, found: Vec<Model>) -> Result<Vec<DeadLetterRow>, Error> {
        let mut actions = self.letter_actions(found.iter().map(|row| row.number)).await?;
        let row = |row: Model| {
            let state = row.state.parse::<LetterState>();
            DeadLetterRow {
                number: row.number,
                state: *state.as_ref().unwrap_or(&LetterState::Open),
                actions: actions.remove(&row.number).unwrap_or_default(),
                letter: state.map(drop).and_then(|()| letter(row)),
            }
        };
        Ok(found.into_iter().map(row).collect())
    }
}

fn row(letter: &DeadLetter) -> ActiveModel {
    let headers = serde_json::to_string(&letter.headers).unwrap_or_else(|_| unreachable!("a map of strings"));
    ActiveModel {
        letter_id: Set(storable(&letter.id())),
        participant: Set(letter.participant.to_string()),
        reason_code: Set(storable(&letter.reason.code)),
        reason_message: Set(storable(&letter.reason.message)),
        subject: Set(storable(&letter.subject)),
        stream: Set(storable(&letter.stream)),
        stream_seq: Set(i64::try_from(letter.stream_seq).unwrap_or(i64::MAX)),
        element: Set(letter.element.map(i64::from)),
        headers: Set(headers),
        body_base64: Set(storable(&letter.body_base64)),
        body_bytes: Set(i64::try_from(letter.body_bytes).unwrap_or(i64::MAX)),
        body_digest: Set(letter.body_digest.to_string()),
        set_aside_at_ms: Set(letter.at.unix_ms()),
        ..ActiveModel::default()
    }
}

fn letter(row: Model) -> Result<DeadLetter, String> {
    Ok(DeadLetter {
        participant: Token::new(&row.participant).map_err(|error: InvalidToken| error.to_string())?,
        at: Timestamp::from_unix_ms(row.set_aside_at_ms),
        reason: DeadReason { code: row.reason_code, message: row.reason_message },
        subject: row.subject,
        stream: row.stream,
        stream_seq: u64::try_from(row.stream_seq).unwrap_or_default(),
        element: row.element.and_then(|element| u32::try_from(element).ok()),
        headers: serde_json::from_str(&row.headers).map_err(|error| error.to_string())?,
        body_base64: row.body_base64,
        body_bytes: usize::try_from(row.body_bytes).unwrap_or_default(),
        body_digest: row.body_digest.parse::<Digest>().map_err(|error: InvalidDigest| error.to_string())?,
    })
}
