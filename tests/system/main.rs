//! The whole system as processes, and what it promises: it settles, once, whatever is killed or wiped.
//!
//! Every test starts a system of its own. They run one after the other: each uses the whole machine, and
//! a starved process looks like a dead one.

#![allow(clippy::expect_used, reason = "a test may stop with a word")]

mod actions;
mod checkouts;
mod cluster;
mod companies;
mod control;
mod crash;
mod dead_letters;
mod demo;
mod described;
mod doctor;
mod operators;
mod orders;
mod outages;
mod overload;
mod participants;
mod poison;
mod production;
mod python;
mod rest;
mod returns;
mod runbooks;
mod versions;
mod written_by_others;

use tokio::sync::{Mutex, MutexGuard};

/// Held by each test while it runs.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
