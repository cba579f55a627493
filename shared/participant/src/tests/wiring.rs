//! Mistakes in putting a participant together, and in saying where its database is.

use amends_contract::{Command, Outcome};
use async_trait::async_trait;

use crate::{Config, Database, Error, Handler, HandlerError, Participant, Pools, Work};

struct Idle;

#[async_trait]
impl Handler for Idle {
    async fn handle(&self, _work: &mut Work<'_>, _command: &Command) -> Result<Outcome, HandlerError> {
        Ok(Outcome::NothingToUndo)
    }
}

#[tokio::test]
async fn mistakes_are_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mistake = async |participant: Participant, name: &str| {
        let url = format!("sqlite://{}/{name}.db", folder.path().display());
        let database = Database::connect(&url, &Pools::default()).await.unwrap();
        match participant.checked(database, Config::default()) {
            Err(Error::Wiring(why)) => why,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("no mistake was found"),
        }
    };
    let inventory = || Participant::new("inventory").on("reserve", Idle);
    assert!(mistake(inventory().on("reserve", Idle), "a").await.contains("\"reserve\" is handled twice"));
    assert!(mistake(inventory().on("fence", Idle), "b").await.contains("\"fence\""));
    assert!(mistake(inventory().on("Not a name", Idle), "c").await.contains("\"Not a name\""));
    assert!(mistake(Participant::new("orchestrator"), "d").await.contains("\"orchestrator\""));
    assert!(mistake(Participant::new(""), "e").await.contains("\"\""));
}

#[tokio::test]
async fn an_unknown_kind_of_database_is_refused_without_its_password() {
    for url in ["mysql://root:secret@localhost/x", "secret", ""] {
        let error = Database::connect(url, &Pools::default()).await.unwrap_err();
        assert!(matches!(&error, Error::UnknownDatabase(_)), "{error}");
        assert!(!error.to_string().contains("root:secret"), "{error}");
    }
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    for url in ["sqlite::memory:", "sqlite://x?mode=memory"] {
        assert!(matches!(Database::connect(url, &Pools::default()).await, Err(Error::InMemory)));
    }
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/a.db", folder.path().display());
    let database = Database::connect(&url, &Pools::default()).await.unwrap();
    Participant::new("inventory").migrate(&database).await.unwrap();
    super::service::meddle(&database, "INSERT INTO seaql_migrations VALUES ('from_the_future', 1)").await;
    let error = Participant::new("inventory").migrate(&database).await.unwrap_err();
    assert!(error.to_string().contains("from_the_future"), "{error}");
}
