//! The provider's books: one task writes them, a batch of requests per transaction.
//!
//! Invariant: answer, charge and refund of a key are one commit, made before anybody is answered. So a
//! killed provider has either never heard of a request or answers it the same way for ever; and two
//! requests under one key cannot pass each other.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use amends_contract::Timestamp;
use amends_participant::is_reusable;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection,
    DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, Schema, SqliteTransactionMode,
    TransactionOptions, TransactionTrait, sea_query::Index,
};
use tokio::sync::{mpsc, oneshot};

use super::decide::{self, Answer, Charge, Decision, GivenBack, Refund, Request};
use super::entity::{answer, charge, refund};
use super::{Config, Switches};

/// A request on its way into the books.
pub(super) struct Operation {
    pub(super) key: String,
    pub(super) request: Request,
    /// As they stood when the request came.
    pub(super) switches: Switches,
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) answer: Answer,
    /// Whether the answer was stored before this request came.
    pub(super) replayed: bool,
    /// Whether it is to be held back.
    pub(super) hang: bool,
}

/// Why an operation was not settled. Nothing of it is in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BooksError {
    #[error("too many requests are waiting")]
    Busy,
    #[error("the books cannot be written")]
    Unwritable,
}

struct Job {
    operation: Operation,
    reply: oneshot::Sender<Result<Settled, BooksError>>,
}

/// The books. Cheap to clone.
#[derive(Clone)]
pub(super) struct Books {
    db: DatabaseConnection,
    jobs: mpsc::Sender<Job>,
}

impl Books {
    /// Opens the books, makes the tables that are missing and starts the writer. The writer ends when
    /// the last clone is dropped.
    pub(super) async fn open(config: &Config) -> Result<Self, DbErr> {
        let mut options = ConnectOptions::new(config.database.url.clone());
        // One connection writes, the others read the lists.
        options.max_connections(4).sqlx_logging(false).map_sqlx_sqlite_opts(|options| {
            options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
        });
        options.map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| Box::pin(is_reusable(connection)))
        });
        let db = Database::connect(options).await?;
        let schema = Schema::new(db.get_database_backend());
        db.execute(schema.create_table_from_entity(answer::Entity).if_not_exists()).await?;
        db.execute(schema.create_table_from_entity(charge::Entity).if_not_exists()).await?;
        db.execute(schema.create_table_from_entity(refund::Entity).if_not_exists()).await?;
        let by_charge = Index::create()
            .if_not_exists()
            .name("refunds_charge_key")
            .table(refund::Entity)
            .col(refund::Column::ChargeKey)
            .take();
        db.execute(&by_charge).await?;
        let (jobs, queue) = mpsc::channel(config.queue_count_max.max(1));
        tokio::spawn(write(db.clone(), queue, config.batch_count_max.max(1)));
        Ok(Self { db, jobs })
    }

    /// Puts one request into the books, or finds what was answered to it before.
    pub(super) async fn settle(&self, operation: Operation) -> Result<Settled, BooksError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(Job { operation, reply }).map_err(|_| BooksError::Busy)?;
        answer.await.unwrap_or(Err(BooksError::Unwritable))
    }

    /// For the lists.
    pub(super) fn db(&self) -> &DatabaseConnection {
        &self.db
    }
}

async fn write(db: DatabaseConnection, mut queue: mpsc::Receiver<Job>, batch_count_max: usize) {
    let mut jobs = Vec::with_capacity(batch_count_max);
    while queue.recv_many(&mut jobs, batch_count_max).await > 0 {
        let (operations, replies): (Vec<_>, Vec<_>) =
            jobs.drain(..).map(|job| (job.operation, job.reply)).unzip();
        let settled = settle(&db, &operations).await;
        if let Err(error) = &settled {
            tracing::error!(%error, "the books cannot be written");
        }
        for (index, reply) in replies.into_iter().enumerate() {
            let answer = match &settled {
                Ok(settled) => Ok(settled[index].clone()),
                Err(_) => Err(BooksError::Unwritable),
            };
            // Who asked may have hung up; the books stand all the same.
            let _ = reply.send(answer);
        }
    }
}

/// One batch, one transaction. Answers in the order of the operations.
async fn settle(db: &DatabaseConnection, operations: &[Operation]) -> Result<Vec<Settled>, DbErr> {
    let tx = db
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        })
        .await?;
    let mut page = Page::load(&tx, operations).await?;
    let now = now();
    let settled = operations.iter().map(|operation| page.settle(operation, now)).collect();
    page.save(&tx, now).await?;
    tx.commit().await?;
    Ok(settled)
}

/// The part of the books that a batch touches, and what it adds.
#[derive(Default)]
struct Page {
    /// By idempotency key: the request's fingerprint and the answer.
    answers: BTreeMap<String, (String, Answer)>,
    charges: BTreeMap<String, Charge>,
    /// By the key of the charge.
    refunds: BTreeMap<String, GivenBack>,
    new_answers: Vec<String>,
    new_charges: Vec<Charge>,
    new_refunds: Vec<Refund>,
}

impl Page {
    async fn load(tx: &DatabaseTransaction, operations: &[Operation]) -> Result<Self, DbErr> {
        let keys = operations.iter().map(|operation| operation.key.as_str());
        let mut page = Self::default();
        for row in answer::Entity::find().filter(answer::Column::Key.is_in(keys)).all(tx).await? {
            let status = u16::try_from(row.status).unwrap_or(500);
            page.answers.insert(row.key, (row.fingerprint, Answer { status, body: row.body }));
        }
        let refunded: Vec<&str> = operations
            .iter()
            .filter_map(|operation| match &operation.request {
                Request::Refund(request) => Some(request.charge_key.as_str()),
                Request::Charge(_) => None,
            })
            .collect();
        if !refunded.is_empty() {
            let charges = charge::Entity::find().filter(charge::Column::Key.is_in(refunded.iter().copied()));
            let refunds = refund::Entity::find()
                .filter(refund::Column::ChargeKey.is_in(refunded))
                .order_by_asc(refund::Column::Seq);
            page.charges =
                charges.all(tx).await?.into_iter().map(|row| (row.key.clone(), row.into())).collect();
            for row in refunds.all(tx).await? {
                page.refunds.entry(row.charge_key.clone()).or_default().add(&row.into());
            }
        }
        Ok(page)
    }

    fn settle(&mut self, operation: &Operation, now: Timestamp) -> Settled {
        let Operation { key, request, switches } = operation;
        let fingerprint = request.fingerprint().to_string();
        if let Some((known, answer)) = self.answers.get(key) {
            let answer = if *known == fingerprint {
                answer.clone()
            } else {
                let message = "this Idempotency-Key belongs to another request";
                return Settled {
                    answer: Answer::error(422, "idempotency_key_reuse", message),
                    replayed: false,
                    hang: false,
                };
            };
            return Settled { answer, replayed: true, hang: false };
        }
        let decision = match request {
            Request::Charge(request) => decide::charge(key, request, switches, now),
            Request::Refund(request) => {
                let charge = self.charges.get(&request.charge_key);
                let earlier = self.refunds.get(&request.charge_key).cloned().unwrap_or_default();
                decide::refund(key, request, charge, &earlier, switches, now)
            }
        };
        self.book(key, fingerprint, &decision);
        Settled { answer: decision.answer, replayed: false, hang: decision.hang }
    }

    fn book(&mut self, key: &str, fingerprint: String, decision: &Decision) {
        if decision.stored {
            self.answers.insert(key.to_owned(), (fingerprint, decision.answer.clone()));
            self.new_answers.push(key.to_owned());
        }
        if let Some(charge) = &decision.charge {
            self.charges.insert(charge.key.clone(), charge.clone());
            self.new_charges.push(charge.clone());
        }
        if let Some(refund) = &decision.refund {
            self.refunds.entry(refund.charge_key.clone()).or_default().add(refund);
            self.new_refunds.push(refund.clone());
        }
    }

    async fn save(&self, tx: &DatabaseTransaction, now: Timestamp) -> Result<(), DbErr> {
        let answers: Vec<_> = self
            .new_answers
            .iter()
            .filter_map(|key| Some((key, self.answers.get(key)?)))
            .map(|(key, (fingerprint, answer))| answer::ActiveModel {
                key: Set(key.clone()),
                fingerprint: Set(fingerprint.clone()),
                status: Set(i32::from(answer.status)),
                body: Set(answer.body.clone()),
                at_ms: Set(now.unix_ms()),
            })
            .collect();
        if !answers.is_empty() {
            answer::Entity::insert_many(answers).exec_without_returning(tx).await?;
        }
        if !self.new_charges.is_empty() {
            let rows = self.new_charges.iter().map(charge::ActiveModel::from);
            charge::Entity::insert_many(rows).exec_without_returning(tx).await?;
        }
        if !self.new_refunds.is_empty() {
            let rows = self.new_refunds.iter().map(refund::ActiveModel::from);
            refund::Entity::insert_many(rows).exec_without_returning(tx).await?;
        }
        Ok(())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
