//! Which element of a batch a dead letter is about.

use sea_orm::{EntityName as _, IdenStatic as _};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer_null;

use crate::entity::dead_letter::{Column, Entity};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.has_column(Entity.table_name(), Column::Element.as_str()).await? {
            return Ok(());
        }
        let element = big_integer_null(Column::Element);
        manager.alter_table(Table::alter().table(Entity).add_column(element).take()).await
    }
}
