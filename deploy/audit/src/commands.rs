//! What the reference participants call their commands and the states of their rows.
//!
//! Invariant: these names stand here and nowhere else in this crate.

use amends_contract::Address;

/// What a command does to the books that the auditor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Reserve,
    Release,
    Confirm,
    TakeBack,
    CancelTakeBack,
    Restock,
    Charge,
    RefundCharge,
    RefundOrder,
    Mail,
    /// Somebody else's.
    Other,
}

impl Meaning {
    pub(crate) fn of(participant: &str, command: &str) -> Self {
        match (participant, command) {
            ("inventory", "reserve-stock") => Self::Reserve,
            ("inventory", "release-stock") => Self::Release,
            ("inventory", "confirm-stock") => Self::Confirm,
            ("inventory", "take-back") => Self::TakeBack,
            ("inventory", "cancel-take-back") => Self::CancelTakeBack,
            ("inventory", "restock") => Self::Restock,
            ("payment", "charge-payment") => Self::Charge,
            ("payment", "refund-payment") => Self::RefundCharge,
            ("payment", "refund-order") => Self::RefundOrder,
            ("notification", _) => Self::Mail,
            _ => Self::Other,
        }
    }

    pub(crate) fn of_address(address: &Address) -> Self {
        Self::of(address.participant.as_str(), address.command.as_str())
    }

    /// By a message's `type`: kind, participant, command.
    pub(crate) fn of_type(message_type: &str) -> Self {
        let mut parts = message_type.split('.').skip(1);
        match (parts.next(), parts.next()) {
            (Some(participant), Some(command)) => Self::of(participant, command),
            _ => Self::Other,
        }
    }
}

/// States of an inbox row.
pub(crate) mod row {
    pub(crate) const OPEN: &str = "open";
    pub(crate) const VOIDING: &str = "voiding";
    pub(crate) const TOMBSTONE: &str = "tombstone";
}

/// States of a reservation.
pub(crate) mod reservation {
    pub(crate) const ACTIVE: &str = "active";
    pub(crate) const RELEASED: &str = "released";
    pub(crate) const CONFIRMED: &str = "confirmed";
}

/// States of goods that come back.
pub(crate) mod goods_return {
    pub(crate) const EXPECTED: &str = "expected";
    pub(crate) const CANCELLED: &str = "cancelled";
    pub(crate) const RESTOCKED: &str = "restocked";
}

/// States of a payment, and of a refund.
pub(crate) mod payment {
    pub(crate) const CHARGING: &str = "charging";
    pub(crate) const REFUNDING: &str = "refunding";
    pub(crate) const REFUNDED: &str = "refunded";
    /// What has taken nothing.
    pub(crate) const NOTHING: [&str; 2] = ["declined", "not-made"];
}

/// States of a mail.
pub(crate) mod mail {
    /// What certainly has not left.
    pub(crate) const NOTHING: [&str; 2] = ["queued", "undeliverable"];
    pub(crate) const SENT: &str = "sent";
}

/// The provider's word for a charge that took the money.
pub(crate) const CAPTURED: &str = "captured";
