//! What must hold at every moment: looked at with every commit, effect, reply and acknowledgement.
//!
//! It sees the world from outside: what was committed, what was sent, what really happened at the
//! participants. The numbers are those of docs/TESTING.md.
//!
//! Invariant: it changes nothing; with or without it a seed gives the same world.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use amends_contract::{Command, Digest, Direction, EffectId, Outcome, Reply, SagaId, StepRef, Timestamp};
use amends_definition::{Definition, Undo};
use amends_engine::{ActionState, Alarm, Decision, Input, JournalEntry, Phase, Saga, StuckWhy, Verdict};
use amends_rehearsal::State;

use crate::store::Write;
use crate::verdict::is_by_hand;
use crate::violation::Violation;
use crate::world::World;

/// How often an operator looks after a parked saga.
const HELPS_MAX: u32 = 2;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    sent: BTreeMap<EffectId, Sent>,
    /// The newest epoch of each step's action.
    epochs: BTreeMap<(SagaId, StepRef), u32>,
    happened: BTreeMap<EffectId, u32>,
    recorded: BTreeMap<EffectId, Rc<Reply>>,
    taken: BTreeSet<(EffectId, &'static str)>,
    /// Effects of which the participant had said that it does not remember them when an operator's word stood in.
    forgotten: BTreeSet<EffectId>,
    helps: BTreeMap<SagaId, u32>,
    pub(crate) traffic: BTreeMap<SagaId, Traffic>,
}

/// What was sent of one saga, and why something may have been sent twice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Sendings that a commit decided.
    pub(crate) decided: u64,
    /// Commands published.
    pub(crate) published: u64,
    /// Redeliveries and lost answers: each lets the open commands go out once more.
    pub(crate) causes: u64,
}

/// What was asked for an effect so far.
#[derive(Debug)]
struct Sent {
    last: u32,
    decided_at: Timestamp,
    meaning: Option<Digest>,
    fenced: bool,
}

impl Witness {
    pub(crate) fn published(&mut self, command: &Command) {
        self.traffic.entry(command.effect.saga).or_default().published += 1;
    }

    /// Something after which nobody knows whether the open commands of a saga went out.
    pub(crate) fn unsure(&mut self, saga: SagaId) {
        self.traffic.entry(saga).or_default().causes += 1;
    }

    pub(crate) fn may_help(&self, saga: SagaId) -> bool {
        self.helps.get(&saga).is_none_or(|count| *count < HELPS_MAX)
    }

    pub(crate) fn helped(&mut self, saga: SagaId) {
        *self.helps.entry(saga).or_default() += 1;
    }

    /// An operator's wish was dropped: what its fence did not close may be asked for again.
    fn fence_dropped(&mut self, saga: SagaId, step: &StepRef, direction: Direction) {
        for (effect, sent) in &mut self.sent {
            sent.fenced &= effect.saga != saga || effect.step != *step || effect.direction != direction;
        }
    }

    /// Whether this very sending was the last one of its effect.
    fn is_last(&self, command: &Command) -> bool {
        self.sent.get(&command.effect).is_some_and(|sent| sent.last == command.send_no)
    }

    /// Numbers of sendings count on, and what an effect means never changes.
    fn sending(&mut self, command: &Command) -> Result<(), Violation> {
        let saga = command.effect.saga;
        self.traffic.entry(saga).or_default().decided += 1;
        let broken = |rule, found: String| Err(Violation::new(rule, saga, found));
        let action = (saga, command.effect.step.clone());
        if let Some(undone) = &command.undoes
            && Some(&undone.epoch) != self.epochs.get(&action)
        {
            let found = format!("{} undoes {:?}", command.effect, command.undoes);
            return broken("an undo names the action that was asked for", found);
        }
        let meaning = (!command.is_fence()).then(|| command.meaning());
        let Some(sent) = self.sent.get_mut(&command.effect) else {
            let sent = Sent {
                last: command.send_no,
                decided_at: command.decided_at,
                meaning,
                fenced: command.is_fence(),
            };
            self.sent.insert(command.effect.clone(), sent);
            return Ok(());
        };
        let found = || format!("{} send {} after {sent:?}", command.effect, command.send_no);
        if command.send_no <= sent.last {
            return broken("every sending has a number of its own", found());
        }
        if command.decided_at != sent.decided_at {
            return broken("an effect is decided once", found());
        }
        if sent.fenced && !command.is_fence() {
            return broken("nothing is asked for behind a fence", found());
        }
        if let (Some(before), Some(now)) = (sent.meaning, meaning)
            && before != now
        {
            return broken("a command's data is frozen", found());
        }
        sent.last = command.send_no;
        sent.meaning = sent.meaning.or(meaning);
        sent.fenced |= command.is_fence();
        Ok(())
    }
}

impl World {
    /// A commit was won.
    pub(crate) fn witness(
        &mut self,
        before: Option<&Saga>,
        write: &Write,
        commands: &[Rc<Command>],
    ) -> Result<(), Violation> {
        let Write { saga, entry, .. } = write;
        let broken = |rule, found: String| Err(Violation::new(rule, saga.id, found));
        self.note(|| format!("saga {} {}: {}", saga.id, entry.seq, summary(entry)));
        let length = self.store.row(saga.id).map_or(0, |row| row.journal.len() as u64);
        if length != saga.version || entry.seq != saga.version {
            return broken(
                "I1: the journal has no gaps",
                format!("{length} entries, version {}", saga.version),
            );
        }
        if entry.seq.is_multiple_of(7) && through_json(&**saga).as_ref() != Some(&**saga) {
            return broken("the row keeps the saga", format!("version {}", saga.version));
        }
        match before.map(|before| before.phase) {
            Some(Phase::Done(_)) if before.map(|before| before.phase) != Some(saga.phase) => {
                return broken("I2: nothing leaves a terminal phase", format!("{:?}", saga.phase));
            }
            Some(Phase::Backward) if saga.phase == Phase::Forward => {
                return broken("I2: direction turns once", "it goes forward again".to_owned());
            }
            _ => {}
        }
        self.witness_input(&entry.input)?;
        self.witness_forgetting(entry);
        self.count_decisions(&entry.input, &entry.decisions);
        let lie = entry.decisions.iter().find(|decision| match decision {
            Decision::Alarmed { alarm, .. } => !self.was_forgotten(&entry.input, *alarm),
            Decision::Stuck { at, .. } => at.why == StuckWhy::Conflict,
            _ => false,
        });
        if let Some(lie) = lie {
            return broken("no participant contradicts itself", format!("{lie:?}"));
        }
        let definition = self.definition(saga);
        for decision in &entry.decisions {
            match decision {
                Decision::Dropped { step, effect } => self.witness.fence_dropped(saga.id, step, *effect),
                // Also what was decided during a pause and not sent yet.
                Decision::Decided { step, effect: Direction::Forward, epoch, .. } => {
                    self.witness.epochs.insert((saga.id, step.clone()), *epoch);
                }
                _ => {}
            }
        }
        // What was decided while nothing was sent goes out now, perhaps once more.
        let resumed = entry.decisions.iter().any(|decision| matches!(decision, Decision::Resumed { .. }));
        if resumed {
            self.witness.unsure(saga.id);
        }
        for command in commands {
            if resumed && self.witness.is_last(command) {
                continue;
            }
            self.witness.sending(command)?;
            in_order(saga, &definition, command)?;
            let model = definition.step(&command.effect.step.name);
            if command.send_no == 1 && model.is_some_and(|model| model.concurrency.is_some()) {
                self.witness_places(saga.id)?;
            }
        }
        Ok(())
    }

    /// No more of a limited step in flight than there are places.
    fn witness_places(&self, saga: SagaId) -> Result<(), Violation> {
        for ((_, step), places) in self.store.places(&self.plays) {
            if places.taken > places.limit {
                let found = format!("{} of {step} in flight, {} places", places.taken, places.limit);
                return Err(Violation::new("no more in flight than places", saga, found));
            }
        }
        Ok(())
    }

    /// An operator's word stands in for what the participant does not remember.
    fn witness_forgetting(&mut self, entry: &JournalEntry) {
        let by_hand = |decision: &Decision| {
            matches!(
                decision,
                Decision::Succeeded { by_hand: true, .. } | Decision::Undone { by_hand: true, .. }
            )
        };
        if let Input::Reply(reply) = &entry.input
            && reply.outcome == Outcome::Expired
            && entry.decisions.iter().any(by_hand)
        {
            self.witness.forgotten.insert(reply.effect.clone());
        }
    }

    /// An operator's word stood in for a memory that was gone, and now an answer comes from before.
    fn was_forgotten(&self, input: &Input, alarm: Alarm) -> bool {
        let Input::Reply(reply) = input else { return false };
        matches!(alarm, Alarm::SucceededAfterClosed | Alarm::UndoneAfterClosed)
            && self.witness.forgotten.contains(&reply.effect)
    }

    /// The same final reply counts once.
    fn witness_input(&mut self, input: &Input) -> Result<(), Violation> {
        let Input::Reply(reply) = input else { return Ok(()) };
        let settles = matches!(
            reply.outcome,
            Outcome::Succeeded { .. } | Outcome::Undone { .. } | Outcome::NothingToUndo
        );
        if settles && !self.witness.taken.insert((reply.effect.clone(), reply.outcome.name())) {
            let found = format!("{} of {} is journalled twice", reply.outcome.name(), reply.effect);
            return Err(Violation::new("a duplicate reply changes nothing", reply.effect.saga, found));
        }
        Ok(())
    }

    fn count_decisions(&mut self, input: &Input, decisions: &[Decision]) {
        let late = decisions.iter().any(|decision| matches!(decision, Decision::Succeeded { .. }));
        for decision in decisions {
            let counter = match (decision, input) {
                (Decision::Sent { .. }, Input::Timer { .. }) => "timer: resends",
                (Decision::Sent { .. }, Input::Release { .. }) => "engine: let go",
                (Decision::Unknown { .. }, _) => "engine: unknown steps",
                (Decision::Held { .. }, _) => "engine: held",
                (Decision::Stuck { .. }, _) => "engine: stuck",
                (Decision::Intended { .. }, _) => "engine: operators' wishes behind a fence",
                (Decision::Decided { epoch: 2.., .. }, _) => "engine: new epochs",
                (Decision::Succeeded { by_hand: true, .. } | Decision::Undone { by_hand: true, .. }, _) => {
                    "engine: steps settled by hand"
                }
                (Decision::Paused { .. }, _) => "engine: pauses",
                (Decision::Resumed { .. }, _) => "engine: resumed",
                (Decision::Skipped { .. }, _) => "engine: steps skipped",
                (Decision::Spread { .. }, _) => "engine: lists spread",
                (Decision::Succeeded { .. }, Input::Signal { .. }) => "engine: signals taken",
                (Decision::Rejected { .. }, Input::Timer { .. }) => "engine: signals that never came",
                (Decision::Turned { failure, .. } | Decision::Doubted { failure }, _)
                    if failure.code == amends_engine::code::DEADLINE =>
                {
                    "engine: deadlines passed"
                }
                (Decision::Doubted { .. }, _) => "engine: pivots in doubt",
                _ => continue,
            };
            self.counters.count(counter);
        }
        if late
            && let Input::Reply(reply) = input
            && self.store.load(reply.effect.saga).is_some_and(|saga| saga.phase == Phase::Backward)
            && decisions.len() == 1
        {
            self.counters.count("engine: late successes");
        }
    }

    /// I10: what is acknowledged is in the database, so it changes nothing any more.
    pub(crate) fn witness_ack(&mut self, reply: &Reply) -> Result<(), Violation> {
        let Some(saga) = self.store.load(reply.effect.saga) else { return Ok(()) };
        let definition = self.definition(&saga);
        let now = self.agenda.now();
        let again = amends_engine::handle(Saga::clone(&saga), Input::Reply(reply.into()), now, &definition);
        match again {
            Ok(transition) if transition.verdict == Verdict::Applied => {
                let found = format!("{} of {} is not", reply.outcome.name(), reply.effect);
                Err(Violation::new("I10: what is acknowledged is in the database", saga.id, found))
            }
            _ => Ok(()),
        }
    }

    /// I9: the reply recorded for an effect is the same for ever.
    pub(crate) fn witness_reply(&mut self, reply: &Rc<Reply>) -> Result<(), Violation> {
        if !reply.outcome.is_final() {
            return Ok(());
        }
        let recorded = self.witness.recorded.entry(reply.effect.clone()).or_insert_with(|| Rc::clone(reply));
        if recorded != reply {
            let found = format!("{reply:?} after {recorded:?}");
            return Err(Violation::new("I9: a recorded reply never changes", reply.effect.saga, found));
        }
        Ok(())
    }

    /// What a command led to, at its own effect and at the action that it undoes.
    pub(crate) fn witness_effects(&mut self, index: usize, command: &Command) -> Result<(), Violation> {
        if let Some(action) = &command.undoes {
            self.witness_effect(index, action)?;
        }
        self.witness_effect(index, &command.effect)
    }

    /// I3, I7, I8: an effect happens once, undos in reverse order, and never behind a tombstone.
    pub(crate) fn witness_effect(&mut self, index: usize, effect: &EffectId) -> Result<(), Violation> {
        let broken = |rule, found: String| Err(Violation::new(rule, effect.saga, found));
        let participant = &self.services[index].participant;
        let count = participant.happened(effect);
        if count > 1 {
            return broken(
                "I3: each effect happens at most once",
                format!("{effect} happened {count} times"),
            );
        }
        let is_tombstone = participant.row(effect).is_some_and(|row| row.state == State::Tombstone);
        if is_tombstone && count > 0 {
            return broken("I8: a tombstoned effect never happens", format!("{effect} did"));
        }
        let known = self.witness.happened.insert(effect.clone(), count).unwrap_or_default();
        if count > known && effect.direction == Direction::Backward {
            self.witness_undone(effect)?;
        }
        Ok(())
    }

    /// I7: whatever comes behind a step is undone before it.
    fn witness_undone(&self, effect: &EffectId) -> Result<(), Violation> {
        let Some(saga) = self.store.load(effect.saga) else { return Ok(()) };
        let definition = self.definition(&saga);
        let Some(index) = definition.steps.iter().position(|step| step.name == effect.step.name) else {
            return Ok(());
        };
        for later in descendants(&definition, index) {
            let step = &definition.steps[later];
            let left = self.net(&saga, &step.name);
            // A person's word stands for what no participant knows.
            let by_hand = saga.steps.iter().any(|state| state.name == step.name && is_by_hand(state));
            if matches!(step.undo, Some(Undo::Call { .. })) && left != 0 && !by_hand {
                let found = format!("{effect} was undone while {} had {left} left", step.name);
                return Err(Violation::new("I7: undone in reverse order", effect.saga, found));
            }
        }
        Ok(())
    }

    /// How often a step's action really happened and was not undone, over all its instances and epochs.
    pub(crate) fn net(&self, saga: &Saga, step: &str) -> i64 {
        let of_step = |(effect, count): (&EffectId, &u32)| {
            let count = i64::from(*count);
            match effect.direction {
                _ if effect.step.name != *step => 0,
                Direction::Forward => count,
                Direction::Backward => -count,
            }
        };
        let first = first_effect(saga.id);
        let of_saga = self.witness.happened.range(first..).take_while(|(effect, _)| effect.saga == saga.id);
        of_saga.map(of_step).sum()
    }
}

/// Before all other effects of a saga.
fn first_effect(saga: SagaId) -> EffectId {
    let name = amends_contract::Token::new("-").unwrap_or_else(|_| unreachable!("it is a token"));
    EffectId { saga, step: StepRef { name, index: None }, direction: Direction::Forward, epoch: 0 }
}

/// I6: no command of a step before its predecessors are finished.
fn in_order(saga: &Saga, definition: &Definition, command: &Command) -> Result<(), Violation> {
    if command.is_fence() || command.effect.direction == Direction::Backward {
        return Ok(());
    }
    let name = &command.effect.step.name;
    let of = |steps: &[amends_definition::Step]| {
        let step = steps.iter().find(|step| step.name == *name)?;
        Some(step.after.iter().map(|index| steps[*index].name.clone()).collect::<Vec<_>>())
    };
    let before = of(&definition.steps).or_else(|| of(&definition.on_compensated)).unwrap_or_default();
    let forward = definition.steps.iter().any(|step| step.name == *name);
    if forward != (saga.phase == Phase::Forward) {
        let found = format!("{name} is asked for while the saga is {:?}", saga.phase);
        return Err(Violation::new("I6: actions belong to their direction", saga.id, found));
    }
    for name in before {
        let finished = |action: &ActionState| {
            matches!(action, ActionState::Succeeded { .. } | ActionState::Skipped | ActionState::Spread)
        };
        let mut states = saga.steps.iter().filter(|step| step.name == name);
        if !states.all(|step| finished(&step.action)) {
            let found = format!("{} is asked for before {name} has succeeded", command.effect);
            return Err(Violation::new("I6: no step before its predecessors", saga.id, found));
        }
    }
    Ok(())
}

/// Indices of all steps behind one.
fn descendants(definition: &Definition, of: usize) -> Vec<usize> {
    let mut found = vec![of];
    loop {
        let is_behind = |index: &usize| {
            !found.contains(index)
                && definition.steps[*index].after.iter().any(|before| found.contains(before))
        };
        let more: Vec<usize> = (0..definition.steps.len()).filter(is_behind).collect();
        if more.is_empty() {
            return found.split_off(1);
        }
        found.extend(more);
    }
}

fn summary(entry: &amends_engine::JournalEntry) -> String {
    let input = match &entry.input {
        Input::Reply(reply) => format!("{} {} of {}", reply.outcome.name(), reply.effect, reply.send_no),
        other => format!("{other:?}").chars().take(120).collect(),
    };
    format!("{input} -> {:?}", entry.decisions)
}

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> Option<T> {
    serde_json::from_str(&serde_json::to_string(value).ok()?).ok()
}
