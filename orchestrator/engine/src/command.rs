//! Commands out of a saga's state: everything in them was frozen when their effect was decided.

use std::io::{self, Write};

use amends_contract::{Address, COMMAND_BYTES_MAX, Command, Direction, EffectId, Json, SagaId};
use amends_definition::Definition;
use amends_planted::{Bug, planted};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::draft::{BOTH, address};
use crate::{Ask, Phase, Saga, StepState, Wait};

/// The commands in flight, as they were last sent: to be published again when it is unsure whether they
/// ever were. What the participant has answered by `failed` or `pending` is not among them.
///
/// A definition that is not the saga's own gives none.
#[must_use]
pub fn open_commands(saga: &Saga, definition: &Definition) -> Vec<Command> {
    if saga.digest != definition.digest || saga.paused.is_some() || matches!(saga.phase, Phase::Done(_)) {
        return Vec::new();
    }
    let effects = (0..saga.steps.len()).flat_map(|index| BOTH.map(|direction| (index, direction)));
    effects
        .filter(|(index, direction)| {
            saga.steps[*index].flight(*direction).is_some_and(|flight| flight.wait == Wait::Sent)
        })
        .filter_map(|(index, direction)| command(saga, definition, index, direction))
        .collect()
}

/// The command in flight for this effect, as it was last sent.
pub(crate) fn command(
    saga: &Saga,
    definition: &Definition,
    index: usize,
    direction: Direction,
) -> Option<Command> {
    let step = saga.steps.get(index)?;
    let (effect, flight) = step.effect(direction).zip(step.flight(direction))?;
    let call = address(saga, definition, index, direction)?;
    // It waits for its place.
    if effect.send_no == 0 {
        return None;
    }
    let (address, data) = match flight.ask {
        // An undo that adds nothing carries the data of its action, which is not stored twice.
        Ask::Command => (call.clone(), effect.data.as_ref().or(step.action_effect.as_ref()?.data.as_ref())),
        Ask::Fence(_) => (Address::fence(call.participant.clone()), None),
    };
    let mut data = data.cloned().unwrap_or_else(|| Value::Object(Map::new()).into());
    if let (Some(output), Direction::Backward) = (step.output(), direction)
        && planted(Bug::UndoRenderedAnew)
    {
        data = with_output(data, output);
    }
    let own_epoch = planted(Bug::OwnEpochUndone);
    let undone = if own_epoch { effect.epoch } else { step.action_effect.as_ref()?.epoch };
    Some(Command {
        effect: effect_id(saga.id, step, direction, effect.epoch),
        send_no: effect.send_no,
        address,
        definition: saga.definition.clone(),
        decided_at: effect.decided_at,
        undoes: undoes(saga.id, step, direction, undone),
        data,
    })
}

fn with_output(data: Json, output: &Json) -> Json {
    let mut data = data.into_value();
    if let Value::Object(fields) = &mut data {
        fields.insert("output".to_owned(), output.clone().into());
    }
    data.into()
}

pub(crate) fn effect_id(saga: SagaId, step: &StepState, direction: Direction, epoch: u32) -> EffectId {
    EffectId { saga, step: step.reference(), direction, epoch }
}

fn undoes(saga: SagaId, step: &StepState, direction: Direction, epoch: u32) -> Option<EffectId> {
    match direction {
        Direction::Forward => None,
        Direction::Backward => Some(effect_id(saga, step, Direction::Forward, epoch)),
    }
}

/// The size of the command of the next epoch that would carry `data`, in bytes, if it is more than may be sent.
///
/// It is measured with the largest number of a sending, so that no later sending outgrows it.
pub(crate) fn too_large(
    saga: &Saga,
    definition: &Definition,
    index: usize,
    direction: Direction,
    data: &Json,
) -> Option<usize> {
    /// No envelope's attributes take more: names have at most 64 characters, ids at most 200.
    const ATTRIBUTES_BYTES_MAX: usize = 4096;
    let data_bytes = data.text().len();
    let room_bytes = COMMAND_BYTES_MAX.saturating_sub(data_bytes);
    if room_bytes >= ATTRIBUTES_BYTES_MAX {
        return None;
    }
    let step = &saga.steps[index];
    let epoch = step.effect(direction).map_or(1, |before| before.epoch.saturating_add(1));
    let undone = step.action_effect.as_ref().map_or(1, |action| action.epoch);
    let envelope = Command {
        effect: effect_id(saga.id, step, direction, epoch),
        send_no: u32::MAX,
        address: address(saga, definition, index, direction)?.clone(),
        definition: saga.definition.clone(),
        decided_at: saga.updated_at,
        undoes: undoes(saga.id, step, direction, undone),
        data: Json::NULL,
    }
    .to_envelope();
    let bytes = json_bytes(&envelope) - Json::NULL.text().len() + data_bytes;
    (bytes > COMMAND_BYTES_MAX).then_some(bytes)
}

/// Counts without building the text.
fn json_bytes(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).unwrap_or_else(|_| unreachable!("JSON can be written"));
    count.0
}
