//! The tables as sea-orm entities. Their names stand here and nowhere else.
//!
//! Invariant: moments are BIGINT columns named `.._at_ms`, JSON is TEXT: it compares and indexes the same
//! on every database.

#![expect(unreachable_pub, reason = "sea-orm's derives write `pub` whatever the module's visibility")]

pub(crate) mod api_key;
pub(crate) mod dead_letter;
pub(crate) mod definition;
pub(crate) mod definition_pause;
pub(crate) mod deleted_saga;
pub(crate) mod idempotency;
pub(crate) mod journal;
pub(crate) mod letter_action;
pub(crate) mod outbox;
pub(crate) mod participant_action;
pub(crate) mod place;
pub(crate) mod place_lock;
pub(crate) mod saga;
pub(crate) mod saga_label;
