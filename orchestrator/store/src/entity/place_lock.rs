//! One row for each step with places: whoever gives some locks it first.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "place_locks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub definition_name: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub step: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
