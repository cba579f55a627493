//! A saga's world in memory: what a definition meets before it meets real services.
//!
//! Participants keep the protocol by the same rules as the SDK (`amends-inbox`); whoever rehearses decides
//! how their domain answers, what is lost, and when.
//!
//! Invariant: pure. The same choices give the same end.

pub mod dry_run;
mod participant;

pub use amends_inbox::State;
pub use participant::{Defect, Domain, Ended, Participant, Ran, Row, Taken};
