//! Loading an expression: its size, its syntax, the checks, the guards.
//!
//! Invariant: an expression that could overflow a stack is refused before anything recursive sees it, and
//! a parser that panics costs a message, not the process.

use std::thread;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo, operators};

use super::check::check;
use super::evaluate::{ENVIRONMENT, Expression, Program};
use super::guard::guard;
use super::path::{Path, Segment, Start};
use crate::Rule;
use crate::limits::{COMPILE_STACK_BYTES, EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

/// An expression and the names it uses.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) expression: Expression,
    pub(crate) paths: Vec<Path>,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) rule: Rule,
    pub(crate) message: String,
    pub(crate) remedy: String,
    /// Where, in characters of the expression.
    pub(crate) offset: usize,
}

impl Flaw {
    pub(super) fn new(
        offset: usize,
        rule: Rule,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { rule, message: message.into(), remedy: remedy.into(), offset }
    }
}

/// Compiles the text behind the `=`.
///
/// # Errors
/// All flaws that can be told at once, never an empty list.
pub(crate) fn compile(source: &str) -> Result<Compiled, Vec<Flaw>> {
    measure(source).map_err(|flaw| vec![flaw])?;
    let broken = |why: &str| {
        let remedy = "write the expression in a simpler way, and tell the makers of Amends";
        vec![Flaw::new(0, Rule::Expression, format!("the expression cannot be parsed: {why}"), remedy)]
    };
    let spawned =
        thread::Builder::new().name("amends-cel".to_owned()).stack_size(COMPILE_STACK_BYTES).spawn({
            let source = source.to_owned();
            move || parse(&source)
        });
    let thread = spawned.map_err(|error| broken(&format!("no thread for it ({})", error.kind())))?;
    let (program, paths) = thread.join().map_err(|_| broken("the parser failed"))??;
    Ok(Compiled { expression: Expression { source: source.to_owned(), program }, paths })
}

/// Size and brackets, before anything recursive sees the text.
fn measure(source: &str) -> Result<(), Flaw> {
    if source.is_empty() {
        let remedy = "write an expression behind the `=`; a text that is just `=` is written \"='='\"";
        return Err(Flaw::new(0, Rule::Expression, "the expression is empty", remedy));
    }
    if source.len() > EXPRESSION_BYTES_MAX {
        let message =
            format!("the expression has {} bytes; at most {EXPRESSION_BYTES_MAX} are allowed", source.len());
        return Err(Flaw::new(0, Rule::ExpressionLimit, message, "let a participant work it out"));
    }
    let mut depth = 0_usize;
    for (offset, character) in source.chars().enumerate() {
        match character {
            // Brackets in texts count, too: a text with so many of them is no great loss.
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > EXPRESSION_DEPTH_MAX {
            return Err(too_deep(offset));
        }
    }
    Ok(())
}

fn too_deep(offset: usize) -> Flaw {
    let message = format!("the expression is nested more than {EXPRESSION_DEPTH_MAX} deep");
    Flaw::new(
        offset,
        Rule::ExpressionLimit,
        message,
        "flatten it, use sum(list), or let a participant work it out",
    )
}

fn parse(source: &str) -> Result<(Program, Vec<Path>), Vec<Flaw>> {
    let program = ENVIRONMENT.compile(source).map_err(|errors| vec![syntax(source, &errors)])?;
    let paths = check(program.expression(), program.source_info())?;
    if let Some(program) = as_path(program.expression(), &paths) {
        return Ok((program, paths));
    }
    let mut guarded = program.expression().clone();
    guard(&mut guarded);
    match deeper_than(&guarded, EXPRESSION_DEPTH_MAX, program.source_info()) {
        Some(offset) => Err(vec![too_deep(offset)]),
        None => Ok((Program::Cel(Box::new(guarded)), paths)),
    }
}

/// The parser tells a lot; the first thing is what helps.
fn syntax(source: &str, errors: &cel::ParseErrors) -> Flaw {
    const CHARACTERS_MAX: usize = 200;
    let first = errors.errors.first();
    let message = first.map_or("it makes no sense", |error| error.msg.as_str());
    let (line, column) = first.map_or((1, 1), |error| error.pos);
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let before: usize = source.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    let offset = before + usize::try_from(column).unwrap_or(1).saturating_sub(1);
    let message = message.trim_start_matches("Syntax error: ");
    // What the grammar would have liked instead is a list of its tokens.
    let message = message.split(" expecting {").next().unwrap_or(message);
    let message: String = message.chars().take(CHARACTERS_MAX).collect();
    let remedy = "write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name']";
    Flaw::new(offset, Rule::Expression, format!("this is no expression: {message}"), remedy)
}

/// Where the tree, guards and macros' scaffolding included, is deeper than `max`: evaluating takes 27 KiB
/// of stack for each level, on whatever thread the engine runs.
fn deeper_than(expression: &IdedExpr, max: usize, info: &SourceInfo) -> Option<usize> {
    if max == 0 {
        return Some(offset_of(expression, info));
    }
    let deeper = |part: &IdedExpr| deeper_than(part, max - 1, info);
    match &expression.expr {
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).find_map(deeper),
        Expr::Comprehension(parts) => [&parts.iter_range, &parts.loop_cond, &parts.loop_step, &parts.result]
            .into_iter()
            .find_map(deeper),
        Expr::List(list) => list.elements.iter().find_map(deeper),
        Expr::Map(map) => map.entries.iter().find_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => deeper(&entry.key).or_else(|| deeper(&entry.value)),
            EntryExpr::StructField(field) => deeper(&field.value),
        }),
        Expr::Select(select) => deeper(&select.operand),
        Expr::Struct(entries) => entries.entries.iter().find_map(|entry| match &entry.expr {
            EntryExpr::StructField(field) => deeper(&field.value),
            EntryExpr::MapEntry(entry) => deeper(&entry.key).or_else(|| deeper(&entry.value)),
        }),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => None,
    }
}

pub(super) fn offset_of(expression: &IdedExpr, info: &SourceInfo) -> usize {
    info.offset_for(expression.id).map_or(0, |(start, _)| start as usize)
}

/// An expression that is nothing but a path.
fn as_path(expression: &IdedExpr, paths: &[Path]) -> Option<Program> {
    let [path] = paths else { return None };
    let mut links = 0;
    let mut part = expression;
    loop {
        part = match &part.expr {
            Expr::Select(select) if !select.test => &select.operand,
            Expr::Call(call) if call.func_name == operators::INDEX => call.args.first()?,
            Expr::Ident(_) => break,
            _ => return None,
        };
        links += 1;
    }
    let fields: Vec<String> = path
        .segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Field(field) => Some(field.clone()),
            Segment::Element => None,
        })
        .collect();
    (fields.len() == links).then(|| Program::Path { start: Start::named(&path.root), fields })
}
