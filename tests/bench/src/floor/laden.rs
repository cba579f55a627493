//! What the product carries and the floor does not: longer messages, events, rows in the product's tables. A floor that
//! is laden with them tells how much of the distance between the two is data, and how much is code.
//!
//! Invariant: it is load and nothing else: as many bytes and rows as the product has for the order saga, and nobody
//! reads what is in them.

use clap::ValueEnum;
use rusqlite::{Transaction, params};

use super::{meter::now_ms, store::SagaRow};

/// What the floor carries besides its own; each carries what those before it do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Laden {
    Nothing,
    /// Commands and replies as long as the product's.
    Messages,
    /// An event when a saga starts, and one when it ends.
    Events,
    /// The orchestrator's rows as the product has them, on SQLite.
    Rows,
}

/// Bytes that the product's messages have more than the floor's, on average.
const COMMAND: usize = 240;
const REPLY: usize = 150;
const EVENT: usize = 100;
/// Bytes of the texts in the product's rows: journal entries by their numbers, a saga's last state, an event, and what
/// is answered to a key.
const ENTRIES: [usize; 5] = [1_075, 678, 642, 788, 516];
const STATE: usize = 2_077;
const ENVELOPE: usize = 410;
const ANSWER: usize = 163;
const DIGEST: usize = 64;

const TEXT: [u8; STATE] = [b'x'; STATE];

fn text(bytes: usize) -> &'static str {
    str::from_utf8(TEXT.get(..bytes).unwrap_or(&TEXT)).unwrap_or_default()
}

impl Laden {
    /// What a command carries.
    pub(super) fn command(self) -> &'static str {
        self.message(COMMAND)
    }

    /// What a reply carries.
    pub(super) fn reply(self) -> &'static str {
        self.message(REPLY)
    }

    /// What an event carries, if there are any.
    pub(super) fn event(self) -> Option<&'static str> {
        (self >= Self::Events).then(|| self.message(EVENT))
    }

    fn message(self, bytes: usize) -> &'static str {
        if self >= Self::Messages { text(bytes) } else { "" }
    }

    /// Messages of one saga.
    pub(super) fn messages(self) -> i64 {
        if self >= Self::Events { 10 } else { 8 }
    }

    /// What must be in the orchestrator's books when so many sagas have completed and so many were compensated.
    pub(super) fn books(self, completed: i64, compensated: i64) -> Vec<(&'static str, i64)> {
        let all = completed + compensated;
        if self < Self::Rows {
            return vec![
                ("SELECT count(*) FROM saga WHERE status = 'completed' AND version = 5", completed),
                ("SELECT count(*) FROM saga WHERE status = 'compensated' AND version = 5", compensated),
                ("SELECT count(*) FROM saga", all),
                (
                    "SELECT count(*) FROM log JOIN saga ON saga.id = log.saga_id WHERE seq BETWEEN 1 AND 5",
                    5 * all,
                ),
                ("SELECT count(*) FROM log", 5 * all),
            ];
        }
        vec![
            ("SELECT count(*) FROM sagas WHERE status = 'completed' AND version = 5", completed),
            ("SELECT count(*) FROM sagas WHERE status = 'compensated' AND version = 5", compensated),
            ("SELECT count(*) FROM sagas", all),
            ("SELECT count(*) FROM journal JOIN sagas ON id = saga_id WHERE seq BETWEEN 1 AND 5", 5 * all),
            ("SELECT count(*) FROM idempotency JOIN saga_labels USING (saga_id)", all),
            ("SELECT count(*) FROM event_outbox", 2 * all),
        ]
    }
}

const KEY: &str = "INSERT INTO idempotency (owner, key, body_digest, saga_id, answer, created_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
const LABEL: &str = "INSERT INTO saga_labels (saga_id, name, value) VALUES (?1, 'customer', 'customer-4711')";
const NEW: &str = "INSERT INTO sagas (id, definition_name, definition_version, digest, version, status,
        needs_attention, awaiting, held, overdue, paused, alarm, state, started_at_ms, updated_at_ms, due_at_ms,
        claimed_until_ms)
    VALUES (?1, 'order', 1, ?2, ?3, ?4, FALSE, FALSE, FALSE, FALSE, FALSE, FALSE, '', ?5, ?5, ?6, ?6)
    ON CONFLICT DO NOTHING";
const STEP: &str = "UPDATE sagas SET version = ?2, updated_at_ms = ?3, due_at_ms = ?4, claimed_until_ms = ?4
    WHERE id = ?1 AND version = ?2 - 1";
const END: &str =
    "UPDATE sagas SET version = ?2, updated_at_ms = ?3, due_at_ms = NULL, claimed_until_ms = NULL,
        status = ?4, state = ?5, failure_step = ?6
    WHERE id = ?1 AND version = ?2 - 1";
const ENTRY: &str = "INSERT INTO journal (saga_id, seq, entry) VALUES (?1, ?2, ?3)";
const OUT: &str =
    "INSERT INTO event_outbox (event_id, message_type, envelope, created_at_ms) VALUES (?1, ?2, ?3, ?4)";
/// The events of the commit before: they have been sent.
const MARK: &str = "UPDATE event_outbox SET published_at_ms = ?1 WHERE published_at_ms IS NULL";
/// Each saga has a timer that would wake it.
const TIMER_MS: i64 = 10_000;
const OWNER: [u8; 16] = [7; 16];

/// Writes what the product would write for these transitions; gives how many sagas were of the version before.
pub(super) fn write(transaction: &Transaction<'_>, rows: &[SagaRow]) -> anyhow::Result<usize> {
    let statement = |sql| transaction.prepare_cached(sql);
    let (mut key, mut label, mut new) = (statement(KEY)?, statement(LABEL)?, statement(NEW)?);
    let (mut step, mut end) = (statement(STEP)?, statement(END)?);
    let (mut entry, mut out) = (statement(ENTRY)?, statement(OUT)?);
    statement(MARK)?.execute([now_ms()])?;
    let mut won = 0;
    for SagaRow { id: saga, version, status, at, .. } in rows {
        let (id, due, digest) = (saga.as_bytes(), at + TIMER_MS, text(DIGEST));
        let (is_new, is_running) = (*version == 1, *status == "running");
        won += if is_new {
            key.execute(params![OWNER, format!("floor-{saga}"), digest, id, text(ANSWER), at])?;
            label.execute([id])?;
            new.execute(params![id, digest, version, status, at, due])?
        } else if is_running {
            step.execute(params![id, version, at, due])?
        } else {
            let failure = (*status == "compensated").then_some("charge-payment");
            end.execute(params![id, version, at, status, text(STATE), failure])?
        };
        let bytes = usize::try_from(version - 1).ok().and_then(|place| ENTRIES.get(place));
        entry.execute(params![id, version, text(bytes.copied().unwrap_or_default())])?;
        if is_new || !is_running {
            out.execute(params![
                format!("{saga}/{version}/created"),
                "event.order.created",
                text(ENVELOPE),
                at
            ])?;
        }
    }
    Ok(won)
}
