//! The participant's one table.

use sea_orm_migration::prelude::*;

use super::effect;

pub(super) fn all() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Effects)]
}

struct Effects;

impl MigrationName for Effects {
    fn name(&self) -> &str {
        "bench_0001_effects"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Effects {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let effects = Table::create()
            .table(effect::Entity)
            .col(ColumnDef::new(effect::Column::Id).text().not_null().primary_key())
            .col(ColumnDef::new(effect::Column::Command).text().not_null())
            .col(ColumnDef::new(effect::Column::MadeAtMs).big_integer().not_null())
            .take();
        manager.create_table(effects).await
    }
}
