//! What a command asks for, given what the inbox knows: the participant's rules as one total function.
//!
//! Garcia-Molina & Salem's sagas leave "did it run?" to the participant; this is where it is answered.
//! Invariant: pure, and no other file decides. A final row is only ever repeated, and nothing is run
//! whose row may have been forgotten.

use amends_contract::{Command, Digest, Direction};

/// Where an effect's row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Its outcome is being found out.
    Open,
    /// The same, and it will be undone if it turns out to have happened.
    Voiding,
    /// It has a final outcome.
    Final,
    /// It never happened and never will.
    Tombstone,
}

/// What the inbox knows of one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Known {
    /// Its row's state.
    pub state: State,
    /// Digest of type and data; `None` where no command of the effect was seen.
    pub meaning: Option<Digest>,
    /// A final action that happened (and was not rejected).
    pub succeeded: bool,
    /// An open undo that waits for the outcome of its action.
    pub waiting: bool,
}

/// What is to be done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Send the recorded reply again, byte for byte.
    Repeat,
    /// It is being found out: `pending`.
    Pending,
    /// The effect id belongs to a command of another meaning.
    Conflict,
    /// The row may have been forgotten.
    Expired,
    /// A tombstone lies there: `cancelled`.
    Cancelled,
    /// Run the domain code: the action, or the undo of an action that succeeded.
    Run,
    /// The action never happened; where it has no row yet, a tombstone sees to it that it never will.
    NothingToUndo {
        /// Whether the action's tombstone is still to be laid.
        tombstone: bool,
    },
    /// The action's outcome is not known yet: mark it, keep the undo for later, answer `pending`.
    Void,
    /// Close the effect id for ever: `cancelled`.
    Close,
}

/// Decides. `own` is the row of the command's effect, `action` (for an undo) that of the action it
/// undoes, `expired` whether its saga is older than the inbox remembers.
#[must_use]
pub fn decide(command: &Command, own: Option<&Known>, action: Option<&Known>, expired: bool) -> Decision {
    match (own, command.effect.direction) {
        (Some(own), _) if own.state == State::Tombstone => Decision::Cancelled,
        (Some(own), _)
            if !command.is_fence() && own.meaning.is_some_and(|known| known != command.meaning()) =>
        {
            Decision::Conflict
        }
        (Some(own), _) if own.state == State::Final => Decision::Repeat,
        // An undo that waited goes on as soon as its action is settled, whoever asks.
        (Some(own), Direction::Backward) if own.waiting && !command.is_fence() => match action {
            Some(action) if matches!(action.state, State::Open | State::Voiding) => Decision::Pending,
            _ => undo(action, Decision::Void, Decision::Run),
        },
        (Some(_), _) => Decision::Pending,
        (None, _) if expired => Decision::Expired,
        (None, Direction::Forward) if command.is_fence() => Decision::Close,
        (None, Direction::Forward) => Decision::Run,
        (None, Direction::Backward) if command.is_fence() => undo(action, Decision::Pending, Decision::Close),
        (None, Direction::Backward) => undo(action, Decision::Void, Decision::Run),
    }
}

/// By the action's row: nothing to undo, or what to do when it is open, or has happened.
fn undo(action: Option<&Known>, open: Decision, happened: Decision) -> Decision {
    match action {
        None => Decision::NothingToUndo { tombstone: true },
        Some(action) => match action.state {
            State::Open | State::Voiding => open,
            State::Final if action.succeeded => happened,
            State::Final | State::Tombstone => Decision::NothingToUndo { tombstone: false },
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use amends_contract::{Address, EffectId, Timestamp};
    use serde_json::json;

    use super::*;

    const SAGA: &str = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";

    fn command(direction: &str, name: &str) -> Command {
        let effect = |direction| format!("{SAGA}/pay/{direction}/1").parse::<EffectId>().unwrap();
        Command {
            effect: effect(direction),
            send_no: 1,
            address: Address::new("payment", name).unwrap(),
            definition: "order.v1".parse().unwrap(),
            decided_at: Timestamp::from_unix_ms(0),
            undoes: (direction == "undo").then(|| effect("do")),
            data: json!({ "amount": 1 }).into(),
        }
    }

    fn known(state: State) -> Known {
        Known { state, meaning: None, succeeded: false, waiting: false }
    }

    /// The whole table as text: what each kind of command meets, and what is then done.
    fn table(name: &str, direction: &str) -> String {
        let rows = |command: &Command| {
            let same = Known { meaning: Some(command.meaning()), ..known(State::Final) };
            let other = Known { meaning: Some(Digest::of(b"other")), ..known(State::Final) };
            [
                ("none", None),
                ("open", Some(Known { state: State::Open, ..same })),
                ("open other", Some(Known { state: State::Open, ..other })),
                ("waiting", Some(Known { state: State::Open, waiting: true, ..same })),
                ("voiding", Some(Known { state: State::Voiding, ..same })),
                ("final", Some(same)),
                ("final other", Some(other)),
                ("final unseen", Some(known(State::Final))),
                ("tombstone", Some(known(State::Tombstone))),
                ("tombstone other", Some(Known { state: State::Tombstone, ..other })),
            ]
        };
        let actions = [
            ("none", None),
            ("open", Some(known(State::Open))),
            ("voiding", Some(known(State::Voiding))),
            ("succeeded", Some(Known { succeeded: true, ..known(State::Final) })),
            ("rejected", Some(known(State::Final))),
            ("tombstone", Some(known(State::Tombstone))),
        ];
        let command = command(direction, name);
        let mut text = String::new();
        for (own_name, own) in rows(&command) {
            for (action_name, action) in &actions[..if direction == "do" { 1 } else { actions.len() }] {
                let decision = decide(&command, own.as_ref(), action.as_ref(), false);
                let old = decide(&command, own.as_ref(), action.as_ref(), true);
                text += &format!("{own_name} | {action_name}: {decision:?}");
                text += &if old == decision { "\n".to_owned() } else { format!(", old: {old:?}\n") };
            }
        }
        // Where the action does not matter, one line tells it all.
        let mut lines: Vec<&str> = Vec::new();
        for line in text.lines() {
            let merge = |l: &str| l.split(" | ").next().unwrap().to_owned() + l.split(':').nth(1).unwrap();
            if lines.last().is_none_or(|last| merge(last) != merge(line)) {
                lines.push(line);
            }
        }
        lines.join("\n")
    }

    #[test]
    fn an_action() {
        let expected = "\
none | none: Run, old: Expired
open | none: Pending
open other | none: Conflict
waiting | none: Pending
voiding | none: Pending
final | none: Repeat
final other | none: Conflict
final unseen | none: Repeat
tombstone | none: Cancelled
tombstone other | none: Cancelled";
        assert_eq!(table("charge-payment", "do"), expected);
    }

    #[test]
    fn an_undo() {
        let expected = "\
none | none: NothingToUndo { tombstone: true }, old: Expired
none | open: Void, old: Expired
none | succeeded: Run, old: Expired
none | rejected: NothingToUndo { tombstone: false }, old: Expired
open | none: Pending
open other | none: Conflict
waiting | none: NothingToUndo { tombstone: true }
waiting | open: Pending
waiting | succeeded: Run
waiting | rejected: NothingToUndo { tombstone: false }
voiding | none: Pending
final | none: Repeat
final other | none: Conflict
final unseen | none: Repeat
tombstone | none: Cancelled
tombstone other | none: Cancelled";
        assert_eq!(table("refund-payment", "undo"), expected);
    }

    #[test]
    fn a_fence_of_an_action() {
        let expected = "\
none | none: Close, old: Expired
open | none: Pending
open other | none: Pending
waiting | none: Pending
voiding | none: Pending
final | none: Repeat
final other | none: Repeat
final unseen | none: Repeat
tombstone | none: Cancelled
tombstone other | none: Cancelled";
        assert_eq!(table("fence", "do"), expected);
    }

    #[test]
    fn a_fence_of_an_undo() {
        let expected = "\
none | none: NothingToUndo { tombstone: true }, old: Expired
none | open: Pending, old: Expired
none | succeeded: Close, old: Expired
none | rejected: NothingToUndo { tombstone: false }, old: Expired
open | none: Pending
open other | none: Pending
waiting | none: Pending
voiding | none: Pending
final | none: Repeat
final other | none: Repeat
final unseen | none: Repeat
tombstone | none: Cancelled
tombstone other | none: Cancelled";
        assert_eq!(table("fence", "undo"), expected);
    }
}
