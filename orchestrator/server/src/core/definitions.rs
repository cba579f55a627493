//! The definitions that this process knows: files are loaded once into the database, and the database
//! wins.
//!
//! Invariant: a saga is driven by the definition with its digest or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use amends_contract::{DefinitionRef, Digest, Timestamp, Token};
use amends_definition::{Call, Check, Definition, Diagnostics};
use amends_engine::Saga;
use amends_store::{PlaceLimit, SagaFilter, Store, StoredDefinition};
use jsonschema::Validator;
use metrics::gauge;
use serde_json::Value;
use tokio::time::Instant;

use super::calls::{UnknownCall, unknown_calls};
use super::changed::Changed;

/// How long settling may take after the deadline, in seconds (72 h, as long as the broker stores
/// commands).
const SETTLING_S: u64 = 72 * 3600;

/// One definition, ready to be used.
#[derive(Clone)]
pub struct Loaded {
    /// The definition.
    pub definition: Arc<Definition>,
    /// Its input schema, compiled; `None` when it takes any input.
    pub validator: Option<Arc<Validator>>,
}

/// All definitions by name and version.
#[derive(Clone, Default)]
pub struct Definitions {
    known: Arc<RwLock<HashMap<DefinitionRef, Loaded>>>,
    unknown: Arc<RwLock<BTreeMap<Digest, UnknownDefinition>>>,
    refreshed_at: Arc<Mutex<Option<Instant>>>,
}

/// A definition that sagas are pinned to and that this process cannot drive them by. They wait, untouched,
/// for a process that can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDefinition {
    /// Its name and version.
    pub reference: DefinitionRef,
    /// SHA-256 of its source.
    pub digest: Digest,
    /// Why it is unknown; `None` when it is not stored (yet).
    pub why: Option<String>,
}

/// Why definitions cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Definitions are wrong; the text shows where and how to mend them.
    #[error("{0}")]
    Invalid(Diagnostics),
    /// A definition's schema, of its input or of a step, is no JSON Schema.
    #[error("{definition}: {why}; mend the schema: it has to be a JSON Schema 2020-12")]
    Schema {
        /// Whose.
        definition: DefinitionRef,
        /// What is wrong with it.
        why: String,
    },
    /// A saga could live longer than participants remember what they did for it.
    #[error(
        "{definition}: a deadline of {deadline_s} s is too long: participants answer `expired` to sagas older \
         than {horizon_s} s (orchestrator.horizon_s, the participants' participant.horizon_s), and 72 h are \
         kept for settling; shorten the deadline or raise the horizon on both sides"
    )]
    Deadline {
        /// Whose.
        definition: DefinitionRef,
        /// What it says, in seconds.
        deadline_s: u64,
        /// How long participants remember, in seconds.
        horizon_s: u64,
    },
    /// A file was changed under its old version.
    #[error("{0}")]
    Changed(Box<Changed>),
    /// A definition calls a saga that is not there to be called.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    UnknownCalls(Vec<UnknownCall>),
    /// The database says no.
    #[error(transparent)]
    Store(#[from] amends_store::Error),
}

impl Loaded {
    /// What is wrong with the input, in one line; the first mistakes tell enough. For callers who cannot be
    /// shown a list of them.
    pub(crate) fn complaint(validator: Option<&Validator>, input: &Value) -> Option<String> {
        const MISTAKES_MAX: usize = 3;
        let validator = validator.filter(|validator| !validator.is_valid(input))?;
        let errors = validator.iter_errors(input).take(MISTAKES_MAX);
        let mistakes: Vec<String> =
            errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
        (!mistakes.is_empty()).then(|| mistakes.join("; "))
    }
}

impl LoadError {
    /// Whether files or settings are to blame, so that trying again changes nothing.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::File { .. }
            | Self::Invalid(_)
            | Self::Schema { .. }
            | Self::Deadline { .. }
            | Self::Changed(_)
            | Self::UnknownCalls(_) => true,
            Self::Store(_) => false,
        }
    }
}

impl Definitions {
    /// Loads the folder's `*.yaml` into the database, then all that the database has. `horizon_s` is how
    /// long participants remember, in seconds.
    ///
    /// # Errors
    /// [`LoadError`] names the file and the remedy; nothing is half loaded.
    pub async fn load(folder: &Path, store: &Store, horizon_s: u64) -> Result<Self, LoadError> {
        let mut files = Vec::new();
        for path in definition_files(folder)? {
            let (loaded, schemas) = load(&path, horizon_s)?;
            files.push((path, loaded.definition, schemas));
        }
        let stored = store.definitions().await?.into_iter().map(|stored| stored.reference);
        let unknown = unknown_calls(files.iter().map(|(_, definition, _)| &**definition), stored);
        if !unknown.is_empty() {
            return Err(LoadError::UnknownCalls(unknown));
        }
        for (path, definition, schemas) in files {
            if let Err(error) = store.save_definition(&definition, &schemas).await {
                return Err(refused(&path, &definition, store, error).await);
            }
            tracing::info!(definition = %definition.reference(), digest = %definition.digest, "loaded");
        }
        let definitions = Self::default();
        definitions.refresh(store).await?;
        Ok(definitions)
    }

    /// Loads what other processes have stored since. What is known, or known to be beyond this version, is
    /// not compiled again.
    ///
    /// # Errors
    /// [`LoadError::Store`] when the database cannot be read. A stored definition that this version
    /// cannot compile is logged and counts as unknown: its sagas wait.
    pub async fn refresh(&self, store: &Store) -> Result<(), LoadError> {
        for stored in store.definitions().await? {
            if self.is_settled(&stored) {
                continue;
            }
            match compile_stored(&stored) {
                Ok(loaded) => {
                    self.unknown.write().unwrap_or_else(PoisonError::into_inner).remove(&stored.digest);
                    let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                    known.insert(stored.reference, loaded);
                }
                Err(error) => {
                    let (reference, digest, why) = (stored.reference, stored.digest, Some(error.to_string()));
                    tracing::error!(definition = %reference, %error, "unknown to this version; its sagas wait");
                    self.forget_how(UnknownDefinition { reference, digest, why });
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "definitions are few")]
        gauge!("amends_definitions_unknown").set(self.unknown().len() as f64);
        Ok(())
    }

    fn is_settled(&self, stored: &StoredDefinition) -> bool {
        let unknown = self.unknown.read().unwrap_or_else(PoisonError::into_inner);
        self.get(&stored.reference, stored.digest).is_some()
            || unknown.get(&stored.digest).is_some_and(|unknown| unknown.why.is_some())
    }

    fn forget_how(&self, definition: UnknownDefinition) {
        let mut unknown = self.unknown.write().unwrap_or_else(PoisonError::into_inner);
        unknown.insert(definition.digest, definition);
    }

    /// Remembers that this saga's definition is not known here, not even by its name in the database.
    pub(crate) fn miss(&self, saga: &Saga) {
        let known_as_unknown =
            self.unknown.read().unwrap_or_else(PoisonError::into_inner).contains_key(&saga.digest);
        if !known_as_unknown {
            let (reference, digest) = (saga.definition.clone(), saga.digest);
            tracing::error!(definition = %reference, %digest, "not stored; its sagas wait until it is");
            self.forget_how(UnknownDefinition { reference, digest, why: None });
        }
    }

    /// Why this process leaves the saga untouched; `None` when it does not, or the saga has ended.
    #[must_use]
    pub fn why_unknown(&self, saga: &Saga) -> Option<String> {
        if saga.status().is_terminal() || self.get(&saga.definition, saga.digest).is_some() {
            return None;
        }
        let unknown = self.unknown.read().unwrap_or_else(PoisonError::into_inner);
        let why = unknown.get(&saga.digest).and_then(|unknown| unknown.why.as_deref());
        let why = why.unwrap_or("it is not stored in the database");
        Some(format!(
            "this orchestrator does not know {} ({}), so the saga waits, untouched, for one that does: {why}",
            saga.definition, saga.digest
        ))
    }

    /// Looks for what is unknown, if the last look is `pause` ago, and says how many sagas wait for it.
    pub(crate) async fn learn_the_unknown(&self, store: &Store, pause: Duration) {
        if self.unknown().is_empty() || !self.may_refresh(pause) {
            return;
        }
        let counted = match self.refresh(store).await {
            Ok(()) => store.count(&self.open_of_unknown()).await.map_err(LoadError::from),
            Err(error) => Err(error),
        };
        match counted {
            #[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact beyond 2^52")]
            Ok(sagas) => gauge!("amends_sagas_definition_unknown").set(sagas as f64),
            Err(error) => tracing::warn!(%error, "definitions could not be looked for"),
        }
    }

    /// The sagas that wait for what is unknown here.
    pub(crate) fn open_of_unknown(&self) -> SagaFilter {
        let unknown = self.unknown().into_iter().map(|unknown| (unknown.reference, unknown.digest));
        SagaFilter { open_of: Some(unknown.collect()), ..SagaFilter::default() }
    }

    /// The definitions that sagas need and this process does not have; none on a good day.
    #[must_use]
    pub fn unknown(&self) -> Vec<UnknownDefinition> {
        self.unknown.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether the last look into the database is at least `pause` ago; if so, this counts as one.
    pub(crate) fn may_refresh(&self, pause: Duration) -> bool {
        let mut refreshed_at = self.refreshed_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = refreshed_at.is_none_or(|at| at.elapsed() >= pause);
        if may {
            *refreshed_at = Some(Instant::now());
        }
        may
    }

    /// The newest version under this name.
    #[must_use]
    pub fn latest(&self, name: &str) -> Option<Loaded> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let newest = known.keys().filter(|reference| reference.name == *name).max()?;
        known.get(newest).cloned()
    }

    /// One version.
    #[must_use]
    pub fn version(&self, reference: &DefinitionRef) -> Option<Loaded> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(reference).cloned()
    }

    /// The definition that a saga is pinned to.
    #[must_use]
    pub fn get(&self, reference: &DefinitionRef, digest: Digest) -> Option<Arc<Definition>> {
        self.version(reference)
            .map(|loaded| loaded.definition)
            .filter(|definition| definition.digest == digest)
    }

    /// All of them, in the order of name and version.
    #[must_use]
    pub fn all(&self) -> Vec<Loaded> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let sorted: BTreeMap<&DefinitionRef, &Loaded> = known.iter().collect();
        sorted.into_values().cloned().collect()
    }

    /// The steps of all definitions that say `concurrency`.
    #[must_use]
    pub fn place_limits(&self) -> Vec<PlaceLimit> {
        let mut limits: BTreeMap<(Token, Token), BTreeMap<u32, u32>> = BTreeMap::new();
        for loaded in self.all() {
            let definition = &loaded.definition;
            for step in definition.steps.iter().chain(&definition.on_compensated) {
                if let Some(concurrency) = step.concurrency {
                    let versions = limits.entry((definition.name.clone(), step.name.clone())).or_default();
                    versions.insert(definition.version, concurrency);
                }
            }
        }
        let limit = |((definition, step), by_version)| PlaceLimit { definition, step, by_version };
        limits.into_iter().map(limit).collect()
    }

    /// The participants that any step of any definition calls.
    #[must_use]
    pub fn participants(&self) -> Vec<Token> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let steps = known
            .values()
            .flat_map(|loaded| loaded.definition.steps.iter().chain(&loaded.definition.on_compensated));
        let called = steps.filter_map(|step| match &step.call {
            Call::Command(address) => Some(address.participant.clone()),
            Call::Saga(_) | Call::Await(_) => None,
        });
        let names: std::collections::BTreeSet<Token> = called.collect();
        names.into_iter().collect()
    }
}

/// Compiles a definition file; schemas are looked up beside it. Returns the schemas' texts, too.
///
/// # Errors
/// [`LoadError::Invalid`] shows every mistake with its place.
pub fn compile_file(path: &Path, source: &str) -> Result<(Definition, BTreeMap<String, String>), LoadError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let schemas = std::cell::RefCell::new(BTreeMap::new());
    let definition = Definition::compile(&path.display().to_string(), source, &|relative| {
        let text = std::fs::read_to_string(folder.join(relative)).map_err(|error| error.to_string())?;
        schemas.borrow_mut().insert(relative.to_owned(), text.clone());
        Ok(text)
    })
    .map_err(LoadError::Invalid)?;
    Ok((definition, schemas.into_inner()))
}

/// The latest moment at which a saga that is accepted now may begin: it must have settled while its
/// participants still remember what they did for it.
#[must_use]
pub fn latest_start(definition: &Definition, now: Timestamp, horizon_s: u64) -> Timestamp {
    let deadline_s = definition.deadline_ms.unwrap_or(0) / 1000;
    let left_s = horizon_s.saturating_sub(SETTLING_S).saturating_sub(deadline_s);
    now.plus_ms(left_s.saturating_mul(1000))
}

/// Reads and compiles a definition file, ready to be used, by all rules of an orchestrator whose participants
/// remember for `horizon_s` seconds; its schemas are read beside it.
///
/// # Errors
/// [`LoadError`] shows every mistake with its place.
pub fn load_file(path: &Path, horizon_s: u64) -> Result<Loaded, LoadError> {
    load(path, horizon_s).map(|(loaded, _)| loaded)
}

/// The definition, and the texts of its schemas by their paths.
fn load(path: &Path, horizon_s: u64) -> Result<(Loaded, BTreeMap<String, String>), LoadError> {
    let (definition, schemas) = compile_file(path, &read(path)?)?;
    let loaded = ready(definition)?;
    check_deadline(&loaded.definition, horizon_s)?;
    Ok((loaded, schemas))
}

/// Compiles a definition out of the database, with the schemas that are stored beside it.
///
/// # Errors
/// [`LoadError`] when this version cannot compile it.
pub fn compile_stored(stored: &StoredDefinition) -> Result<Loaded, LoadError> {
    let name = format!("{}.yaml", stored.reference);
    let compiled = Definition::compile(&name, &stored.source, &|path| {
        let schema = stored.schemas.get(path).cloned();
        schema.ok_or_else(|| format!("the schema {path} is not stored with the definition"))
    });
    compiled.map_err(LoadError::Invalid).and_then(ready)
}

/// What a store that refuses a file means for whoever wrote the file.
async fn refused(
    path: &Path,
    definition: &Definition,
    store: &Store,
    error: amends_store::Error,
) -> LoadError {
    let amends_store::Error::DefinitionChanged { definition: reference, part, stored, given } = error else {
        return error.into();
    };
    let versions = match store.definitions().await {
        Ok(definitions) => definitions.into_iter().filter(|other| other.reference.name == definition.name),
        Err(error) => return error.into(),
    };
    let newest = versions.map(|other| other.reference.version).max().unwrap_or(reference.version);
    LoadError::Changed(Box::new(Changed::new(path, reference, &part, (stored, given), newest)))
}

/// A saga must have settled while its participants still remember what they did for it.
fn check_deadline(definition: &Definition, horizon_s: u64) -> Result<(), LoadError> {
    let deadline_s = definition.deadline_ms.unwrap_or(0) / 1000;
    if deadline_s.saturating_add(SETTLING_S) <= horizon_s {
        return Ok(());
    }
    Err(LoadError::Deadline { definition: definition.reference(), deadline_s, horizon_s })
}

/// The definition files of a folder, in the order of their names.
///
/// # Errors
/// [`LoadError::File`] when it cannot be read.
pub fn definition_files(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let file_error = |error| LoadError::File { path: folder.to_owned(), error };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(file_error)? {
        let path = entry.map_err(file_error)?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|error| LoadError::File { path: path.to_owned(), error })
}

fn ready(definition: Definition) -> Result<Loaded, LoadError> {
    let reference = definition.reference();
    let wrong = |why: String| LoadError::Schema { definition: reference.clone(), why };
    let validator = definition.input_schema.as_ref().map(compile_schema).transpose();
    let validator = validator.map_err(|why| wrong(format!("input: {why}")))?;
    let definition = definition.with_checks(&check).map_err(wrong)?;
    Ok(Loaded { definition: Arc::new(definition), validator: validator.map(Arc::new) })
}

/// A step's schema as the engine sees it. The first mistake is enough: the whole value stands in the journal.
fn check(schema: &Value) -> Result<Check, String> {
    let validator = compile_schema(schema)?;
    Ok(Check(Arc::new(move |value| {
        validator.validate(value).map_err(|error| format!("{}: {}", error.instance_path(), error.masked()))
    })))
}

fn compile_schema(schema: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::new(schema).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use amends_definition::Definition;
    use serde_json::json;

    use super::{LoadError, Loaded, ready};

    /// A saga whose one step has this schema for its replies.
    fn with_reply_schema(schema: &str) -> Result<Loaded, LoadError> {
        let source = "saga: a\nversion: 1\nsteps:\n- { name: b, kind: pivot, call: c.d, schemas: { reply: r.json } }\n";
        let text = format!("{{ \"$schema\": \"https://json-schema.org/draft/2020-12/schema\", {schema} }}");
        ready(Definition::compile("a.v1.yaml", source, &|_| Ok(text.clone())).unwrap())
    }

    #[test]
    fn replies_are_held_against_the_schemas_of_their_steps() {
        let loaded = with_reply_schema("\"properties\": { \"id\": { \"type\": \"string\" } }").unwrap();
        let schema = loaded.definition.steps[0].reply_schema.as_ref().unwrap();
        assert_eq!(schema.check(&json!({ "id": "r-1" })), Ok(()));
        let broken = schema.check(&json!({ "id": 7 })).unwrap_err();
        assert!(broken.starts_with("/id: ") && !broken.contains('7'), "{broken}");
    }

    #[test]
    fn a_schema_that_is_none_is_refused_with_the_step_that_names_it() {
        let error = with_reply_schema("\"type\": \"strong\"").err().unwrap().to_string();
        assert!(error.starts_with("a.v1: step b: ") && error.contains("mend the schema"), "{error}");
    }
}
