//! What fuzz targets are fed with: bytes, edited texts, JSON and texts that somebody means harm with.
//!
//! A target is a test. `cargo test` runs it over the same values each time and over some new ones; `cargo bolero`
//! (docs/TESTING.md) goes on for as long as one likes.
//!
//! Invariant: what is made up depends on the bytes that the engine hands over, and on nothing else.

mod edit;
mod json;
mod run;
mod text;

pub use edit::{Edit, Edited};
pub use json::Json;
pub use run::{COUNT, fixed, fixed_bytes};
pub use text::{HOSTILE, Text};

#[doc(hidden)]
pub use bolero;
