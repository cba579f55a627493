//! A play: what has to be on the stage, and what is done there.
//!
//! Invariant: it does the same with a bug and without one.

use std::pin::Pin;

use super::{scenery::Scenery, stage::Stage};

/// Whether it could be played to its end, and else where it stopped.
pub(super) type Played = Result<(), String>;

/// A play under way.
pub(super) type Playing<'a> = Pin<Box<dyn Future<Output = Played> + 'a>>;

/// What provokes the situation in which a bug bites.
#[derive(Clone, Copy)]
pub(super) struct Play {
    /// What it is called.
    pub(super) name: &'static str,
    /// What has to be there.
    pub(super) scenery: Scenery,
    /// What is done.
    pub(super) acts: for<'a> fn(&'a mut Stage) -> Playing<'a>,
}
