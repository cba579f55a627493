//! One statement of PostgreSQL for all sagas of a batch that begin, and one for those that go on, with all that hangs
//! on them. They are two, since not every server that speaks the protocol lets one statement change a table twice.
//!
//! Invariant: what hangs on a saga is written if, and only if, the saga is won.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::Value;
use sea_orm::{DbErr, EntityName as _, IdenStatic as _, QueryResult, Statement};
use uuid::Uuid;

use super::arrays::{Arrays, Given, Null, never_null};
use super::batch::{CHANGING, EVENTS, FIXED, JOURNAL, KEYS, LABELS, Row, names};
use crate::OutboxRow;
use crate::dialect::Dialect;
use crate::entity::saga::Column;
use crate::entity::{idempotency, journal, outbox, saga, saga_label};

const DIALECT: Dialect = Dialect::Postgres;

/// What was won.
#[derive(Default)]
pub(super) struct Won {
    pub(super) sagas: HashSet<Uuid>,
    /// The places of their events in the outbox, by the events' ids.
    pub(super) seqs: HashMap<String, i64>,
}

impl Won {
    /// Adds what a statement returned.
    pub(super) fn add(&mut self, returned: &[QueryResult]) -> Result<(), DbErr> {
        for row in returned {
            if let Some(saga) = row.try_get("", "id")? {
                self.sagas.insert(saga);
            } else {
                self.seqs.insert(row.try_get("", "event_id")?, row.try_get("", "seq")?);
            }
        }
        Ok(())
    }
}

/// Wins new sagas, all of which have keys, or none. A key goes with its saga or not at all: it is not taken where the
/// saga is there already, and without it the saga does not begin. Nobody else may begin the same saga with another key at
/// the same moment; ids of sagas that begin with a key are made for them.
pub(super) fn begin(rows: &[&Row]) -> Statement {
    let (sagas, keys) = (saga::Entity.table_name(), idempotency::Entity.table_name());
    let mut arrays = Arrays::default();
    let mut with = Vec::new();
    let keyed: Vec<&[Value]> =
        rows.iter().filter_map(|row| row.key.as_ref()).map(|key| key.row.as_slice()).collect();
    let mut may_begin = "";
    if !keyed.is_empty() {
        debug_assert_eq!(keyed.len(), rows.len(), "one that has no key would not begin");
        let names = names(&KEYS);
        let given = arrays.table(&never_null(&names), &keyed);
        let columns = names.join(", ");
        with.push(format!(
            "k AS (INSERT INTO {keys} ({columns}) SELECT {columns} FROM {given} \
             WHERE NOT EXISTS (SELECT 1 FROM {sagas} AS s WHERE s.id = v.saga_id) \
             ORDER BY v.owner, v.key COLLATE \"C\" ON CONFLICT (owner, key) DO NOTHING RETURNING saga_id)"
        ));
        may_begin = "WHERE v.id IN (SELECT saga_id FROM k)";
    }
    let columns: Vec<Given<'_>> = FIXED.iter().chain(&CHANGING).map(of_new).collect();
    let given = arrays.table(&columns, &of_sagas(rows));
    let columns = names(FIXED.iter().chain(&CHANGING)).join(", ");
    with.push(format!(
        "w AS (INSERT INTO {sagas} ({columns}) SELECT {columns} FROM {given} {may_begin} \
         ORDER BY v.id ON CONFLICT (id) DO NOTHING RETURNING id)"
    ));
    with_what_hangs_on_them(with, arrays, rows)
}

/// Wins the sagas whose version is as expected. Several are locked in the order of their ids first: the order in
/// which an UPDATE that joins takes them is the planner's.
pub(super) fn go_on(rows: &[&Row]) -> Statement {
    let table = saga::Entity.table_name();
    let mut arrays = Arrays::default();
    let mut columns = never_null(&["id", "expected"]);
    columns.extend(CHANGING.iter().map(of_changed));
    let given = arrays.table(&columns, &of_sagas(rows));
    let set = CHANGING.map(|column| match column {
        Column::State => format!("state = COALESCE(v.state, {table}.state)"),
        column => format!("{0} = v.{0}", column.as_str()),
    });
    let (set, lock) = (set.join(", "), DIALECT.lock_rows("s"));
    let (mut with, from) = if rows.len() == 1 {
        (Vec::new(), given)
    } else {
        let locked = format!(
            "l AS (SELECT v.* FROM {given} JOIN {table} AS s ON s.id = v.id AND s.version = v.expected \
             ORDER BY s.id {lock})"
        );
        (vec![locked], "l AS v".to_owned())
    };
    with.push(format!(
        "w AS (UPDATE {table} SET {set} FROM {from} WHERE {table}.id = v.id AND {table}.version = v.expected \
         RETURNING {table}.id)"
    ));
    with_what_hangs_on_them(with, arrays, rows)
}

/// The statement that wins sagas as `w`, and in it writes what hangs on those.
fn with_what_hangs_on_them(mut with: Vec<String>, mut arrays: Arrays, rows: &[&Row]) -> Statement {
    let mut hang = |name: &str, table: &str, columns: &[&str], rows: &[&[Value]]| {
        if rows.is_empty() {
            return;
        }
        let given = arrays.table(&never_null(columns), rows);
        let columns = columns.join(", ");
        with.push(format!(
            "{name} AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM {given} \
             WHERE v.saga_id IN (SELECT id FROM w))"
        ));
    };
    let entries: Vec<&[Value]> = rows.iter().map(|row| row.journal.as_slice()).collect();
    hang("j", journal::Entity.table_name(), &names(&JOURNAL), &entries);
    let labels: Vec<&[Value]> = rows.iter().flat_map(|row| &row.labels).map(Vec::as_slice).collect();
    hang("b", saga_label::Entity.table_name(), &names(&LABELS), &labels);

    let events = rows.iter().flat_map(|row| row.events.iter().map(|event| (row.id, event)));
    let events: Vec<_> = (0_i64..).zip(events).map(|(n, (saga, event))| of_event(n, saga, event)).collect();
    let mut places = "";
    if !events.is_empty() {
        let rows: Vec<&[Value]> = events.iter().map(<[Value; _]>::as_slice).collect();
        let columns = names(&EVENTS);
        let all: Vec<&str> = ["n", "saga"].into_iter().chain(columns.iter().copied()).collect();
        let given = arrays.table(&never_null(&all), &rows);
        let (table, columns) = (outbox::Entity.table_name(), columns.join(", "));
        with.push(format!(
            "e AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM {given} \
             WHERE v.saga IN (SELECT id FROM w) ORDER BY v.n RETURNING event_id, seq)"
        ));
        places = "UNION ALL SELECT NULL, event_id, seq FROM e";
    }
    let with = with.join(", ");
    let sql = format!("WITH {with} SELECT id, NULL::text AS event_id, NULL::bigint AS seq FROM w {places}");
    DIALECT.statement(sql, arrays.into_parameters())
}

fn of_sagas<'a>(rows: &[&'a Row]) -> Vec<&'a [Value]> {
    rows.iter().map(|row| row.saga.as_slice()).collect()
}

/// Of a saga that goes on; without a state its own stays.
fn of_changed(column: &Column) -> Given<'_> {
    let null = match column {
        Column::State => Null::OrText,
        Column::HeldBy
        | Column::FailureCode
        | Column::FailureStep
        | Column::DueAtMs
        | Column::ClaimedUntilMs => Null::Maybe,
        _ => Null::Never,
    };
    Given { name: column.as_str(), null }
}

/// Of a saga that begins; its state is there, and may be empty.
fn of_new(column: &Column) -> Given<'_> {
    match column {
        Column::State => Given { name: column.as_str(), null: Null::Never },
        column => of_changed(column),
    }
}

/// Its number, its saga, and [`EVENTS`].
fn of_event(number: i64, saga: Uuid, row: &OutboxRow) -> [Value; EVENTS.len() + 2] {
    [
        number.into(),
        saga.into(),
        row.event_id.as_str().into(),
        row.message_type.as_str().into(),
        row.envelope.as_str().into(),
        row.created_at.unix_ms().into(),
    ]
}
