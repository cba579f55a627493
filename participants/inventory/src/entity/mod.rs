//! The participant's own tables, beside the SDK's.

pub(crate) mod reservation;
pub(crate) mod restock;
pub(crate) mod stock;
