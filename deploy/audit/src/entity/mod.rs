//! The tables of all services, as far as the auditor reads them.
//!
//! Invariant: only columns that are looked at stand here; nothing is ever written through these.

#![allow(unreachable_pub, reason = "the derives of sea-orm want it")]

pub(crate) mod charge;
pub(crate) mod given_back;
pub(crate) mod goods_return;
pub(crate) mod idempotency;
pub(crate) mod inbox;
pub(crate) mod mail;
pub(crate) mod payment;
pub(crate) mod refund;
pub(crate) mod reservation;
pub(crate) mod saga;
pub(crate) mod stock;
