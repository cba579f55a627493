//! The places of steps that say `concurrency`.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, text, uuid};

use crate::entity::{place, place_lock};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(places()).await?;
        for index in place_indexes() {
            manager.create_index(index).await?;
        }
        manager.create_table(place_locks()).await
    }
}

fn places() -> TableCreateStatement {
    use place::Column;
    Table::create()
        .if_not_exists()
        .table(place::Entity)
        .col(uuid(Column::SagaId))
        .col(text(Column::StepRef))
        .col(text(Column::DefinitionName))
        .col(big_integer(Column::DefinitionVersion))
        .col(text(Column::Step))
        .col(big_integer(Column::WantedAtMs))
        .col(big_integer_null(Column::GivenAtMs))
        .col(boolean(Column::Used))
        .primary_key(Index::create().col(Column::SagaId).col(Column::StepRef))
        .take()
}

/// The first is the queue, the second what is counted against the limit.
fn place_indexes() -> Vec<IndexCreateStatement> {
    use place::Column;
    let index = |name: &str, columns: &[Column]| {
        let mut index = Index::create();
        index.if_not_exists().name(name).table(place::Entity);
        for column in columns {
            index.col(*column);
        }
        index
    };
    let given = Expr::col(Column::GivenAtMs);
    let queue = [Column::DefinitionName, Column::Step, Column::WantedAtMs, Column::SagaId];
    vec![
        index("places_wanted", &queue).and_where(given.clone().is_null()).take(),
        index("places_given", &[Column::DefinitionName, Column::Step]).and_where(given.is_not_null()).take(),
    ]
}

fn place_locks() -> TableCreateStatement {
    use place_lock::Column;
    Table::create()
        .if_not_exists()
        .table(place_lock::Entity)
        .col(text(Column::DefinitionName))
        .col(text(Column::Step))
        .primary_key(Index::create().col(Column::DefinitionName).col(Column::Step))
        .take()
}
