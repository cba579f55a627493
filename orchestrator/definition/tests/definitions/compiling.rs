//! Compiling any text: never a panic, always the same answer, every diagnostic at a real place.

use std::cmp::Ordering;
use std::fs;

use amends_definition::limits::{DIAGNOSTICS_MAX, SOURCE_BYTES_MAX, STEPS_MAX};
use amends_definition::{Definition, StepKind};
use proptest::prelude::*;

use crate::{compile, folder};

/// Compiles twice, and holds what is true of every answer.
fn check(source: &str) {
    let answer = compile("any.yaml", source);
    match (&answer, compile("any.yaml", source)) {
        (Ok(first), Ok(second)) => assert_eq!(first.digest, second.digest),
        (Err(first), Err(second)) => {
            assert_eq!(first.to_string(), second.to_string());
            assert!(first.iter().next().is_some());
            for diagnostic in first.iter() {
                let line = source.split('\n').nth(diagnostic.line - 1).unwrap_or_default();
                assert_eq!(diagnostic.snippet, line.strip_suffix('\r').unwrap_or(line));
                assert!(diagnostic.column <= line.chars().count() + 1);
                assert!(!diagnostic.message.is_empty() && !diagnostic.remedy.is_empty());
            }
        }
        _ => panic!("compiling twice gives two answers"),
    }
}

fn order() -> String {
    fs::read_to_string(folder().join("order.v1.yaml")).unwrap()
}

/// Pieces that YAML, the language, or CEL gives a meaning to.
const PIECES: &[&str] = &[
    "saga: ",
    "order",
    "version: ",
    "1",
    "steps:",
    "\n",
    "\n  ",
    "\n- ",
    "\n  - ",
    "name: ",
    "kind: ",
    "pivot",
    "compensatable",
    "retriable",
    "call: ",
    "a.b",
    "undo: ",
    "none",
    "because: ",
    "with: ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    ": ",
    "=input",
    "\"=steps['a'].b\"",
    "&x ",
    "*x",
    "<<: ",
    "!!binary ",
    "? ",
    "|",
    ">",
    "'",
    "\"",
    "#",
    "---",
    "...",
    "%YAML 1.2",
    "\t",
    "24h",
    "-1",
    "1e999",
    ".nan",
    "~",
    "\u{0}",
    "\u{feff}",
    "\u{85}",
    "ü",
    "on_compensated:",
    "retry: ",
    "after: ",
    "after: [a]",
    "when: ",
    "for_each: ",
    "as: ",
    "at_most: ",
    "concurrency: ",
    "await: ",
    "signal: ",
    "timeout: ",
    "on_timeout: ",
    "go-on",
    "saga: x",
    "schemas: ",
    "command: ",
    "reply: ",
    "starts_on: ",
    "event: ",
    "output: ",
    "schemas/order-input.v1.json",
    "labels: ",
    "input: ",
    "99999999999999999999",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

/// A definition with one stretch of it replaced.
fn mutations(source: String) -> impl Strategy<Value = String> {
    let end = source.len();
    (0..=end, 0..40_usize, prop_oneof![pieces(), ".{0,20}"]).prop_map(move |(start, len, new)| {
        let (start, stop) = (start.min(end), (start + len).min(end));
        format!("{}{new}{}", &source[..start], &source[stop..])
    })
}

/// Steps in any graph: each with `after` of any others, of any kind, some using an output. Kinds are as
/// they would be without any `after`, often enough that some of the graphs compile.
fn graphs() -> impl Strategy<Value = String> {
    let after = prop::option::weighted(0.4, prop::collection::vec(0..6_usize, 0..3));
    let step = (after, prop::option::weighted(0.2, 0..6_usize), 0..8_u8);
    (prop::collection::vec(step, 1..6), 0..6_usize).prop_map(|(steps, pivot)| {
        let lines = steps.iter().enumerate().map(|(position, (after, used, dice))| {
            let name = |step: &usize| format!("s{}", step % steps.len());
            let after = after.as_ref().map_or_else(String::new, |after| {
                format!(", after: [{}]", after.iter().map(name).collect::<Vec<_>>().join(", "))
            });
            let with = used
                .as_ref()
                .map_or_else(String::new, |used| format!(", with: {{ x: =steps.{} }}", name(used)));
            let (before, behind) = ("kind: compensatable, undo: { call: a.c }", "kind: retriable");
            let does = match (position.cmp(&pivot), dice) {
                (Ordering::Equal, 0) | (_, 1) => {
                    return format!("- {{ name: s{position}, await: s{position}{after} }}\n");
                }
                (Ordering::Equal, _) => "kind: pivot",
                (Ordering::Less, 0) | (Ordering::Greater, 2..) => behind,
                (Ordering::Less, 2..) | (Ordering::Greater, 0) => before,
            };
            format!("- {{ name: s{position}, {does}, call: a.b{with}{after} }}\n")
        });
        format!("saga: a\nversion: 1\nsteps:\n{}", lines.collect::<String>())
    })
}

/// What the engine takes for granted about a graph.
fn check_graph(definition: &Definition) {
    let steps = &definition.steps;
    let before = |step: usize| {
        let mut seen = vec![false; steps.len()];
        let mut open = steps[step].after.clone();
        while let Some(next) = open.pop() {
            if !std::mem::replace(&mut seen[next], true) {
                open.extend(&steps[next].after);
            }
        }
        seen
    };
    let pivots: Vec<usize> = (0..steps.len()).filter(|step| steps[*step].kind == StepKind::Pivot).collect();
    assert!(pivots.len() <= 1, "{steps:?}");
    for (step, model) in steps.iter().enumerate() {
        assert!(!before(step)[step], "{} is in a ring: {steps:?}", model.name);
        match (model.kind, pivots.first()) {
            (StepKind::Pivot, _) => {}
            (StepKind::Compensatable, pivot) => assert!(pivot.is_none_or(|pivot| before(*pivot)[step])),
            (StepKind::Retriable, pivot) => assert!(pivot.is_some_and(|pivot| before(step)[*pivot])),
        }
    }
}

proptest! {
    #[test]
    fn any_text(source in "(?s).{0,400}") {
        check(&source);
    }

    #[test]
    fn pieces_of_definitions(source in pieces()) {
        check(&source);
    }

    #[test]
    fn mutated_definitions(source in mutations(order())) {
        check(&source);
    }

    #[test]
    fn mutated_definitions_with_every_word(source in mutations(crate::words::B2B.to_owned())) {
        check(&source);
    }

    #[test]
    fn graphs_that_compile_keep_the_rules_of_kinds(source in graphs()) {
        check(&source);
        if let Ok(definition) = compile("any.yaml", &source) {
            check_graph(&definition);
        }
    }
}

/// Every step after every other one.
fn knot() -> String {
    let names: Vec<String> = (0..STEPS_MAX).map(|step| format!("s{step}")).collect();
    let after = names.join(", ");
    let steps: String = names
        .iter()
        .map(|name| format!("- {{ name: {name}, kind: pivot, call: a.b, after: [{after}] }}\n"))
        .collect();
    format!("saga: a\nversion: 1\nsteps:\n{steps}")
}

#[test]
fn hostile_texts_are_refused_quickly() {
    let bomb = format!(
        "a: &a [x]\n{}",
        (b'b'..=b'z')
            .map(|c| {
                let (c, before) = (char::from(c), char::from(c - 1));
                format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 10].join(", "))
            })
            .collect::<String>()
    );
    for source in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
        "? ".repeat(10_000),
        "x".repeat(SOURCE_BYTES_MAX + 1),
        "k: v\n".repeat(SOURCE_BYTES_MAX / 5),
        (0..20_000).map(|key| format!("k{key}: v\n")).collect(),
        bomb,
        knot(),
        format!(
            "saga: a\nversion: 1\nsteps:\n- {{ name: b, kind: pivot, call: a.b, after: [{}] }}\n",
            "x".repeat(200_000)
        ),
    ] {
        check(&source);
    }
}

#[test]
fn mistakes_are_told_up_to_a_limit() {
    let steps = "- {nam: a}\n".repeat(STEPS_MAX);
    let answer = compile("any.yaml", &format!("saga: a\nversion: 1\nsteps:\n{steps}"));
    assert_eq!(answer.unwrap_err().iter().count(), DIAGNOSTICS_MAX);
}

#[test]
fn line_endings_and_a_byte_order_mark_change_nothing_but_the_digest() {
    let unix = compile("order.v1.yaml", &order()).unwrap();
    let dos = compile("order.v1.yaml", &order().replace('\n', "\r\n")).unwrap();
    let marked = compile("order.v1.yaml", &format!("\u{feff}{}", order())).unwrap();
    assert_eq!(format!("{:?}", unix.steps), format!("{:?}", dos.steps));
    assert_eq!(format!("{:?}", unix.steps), format!("{:?}", marked.steps));
    assert_ne!(unix.digest, dos.digest);
}

#[test]
fn schemas_are_read_only_where_they_make_sense() {
    let source = "saga: a\nversion: 1\ninput: s.json\nsteps:\n- {name: b, kind: pivot, call: c.d}\n";
    let refuse = |schema: Result<&str, &str>| {
        let answer = Definition::compile("a.yaml", source, &|path| {
            assert_eq!(path, "s.json");
            schema.map(str::to_owned).map_err(str::to_owned)
        });
        let message = answer.err().map(|diagnostics| diagnostics.iter().next().unwrap().message.clone());
        message.unwrap_or_else(|| "fine".to_owned())
    };
    let huge = format!("\"{}\"", "x".repeat(300_000));
    let answers = [
        refuse(Err("no such file")),
        refuse(Ok("{ \"$schema\": ")),
        refuse(Ok(&huge)),
        refuse(Ok("true")),
        refuse(Ok("{ \"type\": \"object\" }")),
        refuse(Ok("{ \"$schema\": \"http://json-schema.org/draft-07/schema#\" }")),
        refuse(Ok("{ \"$schema\": \"https://json-schema.org/draft/2020-12/schema\" }")),
    ];
    insta::assert_snapshot!(answers.join("\n"), @r#"
    the schema s.json cannot be read: no such file
    the schema s.json is not JSON: EOF while parsing a value at line 1 column 13
    the schema s.json has 300002 bytes; at most 262144 are read
    the schema s.json does not say of which draft it is
    the schema s.json does not say of which draft it is
    the schema s.json is of another draft: "http://json-schema.org/draft-07/schema#"
    fine
    "#);
}

#[test]
fn diagnostics_cannot_steer_a_terminal() {
    for source in [
        "\"\\e[31mred\\a\\u2028\\u202e\": 1\n",
        "saga: \"\\e[2J\"\n",
        "# \u{202e}\nsaga: 1\n",
        "k\u{9b}31m: 1\n",
        "a\u{7f}b: 1\n",
    ] {
        let text = compile("\u{1b}[31m.yaml", source).unwrap_err().to_string();
        let steers =
            |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!text.contains(steers), "{text:?}");
    }
}
