//! Fake programs in fake places: which one is taken, passed over, refused.

use std::{cell::RefCell, fs, process};

use super::*;

/// A program that answers as nats-server of this version does.
///
/// A shell writes it: were the file open in this process, another test's fork could inherit it for a
/// moment, and running the file would fail with "text file busy".
fn program(folder: &Path, answer: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("nats-server");
    let script = r##"printf '#!/bin/sh\necho "%s"\n' "$1" > "$2" && chmod 755 "$2""##;
    let written = process::Command::new("sh").args(["-c", script, "sh", answer]).arg(&path).status().unwrap();
    assert!(written.success());
    path
}

async fn find(places: &Places) -> (Result<NatsServer, Error>, Vec<String>) {
    let said = RefCell::new(Vec::new());
    let found = find_or_install(places, &|line| said.borrow_mut().push(line.to_owned())).await;
    (found, said.into_inner())
}

#[tokio::test]
async fn what_the_user_named_is_used_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let new = program(&folder.path().join("with space"), "nats-server: v2.15.1");
    let old = program(&folder.path().join("old"), "nats-server: v2.9.10");
    let places = |chosen: &Path| Places { chosen: Some(chosen.to_owned()), ..Places::default() };

    assert_eq!(find(&places(&new)).await.0.unwrap().path, new);
    let refused = find(&places(&old)).await.0.unwrap_err().to_string();
    assert!(refused.contains("it is version 2.9.10, and 2.12.0 or later is needed"), "{refused}");
    let absent = find(&places(&folder.path().join("absent"))).await.0.unwrap_err().to_string();
    assert!(absent.contains("it does not run"), "{absent}");
    let other = find(&places(&program(&folder.path().join("other"), "hello"))).await.0.unwrap_err();
    assert!(other.to_string().contains("\"hello\""), "{other}");
}

#[tokio::test]
async fn the_cache_goes_before_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let installed = program(install::program(&cache).parent().unwrap(), "nats-server: v2.15.1");
    let search = vec![folder.path().join("bin")];
    program(&search[0], "nats-server: v2.14.0");
    let places = Places { chosen: None, cache: Some(cache), search };
    assert_eq!(find(&places).await.0.unwrap().path, installed);
}

#[tokio::test]
async fn an_old_one_on_the_path_is_passed_over_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let search = vec![folder.path().join("none"), folder.path().join("old"), folder.path().join("new")];
    program(&search[1], "nats-server: v2.9.10");
    let new = program(&search[2], "nats-server: v2.12.0");
    let (found, said) = find(&Places { search, ..Places::default() }).await;
    assert_eq!(found.unwrap().path, new);
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("2.9.10"), "{said:?}");
}

#[tokio::test]
async fn without_any_place_the_error_says_what_to_set() {
    let error = find(&Places::default()).await.0.unwrap_err();
    assert!(error.to_string().contains("set HOME or XDG_CACHE_HOME"), "{error}");
}
