//! Requests to a service subject, spoken by hand: one connection, one inbox, one write for all that is pushed.
//!
//! A client library makes a future and a timer of each request; here that would be load of our own.
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>
//!
//! Invariant: the last token of an answer's subject is the number of its request.

use amends_contract::{Names, Token};
use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Answer;

/// How NATS micro reports an error (ADR-32).
const ERROR_CODE: &str = "nats-service-error-code:";

/// A connection that asks for new sagas.
pub(crate) struct Subject {
    stream: TcpStream,
    subject: String,
    inbox: String,
    unread: Vec<u8>,
    /// How much of `unread` is done with.
    read: usize,
    unsent: Vec<u8>,
}

impl Subject {
    /// Connects to `nats://host:port`, of several that are separated by commas to the first.
    pub(crate) async fn connect(urls: &str) -> anyhow::Result<Self> {
        let first = urls.split(',').next().unwrap_or_default();
        let stream = TcpStream::connect(first.trim_start_matches("nats://")).await.context("the broker")?;
        stream.set_nodelay(true)?;
        let start = Token::new("start")?;
        let inbox = format!("_INBOX.amends-bench-{}", std::process::id());
        let mut door = Self {
            stream,
            subject: Names::default().service(&start),
            unsent: Vec::new(),
            unread: Vec::new(),
            read: 0,
            inbox,
        };
        let hello = concat!(
            r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"#,
            r#""lang":"rust","version":"0","protocol":1,"name":"amends-bench"}"#,
        );
        door.unsent.extend_from_slice(format!("{hello}\r\nSUB {}.* 1\r\n", door.inbox).as_bytes());
        door.flush().await?;
        Ok(door)
    }

    pub(crate) fn push(&mut self, number: u64, body: &[u8]) {
        let head = format!("PUB {} {}.{number} {}\r\n", self.subject, self.inbox, body.len());
        self.unsent.extend_from_slice(head.as_bytes());
        self.unsent.extend_from_slice(body);
        self.unsent.extend_from_slice(b"\r\n");
    }

    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        // Whatever was written is forgotten at once: this may be dropped between two writes.
        while !self.unsent.is_empty() {
            let written = self.stream.write(&self.unsent).await.context("the broker does not read")?;
            self.unsent.drain(..written);
        }
        Ok(())
    }

    pub(crate) async fn answers(&mut self, into: &mut Vec<Answer>) -> anyhow::Result<()> {
        loop {
            while let Some(answer) = self.parse()? {
                into.extend(answer);
            }
            self.unread.drain(..self.read);
            self.read = 0;
            self.flush().await?;
            if !into.is_empty() {
                return Ok(());
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                bail!("the broker has closed the connection");
            }
        }
    }

    /// The next protocol message: an answer, or something else that is done with; `None` when it is not there
    /// as a whole.
    fn parse(&mut self) -> anyhow::Result<Option<Option<Answer>>> {
        let unread = &self.unread[self.read..];
        let Some(end) = unread.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let line = std::str::from_utf8(&unread[..end]).context("the broker speaks no text")?;
        let begin = end + 2;
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        if kind != "MSG" && kind != "HMSG" {
            match kind {
                "PING" => self.unsent.extend_from_slice(b"PONG\r\n"),
                "-ERR" => bail!("the broker says {line}"),
                _ => {}
            }
            self.read += begin;
            return Ok(Some(None));
        }
        let words: Vec<_> = words.collect();
        let size = |word: Option<&&str>| word.and_then(|word| word.parse::<usize>().ok());
        let whole = size(words.last()).context("a message has a size")?;
        let head = match kind {
            "HMSG" => size(words.iter().rev().nth(1)).context("a header has a size")?,
            _ => 0,
        };
        if unread.len() < begin + whole + 2 {
            return Ok(None);
        }
        let number = words.first().and_then(|subject| subject.rsplit('.').next()?.parse().ok());
        let number = number.context("an answer to nothing")?;
        let (head, body) = unread[begin..begin + whole].split_at(head);
        let answer = Answer { number, status: status(head), retry_after_s: None, body: body.to_vec() };
        self.read += begin + whole + 2;
        Ok(Some(Some(answer)))
    }
}

/// 503 as well when nobody listens.
fn status(head: &[u8]) -> u16 {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let first = head.lines().next().and_then(|line| line.split(' ').nth(1));
    let code = head.lines().find_map(|line| line.strip_prefix(ERROR_CODE));
    code.or(first).and_then(|code| code.trim().parse().ok()).unwrap_or(200)
}

#[test]
fn errors_are_in_the_header() {
    assert_eq!(status(b""), 200);
    assert_eq!(status(b"NATS/1.0\r\nContent-Type: application/json\r\n\r\n"), 200);
    assert_eq!(status(b"NATS/1.0 503\r\n\r\n"), 503);
    assert_eq!(status(b"NATS/1.0\r\nNats-Service-Error-Code: 422\r\n\r\n"), 422);
}
