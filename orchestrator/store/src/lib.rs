//! The orchestrator's memory: sagas, journal, definitions, keys, events and dead letters in SQL.
//!
//! One code path for SQLite and PostgreSQL; every difference between them is in `dialect`, but for the commit, which
//! goes by rows on SQLite and by sets on PostgreSQL. It knows neither HTTP nor the broker, and decides nothing: the
//! engine does.
//!
//! Invariant: `commit` is the only writer of sagas, and a saga's version is the length of its journal.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod api_keys;
mod commit;
mod config;
mod dead_letters;
mod definitions;
mod dialect;
mod entity;
mod error;
mod events;
mod idempotency;
mod letter_actions;
mod list;
mod lock;
mod migration;
mod multi;
mod participant_actions;
mod pauses;
mod places;
mod read;
mod rebuild;
mod retention;
mod store;
mod strays;
mod text;
mod writer;

pub use api_keys::{ApiKey, NewApiKey};
pub use commit::{CommitResult, Committed, IdempotencyKey, Outage, Write};
pub use config::{Access, Config};
pub use dead_letters::{DeadLetterFilter, DeadLetterRow, LetterState};
pub use definitions::StoredDefinition;
pub use error::{Error, ErrorKind};
pub use events::OutboxRow;
pub use idempotency::StoredAnswer;
pub use letter_actions::{LetterAction, LetterActionKind, LetterOutcome};
pub use list::{Counts, Flag, Page, SagaFilter, SagaRow};
pub use participant_actions::{ParticipantAction, ParticipantWish};
pub use pauses::DefinitionPause;
pub use places::{PlaceLimit, Places};
pub use read::{JournalRow, Loaded, Unreadable};
pub use retention::{EndedSaga, Taken};
pub use store::Store;
