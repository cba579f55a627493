//! The broker of a test: one nats-server, or three that make a cluster and keep three copies of each stream.
//!
//! Invariant: each server has its own store and ports, and keeps them however often it is killed.

use std::{path::Path, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{NatsServer, Process, Wire, free_port, nats_server::Membership, patience};

/// Servers of a cluster: the fewest of which one may be missing.
const MEMBERS: usize = 3;
/// A cluster without a leader does not answer at all.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// An election takes up to nine seconds, and a busy machine its time.
const ELECTED_WITHIN: Duration = Duration::from_secs(60);

/// One server, or a cluster.
pub struct Broker {
    servers: Vec<NatsServer>,
}

impl Broker {
    /// Starts a single server in `folder`.
    #[must_use]
    pub fn single(folder: &Path) -> Self {
        Self { servers: vec![NatsServer::start(folder)] }
    }

    /// Starts a cluster of three in folders of `folder`, and waits until it has a leader.
    ///
    /// # Panics
    /// When it gets none.
    #[must_use]
    pub fn cluster(folder: &Path) -> Self {
        let routes: Vec<u16> = (0..MEMBERS).map(|_| free_port()).collect();
        let member = |(number, route_port): (usize, &u16)| {
            let name = format!("nats-{}", number + 1);
            let (folder, routes) = (folder.join(&name), routes.clone());
            NatsServer::member(&folder, Membership { name, route_port: *route_port, routes })
        };
        let mut broker = Self { servers: routes.iter().enumerate().map(member).collect() };
        broker.listens();
        patience::soon("the cluster has a leader", ELECTED_WITHIN, || {
            let names = broker.ask("STREAM.NAMES", &json!({}))?;
            names.get("error").is_none().then_some(())
        });
        broker
    }

    /// Where clients connect: every server, separated by commas.
    #[must_use]
    pub fn url(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// Its servers.
    pub fn servers(&mut self) -> &mut [NatsServer] {
        &mut self.servers
    }

    /// Whether it has more than one server.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.servers.len() > 1
    }

    /// The process of its first server.
    ///
    /// # Panics
    /// Never: there is one.
    pub fn process(&mut self) -> &mut Process {
        self.servers.first_mut().expect("a broker has a server").process()
    }

    /// Kills all of it.
    pub fn kill(&mut self) {
        self.servers.iter_mut().for_each(|server| server.process().kill());
    }

    /// Sends a signal to all of it.
    pub fn signal(&mut self, signal: Signal) {
        self.servers.iter_mut().for_each(|server| server.process().signal(signal));
    }

    /// Kills all of it and deletes all that JetStream has stored, every copy.
    pub fn kill_and_wipe(&mut self) {
        // All are dead before the first one is wiped: nobody copies to it what is left.
        self.kill();
        self.servers.iter_mut().for_each(NatsServer::kill_and_wipe);
    }

    /// Starts all of it again, on the same ports.
    pub fn start_again(&mut self) {
        self.servers.iter_mut().for_each(NatsServer::start_again);
    }

    /// The place among its servers of the one that leads a stream; `None` while there is none, or nobody
    /// says. It waits for an answer: not for a task of a runtime.
    #[must_use]
    pub fn leader(&self, stream: &str) -> Option<usize> {
        let info = self.ask(&format!("STREAM.INFO.{stream}"), &json!({}))?;
        let leader = info["cluster"]["leader"].as_str()?;
        self.servers.iter().position(|server| server.name() == leader)
    }

    /// A question to JetStream's API, to whichever server answers; `None` when none does now. It waits for the
    /// answer: not for a task of a runtime.
    #[must_use]
    pub fn ask(&self, operation: &str, request: &Value) -> Option<Value> {
        let subject = format!("$JS.API.{operation}");
        self.servers.iter().find_map(|server| {
            let mut wire = Wire::connect_within(&server.url(), ANSWERS_WITHIN).ok()?;
            wire.ask(&subject, request.to_string().as_bytes()).ok()
        })
    }

    fn listens(&mut self) {
        self.servers.iter_mut().for_each(NatsServer::listens);
    }
}

#[test]
fn a_cluster_keeps_what_it_stored_when_a_leader_is_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut broker = Broker::cluster(folder.path());
    let stream = json!({ "name": "A", "subjects": ["a.>"], "num_replicas": 3 });
    let mut wire = Wire::connect(&broker.url());
    let made = wire.api("STREAM.CREATE.A", &stream);
    assert_eq!(made["config"]["num_replicas"], 3, "{made}");
    assert_eq!(wire.publish("a.b", b"first"), 1);

    let leader = patience::soon("the stream has a leader", ELECTED_WITHIN, || broker.leader("A"));
    broker.servers()[leader].process().kill();
    let next = patience::soon("it has another one", ELECTED_WITHIN, || {
        broker.leader("A").filter(|next| *next != leader)
    });
    let mut wire = Wire::connect(&broker.url());
    assert_eq!(wire.messages("A"), [("a.b".to_owned(), b"first".to_vec())]);

    broker.servers()[leader].start_again();
    broker.servers()[next].process().kill();
    let third = patience::soon("the first may lead again", ELECTED_WITHIN, || {
        broker.leader("A").filter(|third| *third != next)
    });
    assert_ne!(third, next);
    assert_eq!(Wire::connect(&broker.url()).messages("A").len(), 1);
}
