//! The SDK's tables in the service's own database.
//!
//! Invariant: what the columns mean is documented here and nowhere else; JSON columns are text.

#![allow(unreachable_pub, reason = "the derives of sea-orm want it")]

pub(crate) mod event_outbox;
pub(crate) mod event_stream;
pub(crate) mod inbox;
