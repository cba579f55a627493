//! Reads and writes the payments table. The only place with its statements.

pub(crate) mod refunds;

use amends_contract::{EffectId, SagaId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::domain::Charge;
use crate::entity::payment::{ActiveModel, Column, Entity, Model, Status};

/// Notes that a charge is about to be made; again, after one that was not made.
pub(crate) async fn charging(
    db: &impl ConnectionTrait,
    effect: &EffectId,
    charge: &Charge,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        effect: Set(effect.to_string()),
        saga: Set(effect.saga.uuid()),
        customer: Set(charge.customer.clone()),
        amount: Set(charge.amount.amount),
        currency: Set(charge.amount.currency.code().to_owned()),
        status: Set(Status::Charging),
        charge_id: NotSet,
        refund_id: NotSet,
        code: Set(None),
        created_at_ms: Set(now.unix_ms()),
        updated_at_ms: Set(now.unix_ms()),
    };
    let again = OnConflict::column(Column::Effect)
        .update_columns([Column::Status, Column::Code, Column::UpdatedAtMs])
        .to_owned();
    Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// What is written when something became of a payment.
pub(crate) enum Change<'a> {
    Charged {
        charge_id: &'a str,
    },
    Refunding,
    Refunded {
        refund_id: &'a str,
    },
    /// With the code of the reason.
    Stopped {
        status: Status,
        code: &'a str,
    },
}

/// Writes what became of the payment whose charge is `effect`.
pub(crate) async fn change(
    db: &impl ConnectionTrait,
    effect: &EffectId,
    change: Change<'_>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .filter(Column::Effect.eq(effect.to_string()))
        .col_expr(Column::UpdatedAtMs, Expr::value(now.unix_ms()));
    let status = |status: Status| Expr::value(status);
    let update = match change {
        Change::Charged { charge_id } => update
            .col_expr(Column::Status, status(Status::Charged))
            .col_expr(Column::ChargeId, Expr::value(charge_id)),
        Change::Refunding => update.col_expr(Column::Status, status(Status::Refunding)),
        Change::Refunded { refund_id } => update
            .col_expr(Column::Status, status(Status::Refunded))
            .col_expr(Column::RefundId, Expr::value(refund_id)),
        Change::Stopped { status: stopped, code } => {
            update.col_expr(Column::Status, status(stopped)).col_expr(Column::Code, Expr::value(code))
        }
    };
    update.exec(db).await?;
    Ok(())
}

/// The payments of these orders, and these, locked in their order.
pub(crate) async fn locked(
    db: &impl ConnectionTrait,
    orders: Vec<SagaId>,
    charges: Vec<String>,
) -> Result<Vec<Model>, DbErr> {
    if orders.is_empty() && charges.is_empty() {
        return Ok(Vec::new());
    }
    Entity::find()
        .filter(Column::Saga.is_in(orders.into_iter().map(SagaId::uuid)).or(Column::Effect.is_in(charges)))
        .order_by_asc(Column::Effect)
        .lock_exclusive()
        .all(db)
        .await
}

/// Which payments to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) status: Option<Status>,
    pub(crate) customer: Option<String>,
    pub(crate) saga: Option<SagaId>,
    /// Only those older than this effect: where the page before ended.
    pub(crate) before: Option<String>,
}

/// Up to `limit` payments, newest first.
pub(crate) async fn list(db: &impl ConnectionTrait, filter: Filter, limit: u64) -> Result<Vec<Model>, DbErr> {
    let mut select = Entity::find().order_by_desc(Column::Effect).limit(limit);
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status));
    }
    if let Some(customer) = filter.customer {
        select = select.filter(Column::Customer.eq(customer));
    }
    if let Some(saga) = filter.saga {
        select = select.filter(Column::Saga.eq(saga.uuid()));
    }
    if let Some(before) = filter.before {
        select = select.filter(Column::Effect.lt(before));
    }
    select.all(db).await
}
