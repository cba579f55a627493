//! The model: which acts are possible in a state, and what each leads to.
//!
//! Invariant: an act that changes nothing is no act, so that a run ends where nothing can change.

use std::sync::Arc;

use amends_contract::{Command, Direction};
use amends_definition::StepKind;
use amends_engine::ActionState;
use stateright::{Model, Property};

use crate::breach::{Breach, Breaches};
use crate::fair::Fair;
use crate::mail::{Mail, Message};
use crate::orchestrator::{Decided, Orchestrators, Row, Stimulus, Wish};
use crate::properties;
use crate::scene::{Flaw, Grain, Scene};
use crate::service::{Event, How, Service, Services};
use crate::state::{Act, Process, State};

/// A scene, and all values that its runs have met so far.
#[derive(Debug)]
pub struct World {
    /// What is checked.
    pub scene: Scene,
    pub(crate) orchestrators: Orchestrators,
    pub(crate) services: Services,
    pub(crate) mail: Mail,
    pub(crate) fair: Fair,
}

impl World {
    /// The scene before its first state.
    #[must_use]
    pub fn new(scene: Scene) -> Self {
        Self {
            orchestrators: Orchestrators::new(scene.definition.clone(), scene.sends_max, scene.flaw),
            services: Services::new(&scene),
            mail: Mail::default(),
            fair: Fair::default(),
            scene,
        }
    }

    /// The saga in that state.
    #[must_use]
    pub fn row(&self, state: &State) -> Arc<Row> {
        self.orchestrators.rows.get(state.row)
    }

    /// The participant in that state.
    #[must_use]
    pub fn service(&self, state: &State) -> Arc<Service> {
        self.services.pool.get(state.service)
    }

    /// The message with that number.
    #[must_use]
    pub fn message(&self, id: u32) -> Arc<Message> {
        self.mail.get(id)
    }

    /// How many different rows, and states of the participant, there were so far.
    #[must_use]
    pub fn variety(&self) -> (usize, usize) {
        (self.orchestrators.rows.len(), self.services.pool.len())
    }

    /// What an orchestrator may look at now, and what it would make of it.
    fn stimuli(&self, state: &State) -> Vec<(Stimulus, Decided)> {
        let row = self.row(state);
        let replies = state.net.iter().filter(|id| matches!(&*self.mail.get(**id), Message::Reply(_)));
        let replies = replies.map(|id| Stimulus::Reply(*id));
        let clocks = row.clocks.iter().map(|clock| Stimulus::Due(*clock));
        let cancel = (self.scene.cancels && !state.cancelled).then_some(Stimulus::Wish(Wish::Cancel));
        replies
            .chain(clocks)
            .chain(cancel)
            .filter_map(|stimulus| {
                let decided = self.orchestrators.decide(state.row, stimulus, &self.mail)?;
                (!decided.is_beyond).then_some((stimulus, decided))
            })
            .collect()
    }

    fn coarse(&self, state: &State, acts: &mut Vec<Act>) {
        for (stimulus, decided) in self.stimuli(state) {
            if decided.row != state.row || !decided.breaches.is_empty() {
                acts.push(Act::Take(stimulus));
            }
        }
    }

    fn fine(&self, state: &State, acts: &mut Vec<Act>) {
        for (place, process) in state.processes.iter().enumerate() {
            if place > 0 && state.processes[place - 1] == *process {
                continue;
            }
            match process {
                Process::Idle => {
                    let stimuli = self.stimuli(state);
                    let known = |decided: &Decided| decided.ignored.is_some();
                    let changes = stimuli
                        .iter()
                        .filter(|(_, decided)| decided.row != state.row || !decided.breaches.is_empty());
                    acts.extend(changes.map(|(stimulus, _)| Act::Load(place, *stimulus)));
                    let unsent = || self.row(state).open.iter().any(|id| !state.has(*id));
                    if stimuli.iter().any(|(_, decided)| known(decided)) && unsent() {
                        acts.push(Act::Republish(place));
                    }
                }
                Process::Deciding { .. } => acts.push(Act::Commit(place)),
                Process::Publishing { .. } => {
                    acts.push(Act::Publish(place));
                    if state.crashes < self.scene.crashes_max {
                        acts.push(Act::Crash(place));
                    }
                }
            }
        }
    }

    fn participant(&self, state: &State, acts: &mut Vec<Act>) {
        let mut events = self.services.own_events(state.service, &self.scene.answers);
        for id in &state.net {
            if let Message::Command(command) = &*self.mail.get(*id) {
                events.extend(self.ways(command).into_iter().map(|how| Event::Command(*id, how)));
            }
        }
        let mut seen = Vec::new();
        for event in events {
            let happened = self.services.happen(state.service, event, &self.mail);
            let reply = happened.reply.filter(|reply| !state.has(*reply));
            let result = (happened.service, reply);
            if result == (state.service, None) || seen.contains(&result) {
                continue;
            }
            seen.push(result);
            acts.push(Act::Happen(event));
            let crashes = self.scene.grain == Grain::Fine && state.crashes < self.scene.crashes_max;
            if crashes && reply.is_some() && happened.service != state.service {
                acts.push(Act::HappenUnanswered(event));
            }
        }
    }

    /// Whether the command takes a call to the outside.
    pub(crate) fn calls(&self, command: &Command) -> bool {
        let effect = &command.effect;
        effect.direction == Direction::Forward && self.scene.answers.calls.as_ref() == Some(&effect.step.name)
    }

    /// What the domain may do with a command, if the inbox lets it through.
    fn ways(&self, command: &Command) -> Vec<How> {
        let answers = &self.scene.answers;
        let step = self.scene.definition.step(&command.effect.step.name);
        let is_action = command.effect.direction == Direction::Forward;
        let calls = self.calls(command);
        let rejects =
            is_action && answers.rejects && step.is_some_and(|step| step.kind != StepKind::Retriable);
        match (command.is_fence(), calls) {
            (true, _) => vec![How::Well],
            (false, true) => vec![How::Calls],
            (false, false) => [(true, How::Well), (rejects, How::Rejects), (answers.fails, How::Fails)]
                .into_iter()
                .filter_map(|(may, how)| may.then_some(how))
                .collect(),
        }
    }

    fn commit(&self, state: &mut State, base: u32, stimulus: Stimulus) -> Arc<[u32]> {
        let decided = self.orchestrators.decide(base, stimulus, &self.mail);
        let Some(decided) = decided else { return Arc::new([]) };
        state.row = decided.row;
        state.cancelled |= stimulus == Stimulus::Wish(Wish::Cancel);
        state.breaches.add_all(decided.breaches);
        for process in &mut state.processes {
            if let Process::Deciding { stale, .. } = process {
                *stale = true;
            }
        }
        decided.sends
    }

    fn happen(&self, state: &mut State, event: Event, answers: bool) {
        let happened = self.services.happen(state.service, event, &self.mail);
        if let Some(effect) = happened.effect {
            let row = self.row(state);
            let steps = row.saga.steps.iter();
            let succeeded: Vec<bool> =
                steps.map(|step| matches!(step.action, ActionState::Succeeded { .. })).collect();
            let books = &self.service(state).books;
            state.breaches.add_all(self.services.judge(books, effect, &succeeded));
        }
        state.service = happened.service;
        if let Some(reply) = happened.reply.filter(|_| answers) {
            state.breaches.add_if(self.contradicts(state, reply), Breach::TwoAnswers);
            state.send(reply);
        }
    }

    /// Whether another final answer about the same effect was given before.
    fn contradicts(&self, state: &State, reply: u32) -> bool {
        let new = self.mail.get(reply);
        let Message::Reply(new) = &*new else { return false };
        let differs = |id: &u32| match &*self.mail.get(*id) {
            Message::Reply(old) => {
                old.effect == new.effect && old.outcome.is_final() && old.outcome != new.outcome
            }
            Message::Command(_) => false,
        };
        new.outcome.is_final() && state.net.iter().any(differs)
    }
}

impl Model for World {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let decided = self.orchestrators.submit(self.scene.input.clone(), &self.mail);
        let mut state = State {
            row: decided.row,
            service: self.services.open(self.scene.flaw),
            net: Vec::new(),
            processes: Default::default(),
            crashes: 0,
            cancelled: false,
            breaches: decided.breaches,
        };
        match self.scene.grain {
            Grain::Coarse => decided.sends.iter().for_each(|id| state.send(*id)),
            Grain::Fine => state.processes[1] = Process::Publishing { sends: decided.sends.to_vec() },
        }
        vec![state]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        // Whatever is wrong stays wrong: nothing is learned behind it.
        if state.breaches != Breaches::default() {
            return;
        }
        match self.scene.grain {
            Grain::Coarse => self.coarse(state, acts),
            Grain::Fine => self.fine(state, acts),
        }
        self.participant(state, acts);
    }

    fn next_state(&self, before: &State, act: Act) -> Option<State> {
        let mut state = before.clone();
        match act {
            Act::Take(stimulus) => {
                let sends = self.commit(&mut state, before.row, stimulus);
                state.breaches.add_if(sends.iter().any(|id| state.has(*id)), Breach::SendNo);
                sends.iter().for_each(|id| state.send(*id));
            }
            Act::Load(place, stimulus) => {
                state.processes[place] = Process::Deciding { stimulus, base: before.row, stale: false };
            }
            Act::Commit(place) => {
                let Process::Deciding { stimulus, base, stale } = before.processes[place] else {
                    return None;
                };
                state.processes[place] = Process::Idle;
                // The loser reloads: it is idle again, and what it was told is still there.
                if !stale || self.scene.flaw == Some(Flaw::BlindWrites) {
                    let sends = self.commit(&mut state, base, stimulus).to_vec();
                    if !sends.is_empty() {
                        state.processes[place] = Process::Publishing { sends };
                    }
                }
            }
            Act::Publish(place) => {
                if let Process::Publishing { sends } = std::mem::take(&mut state.processes[place]) {
                    sends.iter().for_each(|id| state.send(*id));
                }
            }
            Act::Crash(place) => {
                state.processes[place] = Process::Idle;
                state.crashes += 1;
            }
            Act::Republish(place) => {
                state.processes[place] = Process::Publishing { sends: self.row(before).open.clone() };
            }
            Act::Happen(event) => self.happen(&mut state, event, true),
            Act::HappenUnanswered(event) => {
                self.happen(&mut state, event, false);
                state.crashes += 1;
            }
        }
        state.processes.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.scene)
    }

    fn format_action(&self, act: &Act) -> String {
        let stimulus = |stimulus: &Stimulus| match stimulus {
            Stimulus::Reply(id) => format!("reply {}", self.mail.get(*id)),
            Stimulus::Due(clock) => format!("timer {clock:?}"),
            Stimulus::Wish(wish) => format!("{wish:?}"),
        };
        let event = |event: &Event| match event {
            Event::Command(id, how) => format!("command {} ({how:?})", self.mail.get(*id)),
            other => format!("{other:?}"),
        };
        match act {
            Act::Take(what) => format!("orchestrator takes: {}", stimulus(what)),
            Act::Load(place, what) => format!("orchestrator {place} loads: {}", stimulus(what)),
            Act::Happen(what) => format!("participant: {}", event(what)),
            Act::HappenUnanswered(what) => format!("participant, killed before it answers: {}", event(what)),
            other => format!("{other:?}"),
        }
    }
}
