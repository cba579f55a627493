//! Dead letters, copied out of their stream so that an operator can look through them.
//!
//! Invariant: the same message set aside twice is one row. Its id alone does not tell, since a broker that
//! lost its store counts from 1 again; id and digest together do.

use amends_contract::{DeadLetter, DeadReason, Digest, InvalidDigest, InvalidToken, Timestamp, Token};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Set};

use crate::entity::dead_letter::{ActiveModel, Column, Entity, Model};
use crate::text::storable;
use crate::{Error, Page, Store};

/// Letters inserted by one statement; each may be some 700 KB.
const LETTERS_PER_STATEMENT: usize = 16;

/// A dead letter in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// Its place in the list.
    pub number: i64,
    /// All of it, or why its row cannot be read.
    pub letter: Result<DeadLetter, String>,
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

    /// Up to `limit` dead letters that were stored before `cursor`, the last stored first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn dead_letters(
        &self,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<Page<DeadLetterRow, i64>, Error> {
        let mut query = Entity::find();
        if let Some(cursor) = cursor {
            query = query.filter(Column::Number.lt(cursor));
        }
        let query = query.order_by_desc(Column::Number).limit(u64::from(limit) + 1);
        let found = query.all(self.reader()).await?;
        let more = found.len() > limit as usize;
        let rows: Vec<DeadLetterRow> = found
            .into_iter()
            .take(limit as usize)
            .map(|row| DeadLetterRow { number: row.number, letter: letter(row) })
            .collect();
        let next = rows.last().filter(|_| more).map(|row| row.number);
        Ok(Page { rows, next })
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
        headers: serde_json::from_str(&row.headers).map_err(|error| error.to_string())?,
        body_base64: row.body_base64,
        body_bytes: usize::try_from(row.body_bytes).unwrap_or_default(),
        body_digest: row.body_digest.parse::<Digest>().map_err(|error: InvalidDigest| error.to_string())?,
    })
}
