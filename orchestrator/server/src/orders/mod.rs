//! The order, as shops see it: what they send becomes a saga's input, and a saga is shown as an order.
//!
//! Pure. An order is the row of its saga and has its id; nothing else is stored about it.

mod request;
mod view;

pub use request::{Line, Money, OrderRequest};
pub use view::{InvalidOrderStatus, OrderFailure, OrderStatus, OrderView};

/// The definition that orders follow; its newest version is taken.
pub const DEFINITION: &str = "order";

/// The label of the order's saga that has the customer.
pub const CUSTOMER_LABEL: &str = "customer";
