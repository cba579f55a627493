//! One try of a batch on PostgreSQL: where one statement says it all, that alone, and else one transaction with a
//! bounded number of statements, however many sagas the batch has.
//!
//! Invariant: every transaction touches the tables in the same order (keys, new sagas, changed sagas, places)
//! and the rows of each in the order of their keys, so that no two wait for each other.

use std::collections::HashSet;

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityName as _, Statement};
use uuid::Uuid;

use super::CommitResult;
use super::batch::{Batch, Change, Key, Outcome, Row};
use super::statement::{self, Won};
use crate::entity::idempotency;
use crate::error::never_left;
use crate::places::{self, PlaceRows};
use crate::{Error, Store, multi};

impl Store {
    pub(super) async fn attempt(&self, batch: &Batch) -> Result<Vec<Outcome>, Error> {
        let Some(statement) = sole_statement(batch, self.rows_max()) else {
            return self.in_transaction(batch).await;
        };
        let lost = match self.at_once(batch, statement).await {
            Err(Error::OutcomeUnknown(lost)) => lost,
            done => return done,
        };
        tracing::debug!(error = %lost, "a connection broke; the batch is tried once more");
        let again = self.in_transaction(batch).await;
        if never_left(&lost) {
            return again;
        }
        match again {
            Ok(outcomes) if is_surely_first(&outcomes) => Ok(outcomes),
            Ok(_) => Err(Error::OutcomeUnknown(lost)),
            Err(error) => {
                tracing::debug!(%error, "nor does another try say whether the first was done");
                Err(Error::OutcomeUnknown(lost))
            }
        }
    }

    async fn at_once(&self, batch: &Batch, statement: Statement) -> Result<Vec<Outcome>, Error> {
        let returned = self.writer().query_all_raw(statement).await.map_err(Error::at_once)?;
        let mut won = Won::default();
        won.add(&returned).map_err(Error::OutcomeUnknown)?;
        let losers = batch.rows.iter().filter(|row| !won.sagas.contains(&row.id));
        // It is committed. Who has lost for a reason that cannot be looked up tries again, and loses again.
        let refused = self.whose_key_is_taken(self.writer(), losers).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "whose keys are taken cannot be looked up");
            HashSet::new()
        });
        Ok(outcomes(batch, &refused, won))
    }

    async fn in_transaction(&self, batch: &Batch) -> Result<Vec<Outcome>, Error> {
        let transaction = self.begin().await?;
        match self.write(&transaction, batch).await {
            Ok(outcomes) => {
                transaction.commit().await.map_err(Error::at_commit)?;
                Ok(outcomes)
            }
            Err(error) => {
                // Awaited, so that the connection is clean when the next batch takes it.
                if let Err(problem) = transaction.rollback().await {
                    tracing::debug!(error = %problem, "a rollback failed; the connection is given up");
                }
                Err(error.into())
            }
        }
    }

    async fn write(&self, db: &DatabaseTransaction, batch: &Batch) -> Result<Vec<Outcome>, DbErr> {
        let (new, changed): (Vec<&Row>, Vec<&Row>) =
            batch.rows.iter().partition(|row| row.change == Change::New);
        let mut refused = second_of_a_key(&new);
        let mut new: Vec<&Row> = new.into_iter().filter(|row| !refused.contains(&row.id)).collect();
        // Those without keys first. Where they take several statements, the keys come in their order all the same.
        new.sort_by_key(|row| row.key.as_ref().map(|key| (key.owner, key.key.as_str())));
        let mut won = Won::default();
        for rows in new.chunk_by(alike_in_keys).flat_map(|rows| rows.chunks(self.rows_max())) {
            won.add(&db.query_all_raw(statement::begin(rows)).await?)?;
        }
        for rows in changed.chunks(self.rows_max()) {
            won.add(&db.query_all_raw(statement::go_on(rows)).await?)?;
        }
        let losers = new.into_iter().filter(|row| !won.sagas.contains(&row.id));
        refused.extend(self.whose_key_is_taken(db, losers).await?);
        let winners = batch.rows.iter().filter(|row| won.sagas.contains(&row.id));
        let places: Vec<&PlaceRows> = winners.map(|row| &row.places).collect();
        places::write(db, self.dialect(), self.rows_max(), &places).await?;
        Ok(outcomes(batch, &refused, won))
    }

    /// Those of the losers whose key belongs to another saga. Our own earlier try may hold it, if its outcome was
    /// unknown: then the saga is there.
    async fn whose_key_is_taken<'r>(
        &self,
        db: &impl ConnectionTrait,
        losers: impl Iterator<Item = &'r Row>,
    ) -> Result<HashSet<Uuid>, DbErr> {
        let keyed = losers.filter_map(|row| Some((row.id, row.key.as_ref()?)));
        let rows: Vec<[Value; 3]> =
            keyed.map(|(id, key)| [id.into(), key.owner.into(), key.key.as_str().into()]).collect();
        let rows: Vec<&[Value]> = rows.iter().map(<[Value; 3]>::as_slice).collect();
        let tail = format!(
            "JOIN {} AS t ON t.owner = v.column2 AND t.key = v.column3 WHERE t.saga_id <> v.column1",
            idempotency::Entity.table_name()
        );
        let head = "SELECT v.column1 AS id FROM";
        let found = multi::run(db, self.dialect(), self.rows_max(), head, &rows, &tail).await?;
        found.iter().map(|row| row.try_get("", "id")).collect()
    }

    fn rows_max(&self) -> usize {
        self.config().rows_max.max(1)
    }
}

/// Whether a second try says that the first was not done: that would have written all that can be won, so that who wins
/// now has not won before. Whose key is another's has not won in either.
fn is_surely_first(outcomes: &[Outcome]) -> bool {
    let any = |result| outcomes.iter().any(|outcome| outcome.result == result);
    any(CommitResult::Won) || !any(CommitResult::Conflict)
}

/// The statement that does all that the batch asks for, if one can: it is a transaction by itself, and needs no journeys
/// to begin and to end one.
fn sole_statement(batch: &Batch, rows_max: usize) -> Option<Statement> {
    let rows: Vec<&Row> = batch.rows.iter().collect();
    let new = rows.iter().filter(|row| row.change == Change::New).count();
    if rows.len() > rows_max || !rows.iter().all(|row| row.places.is_empty()) {
        None
    } else if new == 0 {
        Some(statement::go_on(&rows))
    } else if new == rows.len()
        && rows.chunk_by(alike_in_keys).count() == 1
        && second_of_a_key(&rows).is_empty()
    {
        Some(statement::begin(&rows))
    } else {
        None
    }
}

/// Whether both have keys, or neither has.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "slices compare their elements by reference")]
const fn alike_in_keys(one: &&Row, another: &&Row) -> bool {
    one.key.is_some() == another.key.is_some()
}

/// Sagas whose key another one in the batch has, too: the caller's first wins.
fn second_of_a_key(new: &[&Row]) -> HashSet<Uuid> {
    let mut keyed: Vec<(&Row, &Key)> = new.iter().filter_map(|row| Some((*row, row.key.as_ref()?))).collect();
    keyed.sort_unstable_by_key(|(row, _)| row.place);
    let mut seen = HashSet::with_capacity(keyed.len());
    keyed.retain(|(_, key)| !seen.insert((key.owner, key.key.as_str())));
    keyed.into_iter().map(|(row, _)| row.id).collect()
}

/// What became of each; of the losers those are told whose key is taken.
fn outcomes(batch: &Batch, refused: &HashSet<Uuid>, mut won: Won) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::from(CommitResult::Conflict); batch.len];
    for row in &batch.rows {
        if won.sagas.contains(&row.id) {
            let seqs = row.events.iter().filter_map(|event| won.seqs.remove(&event.event_id)).collect();
            outcomes[row.place] = Outcome { result: CommitResult::Won, seqs };
        } else if refused.contains(&row.id) {
            outcomes[row.place] = CommitResult::DuplicateKey.into();
        }
    }
    outcomes
}
