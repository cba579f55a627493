//! The audit: which books are looked at, and in which order.
//!
//! Invariant: whatever is read last is the orchestrator's own or younger than it, so that nothing looks
//! forgotten that was merely not written yet; each pass says in its own file how it sees to that.

use amends_contract::Timestamp;

use crate::sources::Opened;
use crate::{Error, Expectations, Report, Sources, keys, letters, mails, sagas, stock, streams, usage};

/// An auditor with its books open.
pub struct Audit {
    sources: Opened,
}

impl Audit {
    /// Opens the books, for reading only.
    ///
    /// # Errors
    /// [`Error`] names the source that is not there or does not answer.
    pub async fn open(sources: Sources) -> Result<Self, Error> {
        Ok(Self { sources: Opened::open(sources).await? })
    }

    /// The orchestrator's clock, by which ages are told.
    ///
    /// # Errors
    /// [`Error`] when its database does not answer.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        Ok(self.sources.store.now().await?)
    }

    /// Looks at everything once. May be called again: two audits a while apart tell what does not move.
    ///
    /// # Errors
    /// [`Error`] when a source stops answering: half an audit proves nothing.
    pub async fn run(&self, expectations: &Expectations) -> Result<Report, Error> {
        let mut report = Report::new(expectations.findings_max);
        self.sources.describe(&mut report);
        sagas::check(&self.sources, expectations, &mut report).await?;
        stock::check(&self.sources, &mut report).await?;
        keys::check(&self.sources, expectations, &mut report).await?;
        streams::check(&self.sources, expectations, &mut report).await?;
        letters::check(&self.sources, expectations, &mut report).await?;
        mails::check(&self.sources, expectations, &mut report).await?;
        for of_process in &expectations.usage {
            usage::check(of_process, &mut report);
        }
        Ok(report)
    }
}
