//! Notes which mails are on their way, many in one transaction.
//!
//! The inbox says that a mail is to be sent; that alone would put every mail in doubt that waits for a
//! connection when the process dies. So each is noted a second time, as `sending`, when the mail server
//! has agreed to take its text. Invariant: the text goes out only after that note is committed, and of
//! two who want to send the same mail one gets a no.

use std::collections::BTreeSet;

use amends_contract::EffectId;
use amends_participant::Database;
use sea_orm::DbErr;
use tokio::sync::{mpsc, oneshot};

use crate::entity::mail::Status;
use crate::store;

/// Notes waiting at most; each belongs to an open SMTP connection, of which there are far fewer.
const QUEUE_COUNT_MAX: usize = 1_024;

/// What is to be noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Note {
    /// It is on its way.
    Sending,
    /// It was certainly not taken.
    TakenBack,
}

impl Note {
    /// From which status to which.
    const fn statuses(self) -> (Status, Status) {
        match self {
            Self::Sending => (Status::Queued, Status::Sending),
            Self::TakenBack => (Status::Sending, Status::Queued),
        }
    }
}

struct Job {
    effect: String,
    note: Note,
    /// Whether the mail was in the state that the note begins with.
    reply: oneshot::Sender<Result<bool, Unnoted>>,
}

/// The note is not in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unnoted;

/// The ledger. Cheap to clone; its task ends with the last clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    db: Database,
    jobs: mpsc::Sender<Job>,
}

impl Ledger {
    pub(crate) fn start(db: Database, batch_count_max: usize) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_COUNT_MAX);
        tokio::spawn(write(db.clone(), queue, batch_count_max.max(1)));
        Self { db, jobs }
    }

    /// Whether the mail may be sent by us now: it was queued, and is noted as sending.
    pub(crate) async fn sending(&self, effect: &EffectId) -> Result<bool, Unnoted> {
        self.note(effect, Note::Sending).await
    }

    /// Notes that a mail was not taken after all.
    pub(crate) async fn taken_back(&self, effect: &EffectId) -> Result<bool, Unnoted> {
        self.note(effect, Note::TakenBack).await
    }

    /// How far a mail is.
    pub(crate) async fn status(&self, effect: &EffectId) -> Result<Option<Status>, DbErr> {
        store::status(self.db.reader(), effect).await
    }

    async fn note(&self, effect: &EffectId, note: Note) -> Result<bool, Unnoted> {
        let (reply, answer) = oneshot::channel();
        let job = Job { effect: effect.to_string(), note, reply };
        self.jobs.send(job).await.map_err(|_| Unnoted)?;
        answer.await.unwrap_or(Err(Unnoted))
    }
}

async fn write(db: Database, mut queue: mpsc::Receiver<Job>, batch_count_max: usize) {
    let mut jobs = Vec::with_capacity(batch_count_max);
    while queue.recv_many(&mut jobs, batch_count_max).await > 0 {
        let done = commit(&db, &jobs).await;
        if let Err(error) = &done {
            tracing::error!(%error, "it cannot be noted that mails are on their way; they have to wait");
        }
        for Job { effect, note, reply } in jobs.drain(..) {
            let answer = match &done {
                Ok(made) => Ok(made.contains(&(note, effect))),
                Err(_) => Err(Unnoted),
            };
            // Who asked may have been cut off; then the mail is in doubt, as it should be.
            let _ = reply.send(answer);
        }
    }
}

/// All notes in one transaction; answers which of them were made.
async fn commit(db: &Database, jobs: &[Job]) -> Result<BTreeSet<(Note, String)>, DbErr> {
    let now = db.now().await?;
    let tx = db.begin().await?;
    let mut made = BTreeSet::new();
    for note in [Note::Sending, Note::TakenBack] {
        let effects: Vec<&str> =
            jobs.iter().filter(|job| job.note == note).map(|job| job.effect.as_str()).collect();
        if !effects.is_empty() {
            let (from, to) = note.statuses();
            let moved = store::advance(&tx, effects, from, to, now).await?;
            made.extend(moved.into_iter().map(|effect| (note, effect)));
        }
    }
    tx.commit().await?;
    Ok(made)
}
