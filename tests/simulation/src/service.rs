//! One participant's process around its inbox: take, commit, reply, acknowledge; calls to the outside, and
//! the loop that takes up what was left open.
//!
//! Invariant: what the inbox holds survives the process; what is in hand does not. The outside goes on
//! whether or not anybody still waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use amends_contract::{Address, Cause, Command, Direction, EffectId, Json, Outcome, Reply, Token};
use amends_rehearsal::{Domain, Ended, Participant, Ran, Taken};
use serde_json::json;

use crate::dice::Dice;
use crate::queue::{Queue, Receipt};
use crate::violation::Violation;
use crate::weather::Weather;
use crate::world::{Event, Who, World};

/// Most commands in one transaction.
const BATCH_MAX: usize = 6;

/// One participant: its process, and what survives it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) life: u32,
    pub(crate) is_down: bool,
    pub(crate) queue: Queue<Command>,
    pub(crate) participant: Participant,
    /// Calls that the process waits for.
    in_hand: BTreeSet<EffectId>,
    /// Calls that were ever made under a key.
    calls: BTreeMap<EffectId, u32>,
}

/// Commands of one transaction, and their answers.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    receipts: Vec<Receipt>,
    replies: Vec<Rc<Reply>>,
}

impl Service {
    pub(crate) const fn new(participant: Participant) -> Self {
        Self {
            life: 0,
            is_down: false,
            queue: Queue::new(),
            participant,
            in_hand: BTreeSet::new(),
            calls: BTreeMap::new(),
        }
    }

    pub(crate) const fn name(&self) -> &Token {
        self.participant.name()
    }
}

impl World {
    fn serves(&self, who: Who) -> bool {
        let service = &self.services[who.index];
        !service.is_down && service.life == who.life
    }

    pub(crate) fn wake_service(&mut self, index: usize) {
        let who = Who { index, life: self.services[index].life };
        let after_ms = self.dice.below(20);
        self.agenda.enter(after_ms, Event::Serve(who));
    }

    pub(crate) fn kill_service(&mut self, index: usize, away_ms: u64) {
        self.note(|| format!("participant {index} dies"));
        let service = &mut self.services[index];
        service.life += 1;
        service.is_down = true;
        service.in_hand.clear();
        self.agenda.enter(away_ms, Event::ServiceUp(index));
    }

    fn service_dies(&mut self, who: Who, point: &'static str) -> bool {
        let dies = self.dice.chance(self.weather.crash);
        if dies {
            self.counters.count(point);
            let away_ms = self.dice.between(200, 8_000);
            self.kill_service(who.index, away_ms);
        }
        dies
    }

    /// Pulls commands; their transaction follows a moment later.
    pub(crate) fn serve(&mut self, who: Who) {
        if !self.serves(who) || !self.broker_up {
            return;
        }
        let shuffled = self.dice.chance(self.weather.shuffled);
        let now = self.agenda.now();
        let pulled = self.services[who.index].queue.pull(now, BATCH_MAX, shuffled, &mut self.dice);
        if !pulled.is_empty() {
            if pulled.iter().any(|(receipt, _)| receipt.delivered > 1) {
                self.counters.count("broker: redeliveries");
            }
            let after_ms = self.dice.between(1, 40);
            self.agenda.enter(after_ms, Event::ServeCommit(who, pulled));
            self.wake_service(who.index);
        }
    }

    /// The transaction: inbox rows and effects, all or nothing.
    pub(crate) fn serve_commit(
        &mut self,
        who: Who,
        pulled: &[(Receipt, Rc<Command>)],
    ) -> Result<(), Violation> {
        if !self.serves(who) || self.service_dies(who, "crash: participant, before the commit") {
            return Ok(());
        }
        let mut parcel = Parcel { receipts: Vec::new(), replies: Vec::new() };
        for (receipt, command) in pulled {
            if self.dice.chance(self.weather.database) {
                self.services[who.index].queue.nak(*receipt, self.agenda.now().plus_ms(2_000));
                continue;
            }
            parcel.receipts.push(*receipt);
            let cause = Cause { stream_seq: receipt.seq, delivery: receipt.delivered };
            let taken = self.take_command(who.index, command, cause)?;
            match taken {
                Taken::Answered(reply) => parcel.replies.push(Rc::new(reply)),
                Taken::Calls => self.call_outside(who, command.effect.clone()),
            }
        }
        if !self.service_dies(who, "crash: participant, after the commit") {
            let after_ms = self.dice.between(1, 20);
            self.agenda.enter(after_ms, Event::ServePublish(who, parcel));
        }
        Ok(())
    }

    fn take_command(&mut self, index: usize, command: &Command, cause: Cause) -> Result<Taken, Violation> {
        let now = self.agenda.now();
        let before = self.services[index].participant.row(&command.effect).map(|row| row.state);
        let taken = {
            let Self { dice, weather, musts, is_healing, .. } = self;
            let mut mind = Mind { dice, weather, musts, is_healing: *is_healing };
            self.services[index].participant.take(command, Some(cause), now, &mut mind)
        };
        self.note(|| {
            let outcome = taken.clone().reply().map_or("calls", |reply| reply.outcome.name());
            format!("{} send {} fence {}: {outcome}", command.effect, command.send_no, command.is_fence())
        });
        self.count_answer(command, before.is_some(), &taken);
        self.witness_effects(index, command)?;
        Ok(taken)
    }

    fn count_answer(&mut self, command: &Command, known: bool, taken: &Taken) {
        let counter = match taken {
            Taken::Calls => "inbox: open rows",
            Taken::Answered(reply) => match (command.is_fence(), &reply.outcome) {
                (true, Outcome::Succeeded { .. }) => "fence: succeeded",
                (true, Outcome::Cancelled) => "fence: cancelled",
                (true, Outcome::Pending) => "fence: pending",
                (true, Outcome::Rejected { .. }) => "fence: rejected",
                (_, Outcome::Expired) => "inbox: expired",
                (false, Outcome::Cancelled) => "inbox: cancelled by a tombstone",
                (false, Outcome::NothingToUndo) => "inbox: nothing to undo",
                (false, Outcome::Pending) if command.undoes.is_some() => "inbox: voiding rows",
                (false, outcome) if known && outcome.is_final() => "inbox: repeated",
                _ => "inbox: other answers",
            },
        };
        self.counters.count(counter);
    }

    /// Answers first; what cannot be answered is not acknowledged and comes again.
    pub(crate) fn serve_publish(&mut self, who: Who, parcel: &Parcel) -> Result<(), Violation> {
        if !self.serves(who) {
            return Ok(());
        }
        let mut sent = 0;
        for reply in &parcel.replies {
            sent += usize::from(self.post_reply(reply)?);
        }
        if sent == parcel.replies.len() && !self.service_dies(who, "crash: participant, before the ack") {
            for receipt in &parcel.receipts {
                if self.dice.chance(self.weather.ack_lost) || !self.broker_up {
                    self.counters.count("broker: ack lost");
                } else {
                    self.services[who.index].queue.ack(*receipt);
                }
            }
        }
        Ok(())
    }

    /// Makes a call; the outside takes its time, and may do it more than once under the same key.
    fn call_outside(&mut self, who: Who, effect: EffectId) {
        let service = &mut self.services[who.index];
        if !service.in_hand.insert(effect.clone()) {
            return;
        }
        *service.calls.entry(effect.clone()).or_default() += 1;
        let slow = self.dice.chance(self.weather.call_lost);
        let after_ms = if slow { self.dice.between(5_000, 180_000) } else { self.dice.between(5, 400) };
        self.agenda.enter(after_ms, Event::Outside(who, effect));
    }

    /// The outside does it, whoever still waits.
    pub(crate) fn outside(&mut self, who: Who, effect: &EffectId) -> Result<(), Violation> {
        let Some(command) = self.services[who.index].participant.asked(effect).cloned() else {
            // Settled by another call meanwhile; under this key nothing new can happen.
            return self.outside_blind(who, effect);
        };
        let only = self.services[who.index].calls.get(effect) == Some(&1);
        if only && self.dice.chance(self.weather.fails) {
            let refused = Outcome::Failed { code: "refused".to_owned(), retry_after_ms: None };
            self.agenda.enter(5, Event::CallEnds(who, effect.clone(), Ended::Nothing(refused)));
            return Ok(());
        }
        let wanted = {
            let Self { dice, weather, musts, is_healing, .. } = self;
            answer(&mut Mind { dice, weather, musts, is_healing: *is_healing }, &command)
        };
        let outcome = self.services[who.index].participant.call(effect, wanted);
        self.witness_effects(who.index, &command)?;
        if self.dice.chance(self.weather.call_lost) {
            // The participant's loop will ask again under the same key.
            self.services[who.index].in_hand.remove(effect);
        } else {
            let after_ms = self.dice.between(1, 50);
            self.agenda.enter(after_ms, Event::CallEnds(who, effect.clone(), Ended::Definite(outcome)));
        }
        Ok(())
    }

    /// A call whose row is no longer open: what a tombstone over it would have hidden still happens.
    fn outside_blind(&mut self, who: Who, effect: &EffectId) -> Result<(), Violation> {
        self.services[who.index].in_hand.remove(effect);
        let participant = &mut self.services[who.index].participant;
        if participant.row(effect).is_some_and(|row| row.state == amends_rehearsal::State::Tombstone)
            && effect.direction == Direction::Forward
            && self.services[who.index].calls.get(effect) == Some(&1)
        {
            self.services[who.index].participant.call(effect, done(effect.direction));
            return self.witness_effect(who.index, effect);
        }
        Ok(())
    }

    /// The process learns how a call ended.
    pub(crate) fn call_ends(&mut self, who: Who, effect: &EffectId, ended: &Ended) -> Result<(), Violation> {
        if !self.serves(who) {
            return Ok(());
        }
        self.services[who.index].in_hand.remove(effect);
        if matches!(ended, Ended::Nothing(_)) {
            self.services[who.index].calls.remove(effect);
        }
        let reply = self.services[who.index].participant.settle(effect, ended.clone());
        self.note(|| format!("{effect}: the call ended: {ended:?}"));
        if let Some(reply) = reply {
            self.post_reply(&Rc::new(reply))?;
            self.go_on(who.index)?;
        }
        Ok(())
    }

    /// Undos that waited for this.
    fn go_on(&mut self, index: usize) -> Result<(), Violation> {
        let who = Who { index, life: self.services[index].life };
        let ready: Vec<EffectId> = self.services[index].participant.ready_undos().cloned().collect();
        for effect in ready {
            let Some(command) = self.services[index].participant.asked(&effect).cloned() else { continue };
            let taken = {
                let Self { dice, weather, musts, is_healing, .. } = self;
                let mut mind = Mind { dice, weather, musts, is_healing: *is_healing };
                self.services[index].participant.resume(&effect, &mut mind)
            };
            self.witness_effects(index, &command)?;
            match taken {
                Some(Taken::Answered(reply)) if reply.outcome.is_final() => {
                    self.post_reply(&Rc::new(reply))?;
                }
                Some(Taken::Calls) => self.call_outside(who, effect),
                _ => {}
            }
        }
        Ok(())
    }

    /// The loop that takes up every open row, whether or not anybody asks again.
    pub(crate) fn recover(&mut self, index: usize) -> Result<(), Violation> {
        if self.services[index].is_down {
            return Ok(());
        }
        let who = Who { index, life: self.services[index].life };
        let open: Vec<EffectId> = self.services[index].participant.open_calls().cloned().collect();
        for effect in open {
            self.call_outside(who, effect);
        }
        self.go_on(index)?;
        if self.dice.chance(200) {
            let before = self.services[index].participant.rows().count();
            let now = self.agenda.now();
            self.services[index].participant.purge(now);
            let after = self.services[index].participant.rows().count();
            self.counters.add("inbox: purged", (before - after) as u64);
        }
        Ok(())
    }

    /// Whether nothing is left open.
    pub(crate) fn is_idle(&self) -> bool {
        self.services.iter().all(|service| {
            service.queue.is_empty()
                && service.participant.open_calls().next().is_none()
                && service.participant.ready_undos().next().is_none()
        })
    }
}

/// How the participants' own code answers.
struct Mind<'a> {
    dice: &'a mut Dice,
    weather: &'a Weather,
    /// What may not be rejected.
    musts: &'a BTreeSet<Address>,
    is_healing: bool,
}

impl Domain for Mind<'_> {
    fn run(&mut self, command: &Command) -> Ran {
        if self.dice.chance(self.weather.calls) {
            return Ran::Call;
        }
        if self.dice.chance(self.weather.fails) {
            let retry_after_ms = self.dice.chance(200).then(|| self.dice.between(10, 20_000));
            return Ran::Now(Outcome::Failed { code: "busy".to_owned(), retry_after_ms });
        }
        Ran::Now(answer(self, command))
    }
}

/// A definite outcome.
fn answer(Mind { dice, weather, musts, is_healing }: &mut Mind<'_>, command: &Command) -> Outcome {
    let must = command.effect.direction == Direction::Backward || musts.contains(&command.address);
    // What must not be rejected is, once in a while: the step is then stuck.
    let chance = if must { u32::from(dice.chance(weather.rejects)) * 20 } else { weather.rejects };
    if !*is_healing && dice.chance(chance) {
        return Outcome::Rejected { code: "no".to_owned(), message: "the business says no".to_owned() };
    }
    match done(command.effect.direction) {
        Outcome::Succeeded { .. } => {
            let (number, id) = (dice.below(1_000), format!("r-{}", dice.below(1_000)));
            let ids = json!({ "number": number, "reservation_id": id, "charge_id": id, "return_id": id });
            Outcome::Succeeded { output: ids.into() }
        }
        other => other,
    }
}

const fn done(direction: Direction) -> Outcome {
    match direction {
        Direction::Forward => Outcome::Succeeded { output: Json::NULL },
        Direction::Backward => Outcome::Undone { output: Json::NULL },
    }
}
