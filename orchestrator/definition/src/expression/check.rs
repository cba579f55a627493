//! What can be told about a parsed expression before it runs: functions, names, keys, nesting.
//!
//! Invariant: an expression that passes uses only functions that exist, goes through one list at a time,
//! and begins every path with a name that is recorded or bound by a macro.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, SourceInfo, operators,
};

use super::compile::{Flaw, offset_of};
use super::guard::OPERATORS;
use super::money::{MONEY, SUM};
use super::path::{Path, Root, Segment};
use crate::Rule;
use crate::suggest::nearest;

/// A function that expressions may use.
struct Function {
    name: &'static str,
    /// `size(x)`
    global: bool,
    /// `x.size()`
    member: bool,
    /// Number of arguments, the target not counted.
    arguments: fn(member: bool) -> usize,
    usage: &'static str,
}

const fn global(name: &'static str, usage: &'static str) -> Function {
    Function { name, global: true, member: false, arguments: |_| 1, usage }
}

const fn member(name: &'static str, usage: &'static str) -> Function {
    Function { name, global: false, member: true, arguments: |_| 1, usage }
}

const FUNCTIONS: [Function; 9] = [
    Function {
        name: "size",
        global: true,
        member: true,
        arguments: |member| if member { 0 } else { 1 },
        usage: "size(x)",
    },
    global("int", "int(x)"),
    global("double", "double(x)"),
    global("string", "string(x)"),
    global(SUM, "sum(list)"),
    Function { name: MONEY, global: true, member: false, arguments: |_| 2, usage: "money(amount, currency)" },
    member("contains", "text.contains(part)"),
    member("startsWith", "text.startsWith(part)"),
    member("endsWith", "text.endsWith(part)"),
];

/// The macros, which the parser has replaced where they were used in the right way.
const MACROS: [(&str, &str); 6] = [
    ("has", "has(x.field)"),
    ("all", "list.all(x, condition)"),
    ("exists", "list.exists(x, condition)"),
    ("exists_one", "list.exists_one(x, condition)"),
    ("map", "list.map(x, value)"),
    ("filter", "list.filter(x, condition)"),
];

/// Words that CEL keeps for itself, or that name its types.
const RESERVED: [&str; 31] = [
    "as",
    "bool",
    "break",
    "bytes",
    "const",
    "continue",
    "duration",
    "dyn",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "list",
    "loop",
    "null",
    "optional",
    "package",
    "namespace",
    "return",
    "timestamp",
    "true",
    "type",
    "uint",
    "var",
    "void",
    "while",
    "this",
];

/// Whether a name means something in expressions already, so that an element cannot be called so.
pub(crate) fn is_taken(name: &str) -> bool {
    Root::named(name).is_some()
        || RESERVED.contains(&name)
        || FUNCTIONS.iter().any(|function| function.name == name)
        || MACROS.iter().any(|(known, _)| *known == name)
}

/// Checks the whole expression and gives the paths in it.
pub(super) fn check(expression: &IdedExpr, info: &SourceInfo) -> Result<Vec<Path>, Vec<Flaw>> {
    let mut checker = Checker { info, bound: Vec::new(), paths: Vec::new(), flaws: Vec::new() };
    checker.visit(expression);
    if checker.flaws.is_empty() { Ok(checker.paths) } else { Err(checker.flaws) }
}

struct Checker<'a> {
    info: &'a SourceInfo,
    /// Variables of the macros around the current place.
    bound: Vec<&'a str>,
    paths: Vec<Path>,
    flaws: Vec<Flaw>,
}

impl<'a> Checker<'a> {
    fn visit(&mut self, expression: &'a IdedExpr) {
        match &expression.expr {
            Expr::Ident(_) | Expr::Select(_) => self.path(expression),
            Expr::Call(call) if call.func_name == operators::INDEX => self.path(expression),
            Expr::Call(call) => self.call(expression, call),
            Expr::Comprehension(comprehension) => self.comprehension(expression, comprehension),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => self.map(map),
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Struct(_) => self.flaw(
                expression,
                Rule::Expression,
                "messages with a type name are no part of the language",
                "write a mapping with quoted keys: {'amount': 1}",
            ),
            Expr::Unspecified => {
                self.flaw(
                    expression,
                    Rule::Expression,
                    "this is no expression",
                    "write CEL (https://cel.dev)",
                );
            }
        }
    }

    fn flaw(&mut self, at: &IdedExpr, rule: Rule, message: impl Into<String>, remedy: impl Into<String>) {
        self.flaws.push(Flaw::new(offset_of(at, self.info), rule, message, remedy));
    }

    /// Records a path that begins with a name that is not a macro's variable.
    fn path(&mut self, expression: &'a IdedExpr) {
        let mut segments = Vec::new();
        if let Some((root, offset)) = self.descend(expression, &mut segments)
            && !root.starts_with('@')
            && !self.bound.contains(&root)
        {
            self.paths.push(Path { root: root.to_owned(), segments, offset });
        }
    }

    /// Goes down to the root of a chain of fields and elements, and back up collecting them.
    fn descend(&mut self, expression: &'a IdedExpr, segments: &mut Vec<Segment>) -> Option<(&'a str, usize)> {
        match &expression.expr {
            Expr::Ident(name) => Some((name, offset_of(expression, self.info))),
            Expr::Select(select) => {
                let root = self.descend(&select.operand, segments);
                segments.push(Segment::Field(select.field.clone()));
                root
            }
            Expr::Call(call) if call.func_name == operators::INDEX && call.args.len() == 2 => {
                let root = self.descend(&call.args[0], segments);
                if let Expr::Literal(LiteralValue::String(field)) = &call.args[1].expr {
                    segments.push(Segment::Field(field.inner().to_owned()));
                } else {
                    self.visit(&call.args[1]);
                    segments.push(Segment::Element);
                }
                root
            }
            _ => {
                self.visit(expression);
                None
            }
        }
    }

    fn call(&mut self, expression: &'a IdedExpr, call: &'a CallExpr) {
        if !OPERATORS.contains(&call.func_name.as_str()) {
            self.function(expression, call);
        }
        for part in call.target.iter().map(|target| &**target).chain(&call.args) {
            self.visit(part);
        }
    }

    fn function(&mut self, expression: &IdedExpr, call: &CallExpr) {
        let name = call.func_name.as_str();
        // The parser's place is the bracket behind the name.
        let offset = offset_of(expression, self.info).saturating_sub(name.chars().count());
        let is_member = call.target.is_some();
        let known = FUNCTIONS.iter().find(|function| function.name == name);
        let usage = match known {
            Some(function) => {
                let style_fits = if is_member { function.member } else { function.global };
                if style_fits && call.args.len() == (function.arguments)(is_member) {
                    return;
                }
                Some(function.usage)
            }
            None => MACROS.iter().find(|(known, _)| *known == name).map(|(_, usage)| *usage),
        };
        if let Some(usage) = usage {
            let message = format!("`{name}` is not used like this");
            self.flaws.push(Flaw::new(offset, Rule::UnknownFunction, message, format!("write {usage}")));
            return;
        }
        let names = || FUNCTIONS.iter().map(|function| function.name).chain(MACROS.map(|(name, _)| name));
        let remedy = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("there is no function `{name}`");
        self.flaws.push(Flaw::new(offset, Rule::UnknownFunction, message, remedy));
    }

    fn comprehension(&mut self, expression: &'a IdedExpr, parts: &'a ComprehensionExpr) {
        let variable = parts.iter_var.as_str();
        if !self.bound.is_empty() {
            self.flaw(
                expression,
                Rule::ExpressionLimit,
                "a list is gone through inside of another one",
                "go through one list at a time, or let a participant work it out",
            );
        }
        if Root::named(variable).is_some() {
            let message = format!("`{variable}` has a meaning already");
            self.flaw(expression, Rule::UnknownName, message, "give the macro's variable another name");
        }
        if matches!(parts.iter_range.expr, Expr::Map(_)) {
            let message = "mappings are indexed, not gone through: their order is not defined";
            self.flaw(expression, Rule::Expression, message, "go through a list");
        }
        self.visit(&parts.iter_range);
        self.bound.push(variable);
        // What the user wrote is in the step; condition and result are the macro's own.
        self.visit(&parts.loop_step);
        self.bound.pop();
    }

    fn map(&mut self, map: &'a MapExpr) {
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            match &entry.key.expr {
                Expr::Literal(LiteralValue::String(_)) => {}
                _ => self.flaw(
                    &entry.key,
                    Rule::Expression,
                    "the keys of a mapping are texts in quotes",
                    "write {'key': value}",
                ),
            }
            self.visit(&entry.value);
        }
    }

    fn literal(&mut self, expression: &IdedExpr, literal: &LiteralValue) {
        match literal {
            LiteralValue::Bytes(_) => self.flaw(
                expression,
                Rule::Expression,
                "JSON has no bytes",
                "write a text: 'abc' instead of b'abc'",
            ),
            LiteralValue::UInt(_) => self.flaw(
                expression,
                Rule::Expression,
                "whole numbers have a sign here",
                "write 1 instead of 1u",
            ),
            LiteralValue::String(text) if text.inner().contains('\0') => self.flaw(
                expression,
                Rule::NulCharacter,
                "the text contains the character U+0000",
                "leave it out: databases cannot store it",
            ),
            _ => {}
        }
    }
}
