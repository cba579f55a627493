//! What operators did with dead letters.

use sea_orm::EntityName as _;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, big_pk_auto, text, text_null};

use crate::entity::{dead_letter, letter_action};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Neither database can add a column only where it is missing in a way that the other knows.
        if !manager.has_column(dead_letter::Entity.table_name(), "state").await? {
            let state = ColumnDef::new(dead_letter::Column::State).text().not_null().default("open").take();
            manager.alter_table(Table::alter().table(dead_letter::Entity).add_column(state).take()).await?;
        }
        let by_state = Index::create()
            .if_not_exists()
            .name("dead_letters_by_state")
            .table(dead_letter::Entity)
            .col(dead_letter::Column::State)
            .col(dead_letter::Column::Number)
            .take();
        manager.create_index(by_state).await?;
        manager.create_table(letter_actions()).await?;
        let by_letter = Index::create()
            .if_not_exists()
            .name("letter_actions_by_letter")
            .table(letter_action::Entity)
            .col(letter_action::Column::Letter)
            .col(letter_action::Column::Number)
            .take();
        manager.create_index(by_letter).await
    }
}

fn letter_actions() -> TableCreateStatement {
    use letter_action::Column;
    Table::create()
        .if_not_exists()
        .table(letter_action::Entity)
        .col(big_pk_auto(Column::Number))
        .col(big_integer(Column::Letter))
        .col(text(Column::Action))
        .col(text(Column::Actor))
        .col(text(Column::Reason))
        .col(big_integer(Column::AskedAtMs))
        .col(text(Column::Outcome))
        .col(big_integer_null(Column::StreamSeq))
        .col(text_null(Column::Detail))
        .take()
}
