//! PostgreSQL: a connection, and one statement over arrays for each batch; so one journey there and back,
//! its commit included.
//!
//! Invariant: `synchronous_commit` is on, so a commit that has returned survives a loss of power.

use std::{collections::HashMap, str::FromStr};

use anyhow::Context;
use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};

use super::store::{EffectRow, SagaRow};

const SCHEMA: &str = "
    DO $$ BEGIN
        EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', current_setting('search_path'));
        EXECUTE format('CREATE SCHEMA %I', current_setting('search_path'));
    END $$;
    SET synchronous_commit = on;
    CREATE TABLE saga (id UUID PRIMARY KEY, version INT NOT NULL, status TEXT NOT NULL, state BYTEA NOT NULL,
        updated_at BIGINT NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE log (saga_id UUID NOT NULL, seq INT NOT NULL, at BIGINT NOT NULL, entry BYTEA NOT NULL,
        PRIMARY KEY (saga_id, seq));
    CREATE TABLE inbox (effect_id TEXT COLLATE \"C\" PRIMARY KEY, reply BYTEA NOT NULL, at BIGINT NOT NULL);
    CREATE TABLE effect (effect_id TEXT COLLATE \"C\" PRIMARY KEY, saga_id UUID NOT NULL, kind TEXT NOT NULL,
        amount BIGINT NOT NULL, at BIGINT NOT NULL);
";
const SAGAS: &str = "
    WITH given AS (
        SELECT * FROM UNNEST($1::uuid[], $2::int4[], $3::text[], $4::bytea[], $5::bytea[], $6::int8[])
            AS given (id, version, status, state, entry, at)
    ), won AS (
        INSERT INTO saga SELECT id, version, status, state, at FROM given
        ON CONFLICT (id) DO UPDATE SET version = excluded.version, status = excluded.status,
            state = excluded.state, updated_at = excluded.updated_at
        WHERE saga.version = excluded.version - 1 RETURNING id
    ), logged AS (
        INSERT INTO log SELECT id, version, at, entry FROM given JOIN won USING (id)
    ) SELECT count(*) FROM won";
const EFFECTS: &str = "
    WITH given AS (
        SELECT * FROM UNNEST($1::text[], $2::uuid[], $3::text[], $4::int8[], $5::bytea[], $6::int8[])
            AS given (effect_id, saga_id, kind, amount, reply, at)
    ), fresh AS (
        INSERT INTO inbox SELECT effect_id, reply, at FROM given ON CONFLICT DO NOTHING RETURNING effect_id
    ), done AS (
        INSERT INTO effect SELECT effect_id, saga_id, kind, amount, at FROM given JOIN fresh USING (effect_id)
    ) SELECT count(*) FROM fresh";
const RECORDED: &str = "SELECT effect_id, reply FROM inbox WHERE effect_id = ANY($1)";

/// A connection to a schema of the component's own.
pub(super) struct Postgres {
    connection: PgConnection,
}

impl Postgres {
    pub(super) async fn open(component: &'static str, url: &str) -> anyhow::Result<Self> {
        let schema = format!("floor_{component}");
        let options = PgConnectOptions::from_str(url)?.options([("search_path", schema.as_str())]);
        let mut connection = PgConnection::connect_with(&options)
            .await
            .context("no PostgreSQL answers: see --database-url")?;
        connection.execute(sqlx::raw_sql(SCHEMA)).await?;
        Ok(Self { connection })
    }

    pub(super) async fn commit_sagas(&mut self, rows: Vec<SagaRow>) -> anyhow::Result<usize> {
        let query = sqlx::query_scalar(SAGAS)
            .bind(column(&rows, |row| row.id))
            .bind(column(&rows, |row| row.version))
            .bind(column(&rows, |row| row.status))
            .bind(column(&rows, |row| row.state.as_slice()))
            .bind(column(&rows, |row| row.entry.as_slice()))
            .bind(column(&rows, |row| row.at));
        let won: i64 = query.fetch_one(&mut self.connection).await?;
        Ok(usize::try_from(won)?)
    }

    pub(super) async fn commit_effects(
        &mut self,
        mut rows: Vec<EffectRow>,
    ) -> anyhow::Result<Vec<EffectRow>> {
        let query = sqlx::query_scalar(EFFECTS)
            .bind(column(&rows, |row| row.id.as_str()))
            .bind(column(&rows, |row| row.saga))
            .bind(column(&rows, |row| row.kind))
            .bind(column(&rows, |row| row.amount))
            .bind(column(&rows, |row| &row.reply[..]))
            .bind(column(&rows, |row| row.at));
        let fresh: i64 = query.fetch_one(&mut self.connection).await?;
        if usize::try_from(fresh)? < rows.len() {
            let ids = column(&rows, |row| row.id.as_str());
            let recorded = sqlx::query(RECORDED).bind(ids).fetch_all(&mut self.connection).await?;
            let mut recorded: HashMap<String, Vec<u8>> =
                recorded.iter().map(|row| (row.get(0), row.get(1))).collect();
            for row in &mut rows {
                row.reply = recorded.remove(&row.id).context("it was there just now")?.into();
            }
        }
        Ok(rows)
    }

    pub(super) async fn count(&mut self, query: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(query).fetch_one(&mut self.connection).await?)
    }
}

fn column<'a, R, T>(rows: &'a [R], field: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}
