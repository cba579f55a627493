//! Who talks to whom over TCP: each such link has a proxy, and thus weather.
//!
//! Invariant: a link is one service's; what happens to it happens to nobody else.

use crate::plan::Topology;

/// What a service connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Far {
    /// nats-server.
    Broker,
    /// Its database, on PostgreSQL.
    Database,
    /// The payment provider.
    Provider,
    /// The mail server.
    Mail,
}

/// A link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Who connects.
    pub(crate) service: &'static str,
    /// To what.
    pub(crate) to: Far,
}

const fn link(name: &'static str, service: &'static str, to: Far) -> Link {
    Link { name, service, to }
}

const ALL: [Link; 14] = [
    link("orchestrator to broker", "orchestrator", Far::Broker),
    link("orchestrator-2 to broker", "orchestrator-2", Far::Broker),
    link("orchestrator-3 to broker", "orchestrator-3", Far::Broker),
    link("inventory to broker", "inventory", Far::Broker),
    link("payment to broker", "payment", Far::Broker),
    link("notification to broker", "notification", Far::Broker),
    link("orchestrator to database", "orchestrator", Far::Database),
    link("orchestrator-2 to database", "orchestrator-2", Far::Database),
    link("orchestrator-3 to database", "orchestrator-3", Far::Database),
    link("inventory to database", "inventory", Far::Database),
    link("payment to database", "payment", Far::Database),
    link("notification to database", "notification", Far::Database),
    link("payment to provider", "payment", Far::Provider),
    link("notification to mail server", "notification", Far::Mail),
];

/// The links of a topology.
pub(crate) fn all(topology: &Topology) -> impl Iterator<Item = Link> {
    let (postgres, orchestrators) = (topology.postgres, topology.orchestrators());
    ALL.into_iter().filter(move |link| {
        let is_there = !link.service.starts_with("orchestrator") || orchestrators.contains(&link.service);
        is_there && (postgres || link.to != Far::Database)
    })
}
