//! Timers: taking the sagas whose time has come, so that no two processes work on one at once.
//!
//! Invariant: a claim is a lease in a column of its own. It changes neither version nor journal, so losing
//! it costs time and nothing else; a commit ends it.

use amends_contract::{Digest, Timestamp};
use sea_orm::{ConnectionTrait as _, EntityName as _};

use crate::entity::saga;
use crate::read::Loaded;
use crate::{Error, Store};

impl Store {
    /// Claims up to `limit` sagas whose `due_at` has passed and that nobody has claimed, the longest due
    /// first, for `lease_ms` milliseconds. Sagas of the definitions in `except` are left to others: a
    /// claimer who cannot decide them would only keep them from those who can.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn claim_due(&self, limit: u32, lease_ms: u64, except: &[Digest]) -> Result<Loaded, Error> {
        let table = saga::Entity.table_name();
        let now = self.dialect().now_ms();
        let lock = self.dialect().lock_free_rows("s");
        let lease = i64::try_from(lease_ms).unwrap_or(i64::MAX / 2);
        let others = match except.len() {
            0 => String::new(),
            count => {
                let digests: Vec<String> = (3..3 + count).map(|n| format!("${n}")).collect();
                format!("AND s.digest NOT IN ({})", digests.join(", "))
            }
        };
        let sql = format!(
            "WITH due AS (SELECT s.id AS saga_id FROM {table} AS s \
             WHERE s.due_at_ms <= (SELECT {now}) \
             AND (s.claimed_until_ms IS NULL OR s.claimed_until_ms <= (SELECT {now})) {others} \
             ORDER BY s.due_at_ms LIMIT $1 {lock}) \
             UPDATE {table} SET claimed_until_ms = (SELECT {now}) + $2 FROM due \
             WHERE {table}.id = due.saga_id RETURNING id, version, state, claimed_until_ms - $2 AS now_ms"
        );
        let values = [i64::from(limit).into(), lease.into()]
            .into_iter()
            .chain(except.iter().map(|digest| digest.to_string().into()));
        let rows = self.writer().query_all_raw(self.dialect().statement(sql, values)).await?;
        match rows.first() {
            Some(row) => Ok(Loaded::new(Timestamp::from_unix_ms(row.try_get("", "now_ms")?), &rows)),
            None => Ok(Loaded::empty(self.now().await?)),
        }
    }
}
