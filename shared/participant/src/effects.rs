//! Ranges of effect ids. Their text begins with the saga's UUIDv7, so that they lie in time order, and
//! all effects of one step lie side by side.
//!
//! Invariant: compared byte by byte, as the inbox's primary key is.

use amends_contract::{Direction, EffectId, Timestamp};

/// The ids of all undos of the action's step: from the first up to, but not including, the second.
pub(crate) fn undos_of(action: &EffectId) -> (String, String) {
    let step = format!("{}/{}/{}", action.saga, action.step, Direction::Backward.as_str());
    // '0' follows '/'.
    (format!("{step}/"), format!("{step}0"))
}

/// Ids of sagas made before `moment` are less than this (RFC 9562, 5.7: 48 bits of milliseconds first).
pub(crate) fn first_of_sagas_at(moment: Timestamp) -> String {
    let ms = moment.unix_ms().max(0).unsigned_abs();
    format!("{:08x}-{:04x}-", ms >> 16, ms & 0xffff)
}

#[cfg(test)]
mod tests {
    use amends_contract::SagaId;

    use super::*;

    #[test]
    fn undos_of_one_step_and_no_other() {
        let id = |rest: &str| format!("0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/{rest}");
        let (first, beyond) = undos_of(&id("pay/do/1").parse().unwrap());
        let inside = |rest: &str| (first.as_str()..beyond.as_str()).contains(&id(rest).as_str());
        assert!(inside("pay/undo/1") && inside("pay/undo/27"));
        assert!(!inside("pay/do/1") && !inside("pay.1/undo/1") && !inside("pay-in/undo/1"));
    }

    #[test]
    fn sagas_before_a_moment() {
        let saga: SagaId = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap();
        let id = format!("{saga}/pay/do/1");
        let made_at = saga.made_at();
        assert!(id > first_of_sagas_at(made_at));
        assert!(id < first_of_sagas_at(made_at.plus_ms(1)));
        assert!(id > first_of_sagas_at(Timestamp::from_unix_ms(0)));
    }
}
