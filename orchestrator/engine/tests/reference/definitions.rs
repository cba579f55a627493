//! The sagas, once as files and once as the reference sees them.

use amends_definition::Definition;

use crate::reference::Kind::{Kept, Last, Must, Pivot, Undoable};
use crate::reference::{ATTEMPTS, Kind, Rule};

const fn rule(name: &'static str, kind: Kind, after: &'static [usize]) -> Rule {
    Rule { name, kind, after }
}

/// All of them: a chain with a pivot; one without; branches with a pivot; branches of which one stays.
pub(crate) const ALL: [&[Rule]; 4] = [
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

fn step(rules: &[Rule], rule: &Rule) -> String {
    let name = rule.name;
    let (kind, undo) = match rule.kind {
        Undoable => ("compensatable", format!("    undo: shop.undo-{name}\n")),
        Kept => ("compensatable", "    undo: none\n    because: it may stay\n".to_owned()),
        Pivot => ("pivot", String::new()),
        Must | Last => ("retriable", String::new()),
    };
    let after: Vec<&str> = rule.after.iter().map(|before| rules[*before].name).collect();
    let after = after.join(", ");
    format!(
        "  - name: {name}\n    kind: {kind}\n    after: [{after}]\n    call: shop.do-{name}\n    with: {{}}\n{undo}"
    )
}
