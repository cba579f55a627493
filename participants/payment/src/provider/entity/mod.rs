//! The tables of the provider's books.
//!
//! `seq` counts in the order of booking and is what the lists page by.

pub(super) mod answer;
pub(super) mod charge;
pub(super) mod refund;
