//! Looking at stored messages and sending them again, as it is typed.
//!
//! Invariant: these go to the broker itself, as the stock CLI would; no API key is asked for, but the account's
//! permissions hold.

use std::{path::PathBuf, str::FromStr};

use amends_contract::{SagaId, Stream};
use clap::{Args, Subcommand};

use super::Since;

#[derive(Debug, Subcommand)]
pub(crate) enum Message {
    /// List stored messages, the oldest first
    Ls(MessageList),
    /// Show one: where it lies, its headers, its body
    Show {
        /// cmd, reply, event or dead
        stream: StreamName,
        /// Its sequence in the stream; 4711#1 for an element of a batch, counted from 0
        place: Place,
        /// As JSON
        #[arg(long, conflicts_with = "body")]
        json: bool,
        /// The body alone, byte for byte
        #[arg(long)]
        body: bool,
    },
    /// Send one again on its subject, byte for byte: always safe, for an effect happens once
    Redrive(Redrive),
    /// Publish a body on a subject of ours; prints stream and sequence
    Publish {
        /// Such as amends.event.cart.checked-out
        subject: String,
        /// File with the body; - is standard input
        #[arg(long, value_name = "FILE", default_value = "-")]
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MessageList {
    /// Only in this stream: cmd, reply, event or dead; commands and replies if left out
    #[arg(long)]
    pub(crate) stream: Option<StreamName>,
    /// Only of this saga
    #[arg(long, value_name = "ID")]
    pub(crate) saga: Option<SagaId>,
    /// Only on this subject; * and > are wildcards
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// From this time (2026-11-21T08:00:00Z) or age (15m) on; a saga's messages from its beginning
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Since>,
    /// Look at this sequence and those behind it, in one stream
    #[arg(long, value_name = "SEQ", requires = "stream", conflicts_with = "since")]
    pub(crate) from: Option<u64>,
    /// List so many of each stream at most
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
    /// Read so many of each stream at most to find them
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) scan: u64,
    /// As JSON, a message a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// cmd, reply, event or dead
    pub(crate) stream: StreamName,
    /// Its sequence in the stream; 4711#1 for an element of a batch, counted from 0
    pub(crate) place: Place,
    /// Of a command: wait so many seconds for its reply and show it; exit 1 if none comes
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A stored message, or one element of the batch that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) element: Option<u32>,
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (seq, element) = text.split_once('#').map_or((text, None), |(seq, rest)| (seq, Some(rest)));
        let place =
            || Some(Self { seq: seq.parse().ok()?, element: element.map(str::parse).transpose().ok()? });
        place().ok_or_else(|| {
            "a sequence is expected, such as 4711, or 4711#1 for an element of a batch".to_owned()
        })
    }
}

/// A stream by its short name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamName(pub(crate) Stream);

impl FromStr for StreamName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // AMENDS_CMD is as good as cmd, whatever the prefix.
        let short = text.rsplit('_').next().unwrap_or(text).to_ascii_lowercase();
        let found = Stream::ALL.into_iter().find(|stream| stream.token() == short);
        found.map(Self).ok_or_else(|| "there are the streams cmd, reply, event and dead".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_sequence_and_perhaps_an_element() {
        assert_eq!("4711".parse(), Ok(Place { seq: 4711, element: None }));
        assert_eq!("4711#0".parse(), Ok(Place { seq: 4711, element: Some(0) }));
        for wrong in ["", "#1", "4711#", "4711#x", "4711#1#2", "-1"] {
            assert!(wrong.parse::<Place>().unwrap_err().contains("4711#1"), "{wrong}");
        }
    }
}
