//! Attempts and back-off: what becomes of a sending that ended without a final outcome.
//!
//! Invariant: the same effect and the same number of a sending always wait equally long. The jitter that
//! keeps thousands of sagas from coming back at once is a hash of the two.

use amends_contract::{Direction, EffectId};
use amends_definition::{Retry, StepKind};
use amends_planted::{Bug, planted};

use crate::command::effect_id;
use crate::draft::Draft;
use crate::{Ask, Decision, Failure, code, turn};

/// The longest wait that a participant may ask for, in milliseconds (one day): a slip of its units must
/// not put a saga to sleep for years.
const RETRY_AFTER_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// How a sending ended.
pub(crate) enum Ended<'a> {
    /// Nobody answered in time.
    Silence,
    /// The participant said that it did not work.
    Failed {
        /// Its reason.
        code: &'a str,
        /// Its wish.
        retry_after_ms: Option<u64>,
    },
}

/// Burns an attempt, and goes on as the kind of the step wants it.
pub(crate) fn burn(draft: &mut Draft<'_>, index: usize, direction: Direction, ended: &Ended<'_>) {
    let Some((flight, effect)) = draft.flight(index, direction) else { return };
    let (ask, send_no, left) = (flight.ask, effect.send_no, effect.left.saturating_sub(1));
    if left == 0 && direction == Direction::Forward && ask == Ask::Command {
        let failure = used_up(draft, index, ended);
        match draft.kind(index) {
            StepKind::Compensatable => return turn::turn(draft, failure),
            StepKind::Pivot if planted(Bug::GuessesPivot) => return turn::turn(draft, failure),
            StepKind::Pivot => return turn::doubt(draft, index, failure),
            // It can only go on; from now on it asks for attention.
            StepKind::Retriable => {}
        }
    }
    match ended {
        Ended::Silence => draft.send_again(index, direction, ask, left),
        Ended::Failed { code, retry_after_ms } => {
            let retry = draft.retry(index, direction);
            let id = effect_id(draft.saga.id, draft.step(index), direction, effect.epoch);
            let wait_ms = match retry.attempts.saturating_sub(left) {
                // Used up, it goes on at the cap for ever.
                _ if left == 0 => retry.cap_ms,
                burnt => grown_ms(retry, burnt),
            };
            let wait_ms = jittered_ms(wait_ms, retry.jitter, &id, send_no);
            let wait_ms = wait_ms.max(retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MAX_MS));
            let (step, code) = (draft.reference(index), (*code).to_owned());
            let due_at = draft.clock().plus_ms(wait_ms);
            draft.decide(Decision::BackedOff { step, effect: direction, code, left, due_at });
        }
    }
}

fn used_up(draft: &Draft<'_>, index: usize, ended: &Ended<'_>) -> Failure {
    let attempts = draft.retry(index, Direction::Forward).attempts;
    let last = match ended {
        Ended::Silence => "there was no reply to the last one",
        Ended::Failed { code, .. } => code,
    };
    Failure {
        step: Some(draft.step(index).name.clone()),
        code: code::ATTEMPTS.to_owned(),
        detail: format!("{attempts} attempts brought no outcome: {last}"),
    }
}

/// The pause after `burnt` attempts (from 1), in milliseconds: `initial * factor^(burnt - 1)`, at most `cap`.
fn grown_ms(retry: &Retry, burnt: u32) -> u64 {
    let cap = to_float(retry.cap_ms);
    let mut wait = to_float(retry.initial_ms);
    // One multiplication after the other: IEEE 754 rounds it the same everywhere, which it does not
    // promise of powers.
    for _ in 1..burnt {
        if wait >= cap {
            break;
        }
        wait *= retry.factor;
    }
    to_integer(wait.min(cap))
}

/// A pause less a part of its share `jitter` (0 to 1); the same sending always gets the same.
fn jittered_ms(wait_ms: u64, jitter: f64, effect: &EffectId, send_no: u32) -> u64 {
    let share_ppm = u128::from(to_integer(jitter.clamp(0.0, 1.0) * 1e6));
    // The hash divided by 2^64 is a number from 0 to 1.
    let less = ((u128::from(wait_ms) * share_ppm / 1_000_000) * u128::from(hash(effect, send_no))) >> 64;
    // Never zero: that would be a hot loop.
    wait_ms.saturating_sub(u64::try_from(less).unwrap_or(u64::MAX)).max(1)
}

#[expect(clippy::cast_precision_loss, reason = "a wait of 2^53 ms is 285 thousand years")]
const fn to_float(ms: u64) -> f64 {
    ms as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
const fn to_integer(number: f64) -> u64 {
    number as u64
}

/// FNV-1a over the sending's identity, with the finalizer of MurmurHash3, since FNV hardly stirs the last
/// bytes, and the number of the sending is the last byte. Without the finalizer's last shift: that stirs the
/// low half, and only the high one makes a difference here.
fn hash(effect: &EffectId, send_no: u32) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in effect.message_id(send_no).bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_contract::{Direction, StepRef};

    const RETRY: Retry = Retry { attempts: 8, initial_ms: 200, factor: 2.0, cap_ms: 30_000, jitter: 0.0 };

    fn waits(retry: &Retry) -> Vec<u64> {
        let effect = EffectId {
            saga: "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap(),
            step: "reserve-stock".parse::<StepRef>().unwrap(),
            direction: Direction::Forward,
            epoch: 1,
        };
        (1..=10).map(|burnt| jittered_ms(grown_ms(retry, burnt), retry.jitter, &effect, burnt)).collect()
    }

    #[test]
    fn each_pause_is_longer_up_to_the_cap() {
        assert_eq!(waits(&RETRY), [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30_000, 30_000]);
        let fraction = Retry { factor: 1.5, ..RETRY };
        assert_eq!(waits(&fraction)[..4], [200, 300, 450, 675]);
        let constant = Retry { factor: 1.0, ..RETRY };
        assert_eq!(waits(&constant), [200; 10]);
    }

    #[test]
    fn jitter_takes_away_its_share_at_most_and_is_the_same_every_time() {
        let jittered = waits(&Retry { jitter: 0.2, ..RETRY });
        for (with, without) in jittered.iter().zip(waits(&RETRY)) {
            assert!((without * 8 / 10..=without).contains(with), "{with} of {without}");
        }
        assert_ne!(jittered[8], jittered[9], "the number of the sending stirs it");
        assert_eq!(jittered, waits(&Retry { jitter: 0.2, ..RETRY }));
    }

    /// Who verifies a journal decides its waits again: other ones are other rules, and another engine version.
    #[test]
    fn jitter_is_the_same_for_ever() {
        let jittered = waits(&Retry { jitter: 0.2, ..RETRY });
        assert_eq!(jittered, [181, 355, 759, 1518, 2691, 6221, 11666, 22315, 25871, 26962]);
    }

    #[test]
    fn odd_settings_neither_panic_nor_wait_for_nothing() {
        let odd = [
            Retry { initial_ms: 0, ..RETRY },
            Retry { factor: 0.0, ..RETRY },
            Retry { factor: f64::INFINITY, jitter: f64::NAN, ..RETRY },
            Retry { cap_ms: u64::MAX, initial_ms: u64::MAX, jitter: 7.0, ..RETRY },
            Retry { jitter: -1.0, cap_ms: 0, ..RETRY },
        ];
        for retry in &odd {
            assert!(waits(retry).iter().all(|wait| *wait > 0), "{retry:?}");
        }
    }
}
