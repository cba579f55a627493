//! Fills the databases of a world with sagas that ended before: copies of some that were really run, older than any
//! that is measured, with their journals, labels, idempotency keys, inbox rows and effects.
//!
//! Events are not copied (they are kept for a day only), and recorded replies keep the words of their pattern:
//! nobody asks for them any more.
//!
//! Invariant: ids are in the order of time, and so are the rows that are written.

use std::{cmp, time::Duration};

use anyhow::Context as _;
use sea_orm::{
    ActiveValue::Set,
    ConnectOptions, ConnectionTrait as _, Database as SeaOrm, DatabaseConnection, DbBackend,
    EntityTrait as _, QueryOrder as _, QuerySelect as _, Schema, Statement, TransactionTrait as _,
    prelude::Uuid,
    sea_query::{Alias, BinOper, Expr, ExprTrait as _, Func, InsertStatement, Order, Query, SelectStatement},
};

use crate::{
    copy,
    load::{Amount, Load, Pace, Unwatched},
    orders::Orders,
    participant::Who,
    saga,
    world::{Database, Way, World},
};

/// Sagas that are really run, to be copied.
const PATTERNS: u64 = 600;
/// Copies in one transaction.
const CHUNK: u64 = 10_000;
/// Rows in one statement that says what is to be copied.
const ROWS: u64 = 1_000;
/// Over how long a time the copies are spread, and how old the youngest is, in milliseconds: younger than what
/// retention or a purge would take away, and older than what is measured.
const SPREAD_MS: u64 = 5 * 3_600_000;
const YOUNGEST_MS: u64 = 3_600_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// A table whose rows belong to sagas.
struct Table {
    name: &'static str,
    /// The column that says to which.
    id: &'static str,
    /// Whether that is the beginning of a text, such as an effect id.
    is_text: bool,
    /// Texts in which the saga is named.
    naming: &'static [&'static str],
    /// A text that nobody else may have.
    own: Option<&'static str>,
}

const OF_ORCHESTRATOR: [Table; 4] = [
    Table { name: "sagas", id: "id", is_text: false, naming: &["state"], own: None },
    Table { name: "saga_labels", id: "saga_id", is_text: false, naming: &[], own: None },
    Table { name: "journal", id: "saga_id", is_text: false, naming: &["entry"], own: None },
    Table { name: "idempotency", id: "saga_id", is_text: false, naming: &["answer"], own: Some("key") },
];
const OF_PARTICIPANT: [Table; 2] = [
    Table { name: "inbox", id: "effect_id", is_text: true, naming: &["effect_id", "command"], own: None },
    Table { name: "effect", id: "id", is_text: true, naming: &["id"], own: None },
];

/// Fills the world with `count` sagas, and leaves it running; what is measured is younger than `world.since` then.
pub(crate) async fn fill(world: &mut World, count: u64) -> anyhow::Result<()> {
    let mut door = world.door(Way::Subject, true).await?;
    let orders = Orders::new("pattern");
    let amount = Amount { warm_up: 0, counted: PATTERNS, longest: PATIENCE };
    let seen = Load::new(&mut door, &orders, 0, Pace::Closed(64), amount).run(&mut Unwatched).await?;
    anyhow::ensure!(seen.wrong.is_empty(), "the patterns went wrong: {}", seen.wrong.join("; "));
    drop(door);
    for name in world.services() {
        world.system.process(name).terminate(PATIENCE);
    }
    let plan = Plan::of(world, count).await?;
    println!("  storing {count} sagas, copies of {}", plan.patterns.len());
    let url = world.database_url("orchestrator").to_owned();
    plan.carry_out(&url, &OF_ORCHESTRATOR).await?;
    for who in Who::ALL {
        let url = world.database_url(who.name()).to_owned();
        plan.carry_out(&url, &OF_PARTICIPANT).await?;
    }
    if let (Database::Postgres, Some(cluster)) = (world.layout.database, &world.cluster) {
        for owner in Who::ALL.map(Who::name).into_iter().chain(["orchestrator"]) {
            let url = world.database_url(owner);
            cluster.run(url, "VACUUM ANALYZE").map_err(anyhow::Error::msg)?;
        }
    }
    world.now_it_begins();
    world.start_services().await;
    Ok(())
}

/// What is copied to where.
struct Plan {
    patterns: Vec<Uuid>,
    count: u64,
    /// The age of the oldest copy, as milliseconds since 1970.
    from_ms: u64,
}

impl Plan {
    async fn of(world: &World, count: u64) -> anyhow::Result<Self> {
        let db = open(world.database_url("orchestrator")).await?;
        let patterns = saga::Entity::find()
            .select_only()
            .column(saga::Column::Id)
            .order_by_asc(saga::Column::Id)
            .into_tuple::<Uuid>()
            .all(&db)
            .await?;
        db.close().await?;
        anyhow::ensure!(!patterns.is_empty(), "there is no pattern");
        let since = u64::try_from(world.since.unix_ms()).context("a clock after 1970")?;
        Ok(Self { patterns, count, from_ms: since - YOUNGEST_MS - SPREAD_MS })
    }

    /// The pattern and the id of the `number`-th copy.
    fn copy(&self, number: u64) -> copy::ActiveModel {
        let patterns = u64::try_from(self.patterns.len()).unwrap_or(1);
        let old = self.patterns[usize::try_from(number % patterns).unwrap_or(0)];
        let ms = u128::from(self.from_ms + number * SPREAD_MS / self.count);
        let (version, variant) = (7_u128 << 76, 2_u128 << 62);
        let new = Uuid::from_u128(
            (ms << 80) | version | (u128::from(number & 0xfff) << 64) | variant | u128::from(number),
        );
        copy::ActiveModel {
            number: Set(i64::try_from(number).unwrap_or(i64::MAX)),
            old_id: Set(old),
            old_text: Set(old.to_string()),
            new_id: Set(new),
            new_text: Set(new.to_string()),
        }
    }

    async fn carry_out(&self, url: &str, tables: &[Table]) -> anyhow::Result<()> {
        let db = open(url).await?;
        let backend = db.get_database_backend();
        // Whatever is lost by a crash now is made again.
        let hasty = match backend {
            DbBackend::Sqlite => "PRAGMA synchronous = OFF",
            _ => "SET synchronous_commit = off",
        };
        db.execute_unprepared(hasty).await?;
        let copies = Schema::new(backend).create_table_from_entity(copy::Entity);
        db.execute_raw(backend.build(&copies)).await?;
        let mut statements = Vec::new();
        for table in tables {
            statements.push((table, columns(&db, table.name).await?));
        }
        let mut first = 0;
        while first < self.count {
            let behind = cmp::min(first + CHUNK, self.count);
            let transaction = db.begin().await?;
            let mut row = first;
            while row < behind {
                let end = cmp::min(row + ROWS, behind);
                let rows = (row..end).map(|number| self.copy(number));
                copy::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
                row = end;
            }
            for (table, columns) in &statements {
                transaction.execute_raw(backend.build(&table.copies(columns, first, behind))).await?;
            }
            transaction.commit().await?;
            first = behind;
        }
        let gone = Query::delete().from_table(copy::Entity).to_owned();
        db.execute_raw(backend.build(&gone)).await?;
        if backend == DbBackend::Sqlite {
            db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        db.close().await?;
        Ok(())
    }
}

impl Table {
    /// The rows of the copies with these numbers, the last excluded.
    fn copies(&self, columns: &[String], first: u64, behind: u64) -> InsertStatement {
        let number = Expr::col((copy::Entity, copy::Column::Number));
        let mut rows: SelectStatement = Query::select();
        rows.from(copy::Entity)
            .and_where(number.clone().gte(first))
            .and_where(number.lt(behind))
            .order_by((copy::Entity, copy::Column::Number), Order::Asc);
        let of_table = |column: &str| Expr::col((Alias::new(self.name), Alias::new(column)));
        let of_copy = |column: copy::Column| Expr::col((copy::Entity, column));
        let old = of_copy(copy::Column::OldText);
        let belongs = match self.is_text {
            false => of_table(self.id).eq(of_copy(copy::Column::OldId)),
            // All that begins with the id and a slash: the digit zero comes behind the slash.
            true => of_table(self.id)
                .gt(old.clone())
                .and(of_table(self.id).lt(old.binary(BinOper::Custom("||"), Expr::val("0")))),
        };
        rows.inner_join(Alias::new(self.name), belongs);
        for column in columns {
            rows.expr(match column.as_str() {
                column if !self.is_text && column == self.id => of_copy(copy::Column::NewId),
                column if Some(column) == self.own => of_copy(copy::Column::NewText),
                column if self.naming.contains(&column) => Func::cust(Alias::new("replace"))
                    .args([of_table(column), of_copy(copy::Column::OldText), of_copy(copy::Column::NewText)])
                    .into(),
                column => of_table(column),
            });
        }
        let mut insert = Query::insert();
        insert.into_table(Alias::new(self.name)).columns(columns.iter().map(Alias::new));
        insert.select_from(rows).expect("a row has as many values as columns");
        insert
    }
}

/// The columns of a table, whatever they are today.
async fn columns(db: &DatabaseConnection, table: &str) -> anyhow::Result<Vec<String>> {
    let backend = db.get_database_backend();
    let sql = match backend {
        DbBackend::Sqlite => "SELECT name FROM pragma_table_info(?)",
        _ => {
            "SELECT column_name::text AS name FROM information_schema.columns WHERE table_name = $1 \
             AND table_schema = current_schema()"
        }
    };
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, [table.into()])).await?;
    let columns: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get("", "name")).collect();
    let columns = columns?;
    anyhow::ensure!(
        !columns.is_empty(),
        "there is no table {table} any more: tests/bench/src/stored.rs names it"
    );
    Ok(columns)
}

async fn open(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Ok(SeaOrm::connect(options).await?)
}
