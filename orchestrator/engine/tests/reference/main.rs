//! The engine against a reference that was written from the rules alone: whatever happens, both say the
//! same of every step.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod definitions;
mod machine;
mod reference;
mod words;
