//! The participant's rules, without a database: what a command asks for, given what the inbox knows.
//!
//! One table, used by the SDK on real databases, by the rehearsal of definitions and by the model checker,
//! so that what is proven is what runs.
//!
//! Invariant: pure. Whoever uses it keeps rows and effects in one transaction; that part is theirs.

mod decide;

pub use decide::{Decision, Known, State, decide};
