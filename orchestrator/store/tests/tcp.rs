//! PostgreSQL over TCP, as most people reach it: here a port in front of the tests' own server.

use std::future::pending;

use amends_store::{Access, CommitResult, Config, ErrorKind, Store};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::failures::soon;
use crate::postgres::Cluster;
use crate::sagas::{assert_gapless, id, start, started};

/// Passes a port's connections on to the server. Dropping it cuts them all.
pub(crate) struct Port {
    pub(crate) number: u16,
    /// How often what stood then fell silent.
    silenced: watch::Sender<u64>,
    _connections: JoinSet<()>,
}

impl Port {
    /// Listens on this port of the loopback, or on a free one.
    pub(crate) async fn open(number: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", number)).await.unwrap();
        let number = listener.local_addr().unwrap().port();
        let socket = Cluster::shared().folder().join(".s.PGSQL.5432");
        let mut accepting = JoinSet::new();
        let (silenced, hears) = watch::channel(0);
        accepting.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = UnixStream::connect(&socket).await.unwrap();
                let mut hears = hears.clone();
                hears.mark_unchanged();
                carried.spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        // Both ends stay open, and nothing passes any more.
                        Ok(()) = hears.changed() => pending::<()>().await,
                    }
                });
            }
        });
        Self { number, silenced, _connections: accepting }
    }

    /// What stands now carries nothing any more, and nobody is told; new connections are fine.
    pub(crate) fn fall_silent(&self) {
        self.silenced.send_modify(|count| *count += 1);
    }

    /// The same database through this port.
    pub(crate) fn url(&self, db: &Database) -> String {
        let (_, name) = db.config.url.split_once("///").unwrap();
        let (name, _) = name.split_once('?').unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{name}?sslmode=prefer", self.number)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_tcp_may_go_and_come_back() {
    let db = Database::postgres().await;
    let port = Port::open(0).await;
    let config = Config { url: port.url(&db), ..db.config.clone() };
    let store = Store::connect(&config, Access::Exclusive).await.unwrap();
    started(&store, 1..=300).await;
    assert_eq!(store.load(&[id(7)]).await.unwrap().sagas.len(), 1);

    let number = port.number;
    drop(port);
    let mut error = soon(async || store.commit(&[start(301)]).await.err()).await;
    if error.kind() == ErrorKind::OutcomeUnknown {
        // It was under way, and may have been done.
        error = store.commit(&[start(301)]).await.unwrap_err();
    }
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(store.now().await.unwrap_err().kind(), ErrorKind::Unavailable);

    let _port = Port::open(number).await;
    let result = soon(async || store.commit(&[start(302)]).await.ok()).await;
    assert_eq!(result, [CommitResult::Won]);
    assert_gapless(&store, id(302)).await;
    store.close().await;
}

/// So does a server whose machine died, behind whatever goes on to acknowledge bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_hung_up_on() {
    let db = Database::postgres().await;
    let port = Port::open(0).await;
    let config = Config { url: port.url(&db), statement_timeout_ms: 500, ..db.config.clone() };
    let store = Store::connect(&config, Access::Exclusive).await.unwrap();
    started(&store, 1..=2).await;
    port.fall_silent();
    // Without that, this would wait for ever.
    let result = soon(async || store.commit(&[start(3)]).await.ok()).await;
    assert_eq!(result, [CommitResult::Won]);
    store.close().await;
}
