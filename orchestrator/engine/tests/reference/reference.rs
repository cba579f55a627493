//! What a saga must be, written from the rules alone and without the engine: who was asked, what they said,
//! and what follows from it.
//!
//! It knows no data, no time and no journal. All clocks run out together.

use crate::words::{
    ATTEMPTS, Asked, Doubt, Happens, Heard, Kind, Known, Phase, Question, Refusal, Rule, Say, Step,
};

/// A saga.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) rules: &'static [Rule],
    pub(crate) steps: Vec<Step>,
    pub(crate) phase: Phase,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) alarm: bool,
    pub(crate) is_paused: bool,
}

impl Reference {
    pub(crate) fn new(rules: &'static [Rule]) -> Self {
        let (unasked, sendings) = (Known::Unasked, (0, 0));
        let step = Step { action: unasked, undo: unasked, sendings, is_signalled: false };
        let (steps, phase) = (vec![step; rules.len()], Phase::Forward);
        let mut new = Self { rules, steps, phase, doubt: None, alarm: false, is_paused: false };
        new.go_on();
        new
    }

    pub(crate) fn take(&mut self, what: &Happens) {
        match *what {
            Happens::Reply { step, undo: false, ago, say } => self.hear_of_action(step, ago == 0, say),
            Happens::Reply { step, undo: true, ago, say } => self.hear_of_undo(step, ago == 0, say),
            Happens::Signal { step } => self.hear_signal(step),
            Happens::Cancel => self.cancel(),
            Happens::Pause => self.is_paused = self.is_going(),
            Happens::Resume => self.is_paused = false,
            // Clocks stand still, and nothing is asked for.
            Happens::Timer | Happens::RetryNow | Happens::SkipWait if self.is_paused => {}
            Happens::Timer => self.clocks_run_out(),
            Happens::RetryNow => self.retry_now(),
            Happens::SkipWait => self.skip_wait(),
        }
        self.go_on();
    }

    const fn is_going(&self) -> bool {
        matches!(self.phase, Phase::Forward | Phase::Backward)
    }

    /// Whether an owner could still turn it.
    fn is_committed(&self) -> bool {
        self.pivot().is_some_and(|pivot| self.steps[pivot].action == Known::Happened)
    }

    fn pivot(&self) -> Option<usize> {
        self.rules.iter().position(|rule| rule.kind == Kind::Pivot)
    }

    fn hear_of_action(&mut self, step: usize, current: bool, say: Say) {
        let at = self.steps[step];
        if at.sendings.0 == 0 {
            return;
        }
        match (at.action, say) {
            (Known::Open(asked), Say::Succeeded) => {
                self.steps[step].action = Known::Happened;
                if asked.question == Question::Fate {
                    self.doubt = None;
                }
            }
            (Known::Open(_), Say::Rejected) => match self.rules[step].kind {
                Kind::Must | Kind::Last => self.stop(step, false, Refusal::Rejected),
                Kind::Undoable | Kind::Kept | Kind::Pivot | Kind::Signal | Kind::Wish => {
                    self.steps[step].action = Known::Refused;
                    self.turn();
                }
            },
            (Known::Open(asked), Say::Cancelled) => match asked.question {
                Question::Do => self.stop(step, false, Refusal::Cancelled),
                Question::Close => self.steps[step].action = Known::Never,
                Question::Fate => {
                    self.steps[step].action = Known::Never;
                    self.turn();
                }
            },
            (Known::GivenUp, Say::Succeeded) => {
                self.steps[step].action = Known::Happened;
                self.alarm |= at.undo == Known::Never;
            }
            (Known::GivenUp, Say::Rejected | Say::Cancelled) => {
                let refused = say == Say::Rejected;
                self.steps[step].action = if refused { Known::Refused } else { Known::Never };
                if is_stopped(at.undo) {
                    self.steps[step].undo = Known::Never;
                }
            }
            (Known::Refused | Known::Never, Say::Succeeded) => self.alarm = true,
            (Known::Open(_), Say::Undone | Say::NothingToUndo) => {}
            (Known::Open(asked), say) if current => self.hear_of_sending(step, false, asked, say),
            _ => {}
        }
    }

    fn hear_of_undo(&mut self, step: usize, current: bool, say: Say) {
        let at = self.steps[step];
        let Known::Open(asked) = at.undo else { return };
        match say {
            Say::Undone => self.steps[step].undo = Known::Happened,
            Say::NothingToUndo => {
                self.steps[step].undo = Known::Never;
                self.alarm |= at.action == Known::Happened;
            }
            Say::Rejected => self.stop(step, true, Refusal::Rejected),
            Say::Cancelled => self.stop(step, true, Refusal::Cancelled),
            say if current => self.hear_of_sending(step, true, asked, say),
            _ => {}
        }
    }

    /// What is said about one sending, and settles nothing.
    fn hear_of_sending(&mut self, step: usize, undo: bool, asked: Asked, say: Say) {
        match (say, asked.heard) {
            (Say::Conflict, _) => self.stop(step, undo, Refusal::Conflict),
            (Say::Expired, _) => self.stop(step, undo, Refusal::Expired),
            (Say::Pending, Heard::Nothing) => {
                self.hold(step, undo, Asked { heard: Heard::StillFindingOut, ..asked });
            }
            (Say::Failed, Heard::Nothing | Heard::StillFindingOut) if !self.burns_out(step, undo, asked) => {
                let left = asked.left.saturating_sub(1);
                self.hold(step, undo, Asked { heard: Heard::ItFailed, left, ..asked });
            }
            _ => {}
        }
    }

    fn hear_signal(&mut self, step: usize) {
        match self.steps[step].action {
            Known::Expected => self.steps[step].action = Known::Happened,
            Known::Unasked if self.phase == Phase::Forward => self.steps[step].is_signalled = true,
            _ => {}
        }
    }

    /// All that is waited for is late.
    fn clocks_run_out(&mut self) {
        let before = self.steps.clone();
        // Elements were made later than all steps.
        let (elements, steps): (Vec<usize>, Vec<usize>) =
            (0..self.rules.len()).partition(|step| self.rules[*step].name.contains('.'));
        for step in steps.into_iter().chain(elements) {
            self.wait_in_vain(step);
            self.run_out(step, before[step]);
        }
    }

    /// The signal does not come.
    fn wait_in_vain(&mut self, step: usize) {
        if self.steps[step].action != Known::Expected {
            return;
        }
        if self.rules[step].kind == Kind::Wish {
            self.steps[step].action = Known::Happened;
        } else {
            self.steps[step].action = Known::Refused;
            self.turn();
        }
    }

    /// A clock has run out: what was not answered burns an attempt, and everything is asked again; but not
    /// what was only just asked, for its clock has only just begun.
    fn run_out(&mut self, step: usize, before: Step) {
        for undo in [false, true] {
            let at = self.steps[step];
            if at.sendings != before.sendings {
                continue;
            }
            let Known::Open(asked) = (if undo { at.undo } else { at.action }) else { continue };
            match asked.heard {
                Heard::Nothing if self.burns_out(step, undo, asked) => {}
                Heard::Nothing => self.ask(step, undo, asked.question, asked.left.saturating_sub(1)),
                Heard::StillFindingOut | Heard::ItFailed => self.ask(step, undo, asked.question, asked.left),
                Heard::Refusal(_) => {}
            }
        }
    }

    /// The last attempt ended without an outcome: what can be given up is given up, what must not be
    /// guessed is asked for its fate, and everything else goes on.
    fn burns_out(&mut self, step: usize, undo: bool, asked: Asked) -> bool {
        if undo || asked.question != Question::Do || asked.left > 1 {
            return false;
        }
        match self.rules[step].kind {
            Kind::Undoable | Kind::Kept => self.turn(),
            Kind::Pivot => self.wonder(step, Doubt::UsedUp),
            Kind::Must | Kind::Last | Kind::Signal | Kind::Wish => return false,
        }
        true
    }

    fn cancel(&mut self) {
        if self.phase != Phase::Forward || self.is_committed() || self.doubt == Some(Doubt::Cancelled) {
            return;
        }
        let pivot = self.pivot().filter(|pivot| self.may_have_run(*pivot));
        match (self.doubt, pivot) {
            (Some(_), _) => self.doubt = Some(Doubt::Cancelled),
            (None, Some(pivot)) => self.wonder(pivot, Doubt::Cancelled),
            (None, None) => self.turn(),
        }
    }

    fn retry_now(&mut self) {
        for step in 0..self.steps.len() {
            for undo in [false, true] {
                let at = self.steps[step];
                if let Known::Open(asked) = if undo { at.undo } else { at.action } {
                    self.ask(step, undo, asked.question, ATTEMPTS);
                }
            }
        }
    }

    /// Signals are waited for no longer, and then no back-off is.
    fn skip_wait(&mut self) {
        (0..self.steps.len()).for_each(|step| self.wait_in_vain(step));
        for step in 0..self.steps.len() {
            for undo in [false, true] {
                let at = self.steps[step];
                if let Known::Open(asked @ Asked { heard: Heard::ItFailed, .. }) =
                    if undo { at.undo } else { at.action }
                {
                    self.ask(step, undo, asked.question, asked.left);
                }
            }
        }
    }

    fn wonder(&mut self, pivot: usize, why: Doubt) {
        self.doubt = Some(why);
        self.ask(pivot, false, Question::Fate, ATTEMPTS);
    }

    /// Asked at least once, and not known never to happen.
    fn may_have_run(&self, step: usize) -> bool {
        let at = &self.steps[step];
        let closed = |asked: Asked| asked.heard == Heard::Refusal(Refusal::Cancelled);
        match at.action {
            Known::Open(asked) => !closed(asked),
            Known::Happened | Known::GivenUp => true,
            Known::Unasked | Known::Planned | Known::Expected | Known::Refused | Known::Never => false,
        }
    }

    /// Turns once; everything that may have run is undone, and what cannot be undone is closed.
    fn turn(&mut self) {
        if self.phase != Phase::Forward {
            return;
        }
        (self.phase, self.doubt) = (Phase::Backward, None);
        for step in 0..self.steps.len() {
            let open = matches!(self.steps[step].action, Known::Open(_));
            if !self.may_have_run(step) {
                if open || self.steps[step].action == Known::Expected {
                    self.steps[step].action = Known::Never;
                }
                continue;
            }
            if self.rules[step].kind == Kind::Undoable {
                self.steps[step].undo = Known::Planned;
                if open {
                    self.steps[step].action = Known::GivenUp;
                }
            } else if open {
                self.ask(step, false, Question::Close, ATTEMPTS);
            }
        }
    }

    fn go_on(&mut self) {
        match self.phase {
            _ if self.is_paused => {}
            Phase::Forward => {
                while let Some(step) = self.ready(|kind| kind != Kind::Last) {
                    self.begin(step);
                }
                if self.all_happened(|kind| kind != Kind::Last) {
                    self.phase = Phase::Completed;
                }
            }
            Phase::Backward => {
                let free = |step: &usize| self.steps[*step].undo == Known::Planned && !self.is_awaited(*step);
                let free: Vec<usize> = (0..self.steps.len()).filter(free).collect();
                free.into_iter().for_each(|step| self.ask(step, true, Question::Do, ATTEMPTS));
                let mut forward = (0..self.steps.len()).filter(|step| self.rules[*step].kind != Kind::Last);
                if forward.any(|step| !self.is_settled(step)) {
                    return;
                }
                while let Some(step) = self.ready(|kind| kind == Kind::Last) {
                    self.begin(step);
                }
                if self.all_happened(|kind| kind == Kind::Last) {
                    self.phase = Phase::Compensated;
                }
            }
            Phase::Completed | Phase::Compensated => {}
        }
    }

    fn begin(&mut self, step: usize) {
        let at = &mut self.steps[step];
        match self.rules[step].kind {
            Kind::Signal | Kind::Wish if at.is_signalled => at.action = Known::Happened,
            Kind::Signal | Kind::Wish => at.action = Known::Expected,
            _ => self.ask(step, false, Question::Do, ATTEMPTS),
        }
    }

    /// A step of these kinds whose turn it is.
    fn ready(&self, of: fn(Kind) -> bool) -> Option<usize> {
        let happened = |before: &usize| self.steps[*before].action == Known::Happened;
        self.rules.iter().zip(&self.steps).position(|(rule, step)| {
            of(rule.kind) && step.action == Known::Unasked && rule.after.iter().all(happened)
        })
    }

    fn all_happened(&self, of: fn(Kind) -> bool) -> bool {
        let mut steps = self.rules.iter().zip(&self.steps).filter(|(rule, _)| of(rule.kind));
        steps.all(|(_, step)| step.action == Known::Happened)
    }

    /// Whether a step somewhere behind this one is not settled yet.
    fn is_awaited(&self, step: usize) -> bool {
        let mut behind = self.rules.iter().enumerate().filter(|(_, rule)| rule.after.contains(&step));
        behind.any(|(later, rule)| {
            rule.kind != Kind::Last && (!self.is_settled(later) || self.is_awaited(later))
        })
    }

    /// Whether there is nothing to undo, any more or at all.
    fn is_settled(&self, step: usize) -> bool {
        match self.steps[step].undo {
            Known::Happened | Known::Never => true,
            Known::Unasked => !matches!(self.steps[step].action, Known::Open(_)),
            _ => false,
        }
    }

    fn ask(&mut self, step: usize, undo: bool, question: Question, left: u32) {
        let sendings = &mut self.steps[step].sendings;
        *(if undo { &mut sendings.1 } else { &mut sendings.0 }) += 1;
        self.hold(step, undo, Asked { question, heard: Heard::Nothing, left });
    }

    fn stop(&mut self, step: usize, undo: bool, why: Refusal) {
        let at = self.steps[step];
        if let Known::Open(asked) = if undo { at.undo } else { at.action } {
            self.hold(step, undo, Asked { heard: Heard::Refusal(why), ..asked });
        }
    }

    fn hold(&mut self, step: usize, undo: bool, asked: Asked) {
        let at = &mut self.steps[step];
        *(if undo { &mut at.undo } else { &mut at.action }) = Known::Open(asked);
    }
}

const fn is_stopped(known: Known) -> bool {
    matches!(known, Known::Open(Asked { heard: Heard::Refusal(_), .. }))
}
