//! Handing a message to a mail server.

mod config;

pub use config::{Config, SmtpUrl};
