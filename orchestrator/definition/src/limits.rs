//! The limits of the language.
//!
//! They are constants, not configuration: a definition that is valid in one installation has to be valid
//! in all of them, and has to render the same data in all of them.

/// Largest definition file, in bytes. It is stored in the database and shown whole to operators.
pub const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// Largest schema, in bytes, for the same reason.
pub const SCHEMA_BYTES_MAX: usize = 256 * 1024;

/// Deepest nesting of YAML, so that reading it needs a bounded stack.
pub const SOURCE_DEPTH_MAX: usize = 32;

/// Most keys, values and brackets of a definition file. A hundred steps need a tenth of it.
pub const SOURCE_NODES_MAX: usize = 20_000;

/// Most steps of a definition, those of `on_compensated` included: the saga's row carries a state for
/// each of them in every commit.
pub const STEPS_MAX: usize = 100;

/// How many elements the list of a `for_each` may have where the definition does not say.
pub const FOR_EACH_DEFAULT: u32 = 100;

/// Most elements of all `for_each` lists of a definition together: each is a step in the saga's row, and
/// the outputs of one step become a list that expressions go through ([`LIST_LEN_MAX`]).
pub const FOR_EACH_MAX: u32 = 1000;

/// Largest `concurrency`. What is larger limits nothing.
pub const CONCURRENCY_MAX: u32 = 100_000;

/// Most labels: each of them is an indexed row.
pub const LABELS_MAX: usize = 8;

/// Longest expression, in bytes without the `=`. What is longer belongs into a participant.
pub const EXPRESSION_BYTES_MAX: usize = 1024;

/// Deepest nesting of an expression, of its brackets as of its operations: both parsing and evaluating
/// use the stack.
pub const EXPRESSION_DEPTH_MAX: usize = 32;

/// Stack of the thread on which an expression is parsed, in bytes. The grammar takes a dozen frames for
/// each level, and a parser that overflows its stack takes the process with it.
pub const COMPILE_STACK_BYTES: usize = 16 * 1024 * 1024;

/// Longest list that an expression goes through, in elements.
pub const LIST_LEN_MAX: usize = 1000;

/// What rendering one template may cost: elements gone through, values compared, bytes of text made or
/// searched. Reached by nothing sensible, and in a few milliseconds.
pub const EVALUATION_COST_MAX: u64 = 4_000_000;

/// Largest value that a template renders, in bytes (about, as JSON). Twice the largest command, so that
/// a command is refused for its size by whoever knows that limit, and only a blow-up is refused here.
pub const RENDERED_BYTES_MAX: usize = 2 * amends_contract::COMMAND_BYTES_MAX;

/// Longest duration: ten years, in milliseconds. What is longer is a slip.
pub const DURATION_MS_MAX: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// Most attempts that `retry` may ask for.
pub const ATTEMPTS_MAX: u32 = 10_000;

/// Largest factor by which a pause may grow.
pub const FACTOR_MAX: f64 = 100.0;

/// Most mistakes that are reported at once; who mends these sees the rest.
pub const DIAGNOSTICS_MAX: usize = 50;
