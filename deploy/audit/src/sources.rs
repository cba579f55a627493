//! Where the books are.
//!
//! Invariant: what is not named is not looked at, and the report says so; a place that is named and not
//! there is an error.

use std::time::Duration;

use amends_broker::Broker;
use amends_contract::Token;
use amends_store::{Access, Store};
use sea_orm::DatabaseConnection;
use tokio::time::timeout;

use crate::{Error, Report, database};

/// Longest wait for the broker: an auditor wants to know now.
const BROKER_PATIENCE: Duration = Duration::from_secs(10);

/// Where the books are. Only the orchestrator's database is indispensable: what should be is read there.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The orchestrator's database.
    pub orchestrator: amends_store::Config,
    /// URL of inventory's database.
    pub inventory: Option<String>,
    /// URL of payment's database.
    pub payment: Option<String>,
    /// URL of notification's database.
    pub notification: Option<String>,
    /// Other participants on the SDK: of those the inbox is looked at, and no table of their own.
    pub others: Vec<Other>,
    /// URL of the simulated provider's own database.
    pub provider: Option<String>,
    /// Base URL of the mail catcher, such as `http://127.0.0.1:8086`.
    pub mail_catcher: Option<String>,
    /// The broker, for the streams.
    pub broker: Option<amends_broker::Config>,
}

/// A participant of which nothing is known but that it keeps the SDK's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name, as definitions call it.
    pub name: Token,
    /// URL of its database.
    pub url: String,
}

impl Sources {
    /// Only the orchestrator's database, at this URL.
    #[must_use]
    pub fn of_orchestrator(url: &str) -> Self {
        Self {
            orchestrator: amends_store::Config { url: url.to_owned(), ..amends_store::Config::default() },
            inventory: None,
            payment: None,
            notification: None,
            others: Vec::new(),
            provider: None,
            mail_catcher: None,
            broker: None,
        }
    }

    /// With the streams of the broker at this URL, under the usual names.
    #[must_use]
    pub fn with_broker(self, url: &str) -> Self {
        let broker = amends_broker::Config { url: url.into(), ..amends_broker::Config::default() };
        Self { broker: Some(broker), ..self }
    }
}

/// The same, opened.
pub(crate) struct Opened {
    pub(crate) store: Store,
    /// For what the store has no question for.
    pub(crate) orchestrator: DatabaseConnection,
    /// Every participant with its inbox.
    pub(crate) inboxes: Vec<(Token, DatabaseConnection)>,
    pub(crate) inventory: Option<DatabaseConnection>,
    pub(crate) payment: Option<DatabaseConnection>,
    pub(crate) notification: Option<DatabaseConnection>,
    pub(crate) provider: Option<DatabaseConnection>,
    pub(crate) mail_catcher: Option<String>,
    pub(crate) broker: Option<Broker>,
}

impl Opened {
    pub(crate) async fn open(sources: Sources) -> Result<Self, Error> {
        let store = Store::connect(&sources.orchestrator, Access::ReadOnly).await?;
        store.check_schema().await?;
        let orchestrator = database::open("orchestrator", &sources.orchestrator.url).await?;
        let inventory = database::maybe("inventory", sources.inventory.as_deref()).await?;
        let payment = database::maybe("payment", sources.payment.as_deref()).await?;
        let notification = database::maybe("notification", sources.notification.as_deref()).await?;
        let mut inboxes = Vec::new();
        for (name, database) in
            [("inventory", &inventory), ("payment", &payment), ("notification", &notification)]
        {
            let Some(database) = database else { continue };
            let name = Token::new(name).unwrap_or_else(|_| unreachable!("it is a token"));
            inboxes.push((name, database.clone()));
        }
        for other in sources.others {
            inboxes.push((other.name, database::open("a participant", &other.url).await?));
        }
        Ok(Self {
            store,
            orchestrator,
            inboxes,
            inventory,
            payment,
            notification,
            provider: database::maybe("provider", sources.provider.as_deref()).await?,
            mail_catcher: sources.mail_catcher,
            broker: match sources.broker {
                Some(config) => Some(connect(&config).await?),
                None => None,
            },
        })
    }

    /// Says what is looked at and what is not.
    pub(crate) fn describe(&self, report: &mut Report) {
        let mut line = |what: &str, there: bool| {
            let said = if there { what.to_owned() } else { format!("not {what}") };
            report.looked_at.push(said);
        };
        line("the orchestrator's database", true);
        line("inventory's database", self.inventory.is_some());
        line("payment's database", self.payment.is_some());
        line("notification's database", self.notification.is_some());
        line("the provider's books", self.provider.is_some());
        line("the mail catcher", self.mail_catcher.is_some());
        line("the streams", self.broker.is_some());
    }
}

async fn connect(config: &amends_broker::Config) -> Result<Broker, Error> {
    let broker = Broker::observe(config, "amends audit").await?;
    if timeout(BROKER_PATIENCE, broker.connected()).await.is_err() {
        let why = format!("nobody answers at {} within {} s", config.url, BROKER_PATIENCE.as_secs());
        return Err(Error::Unavailable { source_name: "the broker".to_owned(), why });
    }
    Ok(broker)
}
