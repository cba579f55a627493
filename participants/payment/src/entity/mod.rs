//! The participant's own tables, beside the SDK's.

pub(crate) mod payment;
pub(crate) mod refund;
