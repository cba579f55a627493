//! `amends audit`: what is looked at, and by which limits.

use clap::{Args, ValueEnum};

use super::Since;

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only sagas that are not older: a time (2026-11-21T08:00:00Z) or an age (24h)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Since>,
    /// Leave these books out; whatever is not left out has to be there
    #[arg(long, value_enum, value_name = "BOOK")]
    pub(crate) without: Vec<Book>,
    /// Another participant on the SDK, by its database: its inbox is looked at
    #[arg(long, value_name = "NAME=URL", value_parser = super::key_value)]
    pub(crate) participant: Vec<(String, String)>,
    /// The mail catcher of a test, such as http://127.0.0.1:8086
    #[arg(long, value_name = "URL")]
    pub(crate) mail_catcher: Option<String>,
    /// How long something may be due that nobody has taken up: twice the longest lease of any service
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) lease: u64,
    /// How many sends an effect may take, beside one a second: no honest retry comes near it
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    pub(crate) sends_factor: u64,
    /// Nothing is under way any more: each saga that has not ended must say what it waits for
    #[arg(long)]
    pub(crate) settled: bool,
    /// As JSON: a finding a line, then the summary
    #[arg(long)]
    pub(crate) json: bool,
}

/// Books that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Book {
    Inventory,
    Payment,
    Notification,
    /// The simulated payment provider: there is none in production
    Provider,
    Broker,
}
