//! Sagas with their labels and journal, and the definitions that drive them.
//!
//! No foreign keys: `commit` alone writes these tables, and a check per journal line would be paid on each
//! transition.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, text, text_null, uuid};

use crate::entity::{definition, journal, saga, saga_label};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(sagas()).await?;
        for index in saga_indexes() {
            manager.create_index(index).await?;
        }
        manager.create_table(saga_labels()).await?;
        let by_label = Index::create()
            .if_not_exists()
            .name("saga_labels_by_value")
            .table(saga_label::Entity)
            .col(saga_label::Column::Name)
            .col(saga_label::Column::Value)
            .col(saga_label::Column::SagaId)
            .take();
        manager.create_index(by_label).await?;
        manager.create_table(journal()).await?;
        manager.create_table(definitions()).await
    }
}

fn sagas() -> TableCreateStatement {
    use saga::Column;
    Table::create()
        .if_not_exists()
        .table(saga::Entity)
        .col(uuid(Column::Id).primary_key())
        .col(text(Column::DefinitionName))
        .col(big_integer(Column::DefinitionVersion))
        .col(text(Column::Digest))
        .col(big_integer(Column::Version))
        .col(text(Column::Status))
        .col(boolean(Column::NeedsAttention))
        .col(boolean(Column::Awaiting))
        .col(boolean(Column::Held))
        .col(boolean(Column::Overdue))
        .col(boolean(Column::Paused))
        .col(boolean(Column::Alarm))
        .col(text_null(Column::FailureCode))
        .col(text_null(Column::FailureStep))
        .col(text(Column::State))
        .col(big_integer(Column::StartedAtMs))
        .col(big_integer(Column::UpdatedAtMs))
        .col(big_integer_null(Column::DueAtMs))
        .col(big_integer_null(Column::ClaimedUntilMs))
        .take()
}

/// Each is written by every transition, so there are few, and most hold only the rows they are for.
fn saga_indexes() -> Vec<IndexCreateStatement> {
    use saga::Column;
    let index = |name: &str, columns: &[Column]| {
        let mut index = Index::create();
        index.if_not_exists().name(name).table(saga::Entity);
        for column in columns {
            index.col(*column);
        }
        index
    };
    let with = |mut index: IndexCreateStatement, condition: SimpleExpr| index.and_where(condition).take();
    let has = |column: Column| Expr::col(column).is_not_null();
    vec![
        with(index("sagas_due", &[Column::DueAtMs]), has(Column::DueAtMs)),
        index("sagas_by_status", &[Column::Status, Column::Id]),
        index("sagas_by_definition", &[Column::DefinitionName, Column::Id]),
        with(index("sagas_needing_attention", &[Column::Id]), Expr::col(Column::NeedsAttention)),
        with(index("sagas_by_failure_code", &[Column::FailureCode, Column::Id]), has(Column::FailureCode)),
        with(index("sagas_by_failure_step", &[Column::FailureStep, Column::Id]), has(Column::FailureStep)),
    ]
}

fn saga_labels() -> TableCreateStatement {
    use saga_label::Column;
    Table::create()
        .if_not_exists()
        .table(saga_label::Entity)
        .col(uuid(Column::SagaId))
        .col(text(Column::Name))
        .col(text(Column::Value))
        .primary_key(Index::create().col(Column::SagaId).col(Column::Name))
        .take()
}

fn journal() -> TableCreateStatement {
    use journal::Column;
    Table::create()
        .if_not_exists()
        .table(journal::Entity)
        .col(uuid(Column::SagaId))
        .col(big_integer(Column::Seq))
        .col(text(Column::Entry))
        .primary_key(Index::create().col(Column::SagaId).col(Column::Seq))
        .take()
}

fn definitions() -> TableCreateStatement {
    use definition::Column;
    Table::create()
        .if_not_exists()
        .table(definition::Entity)
        .col(text(Column::Name))
        .col(big_integer(Column::Version))
        .col(text(Column::Digest))
        .col(text(Column::Source))
        .col(text(Column::Schemas))
        .col(big_integer(Column::LoadedAtMs))
        .primary_key(Index::create().col(Column::Name).col(Column::Version))
        .take()
}
