//! The participant's own tables.

#![allow(unreachable_pub, reason = "the derives of sea-orm want it")]

pub(crate) mod goods_return;
pub(crate) mod reservation;
pub(crate) mod restock;
pub(crate) mod stock;
