//! What the parts of the hot path cost by themselves: `cargo bench -p amends-bench --bench micro`.
//!
//! An argument picks by name: `-- commit::sqlite` (divan's own options follow, such as `--sample-count`).
//!
//! Invariant: all of them work on the order saga that ships, with an order of about 300 bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement may stop with a word")]

mod commit;
mod engine;
mod envelope;
mod expressions;
mod order;

fn main() {
    divan::main();
}
