//! The rule that a table's statements stand in one file.
//!
//! An entity says what its table is called, a migration makes it, and raw SQL, where there has to be
//! some, has one home: then a column can be renamed by reading three files.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenTree;

use crate::{
    Finding, Source,
    code::{walk, without_tests},
};

/// Words before a table's name in SQL.
const WORDS: [&str; 6] = ["FROM", "INTO", "UPDATE", "JOIN", "TABLE", "ONLY"];

/// Tables that more than one file of their crate names in SQL, entities and migrations aside.
pub(crate) fn scattered(sources: &[Source]) -> Vec<Finding> {
    let mut homes: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        let is_home = ["/entity/", "/entity.rs", "migration"].iter().any(|place| source.path.contains(place));
        if is_home {
            continue;
        }
        for table in tables_in_sql(source) {
            homes.entry((crate_of(source), table)).or_default().insert(&source.path);
        }
    }
    let what = |((package, table), files): ((String, String), BTreeSet<&str>)| {
        let files: Vec<_> = files.into_iter().collect();
        (files.len() > 1).then(|| {
            let what = format!("SQL names the table `{table}` in {}: give it one home", files.join(" and "));
            Finding::new(package, what)
        })
    };
    homes.into_iter().filter_map(what).collect()
}

/// The folder before `src/`.
fn crate_of(source: &Source) -> String {
    source.path.split("/src/").next().unwrap_or_default().to_owned()
}

/// Names that follow `FROM` and its like in literals. `{table}` is no name: it was taken from an entity.
fn tables_in_sql(source: &Source) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    walk(without_tests(source), &mut |_, token| {
        let TokenTree::Literal(literal) = token else { return };
        let syn::Lit::Str(text) = syn::Lit::new(literal.clone()) else { return };
        let text = text.value();
        let mut words = text.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let name = words.peek().map(|name| name.trim_matches(|c: char| "\"(),;".contains(c)));
            // Upper case: a sentence for people says "from".
            if let (true, Some(name)) = (WORDS.contains(&word), name)
                && name.starts_with(|c: char| c.is_ascii_lowercase())
            {
                tables.insert(name.to_owned());
            }
        }
    });
    tables
}

#[test]
fn a_table_with_two_homes_is_found() {
    let source = |path: &str, sql: &str| Source::new(path, &format!("fn f() {{ g({sql:?}); }}"));
    let found = |sources: &[Source]| scattered(sources).len();
    let (update, select) = ("UPDATE inbox SET a = 1", "SELECT a FROM \"inbox\" WHERE b");
    assert_eq!(found(&[source("a/src/x.rs", update), source("a/src/y.rs", select)]), 1);
    assert_eq!(found(&[source("a/src/x.rs", update), source("b/src/y.rs", select)]), 0, "two crates");
    assert_eq!(found(&[source("a/src/x.rs", update), source("a/src/entity/y.rs", select)]), 0);
    assert_eq!(found(&[source("a/src/x.rs", update), source("a/src/y.rs", "UPDATE {table} SET a")]), 0);
    assert_eq!(found(&[source("a/src/x.rs", update), source("a/src/y.rs", "taken from inbox")]), 0);
}
