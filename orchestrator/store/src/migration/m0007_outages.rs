//! Whose outage holds a saga, so that all of them can be let go when it is over.

use sea_orm::{EntityName as _, IdenStatic as _};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

use crate::entity::saga;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column(saga::Entity.table_name(), saga::Column::HeldBy.as_str()).await? {
            let alter = Table::alter().table(saga::Entity).add_column(text_null(saga::Column::HeldBy)).take();
            manager.alter_table(alter).await?;
        }
        let held = Index::create()
            .if_not_exists()
            .name("sagas_held")
            .table(saga::Entity)
            .col(saga::Column::HeldBy)
            .col(saga::Column::DueAtMs)
            .and_where(Expr::col(saga::Column::HeldBy).is_not_null())
            .take();
        manager.create_index(held).await
    }
}
