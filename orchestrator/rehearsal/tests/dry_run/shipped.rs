//! Every definition that ships, with every step going wrong in every way: none has a finding but what its
//! own file gives a reason for.

use std::collections::BTreeMap;
use std::{fs, path::Path};

use crate::{findings, rehearse};

/// What may be left behind, by definition: the file says why.
const ALLOWED: [(&str, &[&str]); 1] = [("b2b-order", &["ask-approver"])];

/// Every definition of the folder, by the name of its file.
fn shipped() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../saga-definitions");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let definitions = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    definitions
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap();
            (name.to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn no_definition_that_ships_has_a_finding() {
    let definitions = shipped();
    assert!(definitions.len() >= 3, "{:?}", definitions.keys());
    for (name, source) in &definitions {
        let allowed = ALLOWED.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, allowed)| allowed);
        let report = rehearse(source, allowed);
        assert_eq!(findings(&report), "", "{name}");
        // Every step was rehearsed, and both ends were seen.
        for step in source.lines().filter_map(|line| line.trim().strip_prefix("- name: ")) {
            assert!(report.rows.iter().any(|row| row.step.starts_with(step)), "{name}: {step}");
        }
        for end in ["completed", "compensated"] {
            assert!(report.rows.iter().any(|row| row.ending.as_str() == end), "{name} never {end}");
        }
    }
}

#[test]
fn what_may_be_left_behind_is_a_finding_unless_it_is_allowed() {
    for (name, allowed) in ALLOWED {
        let report = rehearse(&shipped()[name], &[]);
        assert_eq!(report.findings.len(), allowed.len(), "{name}: {}", findings(&report));
    }
}
