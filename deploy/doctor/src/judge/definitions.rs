//! Definitions: those of the folder against those of the database, and what they call.

use crate::facts::{Facts, File, OrchestratorFacts};
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const FILES: Check = Check(Area::Definitions, "definition-files");
const FILE: Check = Check(Area::Definitions, "definition-file");
const STORED: Check = Check(Area::Definitions, "definition-stored");
const CALLS: Check = Check(Area::Definitions, "definition-calls");

pub(super) fn judge(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let Some(config) = &deployment.orchestrator else { return Vec::new() };
    let mut findings = Vec::new();
    let stored = facts.orchestrator.as_ref().and_then(|seen| seen.as_ref().ok());
    match &facts.files {
        Some(Ok(files)) => {
            findings.extend(files.iter().map(|file| of_file(file, stored)));
            if files.is_empty() {
                findings.push(FILES.note(
                    format!("there is no definition in {}", config.definitions.display()),
                    "only what is in the database can be started",
                ));
            }
        }
        Some(Err(why)) => findings.push(FILES.error(
            format!("the folder of definitions cannot be read: {why}"),
            "an orchestrator does not start without it",
            "mend orchestrator.definitions; a path is taken from the folder in which the process is started",
        )),
        None => {}
    }
    match stored {
        Some(stored) => findings.extend(of_store(stored)),
        None => findings.push(STORED.unseen(
            "the definitions of the database were not looked at",
            "the orchestrator's database could not be asked",
        )),
    }
    findings
}

fn of_file(file: &File, stored: Option<&OrchestratorFacts>) -> Finding {
    let path = file.path.display();
    let definition = match &file.loaded {
        Ok(definition) => definition,
        Err(why) => {
            return FILE.error(
                format!("{path} is wrong: {why}"),
                "an orchestrator that finds it does not start",
                format!("mend it; `amends definition validate {path}`"),
            );
        }
    };
    let reference = definition.reference();
    let known = stored.and_then(|stored| stored.definitions.as_ref().ok()?.get(&reference));
    match (stored, known) {
        (_, Some(digest)) if *digest == definition.digest => FILE.ok(format!("{reference} is in the database as in {path}")),
        (_, Some(_)) => FILE.error(
            format!("{path} says something else than {reference} in the database"),
            "what is stored under a version never changes, since sagas are pinned to it: an orchestrator that finds this file \
             does not start",
            "take the change back, or give it the next version number in a file of its own",
        ),
        (Some(_), None) => FILE.note(
            format!("{reference} of {path} is not in the database"),
            "the next start of an orchestrator loads it; until then it cannot be started",
        ),
        (None, None) => FILE.ok(format!("{path} is good")),
    }
}

fn of_store(stored: &OrchestratorFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(why) = &stored.definitions {
        findings.push(STORED.unseen("the definitions of the database were not looked at", why.clone()));
    }
    for (reference, why) in &stored.unreadable {
        findings.push(STORED.warning(
            format!("{reference} in the database cannot be read by this version: {why}"),
            "its sagas wait for an orchestrator that can",
            "run the newest binary",
        ));
    }
    for call in &stored.unknown_calls {
        findings.push(CALLS.error(
            call.clone(),
            "an orchestrator does not start with a definition that calls a saga nobody knows",
            "as said",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::tests::{definition, deployment, facts, level};

    fn judged(file: &str, stored: Option<&str>) -> Level {
        let mut facts = facts();
        let file = definition(file);
        facts.files = Some(Ok(vec![File { path: "order.v1.yaml".into(), loaded: Ok(file) }]));
        let known = facts.orchestrator.as_mut().unwrap().as_mut().unwrap();
        known.definitions =
            Ok(stored.map(definition).map(|it| (it.reference(), it.digest)).into_iter().collect());
        level(&judge(&deployment(), &facts), "definition-file")
    }

    #[test]
    fn a_file_is_held_against_the_database() {
        assert_eq!(judged("", Some("")), Level::Ok);
        assert_eq!(judged("", None), Level::Note);
        assert_eq!(judged("# changed\n", Some("")), Level::Error);
    }

    #[test]
    fn wrong_files_and_what_cannot_be_read_are_found() {
        let mut facts = facts();
        facts.files = Some(Ok(vec![File { path: "x.yaml".into(), loaded: Err("line 3".to_owned()) }]));
        let known = facts.orchestrator.as_mut().unwrap().as_mut().unwrap();
        known.unreadable = vec![("order.v9".parse().unwrap(), "it is newer".to_owned())];
        known.unknown_calls = vec!["order.v1: calls nobody".to_owned()];
        let findings = judge(&deployment(), &facts);
        assert_eq!(level(&findings, "definition-file"), Level::Error);
        assert_eq!(level(&findings, "definition-stored"), Level::Warning);
        assert_eq!(level(&findings, "definition-calls"), Level::Error);
        facts.orchestrator = Some(Err("away".to_owned()));
        assert_eq!(level(&judge(&deployment(), &facts), "definition-stored"), Level::Unseen);
    }
}
