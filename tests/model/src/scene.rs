//! Scenes: a small definition, and the bounds within which everything that can happen to it does.

use std::fmt;

use amends_contract::Token;
use amends_definition::Definition;
use amends_planted::{Bug, Planted, plant};
use amends_rehearsal::Defect;
use serde_json::{Value, json};

/// What is checked, and how far.
#[derive(Clone, Debug)]
pub struct Scene {
    /// What it is called.
    pub name: &'static str,
    /// The saga.
    pub definition: Definition,
    /// What it is started with.
    pub input: Value,
    /// How finely orchestrators are looked at.
    pub grain: Grain,
    /// The most sendings of one effect.
    pub sends_max: u32,
    /// The most crashes of one run; only what is looked at finely can crash.
    pub crashes_max: u8,
    /// Whether the owner may cancel, once.
    pub cancels: bool,
    /// What the participant's domain may answer.
    pub answers: Answers,
    /// What is wrong on purpose.
    pub flaw: Option<Flaw>,
}

/// How finely orchestrators are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Loading, committing and publishing are one. With the version check intact this loses nothing but
    /// crashes between them: a commit that was not preceded by its own load is refused.
    Coarse,
    /// Two orchestrators load, commit and publish side by side, and crash in between.
    Fine,
}

/// What the participant's domain may answer, beside doing what it is asked for.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Rejects the action of any step that may be rejected.
    pub rejects: bool,
    /// Fails, and does nothing.
    pub fails: bool,
    /// The step whose action takes a call to the outside.
    pub calls: Option<Token>,
}

/// Something that is wrong on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// At the participant.
    Participant(Defect),
    /// In the engine.
    Engine(Bug),
    /// Orchestrators store what they have decided without looking at the row's version.
    BlindWrites,
}

impl Flaw {
    /// Plants it in the engine, if that is where it belongs, for as long as the guard lives.
    pub(crate) fn planted(self) -> Option<Planted> {
        match self {
            Self::Engine(bug) => Some(plant(bug)),
            Self::Participant(_) | Self::BlindWrites => None,
        }
    }
}

impl Scene {
    /// A scene with the widest bounds that a test can afford; see the fields for what to narrow.
    #[must_use]
    pub fn new(name: &'static str, source: &str) -> Self {
        let definition =
            Definition::compile(&format!("{name}.v1.yaml"), source, &|path| Err(path.to_owned()))
                .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        Self {
            name,
            definition,
            input: json!({}),
            grain: Grain::Coarse,
            sends_max: 3,
            crashes_max: 0,
            cancels: true,
            answers: Answers { rejects: true, fails: true, calls: None },
            flaw: None,
        }
    }

    /// The same, with something wrong.
    #[must_use]
    pub fn with(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }

    /// The same, looked at finely.
    #[must_use]
    pub fn fine(mut self, sends_max: u32, crashes_max: u8) -> Self {
        (self.grain, self.sends_max, self.crashes_max) = (Grain::Fine, sends_max, crashes_max);
        self
    }
}

/// `pivot, 2 sendings, finely, 1 crash`
impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answers { rejects, fails, .. } = self.answers;
        write!(f, "{}, {} sendings", self.name, self.sends_max)?;
        if self.grain == Grain::Fine {
            write!(f, ", finely, {} crash", self.crashes_max)?;
        }
        for (may, what) in [(rejects, "rejections"), (fails, "failures"), (self.cancels, "a cancel")] {
            if !may {
                write!(f, ", no {what}")?;
            }
        }
        match self.flaw {
            Some(flaw) => write!(f, ", with {flaw:?}"),
            None => Ok(()),
        }
    }
}
