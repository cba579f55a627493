//! Both APIs do what their own description says, asked by a program that has read nothing else: Schemathesis makes
//! up requests that fit `/openapi.json` and requests that do not, and compares the answers with it.
//!
//! Invariant: every status, media type and body is described; no request, however wrong, is an internal error.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use amends_tests::{
    Dice, System,
    audit::auditor,
    python_packages,
    traffic::{Submission, mixed, restock},
};

use crate::alone;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/local/schemathesis.txt");

/// Cases made up for each operation; the variable asks for more.
const EXAMPLES: &str = "20";
const EXAMPLES_VARIABLE: &str = "SCHEMATHESIS_EXAMPLES";

/// What fits the description is not always accepted: a moment has to lie in the future, a currency has to exist, an
/// action has to be legal. No schema says so.
const NOT_PROMISED: &str = "positive_data_acceptance";

#[tokio::test]
async fn both_apis_do_what_their_description_says() {
    let _turn = alone().await;
    let packages = match python_packages(Path::new(REQUIREMENTS), "schemathesis") {
        Ok(packages) => packages,
        Err(why) => {
            // Not by a macro: that would be kept from everybody when the test passes.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: the APIs were not compared with their descriptions, for Schemathesis cannot be installed: {why}"
            );
            return;
        }
    };
    let system = System::start(None).await;
    restock(&system).await;
    // So that lists are not empty.
    let orders = Submission::start(&system, mixed(10, &mut Dice::new("described"))).all().await;
    for url in [system.url("orchestrator", "/openapi.json"), system.admin("/openapi.json")] {
        let output = ask(&system, &packages, &url);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    // What was asked for may have paused or cancelled them; the books balance all the same.
    assert!(!orders.is_empty());
    let wrong = auditor(&system).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs Schemathesis over one description.
fn ask(system: &System, packages: &Path, url: &str) -> std::process::Output {
    let examples = std::env::var(EXAMPLES_VARIABLE).unwrap_or_else(|_| EXAMPLES.to_owned());
    let program: PathBuf = packages.join("bin/schemathesis");
    Command::new("python3")
        .arg(program)
        .args(["run", url, "--no-color", "--warnings", "off", "--header"])
        .arg(format!("Authorization: {}", system.authorization()))
        .args(["--checks", "all", "--exclude-checks", NOT_PROMISED, "--suppress-health-check", "all"])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", &examples])
        .args(["--generation-deterministic", "--continue-on-failure"])
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(system.folder())
        .output()
        .expect("python3 runs")
}
