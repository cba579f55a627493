//! The sagas, once as files and once as the reference sees them.

use amends_definition::Definition;

use crate::words::Kind::{Kept, Last, Must, Pivot, Signal, Undoable, Wish};
use crate::words::{ATTEMPTS, Kind, Rule};

const fn rule(name: &'static str, kind: Kind, after: &'static [usize]) -> Rule {
    Rule { name, kind, after }
}

/// All of them: a chain with a pivot; one without; branches with a pivot; branches of which one stays; a list,
/// and signals before and behind the pivot; a list that stays, beside a signal.
pub(crate) const ALL: [&[Rule]; 6] = [
    &[
        rule("a", Undoable, &[]),
        rule("b", Undoable, &[0]),
        rule("c", Pivot, &[1]),
        rule("d", Must, &[2]),
        rule("e", Last, &[]),
    ],
    &[rule("a", Undoable, &[]), rule("b", Kept, &[0]), rule("c", Undoable, &[1])],
    &[
        rule("a", Undoable, &[]),
        rule("b", Undoable, &[0]),
        rule("c", Undoable, &[0]),
        rule("d", Pivot, &[1, 2]),
        rule("e", Must, &[3]),
        rule("f", Must, &[3]),
    ],
    &[
        rule("a", Undoable, &[]),
        rule("b", Kept, &[]),
        rule("c", Undoable, &[0]),
        rule("d", Undoable, &[1, 2]),
        rule("e", Last, &[]),
        rule("f", Last, &[4]),
    ],
    &[
        rule("a", Undoable, &[]),
        rule("b.0", Undoable, &[0]),
        rule("b.1", Undoable, &[0]),
        rule("c", Signal, &[0]),
        rule("d", Pivot, &[1, 2, 3]),
        rule("e", Wish, &[4]),
        rule("f", Must, &[4]),
        rule("g", Last, &[]),
    ],
    &[
        rule("a", Signal, &[]),
        rule("b.0", Kept, &[]),
        rule("b.1", Kept, &[]),
        rule("b.2", Kept, &[]),
        rule("c", Undoable, &[0, 1, 2, 3]),
        rule("d", Undoable, &[4]),
    ],
];

/// The definition of which `rules` are the reference.
pub(crate) fn compile(rules: &[Rule]) -> Definition {
    let mut source = format!(
        "saga: reference\nversion: 1\ndefaults:\n  resend_after: 10s\n  \
         retry: {{ attempts: {ATTEMPTS}, initial: 1s, factor: 2, cap: 30s, jitter: 0.2 }}\nsteps:\n"
    );
    for rule in rules.iter().filter(|rule| rule.kind != Last) {
        source += &step(rules, rule);
    }
    if rules.iter().any(|rule| rule.kind == Last) {
        source += "on_compensated:\n";
        rules.iter().filter(|rule| rule.kind == Last).for_each(|rule| source += &step(rules, rule));
    }
    Definition::compile("reference.v1.yaml", &source, &|path| Err(path.to_owned()))
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// The elements of a list are one step, which stands where the first of them does.
fn step(rules: &[Rule], rule: &Rule) -> String {
    let (name, element) = rule.name.split_once('.').unwrap_or((rule.name, ""));
    let elements: Vec<&Rule> = rules.iter().filter(|other| base(other) == name).collect();
    let each = match element {
        "" => String::new(),
        "0" => format!("    for_each: \"={:?}\"\n    as: element\n    at_most: 9\n", vec![0; elements.len()]),
        _ => return String::new(),
    };
    let mut after: Vec<&str> = rule.after.iter().map(|before| base(&rules[*before])).collect();
    after.dedup();
    let after = after.join(", ");
    let (kind, undo) = match rule.kind {
        Signal | Wish => {
            let on_timeout = if rule.kind == Wish { "go-on" } else { "compensate" };
            return format!(
                "  - name: {name}\n    after: [{after}]\n    \
                 await: {{ signal: {name}, timeout: 1h, on_timeout: {on_timeout} }}\n"
            );
        }
        Undoable => ("compensatable", format!("    undo: shop.undo-{name}\n")),
        Kept => ("compensatable", "    undo: none\n    because: it may stay\n".to_owned()),
        Pivot => ("pivot", String::new()),
        Must | Last => ("retriable", String::new()),
    };
    format!(
        "  - name: {name}\n    kind: {kind}\n    after: [{after}]\n{each}    call: shop.do-{name}\n    with: {{}}\n{undo}"
    )
}

/// The name of the step in the file.
fn base(rule: &Rule) -> &'static str {
    rule.name.split_once('.').map_or(rule.name, |(name, _)| name)
}
